"""A draft as the text of a recipe: each setting with a comment that says where it comes from."""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from recipe_compiler.imports.draft import Written
from recipe_compiler.syntax.errors import NumberError
from recipe_compiler.syntax.scalars import plain_value
from recipe_schema.definition import Leaf, Section, Table, definition


_PLAIN = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9 _./,'()+-]*\Z")
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z")
_LITERAL = str.maketrans({sign: f"{{{{ '{sign}' }}}}" for sign in "{}$"})
"""Signs of templates, each as a template that gives it."""

_WIDTH = 116
_ORIGIN_AT = 48
"""Columns."""


def recipe_text(settings: Mapping[str, Written], header: Sequence[str]) -> str:
    """Write a recipe.

    Args:
        settings: By path, as in ``data.datasets.0.id``.
        header: Lines that say what this file is.
    """
    lines = [f"# {_printable(line)}".rstrip() for line in header]
    lines += ["", "recipe: 1"]
    for name, child in definition().children.items():
        block = list(_lines(child, name, settings, 0))
        if isinstance(child, Section | Table) and block:
            lines.append("")
        lines += block
    return "\n".join(lines) + "\n"


def _lines(node: Leaf | Section | Table, path: str, settings: Mapping[str, Written], depth: int) -> Iterator[str]:
    """Yield the lines of a setting, or of what is below a section."""
    indent, name = "  " * depth, path.rpartition(".")[2]
    if isinstance(node, Leaf):
        if path in settings:
            yield from _leaf(name, settings[path], indent)
        return
    below = [other for other in settings if other.startswith(f"{path}.")]
    if not below:
        return
    yield f"{indent}{name}:"
    if isinstance(node, Section):
        for child_name, child in node.children.items():
            yield from _lines(child, f"{path}.{child_name}", settings, depth + 1)
        return
    for index in sorted({int(other[len(path) + 1 :].split(".")[0]) for other in below}):
        yield from _item(node, f"{path}.{index}", settings, depth + 2)


def _item(table: Table, path: str, settings: Mapping[str, Written], depth: int) -> Iterator[str]:
    """Yield the lines of one element of a list: a dash stands before its first key."""
    dash = "- "
    for name, child in table.item.children.items():
        for line in _lines(child, f"{path}.{name}", settings, depth):
            if dash and not line.lstrip().startswith("#"):
                yield line[: 2 * depth - 2] + dash + line[2 * depth :]
                dash = ""
            else:
                yield line


def _leaf(name: str, written: Written, indent: str) -> Iterator[str]:
    if written.reason:
        yield from textwrap.wrap(
            _printable(written.reason),
            _WIDTH,
            initial_indent=f"{indent}# ",
            subsequent_indent=f"{indent}# ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    is_map = isinstance(written.value, dict) and bool(written.value)
    line = f"{indent}{name}:" + ("" if is_map else f" {_text(written.value)}")
    yield f"{line:<{_ORIGIN_AT}} # {_printable(written.origin)}"
    if is_map:
        for key, value in written.value.items():
            yield f"{indent}  {key if _KEY.match(key) else json.dumps(key)}: {_text(value)}"


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    if not isinstance(value, str):
        return json.dumps(value)
    return value if _is_plain(value) else _quoted(value)


def _is_plain(text: str) -> bool:
    try:
        return bool(_PLAIN.match(text)) and "," not in text and not text.endswith(" ") and plain_value(text) == text
    except NumberError:
        return False


def _quoted(text: str) -> str:
    """Put a text in quotes. What looks like a template is meant as it stands."""
    literal = text.translate(_LITERAL) if "{{" in text else text
    return _printable(json.dumps(literal, ensure_ascii=False))


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)
