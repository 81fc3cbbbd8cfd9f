"""The values that a key takes, where they can be named."""

from collections.abc import Mapping

from recipe_schema.definition import Leaf


_BUILTIN = {"data.datasets.*.source": ("builtin:sample-clips", "builtin:shapes")}


def values_of(leaf: Leaf) -> tuple[str, ...]:
    """Return the values that a key takes, as YAML has them; none where any text or number will do."""
    if leaf.path in _BUILTIN:
        return _BUILTIN[leaf.path]
    spec = leaf.spec
    if spec.container is not None:
        return ()
    plain = ("true", "false") if spec.kind == "boolean" else spec.choices
    return (*plain, "null") if spec.nullable and plain else plain


def first_sentence(text: str) -> str:
    """Return what a description begins with, up to its first full stop."""
    head, stop, _ = text.partition(". ")
    return head + stop.strip()


def codes() -> Mapping[str, str]:
    """Return every code with what it is about. No rule is loaded for it: the names of their modules say that."""
    from recipe_compiler.diagnostics.codes import CODES  # noqa: PLC0415 - few ask for them
    from recipe_compiler.rules import ON_DATA, ON_PLANS, ON_SETTINGS  # noqa: PLC0415

    named = {code.code: code.name for code in CODES.values()}
    named |= {rule.code: rule.module.replace("_", "-") for rule in ON_SETTINGS + ON_DATA + ON_PLANS}
    return dict(sorted(named.items()))
