import pytest

from recipe_compiler.pipeline import Options, compile_recipe, make_plan
from recipe_schema.planfile import write_plan


BODY = "recipe: 1\ndata: {datasets: [{id: a, instance_data_dir: clips}]}\ntrain: {max_steps: 3}\n"


def compiled(folder, text, **environment):
    path = folder / "recipe.yaml"
    path.write_text(BODY + text, encoding="utf-8")
    return compile_recipe(path, Options(look_at_data=False, environment=environment))


def found(folder, text, **environment):
    return [(d.code, d.span.line, d.span.column, d.message) for d in compiled(folder, text, **environment).found]


@pytest.mark.parametrize("declared", ["[WHO]", "{WHO: }", "{WHO: nobody}", "[OTHER_ONE, WHO]"])
def test_a_declared_variable_is_a_text_in_templates(declared, tmp_path):
    result = compiled(tmp_path, f'env: {declared}\nname: "{{{{ env.WHO }}}}"\n', WHO="1e3", OTHER_ONE="x")

    assert result.found == ()
    assert result.settings is not None
    assert result.settings["name"] == "1e3"
    assert result.settings.settings["name"].origin.detail == "{{ env.WHO }}"


@pytest.mark.parametrize(
    ("default", "value"), [("nobody", "nobody"), ("8080", "8080"), ("true", "true"), ("'1.10'", "1.10")]
)
def test_a_default_counts_as_it_is_written(default, value, tmp_path):
    result = compiled(tmp_path, f'env: {{WHO: {default}}}\nname: "{{{{ env.WHO }}}}"\n')

    assert result.found == ()
    assert result.settings is not None
    assert result.settings["name"] == value


def test_an_empty_variable_is_set(tmp_path):
    result = compiled(tmp_path, 'env: {WHO: x}\ndescription: "<{{ env.WHO }}>"\n', WHO="")

    assert result.settings is not None
    assert result.settings["description"] == "<>"


def test_a_variable_that_is_not_set_is_one_finding_at_its_declaration(tmp_path):
    text = 'env:\n  - WHO\nname: "{{ env.WHO }}"\noutput_dir: "runs/{{ env.WHO | lower }}"\n'

    (finding,) = compiled(tmp_path, text).found

    assert (finding.code, finding.span.line, finding.span.column) == ("R011", 5, 5)
    assert finding.message == "the variable `WHO` is not set"
    assert "declare a default: `env: {WHO: …}`" in finding.help


def test_a_variable_that_is_no_text_is_a_finding_without_its_value(tmp_path):
    (finding,) = compiled(tmp_path, 'env: [WHO]\nname: "{{ env.WHO }}"\n', WHO="a\udcff").found

    assert (finding.code, finding.message) == ("R011", "the variable `WHO` is not UTF-8")


def test_a_variable_that_is_not_declared_is_a_template_error_that_says_how(tmp_path):
    (finding,) = compiled(tmp_path, 'name: "x-{{ env.WHO }}"\n', WHO="me").found

    assert (finding.code, finding.span.line, finding.span.column) == ("R006", 4, 13)
    assert finding.message == "there is no `env.WHO`"
    assert finding.help == "declare it at the top of the recipe: `env: [WHO]`"


def test_a_near_name_is_suggested(tmp_path):
    (finding,) = compiled(tmp_path, 'env: {DATA_ROOT: x}\nname: "{{ env.DATA_ROT }}"\n').found

    assert finding.help == "did you mean `env.DATA_ROOT`?"


def test_declarations_of_several_files_add_up_and_the_later_default_wins(tmp_path):
    (tmp_path / "base.yaml").write_text(
        'env: {A: base, B: base}\nname: "{{ env.A }}{{ env.B }}{{ env.C }}"\n', encoding="utf-8"
    )

    result = compiled(tmp_path, "extends: base.yaml\nenv: {B: mine, C: mine}\n")
    assert result.settings is not None
    assert result.settings["name"] == "baseminemine"
    assert [d.message for d in compiled(tmp_path, "extends: base.yaml\nenv: [B, C]\n").found] == [
        "the variable `B` is not set",
        "the variable `C` is not set",
    ]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("env: 3", [("R102", 4, 6)]),
        ("env: [1]", [("R102", 4, 7)]),
        ("env: [[a]]", [("R102", 4, 7)]),
        ("env: {A: [1]}", [("R102", 4, 10)]),
        ("env: {'a-b': x}", [("R106", 4, 7)]),
        ("env: [a-b]", [("R011", 4, 7), ("R106", 4, 7)]),
        ("env: {A: '{{ vars.x }}'}", [("R006", 4, 10)]),
        ("env: {A: 1e999}", [("R005", 4, 10)]),
    ],
)
def test_a_wrong_declaration_is_found_at_its_place(text, wanted, tmp_path):
    use = '\nname: "{{ env.A }}"' if "A" in text else ""

    assert [place[:3] for place in found(tmp_path, text + use)] == wanted


def test_a_number_that_is_none_is_an_error_that_does_not_show_the_value(tmp_path):
    text = 'env: [STEPS]\ntrain: {max_steps: "{{ env.STEPS | int }}"}\n'
    path = tmp_path / "recipe.yaml"
    path.write_text(BODY.replace("train: {max_steps: 3}\n", "") + text, encoding="utf-8")

    (finding,) = compile_recipe(path, Options(look_at_data=False, environment={"STEPS": "hush"})).found
    fine = compile_recipe(path, Options(look_at_data=False, environment={"STEPS": "12"}))

    assert (finding.code, finding.message) == ("R006", "the template fails: what it got is not a whole number")
    assert fine.found == ()
    assert fine.settings is not None
    assert fine.settings["train.max_steps"] == 12


def test_the_value_of_a_variable_reaches_a_plan_only_through_a_template(project, tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(
        'env: [USED, UNUSED, STEPS]\ndescription: "for {{ env.USED }}"\ntrain: {max_steps: "{{ env.STEPS | int }}"}\n',
        encoding="utf-8",
    )
    values = {"USED": "v1s1ble", "UNUSED": "h1dd3n", "STEPS": "17"}

    result = compile_recipe(project, Options(overlays=[overlay], must_run=True, environment=values))
    assert result.found == ()
    write_plan(make_plan(result), tmp_path)
    text = (tmp_path / "plan.json").read_text(encoding="utf-8")

    assert "for v1s1ble" in text
    assert "h1dd3n" not in text
    assert text.count("v1s1ble") == 1


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    from fakes_clips import make_project

    return make_project(tmp_path_factory.mktemp("project"))
