from pathlib import Path

from recipe_compiler.passes.compose import compose, read_source
from recipe_compiler.pipeline import Options, compile_recipe
from recipe_compiler.syntax.tree import to_plain


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder / "main.yaml"


def composed(path, overlays=(), overrides=()):
    result = compose(read_source(path), path, overlays, overrides)
    return (to_plain(result.tree) if result.tree is not None else None), [(d.code, str(d.span)) for d in result.found]


def test_maps_merge_deeply_and_lists_replace(tmp_path):
    path = write(
        tmp_path,
        base="train: {max_steps: 1, seed: 2}\ndata: {buckets: [64x64, 32x32]}\n",
        main="extends: base.yaml\ntrain: {max_steps: 3}\ndata: {buckets: [16x16]}\n",
    )

    assert composed(path) == ({"train": {"max_steps": 3, "seed": 2}, "data": {"buckets": ["16x16"]}}, [])


def test_later_parents_win_over_earlier_and_the_recipe_over_all(tmp_path):
    path = write(tmp_path, a="x: 1\ny: 1\nz: 1\n", b="y: 2\nz: 2\n", main="extends: [a.yaml, b.yaml]\nz: 3\n")

    assert composed(path)[0] == {"x": 1, "y": 2, "z": 3}


def test_overlays_win_over_the_recipe_and_set_over_all(tmp_path):
    path = write(tmp_path, main="a: {b: 1, c: 1, d: 1}\n", over="a: {c: 2, d: 2}\n")

    value, found = composed(path, [tmp_path / "over.yaml"], ["a.d=3", "a.e=[1, x]", "a.f="])

    assert found == []
    assert value == {"a": {"b": 1, "c": 2, "d": 3, "e": [1, "x"], "f": None}}


def test_recipes_that_build_on_each_other_in_a_circle_are_refused(tmp_path):
    path = write(tmp_path, main="extends: other.yaml\n", other="extends: main.yaml\n")

    assert composed(path)[1] == [("R007", f"{tmp_path}/other.yaml:1:10")]


def test_a_parent_that_does_not_exist_is_shown_where_it_is_named(tmp_path):
    path = write(tmp_path, main="extends: [nowhere.yaml, builtin:nothing]\n")

    assert [code for code, _ in composed(path)[1]] == ["R007", "R007"]


def test_a_shipped_recipe_can_be_built_on(tmp_path):
    path = write(tmp_path, main="extends: builtin:quickstart\ntrain: {max_steps: 5}\n")

    value, found = composed(path)

    assert found == []
    assert value["train"]["max_steps"] == 5
    assert value["model"]["random_weights"] == "tiny"


def test_a_mistake_in_set_points_into_the_argument(tmp_path):
    path = write(tmp_path, main="recipe: 1\n")

    assert composed(path, overrides=["nonsense", "a..b=1", "train.seed=[1"])[1] == [
        ("R008", "--set 1:1:1"),
        ("R008", "--set 2:1:1"),
        ("R001", "--set 3:1:14"),
    ]


def test_an_origin_names_everything_that_it_replaced(tmp_path):
    path = write(
        tmp_path,
        base="train: {max_steps: 1}\n",
        main="recipe: 1\nextends: base.yaml\ntrain: {max_steps: 2}\ndata: {datasets: [{id: a, instance_data_dir: b}]}\n",
    )

    settings = compile_recipe(path, Options(overrides=["train.max_steps=3"])).settings
    assert settings is not None
    setting = settings.settings["train.max_steps"]

    assert (setting.value, setting.origin.kind) == (3, "override")
    assert [(value, origin.kind) for value, origin in setting.shadowed] == [(2, "recipe"), (1, "fragment")]
