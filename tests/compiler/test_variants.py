import json
import random

import pytest

from fakes_clips import make_project
from recipe_compiler.cli.main import main
from recipe_compiler.passes.variant_id import LONGEST_ID, value_text, variant_id, variant_ids
from recipe_compiler.passes.variants import MAX_VARIANTS, VariantError, read_matrix
from recipe_compiler.pipeline import Options, compile_recipe
from recipe_compiler.source import Source
from recipe_compiler.syntax.yaml_tree import parse_yaml
from recipe_schema.planfile import read_plan


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def matrix(text, use="a b c seed rate"):
    uses = "".join(f'u{name}: "{{{{ matrix.{name} }}}}"\n' for name in use.split())
    root, found = parse_yaml(Source("x", f"matrix:\n{text}\n{uses}"))
    assert found == []
    return read_matrix(root)


def values(text):
    result = matrix(text)
    assert result.found == ()
    return [tuple(variant.values.values()) for variant in result.variants]


# Which variants there are


def test_every_combination_of_the_axes_is_a_variant():
    assert values("  a: [1, 2]\n  b: [x, null, true]") == [
        (1, "x"), (1, None), (1, True), (2, "x"), (2, None), (2, True),
    ]  # fmt: skip


def test_a_recipe_without_a_matrix_has_no_variants():
    root, _ = parse_yaml(Source("x", "recipe: 1\n"))

    assert read_matrix(root).variants == ()


@pytest.mark.parametrize("groups", ["[a, b]", "[[a, b]]"])
def test_zipped_axes_vary_together(groups):
    assert values(f"  a: [1, 2]\n  b: [x, y]\n  c: [p, q]\n  zip: {groups}") == [
        (1, "x", "p"), (1, "x", "q"), (2, "y", "p"), (2, "y", "q"),
    ]  # fmt: skip


def test_exclude_takes_away_what_has_its_values_and_include_adds():
    text = "  a: [1, 2]\n  b: [1, 2]\n  exclude: [{a: 1, b: 2}, {b: 1.0}]\n  include: [{a: 7, b: 8}]"

    assert values(text) == [(2, 2), (7, 8)]


def test_a_matrix_may_hold_nothing_but_what_it_includes():
    assert values("  include: [{a: 1, b: 2}, {b: 4, a: 3}]") == [(1, 2), (4, 3)]


@pytest.mark.parametrize(
    ("text", "place", "message", "advice"),
    [
        ("  a: [1, 1.0]", (2, 10), "`a` has the value `1` twice", "leave one out"),
        ("  a: [1]\n  d: [2]", (3, 3), "nothing uses `matrix.d`", 'write "{{ matrix.d }}" where the value belongs'),
        ("  a: [1, 2]\n  b: [1]\n  zip: [a, b]", (4, 8), "`a` has 2, `b` has 1", "zip takes the first of each"),
        ("  a: [1]\n  seed: [1]\n  zip: [a, sed]", (4, 12), "`sed` in `matrix.zip` is no axis", "did you mean `seed`?"),
        ("  a: [1]\n  zip: [zebra]", (3, 9), "`zebra` in `matrix.zip` is no axis", "the axes are a"),
        ("  a: [1]\n  b: [1]\n  zip: [[a, b], [a]]", (4, 18), "`a` is zipped twice", "name it once"),
        ("  a: [1]\n  zip: [a, a]", (3, 12), "`a` is zipped twice", "name it once"),
        ("  a: [1]\n  exclude: [{seeed: 1}]", (3, 14), "`seeed` in `matrix.exclude` is no axis", "the axes are a"),
        ("  a: [1]\n  exclude: [{a: 2}]", (3, 14), "this excludes nothing", "name values that the axes have"),
        ("  a: [1]\n  exclude: [{a: 1}]", (3, 14), "no variant is left", "exclude fewer"),
        ("  a: [1]\n  b: [1]\n  include: [{a: 2}]", (4, 14), "`b` is missing", "add it here"),
        ("  seed: [1]\n  include: [{sed: 2}]", (3, 14), "`sed` in `matrix.include` is no axis", "did you mean `seed`?"),
        ("  a: [1]\n  include: [{a: 1}]", (3, 14), "this variant is there already", "leave it out"),
        ("  include: [{a: 1}, {a: 2, b: 3}]", (2, 28), "`b` in `matrix.include` is no axis", "the axes are a"),
        ("  {}", (2, 3), "the matrix has no axis", "seed: [1, 2]"),
        ("  zip: []", (2, 3), "the matrix has no axis", "seed: [1, 2]"),
        ("  exclude: [{a: 1}]", (2, 14), "`a` in `matrix.exclude` is no axis", "the axes are missing"),
    ],
)
def test_what_does_not_fit_is_one_finding_at_its_place(text, place, message, advice):
    (finding,) = matrix(text).found

    assert finding.code == "R012"
    assert message in finding.message
    assert (finding.span.line, finding.span.column) == place
    assert advice in finding.help


def test_zipped_axes_of_different_lengths_show_both():
    (finding,) = matrix("  a: [1, 2]\n  b: [1]\n  zip: [a, b]").found

    assert [(str(note.span), note.text) for note in finding.notes] == [("x:2:3", "2 values"), ("x:3:3", "1 values")]


def test_more_than_256_variants_are_refused_without_being_made():
    axis = "[" + ", ".join(map(str, range(100))) + "]"
    huge = "".join(f"  x{n}: {axis}\n" for n in range(30))
    many = "  a: [1]\n  include: [" + ", ".join(f"{{a: {n}}}" for n in range(2, 300)) + "]"

    result = matrix(huge)
    assert [d.message[:18] for d in result.found] == ["the matrix has 1,0"]
    assert result.variants == ()
    assert [d.message for d in matrix(many).found] == ["the matrix has 299 variants, more than 256"]
    assert len(matrix(f"  a: {axis}\n  b: [1, 2]").variants) == 200 < MAX_VARIANTS


def test_what_rests_on_an_axis_that_is_wrong_stays_silent():
    result = matrix("  a: [1]\n  b: 3\n  zip: [a, b]\n  exclude: [{b: 3}]\n  include: [{a: 2, b: 4}]")

    assert result.found == ()
    assert [variant.id for variant in result.variants] == ["a-1"]


def test_a_template_in_a_matrix_is_refused():
    (finding,) = matrix('  a: [1, "{{ vars.x }}"]').found

    assert (finding.code, str(finding.span)) == ("R006", "x:2:10")


# Ids


@pytest.mark.parametrize(
    ("cell", "wanted"),
    [
        ({"seed": 1, "learning_rate": 1e-4}, "learning_rate-1e-4--seed-1"),
        ({"rate": 5e-05}, "rate-5e-5"),
        ({"rate": 0.98}, "rate-0.98"),
        ({"rate": 1.25e-5}, "rate-1.25e-5"),
        ({"rate": 3.0}, "rate-3"),
        ({"rate": 1e300}, "rate-1e300"),
        ({"on": True, "off": None}, "off-null--on-true"),
        ({"name": "v1.2_b"}, "name-v1.2_b"),
    ],
)
def test_an_id_is_made_of_the_values(cell, wanted):
    assert variant_id(cell) == wanted


@pytest.mark.parametrize(
    "cell", [{"a": "x y"}, {"a": "../../etc"}, {"a": "é"}, {"a": -1}, {"a": "b" * 99}, {"a": "x--y"}, {"a": ""}]
)
def test_an_id_that_can_not_hold_the_value_ends_in_a_digest(cell):
    name = variant_id(cell)

    assert name[-7] == "-"
    assert len(name) <= LONGEST_ID
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-._")
    assert ".." not in name
    assert "--" not in name


def test_an_id_does_not_depend_on_the_order_of_axes_or_on_how_numbers_are_written():
    one = matrix("  rate: [1e-4, 0.5]\n  seed: [1, 2]").variants
    other = matrix("  seed: [2, 1.0]\n  rate: [0.50, 0.0001]").variants

    assert {variant.id for variant in one} == {variant.id for variant in other}


def test_ids_are_unique_even_where_cases_are_not_told_apart():
    cells = [{"a": "X"}, {"a": "x"}, {"a": True}, {"a": "true"}, {"a": "y"}, {"a": "a b"}, {"a": "a/b"}]
    ids = variant_ids(cells)

    assert len({name.lower() for name in ids}) == len(cells)
    assert ids[4] == "a-y"


def test_a_number_has_one_text_and_keeps_its_value():
    dice = random.Random(7)
    for _ in range(2000):
        number = dice.choice((dice.uniform(0, 1), 10 ** dice.uniform(-12, 12), dice.randrange(10**6) / 1000))
        assert float(value_text(number)) == number


# A whole recipe

SWEEP = """\
extends: recipe.yaml
name: sweep
matrix:
  rate: [1e-4, 2e-5]
  seed: [1, 2]
train: {seed: "{{ matrix.seed }}"}
optimizer: {learning_rate: "{{ matrix.rate }}"}
description: "{{ recipe.variant }}"
"""


def sweep(project, text=SWEEP, name="sweep.yaml"):
    path = project.parent / name
    path.write_text(text, encoding="utf-8")
    return path


def test_each_variant_has_its_values_its_name_and_its_folder(project):
    compiled = compile_recipe(sweep(project, SWEEP.replace("name: sweep\n", "")), Options())
    assert compiled.found == ()

    described = [
        (c.variant.id, c.settings["train.seed"], c.settings["optimizer.learning_rate"]) for c in compiled.variants
    ]
    assert described == [
        ("rate-1e-4--seed-1", 1, 1e-4),
        ("rate-1e-4--seed-2", 2, 1e-4),
        ("rate-2e-5--seed-1", 1, 2e-5),
        ("rate-2e-5--seed-2", 2, 2e-5),
    ]
    assert compiled.variants[3].settings["description"] == "rate-2e-5--seed-2"
    # The project gives a name, so that only the folder needs the id.
    assert {c.settings["output_dir"] for c in compiled.variants} == {f"runs/small-{d[0]}" for d in described}


def test_a_name_that_is_not_given_bears_the_id_and_stays_short(project):
    text = SWEEP.replace("name: sweep\n", "").replace(
        "extends: recipe.yaml", "recipe: 1\ndata: {datasets: [{id: a, instance_data_dir: b}]}"
    )
    path = sweep(project, text, "a" * 90 + ".yaml")
    compiled = compile_recipe(path, Options(look_at_data=False, variant="rate-1e-4--seed-1"))

    assert compiled.settings["name"] == "a" * 46 + "-rate-1e-4--seed-1"
    assert compiled.settings["output_dir"] == f"runs/{compiled.settings['name']}"


def test_one_variant_can_be_chosen(project):
    compiled = compile_recipe(sweep(project), Options(variant="rate-2e-5--seed-2"))

    assert compiled.variants == ()
    assert compiled.variant.values == {"rate": 2e-5, "seed": 2}
    with pytest.raises(
        VariantError, match=r"no variant `rate-2e-5--seed-3`. Did you mean `rate-2e-5--seed-2`\? It has"
    ):
        compile_recipe(sweep(project), Options(variant="rate-2e-5--seed-3"))
    with pytest.raises(VariantError, match=r"no variant `zebra`. It has"):
        compile_recipe(sweep(project), Options(variant="zebra"))
    with pytest.raises(VariantError, match="as it has no matrix"):
        compile_recipe(project, Options(variant="x"))


def test_a_matrix_of_one_is_that_one(project):
    compiled = compile_recipe(sweep(project), Options(overrides=["matrix.rate=[1e-4]", "matrix.seed=[2]"]))

    assert compiled.variant.id == "rate-1e-4--seed-2"
    assert compiled.found == ()


def test_what_all_variants_share_is_said_once_and_the_rest_names_its_variants(project):
    text = SWEEP + 'ema: {decay: 2}\nlr_schedule: {warmup_steps: "{{ 99 if matrix.seed == 2 else 0 }}"}\n'
    found = compile_recipe(sweep(project, text), Options(look_at_data=False)).found

    assert [d.code for d in found] == ["R104", "R402"]
    assert "variant" not in found[0].help
    assert found[1].help.endswith("; in variants rate-1e-4--seed-2, rate-2e-5--seed-2")


def test_many_variants_are_counted(project):
    text = (
        SWEEP.replace("[1, 2]", "[1, 2, 3, 4, 5, 6]") + 'checkpoints: {step_interval: "{{ 1 - (matrix.seed // 2) }}"}\n'
    )
    found = compile_recipe(sweep(project, text), Options(look_at_data=False, overrides=["matrix.rate=[1e-4]"])).found

    assert [(d.code, d.help) for d in found] == [
        ("R104", "in variants rate-1e-4--seed-2, rate-1e-4--seed-3"),
        ("R104", "in variants rate-1e-4--seed-4, rate-1e-4--seed-5"),
        ("R104", "in variant rate-1e-4--seed-6"),
    ]


def test_variants_that_share_a_folder_are_refused(project):
    path = sweep(project, SWEEP + "output_dir: runs/mine\n")
    (finding,) = compile_recipe(path, Options()).found

    assert (finding.code, finding.span.line, finding.message) == ("R012", 9, "4 variants would write to `runs/mine`")
    apart = SWEEP + "output_dir: runs/{{ recipe.variant }}\n"
    assert compile_recipe(sweep(project, apart), Options()).found == ()
    partly = SWEEP + "output_dir: runs/{{ matrix.seed }}\n"
    assert "2 variants would" in compile_recipe(sweep(project, partly), Options()).found[0].message


def test_a_folder_that_is_wrong_already_is_not_shared_as_well(project):
    found = compile_recipe(sweep(project, SWEEP + "output_dir: [1]\n"), Options(look_at_data=False)).found

    assert [d.code for d in found] == ["R102"]


@pytest.mark.parametrize(
    ("old", "new", "code", "place"),
    [
        ("  rate: [1e-4, 2e-5]", "  rate: 1e-4", "R102", (4, 9)),
        ("  rate: [1e-4, 2e-5]", "  rate: []", "R106", (4, 9)),
        ("  rate: [1e-4, 2e-5]", "  rate: [[1]]", "R102", (4, 10)),
        ("  rate: [1e-4, 2e-5]", "  rate: [1e-4, 1e999]", "R005", (4, 16)),
        ("  seed: [1, 2]", "  seed: [1, 2]\n  zip: a", "R102", (6, 8)),
        ("  seed: [1, 2]", "  seed: [1, 2]\n  exclude: {seed: 1}", "R102", (6, 12)),
        ("  seed: [1, 2]", "  seed: [1, 2]\n  exclude: [{seed: [1]}]", "R102", (6, 20)),
        ("  seed: [1, 2]", "  seed: [1, 2]\n  include: [3]", "R102", (6, 13)),
        ("  seed: [1, 2]", "  seed: [1, 2]\n  zip: [[rate, seed], [3.5]]", "R102", (6, 24)),
        ("{{ matrix.rate }}", "{{ matrix.rate }}{{ matrix.rat }}", "R006", (7, 49)),
        ("  rate: [1e-4, 2e-5]", "  'a-b': [1]\n  rate: [1e-4]", "R106", (4, 3)),
    ],
)
def test_a_matrix_of_a_wrong_form_is_one_finding(old, new, code, place, project):
    found = compile_recipe(sweep(project, SWEEP.replace(old, new)), Options(look_at_data=False)).found

    assert [(d.code, (d.span.line, d.span.column)) for d in found] == [(code, place)]


@pytest.mark.parametrize("text", ["matrix: 3\n", "matrix: [a]\n"])
def test_a_matrix_that_is_none_is_one_finding(text, project):
    body = "extends: recipe.yaml\n" + text

    assert [d.code for d in compile_recipe(sweep(project, body), Options(look_at_data=False)).found] == ["R102"]


def test_data_that_variants_share_are_looked_at_once(project, monkeypatch):
    from recipe_compiler.data import survey

    looks = []
    original = survey.survey
    monkeypatch.setattr(survey, "survey", lambda *a, **k: looks.append(1) or original(*a, **k))

    compile_recipe(sweep(project), Options())
    assert len(looks) == 1
    compile_recipe(sweep(project, SWEEP + 'data: {vae_batch_size: "{{ matrix.seed }}"}\n'), Options())
    assert len(looks) == 3


def test_a_comment_that_silences_a_warning_of_one_variant_is_not_unused_in_the_others(project):
    comment = "  # recipe: ignore[R201] meant so"
    shift = 'train:\n  seed: "{{ matrix.seed }}"\n  flow_schedule_shift: "{{ 7.0 if matrix.seed == 2 else none }}"'
    text = SWEEP.replace('train: {seed: "{{ matrix.seed }}"}', shift + comment)
    loud = compile_recipe(sweep(project, text.replace(comment, "")), Options(look_at_data=False))
    silent = compile_recipe(sweep(project, text), Options(look_at_data=False))

    assert [d.code for d in loud.found] == ["R201"]
    assert silent.found == ()
    for variant in silent.variants:
        assert variant.found == ()
        assert compile_recipe(sweep(project, text), Options(look_at_data=False, variant=variant.variant.id)).found == ()


# The command line


def test_lint_counts_the_variants(project, capsys):
    path = sweep(project)

    assert main(["lint", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: no findings in 4 variants\n"


@pytest.mark.parametrize("command", ["explain", "run"])
def test_a_command_for_one_recipe_lists_the_variants(command, project, capsys):
    assert main([command, str(sweep(project))]) == 2
    assert "has 4 variants; choose one with `--variant ID`:\n  rate-1e-4--seed-1\n" in capsys.readouterr().err
    assert main([command, str(project), "--variant", "x"]) == 2
    assert "has no variant `x`, as it has no matrix" in capsys.readouterr().err


def test_explain_shows_one_variant(project, capsys):
    assert main(["explain", str(sweep(project)), "train.seed", "--variant", "rate-1e-4--seed-2"]) == 0
    assert capsys.readouterr().out.startswith("train.seed = 2\n")


def test_plan_writes_one_for_each_variant(project, tmp_path, capsys):
    assert main(["plan", str(sweep(project)), "-o", str(tmp_path / "plans")]) == 0
    out = capsys.readouterr().out
    folders = sorted((tmp_path / "plans").iterdir())
    plans = [read_plan(folder) for folder in folders]

    assert folders[0].name == "sweep.rate-1e-4--seed-1.plan"
    assert len({plan.plan_id for plan in plans}) == 4
    assert plans[1].meta["variant"] == {"id": "rate-1e-4--seed-2", "values": {"rate": 1e-4, "seed": 2}}
    assert "4 plans; execute one" in out
    assert main(["run", str(folders[0]), "--variant", "rate-1e-4--seed-1"]) == 3


def test_plan_of_variants_as_json(project, tmp_path, capsys):
    arguments = [
        "plan",
        str(sweep(project, SWEEP.replace("name: sweep", 'name: "{{ recipe.variant }}"'))),
        "--format",
        "json",
    ]

    assert main([*arguments, "-o", str(tmp_path)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [plan["variant"] for plan in document["plans"]][-1] == "rate-2e-5--seed-2"
    assert document["plans"][0]["path"] == str(tmp_path / "recipe.rate-1e-4--seed-1.plan")

    assert main([*arguments, "--variant", "rate-2e-5--seed-1", "-o", str(tmp_path / "one")]) == 0
    assert json.loads(capsys.readouterr().out)["variant"] == "rate-2e-5--seed-1"


def test_no_plan_is_written_if_one_variant_is_wrong(project, tmp_path, capsys):
    text = SWEEP + 'checkpoints: {step_interval: "{{ matrix.seed - 1 }}"}\n'

    assert main(["plan", str(sweep(project, text)), "-o", str(tmp_path / "plans")]) == 1
    assert "in variants rate-1e-4--seed-1, rate-2e-5--seed-1" in capsys.readouterr().err
    assert not (tmp_path / "plans").exists()


def test_fetch_looks_at_the_folders_of_all_variants_once(project, capsys):
    text = 'extends: recipe.yaml\nmatrix: {d: [clips, mixed], s: [1, 2]}\ntrain: {seed: "{{ matrix.s }}"}\n'
    text += 'data: {datasets: [{id: "{{ matrix.d }}", instance_data_dir: "{{ matrix.d }}"}]}\n'

    assert main(["fetch", str(sweep(project, text))]) == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == ["clips", "mixed"]


def test_fetch_gets_what_is_missing_for_any_variant_and_tells_what_fails(project, capsys, monkeypatch):
    from recipe_compiler.cli import fetch
    from recipe_compiler.fetch.errors import FetchError

    def fetch_source(source, folder, report):
        report(f"getting {source}")
        if folder.name == "two":
            raise FetchError("the hub is away")

    monkeypatch.setattr(fetch, "fetch_source", fetch_source)
    text = "extends: recipe.yaml\nmatrix: {d: [one, two]}\n"
    text += 'data: {datasets: [{id: "{{ matrix.d }}", instance_data_dir: "{{ matrix.d }}", source: "hf:a/b"}]}\n'

    assert main(["fetch", str(sweep(project, text))]) == 4
    printed = capsys.readouterr()
    assert printed.out == f"one: {project.parent}/one is complete\n"
    assert "error: two: the hub is away" in printed.err


def test_fetch_of_a_recipe_that_can_not_be_followed_shows_its_findings(project, capsys):
    assert main(["fetch", str(sweep(project, "recipe: 1\n"))]) == 1
    assert "`data` is missing" in capsys.readouterr().err


def test_findings_of_a_plan_can_be_read_by_machines(project, capsys):
    assert main(["plan", str(sweep(project, SWEEP + "ema: {decay: 3}\n")), "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["summary"] == {"errors": 1, "warnings": 0}
