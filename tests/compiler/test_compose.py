from pathlib import Path

import pytest

from recipe_compiler.cli.main import main
from recipe_compiler.passes.compose import MAX_EXTENDS, compose, read_source
from recipe_compiler.pipeline import Options, compile_recipe
from recipe_compiler.syntax.tree import to_plain


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder / "main.yaml"


def findings(path, overlays=(), overrides=()):
    return compose(read_source(path), path, overlays, overrides).found


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
    assert value["model"]["random_weights"] == "small"


def test_a_mistake_in_set_points_into_the_argument(tmp_path):
    path = write(tmp_path, main="recipe: 1\n")

    overrides = ["nonsense", "a..b=1", "train.seed=[1"]

    assert composed(path, overrides=overrides)[1] == [
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


# Which files, and in which order


def test_a_file_that_two_parents_build_on_counts_once_at_its_lowest_place(tmp_path):
    path = write(
        tmp_path,
        base="x: base\ny: base\n",
        a="extends: base.yaml\nx: a\n",
        b="extends: base.yaml\ny: b\n",
        main="extends: [a.yaml, b.yaml]\n",
    )
    result = compose(read_source(path), path, (), ())

    assert to_plain(result.tree) == {"x": "a", "y": "b"}
    assert [Path(source.name).stem for source in result.sources] == ["main", "a", "base", "b"]


def test_an_overlay_that_builds_on_the_recipe_leaves_what_it_does_not_name(tmp_path):
    path = write(tmp_path, base="x: 1\n", main="extends: base.yaml\nx: 2\n", over="extends: main.yaml\ny: 3\n")

    assert composed(path, [tmp_path / "over.yaml"]) == ({"x": 2, "y": 3}, [])


def test_a_thousandfold_ladder_of_parents_is_read_in_a_moment(tmp_path):
    depth = MAX_EXTENDS - 1
    for step in range(depth):
        below = f"extends: [s{step + 1}.yaml, t{step + 1}.yaml]\n" if step + 1 < depth else ""
        for side in "st":
            (tmp_path / f"{side}{step}.yaml").write_text(f"{below}{side}{step}: 1\n", encoding="utf-8")
    path = write(tmp_path, main="extends: [s0.yaml, t0.yaml]\n")

    result = compose(read_source(path), path, (), ())

    assert result.found == ()
    assert len(result.sources) == 2 * depth + 1


def test_recipes_that_build_on_each_other_too_deeply_are_refused_where_the_limit_is_passed(tmp_path):
    for step in range(MAX_EXTENDS + 2):
        (tmp_path / f"s{step}.yaml").write_text(f"extends: s{step + 1}.yaml\n", encoding="utf-8")

    (finding,) = findings(write(tmp_path, main="extends: s0.yaml\n"))

    assert finding.code == "R007"
    assert finding.message == "more than 16 recipes build on each other"
    assert finding.span.source.name == f"{tmp_path}/s{MAX_EXTENDS - 2}.yaml"


def test_a_circle_is_written_out(tmp_path):
    path = write(tmp_path, main="extends: a.yaml\n", a="extends: b.yaml\n", b="extends: a.yaml\n")

    (finding,) = findings(path)

    assert str(finding.span) == f"{tmp_path}/b.yaml:1:10"
    assert finding.help == "a.yaml → b.yaml → a.yaml"


@pytest.mark.parametrize(
    ("name", "message", "advice", "fix"),
    [
        ("base", "`base` does not exist", "did you mean `base.yaml`?", "base.yaml"),
        ("bace.yaml", "`bace.yaml` does not exist", "did you mean `base.yaml`?", "base.yaml"),
        ("'bace.yaml'", "`bace.yaml` does not exist", "did you mean `base.yaml`?", "'base.yaml'"),
        ("od name.yaml", "`od name.yaml` does not exist", "did you mean `odd name.yaml`?", None),
        ("zebra.yaml", "`zebra.yaml` does not exist", "a path starts at the folder of the file that names it; ", None),
        ("sub", "`sub` is a folder", "there is `sub/one.yaml`", None),
        ("hollow", "`hollow` is a folder", "name a file in it", None),
        ("sub/on.yaml", "`sub/on.yaml` does not exist", "did you mean `sub/one.yaml`?", "sub/one.yaml"),
        ("no/x.yaml", "`no/x.yaml` does not exist", "there is no folder `no`; a path starts at the folder", None),
        ("/no/x.yaml", "`/no/x.yaml` does not exist", "an absolute path is taken as it is", None),
        ("~/x.yaml", "`~/x.yaml` does not exist", "`~` is not your home here", None),
        ("https://x.org/y.yaml", "`https://x.org/y.yaml` does not exist", "nothing is downloaded", None),
        ("'{{ vars.x }}'", "`{{ vars.x }}` does not exist", "`extends` is read before templates", None),
        ("/dev/null", "`/dev/null` is no ordinary file", "name a recipe", None),
        ("x" * 300, "is no path", "name a file beside this one", None),
        ("builtin:sana480p", "no shipped recipe `sana480p`", "did you mean `builtin:sana_480p`?", "builtin:sana_480p"),
        (
            "builtin:zebra",
            "no shipped recipe `zebra`",
            "there is builtin:learn, builtin:quickstart, builtin:sana_480p",
            None,
        ),
        ("builtin:../recipes/quickstart", "there is no shipped recipe", "", None),
        ("quickstart", "`quickstart` does not exist", "did you mean `builtin:quickstart`?", "builtin:quickstart"),
    ],
)
def test_what_extends_names_is_found_or_the_nearest_is_named(name, message, advice, fix, tmp_path):
    (tmp_path / "hollow").mkdir()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "one.yaml").touch()
    (tmp_path / "odd name.yaml").touch()

    (finding,) = findings(write(tmp_path, base="x: 1\n", main=f"recipe: 1\nextends: {name}\n"))

    assert (finding.code, finding.span.line, finding.span.column, finding.fix) == ("R007", 2, 10, fix)
    assert message in finding.message
    assert advice in finding.help


def test_a_file_that_is_no_recipe_is_shown_as_such(tmp_path):
    (tmp_path / "bytes.yaml").write_bytes(b"a: \xff")
    path = write(tmp_path, list="- 1\n", main="extends: [bytes.yaml, list.yaml]\n")

    assert composed(path, [tmp_path / "nowhere.yaml"])[1] == [
        ("R001", f"{tmp_path}/bytes.yaml:1:4"),
        ("R001", f"{tmp_path}/list.yaml:1:1"),
        ("R007", f"{path}:1:1"),
    ]


def test_extends_of_a_wrong_type_is_one_finding(tmp_path):
    path = write(tmp_path, main="recipe: 1\nextends: {a: b}\n")

    found = compile_recipe(path, Options(look_at_data=False)).found

    assert [(d.code, d.span.line, d.span.column) for d in found] == [("R102", 2, 10)]


def test_a_misspelt_key_of_the_header_is_read_as_the_one_that_is_meant(tmp_path):
    base = "recipe: 1\ndata: {datasets: [{id: a, instance_data_dir: b}]}\ntrain: {max_steps: 3}\n"
    text = (
        'extend: base.yaml\nvar: {x: 4}\nenvs: {Y: z}\nmatrx: {s: [1]}\nname: "{{ vars.x }}{{ env.Y }}{{ matrix.s }}"\n'
    )
    path = write(tmp_path, base=base, main=text)

    compiled = compile_recipe(path, Options(look_at_data=False))

    assert [(d.code, d.span.line, d.fix) for d in compiled.found] == [
        ("R101", 1, "extends"),
        ("R101", 2, "vars"),
        ("R101", 3, "env"),
        ("R101", 4, "matrix"),
    ]
    assert compiled.settings is not None
    assert compiled.settings["name"] == "4z1"


# Appending


def test_a_key_with_a_plus_appends_to_the_list_below(tmp_path):
    path = write(
        tmp_path,
        base="data: {buckets: [a]}\nlist: [1]\n",
        main="extends: base.yaml\ndata: {buckets+: [b]}\n",
        over="data: {buckets+: [c]}\nlist+: [2]\n",
    )

    value, found = composed(path, [tmp_path / "over.yaml"], ["data.buckets+=[d, e]", "list+=[3]"])

    assert found == []
    assert value == {"data": {"buckets": ["a", "b", "c", "d", "e"]}, "list": [1, 2, 3]}


def test_what_two_parents_append_waits_for_the_list_below_and_goes_with_it(tmp_path):
    path = write(
        tmp_path,
        base="x: [1]\n",
        a="x+: [2]\n",
        b="x+: [3]\n",
        c="x: [9]\n",
        main="extends: [base.yaml, a.yaml, b.yaml]\n",
    )
    assert composed(path) == ({"x": [1, 2, 3]}, [])

    write(tmp_path, over="extends: [a.yaml, b.yaml]\n", main="extends: base.yaml\n")
    assert composed(path, [tmp_path / "over.yaml"]) == ({"x": [1, 2, 3]}, [])
    assert composed(path, [tmp_path / "a.yaml", tmp_path / "c.yaml"]) == ({"x": [9]}, [])


@pytest.mark.parametrize(
    ("text", "code", "column", "advice", "value"),
    [
        ("y+: [1]", "R013", 1, "write `y:` to set the list", {"list": [1], "s": 1, "y": [1]}),
        ("lst+: [1]", "R013", 1, "did you mean `list+`?", {"list": [1], "s": 1}),
        ("list+: 3", "R102", 1, "write `list+: [...]`", {"list": [1], "s": 1}),
        ("y+: 3", "R102", 1, "write `y+: [...]`", {"list": [1], "s": 1}),
        ("s+: [3]", "R102", 1, "write `s:` to replace it", {"list": [1], "s": 1}),
        ("{list: [2], list+: [3]}", "R002", 13, "write all elements into one list", {"list": [2], "s": 1}),
        ("list: [{z+: [3]}]", "R013", 9, "write `z:` to set the list", {"list": [{"z": [3]}], "s": 1}),
    ],
)
def test_what_can_not_be_appended_is_a_finding_and_the_rest_goes_on(text, code, column, advice, value, tmp_path):
    path = write(tmp_path, base="list: [1]\ns: 1\n", main=f"extends: base.yaml\n{text}\n")
    if text.startswith("{"):
        path = write(tmp_path, main="list: [1]\ns: 1\n", over=text)
    over = [tmp_path / "over.yaml"] if text.startswith("{") else []

    result = compose(read_source(path), path, over, ())

    (finding,) = result.found
    assert (finding.code, finding.span.column) == (code, column)
    assert advice in finding.help
    assert to_plain(result.tree) == value


def test_nothing_is_said_twice_about_a_value_that_is_wrong_already(tmp_path):
    path = write(
        tmp_path, base="x: 1e999\ny: [1]\ns: 1\n", main="extends: base.yaml\nx+: [1]\ny+: 1e999\nz+: 1e999\ns+: 1e999\n"
    )

    assert [code for code, _ in composed(path)[1]] == ["R005", "R005", "R005", "R005", "R013"]


def test_an_appended_list_says_where_its_parts_are(tmp_path):
    base = "recipe: 1\ndata: {buckets: [64x64], datasets: [{id: a, instance_data_dir: b}]}\ntrain: {max_steps: 3}\n"
    text = "extends: base.yaml\ndata:\n  buckets+: [32x32]\n  datasets+: [{id: c, instance_data_dir: d}]\n"
    path = write(tmp_path, base=base, main=text)

    settings = compile_recipe(path, Options(look_at_data=False)).settings
    assert settings is not None
    origin = settings.settings["data.buckets"].origin

    assert settings["data.buckets"] == ["64x64", "32x32"]
    assert (str(origin.span), origin.detail) == (f"{path}:3:13", f"appended to {tmp_path}/base.yaml:2:17")
    assert [settings.settings[f"data.datasets.{i}.id"].origin.kind for i in (0, 1)] == ["fragment", "recipe"]


def test_explain_says_what_a_list_was_appended_to(tmp_path, capsys):
    base = "recipe: 1\ndata: {buckets: [64x64], datasets: [{id: a, instance_data_dir: b}]}\ntrain: {max_steps: 3}\n"
    path = write(tmp_path, base=base, main="extends: base.yaml\ndata: {buckets+: [32x32]}\n")

    assert main(["explain", str(path), "data.buckets", "--no-data"]) == 0
    assert f"from        {path}:2:18, appended to {tmp_path}/base.yaml:2:17\n" in capsys.readouterr().out


# --set

TABLE = "data:\n  datasets:\n    - {id: a, repeats: 0}\n    - {id: b}\n  buckets: [x, y]\n"


def test_elements_of_lists_are_set_by_their_number(tmp_path):
    path = write(tmp_path, main=TABLE)

    value, found = composed(
        path, overrides=["data.datasets.0.repeats=2", "data.datasets.1.video.num_frames=9", "data.buckets.1=z"]
    )

    assert found == []
    assert value["data"] == {
        "datasets": [{"id": "a", "repeats": 2}, {"id": "b", "video": {"num_frames": 9}}],
        "buckets": ["x", "z"],
    }


@pytest.mark.parametrize(
    ("argument", "column", "message", "advice"),
    [
        ("data.datasets.2.id=x", 15, "`data.datasets` has 2 elements, and none is 2", "numbered from 0 to 1"),
        ("data.datasets.99999999999.id=x", 15, "has 2 elements, and none is 99999999999", "data.datasets+=[…] appends"),
        ("empty.0=x", 7, "`empty` has 0 elements, and none is 0", "it is empty"),
        ("one.1=x", 5, "`one` has 1 element, and none is 1", "numbered from 0 to 0"),
        (
            " data.datasets.id=x",
            16,
            "`data.datasets` is a list, and `id` is no number",
            "name an element: data.datasets.0.id",
        ),
        ("data.other.0.id=x", 12, "`data.other` is not given, so it has no elements", "data.other=[…]"),
        ("extends=x", 1, "`extends` can't be set", "-f FILE"),
        ("extends+=[x]", 1, "`extends` can't be set", "-f FILE"),
        ("vars.tokn=x", 6, "the recipe has no `vars.tokn`", "did you mean `vars.token`?"),
        ("vars.zebra=x", 6, "the recipe has no `vars.zebra`", "there is token"),
    ],
)
def test_what_can_not_be_set_is_shown_in_the_argument_and_changes_nothing(argument, column, message, advice, tmp_path):
    path = write(tmp_path, main=TABLE + "empty: []\none: [1]\nvars: {token: t}\n")

    (finding,) = findings(path, overrides=[argument])

    assert (finding.code, finding.span.line, finding.span.column) == ("R008", 1, column)
    assert message in finding.message
    assert advice in finding.help
    assert composed(path, overrides=[argument])[0] == composed(path)[0]


def test_a_key_without_end_is_refused(tmp_path):
    (finding,) = findings(write(tmp_path, main="x: 1\n"), overrides=["a" + ".a" * 50_000 + "=1"])

    assert finding.code == "R008"
    assert len(finding.message) < 150


def test_a_variable_can_be_set_only_if_the_recipe_has_variables(tmp_path):
    path = write(tmp_path, main="x: 1\n")

    (finding,) = findings(path, overrides=["vars.a=1"])

    assert finding.help == "declare it: `vars: {a: …}`"
    assert composed(path, overrides=["vars={a: 1}"]) == ({"x": 1, "vars": {"a": 1}}, [])


def test_a_variable_that_is_set_reaches_the_templates(tmp_path):
    path = write(tmp_path, main='recipe: 1\nvars: {n: 2}\ntrain: {max_steps: "{{ vars.n * 2 }}"}\n')

    settings = compile_recipe(path, Options(overrides=["vars.n=5"], look_at_data=False)).settings

    assert settings is not None
    assert settings["train.max_steps"] == 10


@pytest.mark.parametrize(
    ("argument", "left"),
    [
        ("validation.images={}", {"validation": {"images": {}, "prompt": "p"}}),
        ("validation={}", {"validation": {}}),
        ("validation.images={new: n.png}", {"validation": {"images": {"old": "o.png", "new": "n.png"}, "prompt": "p"}}),
        ("data.buckets=[]", {"data": {"buckets": []}}),
        ("data.buckets+=[]", {"data": {"buckets": ["64x64"]}}),
        ("matrix={}", {"matrix": {}}),
        ("train={}", {"train": {}}),
    ],
)
def test_an_empty_map_or_list_in_an_argument_takes_away_what_the_files_give(argument, left, tmp_path):
    recipe = "validation: {images: {old: o.png}, prompt: p}\ndata: {buckets: [64x64]}\nmatrix: {train.seed: [1, 2]}\n"
    path = write(tmp_path, main=recipe)
    before = composed(path)[0]
    result = compose(read_source(path), path, (), (argument,))

    assert list(result.found) == []
    assert to_plain(result.tree) == {**before, **left}


def test_in_a_file_an_empty_map_takes_away_names_that_are_chosen_and_no_settings(tmp_path):
    path = write(
        tmp_path,
        base="validation: {images: {a: a.png}, prompt_library: {b: text}}\nema: {enabled: true}\nmatrix: {train.seed: [1]}\n",
        main="extends: base.yaml\nvalidation: {images: {}}\nema: {}\nmatrix: {}\n",
    )
    result = compose(read_source(path), path, (), ())

    assert to_plain(result.tree) == {
        "validation": {"images": {}, "prompt_library": {"b": "text"}},
        "ema": {"enabled": True},
        "matrix": {},
    }
    images = result.tree.entries["validation"].node.entries["images"].node
    assert [to_plain(shadow) for shadow in images.shadows] == [{"a": "a.png"}]


def test_a_value_may_hold_equals_signs_and_a_key_of_a_map_may_hold_dots(tmp_path):
    path = write(tmp_path, main="name: a\nvalidation: {prompt_library: {a.b: old}}\n")

    value, found = composed(
        path, overrides=["name=b=c=d", "validation.prompt_library.a.b=new", "validation.prompt_library.v1.2=x"]
    )

    assert found == []
    assert value == {"name": "b=c=d", "validation": {"prompt_library": {"a.b": "new", "v1.2": "x"}}}


def test_a_key_below_a_value_replaces_the_value(tmp_path):
    path = write(tmp_path, main="train: 3\n")
    result = compose(read_source(path), path, (), ("train.seed=1",))

    assert to_plain(result.tree) == {"train": {"seed": 1}}
    assert result.tree is not None
    assert [to_plain(shadow) for shadow in result.tree.entries["train"].node.shadows] == [3]


def test_a_section_stays_where_the_recipe_has_it_when_one_of_its_keys_is_set(tmp_path):
    path = write(tmp_path, main="recipe: 1\ntrain:\n  max_steps: 3\n")
    tree = compose(read_source(path), path, (), ("train.seed=1",)).tree

    assert tree is not None
    assert str(tree.entries["train"].key_span) == f"{path}:2:1"


def test_a_misspelt_key_stands_for_the_one_that_is_meant_though_a_file_below_gives_it(tmp_path):
    path = write(
        tmp_path,
        base="train: {max_steps: 1, seed: 2}\n",
        main="recipe: 1\nextends: base.yaml\ntrian: {max_stepz: 3, seed: x}\n"
        "data: {datasets: [{id: a, instance_data_dir: b}]}\n",
    )

    compiled = compile_recipe(path, Options(look_at_data=False, overrides=["trian.batchsize=0"]))

    assert [(d.code, str(d.span).rpartition("/")[2]) for d in compiled.found] == [
        ("R101", "main.yaml:3:1"),
        ("R101", "main.yaml:3:9"),
        ("R102", "main.yaml:3:29"),
        ("R101", "--set 1:1:1"),
        ("R101", "--set 1:1:7"),
        ("R104", "--set 1:1:17"),
    ]
    assert compiled.settings is not None
    assert compiled.settings["train.max_steps"] == 3


def test_paths_of_a_shipped_recipe_start_at_the_recipe_that_builds_on_it(tmp_path):
    path = write(tmp_path, main="extends: builtin:quickstart\n")

    settings = compile_recipe(path, Options(look_at_data=False)).settings

    assert settings is not None
    assert (settings["name"], settings["description"], settings["output_dir"]) == ("main", "", "runs/main")
    assert settings["data.store_dir"] == "store"
    assert settings["data.datasets.0.instance_data_dir"] == "data/sample-clips"
    assert settings["model.pretrained_model_name_or_path"] == "models/small-sana-video"
    assert settings["model.pretrained_vae_model_name_or_path"] == "models/small-sana-video"
