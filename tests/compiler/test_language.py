"""The whole language at once: every key has an origin and a reader, and every misspelling and flat name one finding."""

import itertools
import json
import re
from pathlib import Path

import pytest

from fakes_machine import BARE
from recipe_compiler.passes.foreign import _table as foreign_names
from recipe_compiler.pipeline import Options, compile_source
from recipe_compiler.source import Source
from recipe_schema.definition import Leaf, Section, Table, definition, generic, leaf_index, leaves
from recipe_schema.family import load_family


ROOT = Path(__file__).parents[2]
DATA = {"datasets": [{"id": "a", "instance_data_dir": "clips"}]}


def found(folder, **sections):
    text = "".join(f"{name}: {json.dumps(value)}\n" for name, value in sections.items())
    return compiled(folder, text).found


def compiled(folder, text):
    return compile_source(
        Source(name="recipe.yaml", text=text), folder / "recipe.yaml", Options(look_at_data=False, machine=BARE)
    )


# Origins and readers


def test_every_key_of_a_resolved_recipe_has_an_origin(tmp_path):
    text = f"recipe: 1\ndata: {json.dumps(DATA)}\ntrain: {{max_steps: 9}}\ntracking: {{webhooks: [{{url_env: A}}]}}\n"

    settings = compiled(tmp_path, text).settings.settings

    assert {generic(path) for path in settings} == set(leaf_index())
    for path, setting in settings.items():
        written = setting.origin.kind in ("recipe", "fragment", "override", "template")
        assert written == (setting.origin.span is not None), path
        assert setting.origin.kind not in ("family", "derived") or setting.origin.detail, path


def sources_of_readers() -> str:
    folders = (ROOT / "runtime", ROOT / "compiler")
    files = [file for folder in folders for file in sorted(folder.rglob("*.py"))]
    return "\n".join(file.read_text(encoding="utf-8") for file in files if file.parent.name != "docs")


def test_every_key_is_read_or_ignored_for_a_reason():
    text, ignored = sources_of_readers(), load_family("sana-video-480p").ignored()
    names = set(re.findall(r"[.\"'/{}](\w+)\b", text))

    unread = [leaf.path for leaf in leaves() if leaf.path.rpartition(".")[2] not in names]

    for path in unread:
        key = leaf_index()[path].key
        assert key.ignored or path in ignored, f"nothing reads `{path}`"


# Misspellings


def misspellings(word: str):
    middle = len(word) // 2
    yield word[:middle] + word[middle] + word[middle:]  # a letter twice
    if len(word) > 3:
        yield word[:middle] + word[middle + 1 :]  # a letter left out
        yield word[: middle - 1] + word[middle] + word[middle - 1] + word[middle + 1 :]  # two letters swapped
    yield word + "s"
    yield word.upper()


def all_keys(section: Section, path=()):
    for name, child in section.children.items():
        yield (*path, name), child
        if isinstance(child, Section):
            yield from all_keys(child, (*path, name))
        elif isinstance(child, Table):
            yield from all_keys(child.item, (*path, name, 0))


def usual_value(child):
    if not isinstance(child, Leaf):
        return [] if isinstance(child, Table) else {}
    default, spec = child.key.default, child.spec
    if spec.container == "map":
        return {}
    if spec.container == "list":
        return ["624x624"] if spec.pattern else []
    if spec.choices:
        return spec.choices[0]
    if isinstance(default, bool | int | float):
        return default
    return {"integer": 1, "number": 1.0, "boolean": False, "string": "x"}[spec.kind]


def recipe_with(path, name, value):
    """Write a recipe that has a key of its own line, and return the line and column of the key, too."""
    root = {"recipe": 1, "data": json.loads(json.dumps(DATA)), "train": {"max_steps": 300}}
    inner = root
    for part, following in itertools.pairwise((*path, None)):
        if isinstance(part, int):
            inner.extend({} for _ in range(not inner))
            inner = inner[part]
        else:
            inner = inner.setdefault(part, [] if isinstance(following, int) else {})
    inner[name] = "@"
    text = json.dumps(root, indent=1).replace('"@"', json.dumps(value))
    line = next(number for number, line in enumerate(text.split("\n"), 1) if line.lstrip().startswith(f'"{name}": '))
    return text, (line, text.split("\n")[line - 1].index('"') + 1)


@pytest.mark.parametrize("kind", range(5))
def test_any_misspelt_key_of_the_language_is_one_finding_more_at_that_key(kind, tmp_path):
    for path, child in itertools.islice(all_keys(definition()), kind, None, 5):  # all keys, each in one way
        *above, name = path
        wrong = next(itertools.islice(misspellings(name), kind, None), name)
        if wrong == name or path in (("data",), ("data", "datasets"), ("train",)):  # which the recipe has
            continue
        value = usual_value(child)
        right, _ = recipe_with(tuple(above), name, value)
        text, place = recipe_with(tuple(above), wrong, value)
        before = {(d.code, d.message) for d in compiled(tmp_path, right).found}

        found = [d for d in compiled(tmp_path, text).found if (d.code, d.message) not in before]

        assert [(d.code, d.span.line, d.span.column) for d in found] == [("R101", *place)], (path, wrong)
        assert f"`{name}`" in found[0].help, (path, wrong)


# Flat names of SimpleTuner


def flat_names():
    table = foreign_names()
    names = {leaf.key.aka for leaf in leaves() if leaf.key.aka}
    names |= {*table["renamed"], *table["others"], *(name for group in table["flat"] for name in group["names"])}
    return sorted(names - set(definition().children))


@pytest.mark.parametrize("dashes", ["", "--"])
def test_every_flat_name_is_one_finding_with_a_home_or_a_reason(dashes, tmp_path):
    for name in flat_names():
        leaf = next((leaf for leaf in leaves() if leaf.key.aka == name), None)
        value = "x" if leaf is None else usual_value(leaf)
        sections = {"recipe": 1, "data": DATA, "train": {"max_steps": 300}, f"{dashes}{name}": value}

        (finding,) = found(tmp_path, **sections)

        assert (finding.code, finding.span.line, finding.span.column) == ("R101", 4, 1), name
        assert re.search(r" here$|SimpleTuner's|^write |^did you mean ", finding.help), (name, finding.help)


def test_a_flat_name_in_a_data_set_is_not_read_as_a_key_of_a_like_name(tmp_path):
    keys = [leaf for leaf in leaves() if re.fullmatch(r"data\.datasets\.\*\.\w+", leaf.path)]
    own = {name for leaf in keys for name in (leaf.path.rpartition(".")[2], leaf.key.aka)}
    for name in sorted(
        {*flat_names(), *(name for group in foreign_names()["dataset"] for name in group["names"])} - own
    ):
        data = {"datasets": [{**DATA["datasets"][0], name: "x"}]}

        codes = [d.code for d in found(tmp_path, recipe=1, data=data, train={"max_steps": 300})]

        assert codes == ["R101"], name
