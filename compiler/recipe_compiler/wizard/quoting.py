"""Texts in YAML: in double quotes, whatever they hold."""

_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}


def quoted(text: str) -> str:
    """Write a text so that YAML reads it back. What can't be printed becomes its number."""
    return '"' + "".join(_SHORT.get(c) or (c if c.isprintable() else f"\\U{ord(c):08X}") for c in text) + '"'
