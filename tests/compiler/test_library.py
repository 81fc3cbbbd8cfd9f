"""Files of prompts that a recipe names, and values that stand for a list of one."""

import json

import jsonschema
import pytest

from fakes_clips import make_project
from fakes_machine import machine
from recipe_compiler.cli.main import main
from recipe_compiler.pipeline import Options, compile_recipe, make_plan
from recipe_schema.definition import Spec, leaf_index
from recipe_schema.jsonschema import recipe_schema


HEAD = "recipe: 1\ndata: {datasets: [{id: a, instance_data_dir: clips}]}\ntrain: {max_steps: 3000}\n"
PROMPTS = "validation: {prompt_library: lib.json, num_video_frames: 81}\n"


READY = machine(packages={"wandb": "0.22", "tensorboard": "2.20"}, environment={"WANDB_API_KEY": "x"})


def compiled(folder, text=PROMPTS, *, overrides=(), **files):
    """Compile a recipe beside files, whose names have `_` in place of the dot."""
    for name, content in files.items():
        file = folder / name.replace("_", ".")
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    recipe = folder / "recipe.yaml"
    recipe.write_text(HEAD + text, encoding="utf-8")
    return compile_recipe(recipe, Options(look_at_data=False, overrides=overrides, machine=READY))


def prompts(result):
    assert result.found == ()
    return result.settings["validation.prompt_library"]


def only(result):
    (finding,) = result.found
    return finding


def place(finding):
    return finding.span.source.name.rpartition("/")[2], finding.span.line, finding.span.column


# Files that are read


def test_a_json_file_gives_nicknames_and_prompts(tmp_path):
    result = compiled(tmp_path, lib_json='{\n\t"fox": "a red fox",\n\t"n2": "two\\nlines: {x}"\n}')

    assert prompts(result) == {"fox": "a red fox", "n2": "two\nlines: {x}"}


def test_what_json_writers_make_of_prompts_is_read_back(tmp_path):
    library = {"emoji": 'a 😀 café \u2028 \\ / "', "7": "seven", "no": "no", "empty": ""}

    assert prompts(compiled(tmp_path, lib_json=json.dumps(library))) == library
    assert prompts(compiled(tmp_path, lib_json=json.dumps(library, ensure_ascii=False, indent="\t"))) == library


def test_an_empty_library_is_one(tmp_path):
    assert prompts(compiled(tmp_path, "validation: {prompt_library: lib.json}", lib_json=" { } \n")) == {}


def test_a_yaml_file_does_as_well(tmp_path):
    text = "validation: {prompt_library: lib.yaml}"

    assert prompts(
        compiled(tmp_path, text, lib_yaml="# two of them\nfox: a red fox\nowl: >-\n  an owl\n  at night\n")
    ) == {
        "fox": "a red fox",
        "owl": "an owl at night",
    }


def test_the_path_starts_at_the_recipe_and_may_be_absolute(tmp_path, monkeypatch):
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "p.json").write_text('{"fox": "a fox"}')
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)

    for path in ("prompts/p.json", tmp_path / "prompts" / "p.json"):
        assert prompts(compiled(tmp_path, f"validation: {{prompt_library: {path}}}")) == {"fox": "a fox"}


def test_the_path_may_be_a_template_and_differ_between_variants(tmp_path):
    text = "matrix: {lib: [one, two]}\nvalidation: {prompt_library: '{{ matrix.lib }}.json'}\n"

    result = compiled(tmp_path, text, one_json='{"a": "first"}', two_json='{"b": "second"}')

    assert [v.settings["validation.prompt_library"] for v in result.variants] == [{"a": "first"}, {"b": "second"}]


def test_the_path_may_be_set_from_outside(tmp_path):
    result = compiled(
        tmp_path, overrides=["validation.prompt_library=more.json"], more_json='{"owl": "an owl"}', lib_json="{"
    )

    assert prompts(result) == {"owl": "an owl"}
    setting = result.settings.settings["validation.prompt_library"]
    assert setting.origin.span.source.name.endswith("more.json")
    assert [(value, str(origin.span).rpartition("/")[2]) for value, origin in setting.shadowed] == [
        ("more.json", "--set 1:1:27"),
        ("lib.json", "recipe.yaml:4:30"),
    ]


def test_explain_shows_the_file_and_who_named_it(tmp_path, capsys):
    compiled(tmp_path, lib_json='\n{"fox": "a red fox"}')

    assert main(["explain", "--no-data", str(tmp_path / "recipe.yaml"), "validation.prompt_library"]) == 0
    shown = capsys.readouterr().out
    assert "lib.json:2:1" in shown
    assert "lib.json at " in shown
    assert "recipe.yaml:4:30" in shown


def test_a_plan_names_the_file_among_its_sources_and_holds_the_prompts(tmp_path):
    recipe = make_project(tmp_path)
    (tmp_path / "lib.json").write_text('{"night": "a bar at night"}')

    result = compile_recipe(recipe, Options(overrides=["validation.prompt_library=lib.json"]))
    plan = make_plan(result)

    assert [s["name"].rpartition("/")[2] for s in plan.meta["sources"]] == ["recipe.yaml", "--set 1", "lib.json"]
    assert plan.execution.settings["validation.prompt_library"] == {"night": "a bar at night"}


# Files that are not


@pytest.mark.parametrize(
    ("path", "message", "advice"),
    [
        ("lip.json", "the prompt library `lip.json` can't be read: No such file", "did you mean `lib.json`?"),
        ("prompts.txt", "can't be read: No such file", "its path starts at the recipe"),
        ("nowhere/lib.json", "can't be read: No such file", "its path starts at the recipe"),
        (".", "can't be read: Is a directory", "name a JSON or YAML file"),
        ('"a\\0b"', "no path can look like that", "name a JSON or YAML file"),
    ],
)
def test_a_file_that_is_not_there_is_reported_where_it_is_named(path, message, advice, tmp_path):
    finding = only(compiled(tmp_path, f"validation: {{prompt_library: {path}}}", lib_json="{}"))

    assert (finding.code, place(finding)) == ("R605", ("recipe.yaml", 4, 30))
    assert message in finding.message
    assert advice in finding.help


@pytest.mark.parametrize(
    ("content", "where", "message"),
    [
        ('{"fox": "a"\n "owl": "b"}', (2, 2), "this is not JSON: expecting ',' or '}'"),
        ('{"fox": "a",\n}', (2, 1), "expecting a name in double quotes"),
        ("{fox: a}", (1, 2), "expecting a name in double quotes"),
        ('{"fox" "a"}', (1, 8), "expecting ':' after a name"),
        ('{"fox": }', (1, 9), "expecting value"),
        ('{"fox": "a\n"}', (1, 11), "invalid control character"),
        ('{"fox": "a"} x', (1, 14), "something follows the value"),
        ('{"fox": "a",\n\n', (1, 13), "expecting a name in double quotes"),
        ("", (1, 1), "expecting value"),
        ("[" * 100_000, (1, 1), "nested too deep"),
        (b'{\n "a": "caf\xe9"}', (2, 11), "the byte 0xE9 is not UTF-8"),
        ('{"a": "\\ud83d"}', (1, 7), "the escape \\ud83d is half of a character"),
        ('{"a\\udc00": "x"}', (1, 2), "the escape \\udc00 is half of a character"),
    ],
)
def test_broken_json_is_reported_at_its_own_line(content, where, message, tmp_path):
    finding = only(compiled(tmp_path, lib_json=content))

    assert (finding.code, place(finding)) == ("R001", ("lib.json", *where))
    assert message in finding.message


def test_broken_yaml_is_reported_at_its_own_line(tmp_path):
    finding = only(compiled(tmp_path, "validation: {prompt_library: lib.yml}", lib_yml="a: x\nb: [x\n"))

    assert (finding.code, place(finding)) == ("R001", ("lib.yml", 2, 6))


@pytest.mark.parametrize("content", ['["a fox"]', '"a fox"', "5", "null"])
def test_a_library_is_a_mapping(content, tmp_path):
    finding = only(compiled(tmp_path, lib_json=content))

    assert (finding.code, place(finding)) == ("R605", ("lib.json", 1, 1))
    assert '{"fox": "a red fox runs"}' in finding.help


@pytest.mark.parametrize(
    ("content", "code", "column", "message"),
    [
        ('{"a/b": "x"}', "R106", 2, "`validation.prompt_library` can't have the name `a/b` in it"),
        ('{"<token>": "x"}', "R106", 2, "`validation.prompt_library` can't have the name `<token>` in it"),
        ('{"": "x"}', "R106", 2, "can't have the name"),
        ('{"a": 5}', "R102", 7, "`validation.prompt_library.a` takes a text, not `5`"),
        ('{"a": %s}' % ("9" * 5000), "R102", 7, "takes a text"),
        ('{"a": NaN}', "R102", 7, "takes a text, not `NaN`"),
        ('{"a": null}', "R102", 7, "takes a text, not null"),
        ('{"a": ["x"]}', "R102", 7, "takes a text, not a list"),
        ('{"a": {"b": "x"}}', "R102", 7, "takes a text, not a mapping"),
        ('{"a": "x", "a": "y"}', "R002", 12, "`a` is given twice"),
        ('{"Fox": "x", "fox": "y"}', "R603", 21, "the nickname `fox` is taken by `Fox`"),
        ('{"a": "a <token> runs"}', "R603", 7, "still holds `<token>`"),
        ('{"a": "a {{ vars.x }} runs"}', "R603", 7, "still holds `{{`"),
    ],
)
def test_what_is_wrong_inside_is_reported_at_the_line_of_the_file(content, code, column, message, tmp_path):
    finding = only(compiled(tmp_path, lib_json="\n" + content))

    assert (finding.code, place(finding)) == (code, ("lib.json", 2, column))
    assert message in finding.message


def test_no_path_and_no_mapping_is_told_what_may_stand_there(tmp_path):
    finding = only(compiled(tmp_path, "validation: {prompt_library: 5}"))

    assert finding.message == "`validation.prompt_library` takes a map, each value a text, or a path, not `5`"


@pytest.mark.parametrize(
    "text", ["validation: 5", "validation:\n  prompt: a fox", "validation: {prompt_library: {a: b}}"]
)
def test_nothing_is_read_where_no_file_is_named(text, tmp_path):
    assert len(compiled(tmp_path, text).sources) == 1


# One value, or a list


def trackers(folder, text, **more):
    return compiled(folder, f"tracking: {{report_to: {text}}}", **more)


@pytest.mark.parametrize(
    ("text", "value"),
    [("wandb", ["wandb"]), ("[wandb]", ["wandb"]), ("[tensorboard, wandb]", ["tensorboard", "wandb"]), ("null", None)],
)
def test_a_list_of_one_may_be_written_as_its_value(text, value, tmp_path):
    result = trackers(tmp_path, text)

    assert result.found == ()
    assert result.settings["tracking.report_to"] == value


def test_a_single_value_keeps_its_place_and_its_template(tmp_path):
    text = "vars: {t: wandb}\ntracking: {report_to: '{{ vars.t }}'}"
    result = compiled(tmp_path, text)

    setting = result.settings.settings["tracking.report_to"]
    assert (setting.value, setting.origin.kind, setting.origin.detail) == (["wandb"], "template", "{{ vars.t }}")
    assert result.settings.span("tracking.report_to")[1:3] == (5, 23)


@pytest.mark.parametrize(
    ("text", "code", "column", "message", "advice"),
    [
        ("none", "R103", 23, "`tracking.report_to` can't be `none`", "write null, or leave it out"),
        ("all", "R103", 23, "`tracking.report_to` can't be `all`", "name them: tensorboard, wandb"),
        ("[wandb, none]", "R103", 31, "`tracking.report_to.1` can't be `none`", "write null"),
        ("wandbb", "R103", 23, "is tensorboard or wandb, not the text `wandbb`", "did you mean `wandb`?"),
        ("[wandbb]", "R103", 24, "is tensorboard or wandb, not the text `wandbb`", "did you mean `wandb`?"),
        ("5", "R102", 23, "takes one of tensorboard, wandb, or a list of such, or null, not `5`", ""),
        ("[5]", "R102", 24, "`tracking.report_to.0` takes one of tensorboard, wandb, not `5`", ""),
        ("[[wandb]]", "R102", 24, "takes one of tensorboard, wandb, not a list", ""),
        ("[null]", "R102", 24, "takes one of tensorboard, wandb, not null", ""),
        ("{a: b}", "R102", 23, "or a list of such, or null, not a mapping", ""),
        ("[]", "R106", 23, "`tracking.report_to` is an empty list", ""),
    ],
)
def test_what_is_neither_is_told_what_may_stand_there(text, code, column, message, advice, tmp_path):
    finding = only(trackers(tmp_path, text))

    assert (finding.code, finding.span.column) == (code, column)
    assert message in finding.message
    assert advice in finding.help


@pytest.mark.parametrize(
    ("value", "good"),
    [
        ("wandb", True),
        (["wandb"], True),
        (["wandb", "tensorboard"], True),
        (None, True),
        ("none", False),
        (["none"], False),
        ([], False),
        (5, False),
        ([None], False),
        ({}, False),
    ],
)
@pytest.mark.parametrize("key", ["report_to", "report_to+"])
def test_an_editor_takes_both_forms(key, value, good):
    recipe = {"recipe": 1, "data": {"datasets": [{"id": "a"}]}, "tracking": {key: value}}

    errors = list(jsonschema.Draft202012Validator(recipe_schema()).iter_errors(recipe))

    assert (not errors) == (good and (value is not None or key == "report_to"))


def test_lists_in_data_sets_have_both_forms_too(tmp_path):
    text = "data: {datasets: [{id: a, conditioning_data: m}, {id: b, conditioning_data: [m]}, {id: c, conditioning_data: 5}]}"
    recipe = tmp_path / "r.yaml"
    recipe.write_text(f"recipe: 1\n{text}\n")

    result = compile_recipe(recipe, Options(look_at_data=False))

    values = [result.settings[f"data.datasets.{i}.conditioning_data"] for i in range(3)]
    assert values == [["m"], ["m"], None]
    assert [d.pointer for d in result.found if d.code == "R102"] == ["data.datasets.2.conditioning_data"]


@pytest.mark.parametrize(
    ("below", "above"), [("wandb", "tensorboard"), ("[wandb]", "tensorboard"), ("wandb", "[tensorboard]")]
)
def test_a_value_appends_to_a_value(below, above, tmp_path):
    (tmp_path / "base.yaml").write_text(f"recipe: 1\ntracking: {{report_to: {below}}}\n")
    result = compiled(tmp_path, f"extends: base.yaml\ntracking: {{report_to+: {above}}}")

    assert result.found == ()
    assert result.settings["tracking.report_to"] == ["wandb", "tensorboard"]
    assert "appended to" in result.settings.settings["tracking.report_to"].origin.detail


def test_a_value_with_nothing_below_it_has_nothing_to_append_to(tmp_path):
    finding = only(compiled(tmp_path, "tracking: {report_to+: null}"))
    assert (finding.code, finding.message) == ("R102", "`tracking.report_to+` takes a list")

    assert "R013" in {d.code for d in compiled(tmp_path, "tracking: {report_to+: wandb}").found}


def test_types_that_may_be_one_or_many_or_a_file_are_said_in_words():
    assert leaf_index()["tracking.report_to"].spec.words() == "one of tensorboard, wandb, or a list of such, or null"
    assert leaf_index()["validation.prompt_library"].spec.words() == "a map, each value a text, or a path"
    assert Spec(kind="number", container="list", nullable=True, ge=0).words() == (
        "a list, each value a number, at least 0, or null"
    )
    assert leaf_index()["tracking.report_to"].spec.element.words() == "one of tensorboard, wandb"
