"""A key in words, as an editor shows it: what it is for, its default, and the value that it has here."""

from recipe_compiler.cli.setting_text import IMPACTS, origin_text, plain
from recipe_compiler.settings import Resolved, Setting
from recipe_schema.definition import Leaf, Section, Table, definition
from recipe_schema.jsonschema import recipe_schema
from recipe_schema.marks import Derived, Family, Required


Node = Leaf | Section | Table


def node_at(path: tuple[str, ...]) -> Node | None:
    """Return what the language has at a path, an element of a list as ``*``; None for nothing."""
    node: Node = definition()
    for part in path:
        if isinstance(node, Section) and part.removesuffix("+") in node.children:
            node = node.children[part.removesuffix("+")]
        elif isinstance(node, Table) and part == "*":
            node = node.item
        elif isinstance(node, Leaf) and part == "*" and node.spec.container is not None:
            continue
        else:
            return None
    return node


def described(node: Node) -> str:
    """Return what a key or section is for."""
    return node.doc if isinstance(node, Section) else node.key.doc


def header() -> dict[str, str]:
    """Return what the keys are for that are used up before there are settings."""
    properties = recipe_schema()["properties"]
    return {name: own["description"] for name, own in properties.items() if name not in definition().children}


def hover_text(node: Node, path: str, settings: Resolved | None) -> str:
    """Return the text of a hover, in Markdown.

    Args:
        node: What the language has there.
        path: The setting, as in ``data.datasets.0.id``.
        settings: The recipe's settings; None where it can't be read.
    """
    lines = [f"**`{path}`**" + (f" {node.spec.words()}" if isinstance(node, Leaf) else ""), "", described(node)]
    if isinstance(node, Leaf):
        lines += ["", f"Default: {_default(node, settings)}"]
        setting = settings.settings.get(path) if settings is not None else None
        if setting is not None:
            lines += ["", *_value(setting)]
        lines += ["", f"Impact: {IMPACTS[node.key.impact]}."]
        if node.key.aka is not None:
            lines += ["", f"In SimpleTuner: `{node.key.aka}`"]
    return "\n".join(lines)


def _default(leaf: Leaf, settings: Resolved | None) -> str:
    match leaf.key.default:
        case Required():
            return "none, it has to be given"
        case Derived(formula=formula):
            return formula
        case Family(name=name):
            return "the model family's" + (
                f", `{plain(settings.family.default(name))}`" if settings is not None else ""
            )
        case value:
            return f"`{plain(value)}`"


def _value(setting: Setting) -> list[str]:
    lines = [f"Here: `{plain(setting.value)}`, {origin_text(setting.origin.record())}"]
    lines += [f"It replaces `{plain(value)}`, {origin_text(origin.record())}" for value, origin in setting.shadowed]
    if setting.ignored is not None:
        lines.append(f"Never applied: {setting.ignored}")
    return ["  \n".join(lines)]
