"""Turns an error of the JSON Schema validator into a finding in our own words, at the right place."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jsonschema import ValidationError

from recipe_compiler.diagnostics.codes import BAD_FORM, MISSING_KEY, NOT_A_CHOICE, OUT_OF_RANGE, WRONG_TYPE
from recipe_compiler.diagnostics.diagnostic import Diagnostic
from recipe_compiler.passes.number_slips import number_inside, slip
from recipe_compiler.source import Span
from recipe_compiler.suggest import near
from recipe_compiler.syntax.broken import missing_space
from recipe_compiler.syntax.errors import NumberError
from recipe_compiler.syntax.rewrite import new_literal, new_text
from recipe_compiler.syntax.scalars import plain_value
from recipe_compiler.syntax.tree import BadNode, MapNode, Node, Path, Place, ScalarNode, dotted
from recipe_schema.definition import Leaf, generic, leaf_index, number_text
from recipe_schema.sections.forms import A_PATH


Explained = Iterator[tuple[Diagnostic, Path]]
"""Findings, each with the path of the value that it is about."""

_SYNONYM = re.compile(r"(?:is|spelt) `([^`]+)`")
"""How the reason for refusing a value says that only its name is another one here."""

_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")
_FOR_TEMPLATES = 'letters, digits and underscore, no digit first: templates name it, as in `"{{ matrix.rate }}"`'
_YES_NO = {"yes": "true", "on": "true", "no": "false", "off": "false"}


def explain_error(error: ValidationError, path: Path, places: Mapping[Path, Place]) -> Explained:
    """Explain one error of the validator.

    Args:
        error: The error.
        path: Where it is, in the tree.
        places: Every node of the tree by its path.
    """
    explain = _BY_KEYWORD[str(error.validator)]
    yield from explain(error, path, places)


def _leaf(path: Path) -> Leaf | None:
    index = leaf_index()
    return index.get(generic(dotted(path))) or index.get(generic(dotted(path[:-1])))


def _shown(place: Place) -> str:
    """Say what was found, in the user's own words."""
    node = place.node
    if isinstance(node, ScalarNode):
        if node.value is None:
            return "nothing" if not node.raw else "null"
        if isinstance(node.value, str):
            return f"the text `{_clip(node.value)}`"
        return f"`{_clip(node.raw if node.template is None else str(node.value))}`"
    return "a mapping" if isinstance(node, MapNode) else "a list"


def _clip(text: str) -> str:
    line = text.replace("\n", "⏎")
    return line if len(line) <= 48 else line[:45] + "…"  # noqa: PLR2004


_NAME_IT = "set a variable of the environment to it, and write that variable's name"
_NEAR_SECRETS = {
    "tracking.webhooks.*.url": "for an address that is a secret, name a variable that holds it in `url_env`",
    "tracking.webhooks.*.url_env": _NAME_IT,
    "tracking.webhooks.*.token_env": _NAME_IT,
    "hub.token_env": _NAME_IT,
}
"""Keys in whose place people write secrets, and what to do instead."""


def _span(place: Place) -> Span:
    """Point at a value; at its key, where the value is empty or spans lines."""
    span = place.node.span
    empty = span.line == span.end_line and span.column == span.end_column
    if place.key_span is not None and (empty or span.line != span.end_line):
        return place.key_span
    return span


def _type(error: ValidationError, path: Path, places: Mapping[Path, Place]) -> Explained:
    leaf, place, name = _leaf(path), places[path], dotted(path)
    wanted_value: Any = error.validator_value
    kinds: list[str] = wanted_value if isinstance(wanted_value, list) else [wanted_value]
    wanted = _kinds(kinds)
    if leaf is not None:
        wanted = (leaf.spec if leaf.path == generic(name) else leaf.spec.element).words()
    advice, fix = "", None
    if "boolean" in kinds and isinstance(place.node, ScalarNode):
        word = str(place.node.value).lower()
        fix = _YES_NO.get(word, word if word in _YES_NO.values() else None)
        advice = f"write `{fix}`" if fix else ""
    elif {"number", "integer"} & set(kinds) and isinstance(place.node, ScalarNode):
        advice, fix = _number_advice(place.node, whole="number" not in kinds)
    elif "array" in kinds and isinstance(place.node, ScalarNode) and isinstance(place.node.value, str):
        fix = f"[{place.node.span.text}]"
        advice = f"write `{_clip(fix)}`" if place.node.template is None else "write it in brackets"
    elif "string" in kinds and (leaf is None or leaf.spec.pattern is None):
        advice = _text_advice(place.node)
    elif "object" in kinds:
        advice, fix = _object_advice(place.node, name)
    message = f"`{name}` takes {wanted}, not {_shown(place)}"
    fix = _replaced(place, fix, new_literal)
    yield WRONG_TYPE.at(_span(place), message, pointer=name, help=advice, fix=fix, safe=True), path


def _text_advice(node: Node) -> str:
    """Say how to write a text that YAML takes for something else."""
    if not isinstance(node, ScalarNode) or node.template is not None:
        return ""
    return 'write `""`, or leave it out' if node.value is None else f'put quotes around a text: `"{node.raw}"`'


def _object_advice(node: Node, name: str) -> tuple[str, str | None]:
    """Say how to write a mapping where something else stands, and what to write in place of it, if that is clear."""
    if isinstance(node, ScalarNode) and isinstance(node.value, str):
        pair = missing_space(node.span) if node.plain else None
        if pair is not None:
            return f"write `{_clip(pair)}`: a space follows the `:`", pair
        if f"{name}.name" in leaf_index():
            return f"write `{name}: {{name: {_clip(node.value)}}}`", f"{{name: {node.span.text}}}"
    return "write its keys below it, indented", None


def _replaced(place: Place, text: str | None, rewrite: Callable[[Span, str], str | None]) -> str | None:
    """Return what to write in place of a value, unless a template gave it, or the finding points elsewhere."""
    node = place.node
    if text is None or not isinstance(node, ScalarNode) or node.template is not None or _span(place) != node.span:
        return None
    return rewrite(node.span, text)


def _kinds(kinds: list[str]) -> str:
    words = {"object": "a mapping of keys", "array": "a list", "string": "a text", "number": "a number"}
    words |= {"boolean": "true or false", "integer": "a whole number", "null": "null"}
    return " or ".join(words[kind] for kind in kinds)


def _number_advice(node: ScalarNode, *, whole: bool) -> tuple[str, str | None]:
    """Say how to write a number: without quotes or digit separators, and without a fraction."""
    if not isinstance(node.value, str):
        return "write a whole number" if whole and isinstance(node.value, float) else "", None
    text = node.value.strip().replace("_", "")
    try:
        number = plain_value(text)
    except NumberError:
        return "", None
    if isinstance(number, bool) or not isinstance(number, int | float):
        return number_inside(text, whole=whole), None
    if whole and number != int(number):
        return "write a whole number", None
    return f"write `{text}`" + ("" if node.plain else " without quotes"), text


def _enum(error: ValidationError, path: Path, places: Mapping[Path, Place]) -> Explained:
    place, name, leaf = places[path], dotted(path), _leaf(path)
    allowed: Any = error.validator_value
    if not isinstance(place.node, ScalarNode) or type(place.node.value) not in {type(choice) for choice in allowed}:
        return  # of another type than the choices, which is an error of its own
    value = str(place.node.value)
    choices = [str(choice) for choice in allowed if choice is not None]
    if leaf is not None and value in leaf.key.refused:
        reason = leaf.key.refused[value]
        synonym = _SYNONYM.search(reason)
        fix = _replaced(place, synonym[1], new_text) if synonym is not None and synonym[1] in choices else None
        message = f"`{name}` can't be `{value}`"
        yield NOT_A_CHOICE.at(_span(place), message, pointer=name, help=reason, fix=fix, safe=True), path
        return
    meant = near(value, choices)
    advice = f"did you mean `{meant}`?" if meant else ""
    message = f"`{name}` is {' or '.join(choices)}, not {_shown(place)}"
    yield NOT_A_CHOICE.at(_span(place), message, pointer=name, help=advice, fix=_replaced(place, meant, new_text)), path


def _range(error: ValidationError, path: Path, places: Mapping[Path, Place]) -> Explained:
    words = {
        "minimum": "be at least",
        "exclusiveMinimum": "be more than",
        "maximum": "be at most",
        "exclusiveMaximum": "be less than",
    }
    place, name = places[path], dotted(path)
    limit: Any = error.validator_value
    message = f"`{name}` has to {words[str(error.validator)]} {number_text(limit)}, not {_shown(place)}"
    advice = slip(place.node, _leaf(path))
    yield OUT_OF_RANGE.at(_span(place), message, pointer=name, help=advice), path


def _required(error: ValidationError, path: Path, places: Mapping[Path, Place]) -> Explained:
    node = places[path].node
    present = set(node.entries) if isinstance(node, MapNode) else set()
    required: Any = error.validator_value
    for key in required:
        if key in present or isinstance(node, BadNode):
            continue
        at = (*path, key)
        where = f" in `{dotted(path)}`" if path else ""
        advice = "write `recipe: 1` at the top" if key == "recipe" and not path else f"add `{key}:`{where}"
        span = places[path].key_span or Span(
            node.span.source, node.span.line, node.span.column, node.span.line, node.span.column + 1
        )
        yield MISSING_KEY.at(span, f"`{dotted(at)}` is missing", pointer=dotted(at), help=advice), at


def _form(error: ValidationError, path: Path, places: Mapping[Path, Place]) -> Explained:
    place, name, leaf = places[path], dotted(path), _leaf(path)
    form = leaf.spec.pattern.meaning if leaf is not None and leaf.spec.pattern is not None else error.message
    secret = generic(name) in _NEAR_SECRETS  # findings go to logs and into pull requests
    shown = "what stands here" if secret else _shown(place)
    advice = _NEAR_SECRETS[generic(name)] if secret else _path_advice(place.node, leaf)
    yield BAD_FORM.at(_span(place), f"`{name}` takes {form}, not {shown}", pointer=name, help=advice), path


def _path_advice(node: Node, leaf: Leaf | None) -> str:
    """Say how to write a path that begins in somebody's home or in a variable."""
    if leaf is None or leaf.spec.pattern != A_PATH or not isinstance(node, ScalarNode) or not str(node.value).strip():
        return ""
    name = _VARIABLE.match(str(node.value).strip())
    variable = name[1] if name is not None else "HOME"
    return f'write it out, or declare `env: [{variable}]` and write `"{{{{ env.{variable} }}}}/…"`'


def _empty(error: ValidationError, path: Path, places: Mapping[Path, Place]) -> Explained:
    del error
    name = dotted(path)
    yield BAD_FORM.at(_span(places[path]), f"`{name}` is an empty list", pointer=name, help="give at least one"), path


def _key_form(error: ValidationError, path: Path, places: Mapping[Path, Place]) -> Explained:
    key: Any = error.instance
    place, leaf = places[(*path, key)], _leaf(path)
    form = leaf.spec.key_pattern.meaning if leaf is not None and leaf.spec.key_pattern is not None else _FOR_TEMPLATES
    span = place.key_span or place.node.span
    message = f"`{dotted(path)}` can't have the name `{_clip(str(key))}` in it"
    yield BAD_FORM.at(span, message, pointer=dotted((*path, key)), help=f"use {form}"), (*path, key)


_BY_KEYWORD: Mapping[str, Callable[[ValidationError, Path, Mapping[Path, Place]], Explained]] = {
    "type": _type,
    "enum": _enum,
    "minimum": _range,
    "exclusiveMinimum": _range,
    "maximum": _range,
    "exclusiveMaximum": _range,
    "required": _required,
    "pattern": lambda error, path, places: (
        _key_form(error, path, places) if "propertyNames" in error.absolute_schema_path else _form(error, path, places)
    ),
    "minItems": _empty,
}
