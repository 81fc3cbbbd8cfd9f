"""The page of the recipe language: every key, by section."""

from collections.abc import Iterator
from typing import Any

from recipe_compiler.docs.markdown import document, escaped
from recipe_schema.definition import Leaf, Section, Table, definition, leaf_index
from recipe_schema.family import load_family
from recipe_schema.jsonschema import recipe_schema
from recipe_schema.marks import Derived, Family, Required
from recipe_schema.recipe import LANGUAGE_VERSION


_IMPACTS = {
    "result": "shapes the trained weights; part of the plan's id",
    "runtime": "may differ when a run is resumed",
    "cosmetic": "a name, without effect on the run",
}


def language_page() -> str:
    """Return the page."""
    root = definition()
    sections = list(_sections(root))
    lines = [
        f"# The recipe language, version {LANGUAGE_VERSION}",
        "",
        (
            "Every key, with its type, default and effect. `recipe explain FILE KEY` shows the same for a recipe of yours, "
            "with the value and where it comes from; `recipe schema` prints the JSON Schema for editors. "
            "Names of SimpleTuner's options are also listed [by themselves](simpletuner.md)."
        ),
        "",
        *(f"- [`{s.path or 'recipe'}`](#{_anchor(s)}): {_names(s)}" for s in sections),
        "",
        *_header(root),
    ]
    for section in sections:
        lines += _section(section)
    return document(lines)


def _sections(section: Section) -> Iterator[Section]:
    """Yield a section and all below it."""
    yield section
    for child in section.children.values():
        if isinstance(child, Section):
            yield from _sections(child)
        elif isinstance(child, Table):
            yield from _sections(child.item)


def _anchor(section: Section) -> str:
    """Return the anchor that GitHub gives the section's heading."""
    return "".join(c for c in section.path if c.isalnum() or c in "_-") or "keys-of-no-section"


def _names(section: Section) -> str:
    return ", ".join(f"`{name}`" for name, child in section.children.items() if isinstance(child, Leaf))


def _header(root: Section) -> Iterator[str]:
    """Describe the keys that the compiler uses up before there are settings."""
    yield from ("## Keys of the compiler", "", "They are used up before there are settings, and enter no plan.", "")
    for name, schema in recipe_schema()["properties"].items():
        if name not in root.children:
            yield f"- **`{name}`**: {escaped(schema['description'])}"
    yield ""


def _section(section: Section) -> Iterator[str]:
    yield from (f"## {section.path or 'Keys of no section'}", "")
    if section.path:
        yield from (escaped(section.doc), "")
    for child in section.children.values():
        if isinstance(child, Leaf):
            yield from _leaf(child)
        elif isinstance(child, Table):
            yield from (
                f"### `{child.path}`",
                "",
                f"{escaped(child.key.doc)} A list; its elements have these keys:",
                "",
            )


def _leaf(leaf: Leaf) -> Iterator[str]:
    key = leaf.key
    yield from (f"### `{leaf.path}`", "", escaped(key.doc), "")
    yield f"- Type: {escaped(leaf.spec.words())}"
    if key.unit is not None:
        yield f"- Unit: {key.unit}"
    yield f"- Default: {_default(key.default)}"
    yield f"- Impact: *{key.impact}*, {_IMPACTS[key.impact]}"
    yield f"- Read by: {_readers(leaf)}"
    if key.aka is not None:
        yield f"- SimpleTuner: `{key.aka}`"
    for value, reason in key.refused.items():
        yield f"- Not `{value}`: {escaped(reason)}"
    yield ""


def _readers(leaf: Leaf) -> str:
    if leaf.key.ignored is not None:
        return f"nothing: {escaped(leaf.key.ignored)}"
    return ", ".join(leaf.key.reads) or "nothing; it is accepted and never applied"


def _default(default: Any) -> str:
    if isinstance(default, Required):
        return "none, it has to be given"
    if isinstance(default, Derived):
        return escaped(default.formula)
    if isinstance(default, Family):
        return "; ".join(f"{_value(load_family(name).default(default.name))} of {name}" for name in _families())
    return _value(default)


def _families() -> tuple[str, ...]:
    return leaf_index()["model.family"].spec.choices


def _value(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return f"`{ {None: 'null', True: 'true', False: 'false'}[value] }`"
    if isinstance(value, list | tuple):
        return ", ".join(_value(item) for item in value)
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{value}`" if value != "" else "the empty text"
