"""What may be typed at a place: keys of the section, values of the key, recipes to build on."""

import re
from pathlib import Path

from lsprotocol.types import CompletionItem, CompletionItemKind, InsertTextFormat, Position, Range, TextEdit

from recipe_compiler.completion.values import values_of
from recipe_compiler.lsp.describe import described, header, node_at
from recipe_compiler.lsp.places import Typing
from recipe_compiler.passes.extends import BUILTIN, shipped
from recipe_schema.definition import Leaf, Section, Table, definition


_YAML = (".yaml", ".yml")


def completions(typed: Typing, end: Position, file: Path) -> list[CompletionItem]:
    """Return what may be typed.

    Args:
        typed: The line that is being typed.
        end: The cursor.
        file: The recipe.
    """
    begun = re.split(r"[\[,{]\s*", typed.begun)[-1].lstrip("\"'")
    where = Range(start=Position(line=end.line, character=end.character - len(begun)), end=end)
    keys = (*typed.above, *((typed.key,) if typed.key is not None else ()))
    if keys[:1] == ("extends",):
        return [_value(name, where) for name in _recipes(file) if name.startswith(begun)]
    node = node_at(keys)
    if isinstance(node, Leaf):
        return [_value(value, where) for value in values_of(node) if value.startswith(begun)]
    if isinstance(node, Section) and typed.key is None:
        return [item for item in _keys(node, typed, where) if item.label.startswith(begun)]
    return []


def _keys(section: Section, typed: Typing, where: Range) -> list[CompletionItem]:
    items = []
    for name, child in section.children.items():
        if name in typed.siblings:
            continue
        begins = {Leaf: "", Section: f"\n{' ' * (typed.indent + 2)}", Table: f"\n{' ' * (typed.indent + 2)}- "}
        items.append(_key(name, described(child), f"{name}:{begins[type(child)] or ' '}", where, child))
    if section is definition():
        items += [
            _key(name, doc, f"{name}: ", where, None) for name, doc in header().items() if name not in typed.siblings
        ]
    return items


def _key(name: str, doc: str, text: str, where: Range, node: Leaf | Section | Table | None) -> CompletionItem:
    detail = node.spec.words() if isinstance(node, Leaf) else "a section" if isinstance(node, Section) else ""
    return CompletionItem(
        label=name,
        kind=CompletionItemKind.Property,
        detail=detail,
        documentation=doc,
        insert_text_format=InsertTextFormat.PlainText,
        text_edit=TextEdit(range=where, new_text=text),
    )


def _value(text: str, where: Range) -> CompletionItem:
    return CompletionItem(
        label=text,
        kind=CompletionItemKind.File if text.startswith(BUILTIN) or text.endswith(_YAML) else CompletionItemKind.Value,
        text_edit=TextEdit(range=where, new_text=text),
    )


def _recipes(file: Path) -> list[str]:
    """Return what a recipe may build on: the shipped ones, and those beside it."""
    beside = sorted(path.name for path in file.parent.glob("*") if path.suffix in _YAML and path.name != file.name)
    return [*(BUILTIN + name for name in shipped()), *beside]
