"""What to write in place of a key or a value, in the quotes that it has: the texts of fixes."""

from recipe_compiler.source import Span
from recipe_compiler.syntax.errors import NumberError
from recipe_compiler.syntax.scalars import plain_value


_NOT_PLAIN = "&*!|>"
"""What begins an anchor, an alias, a tag or a block; others may refer to it, or it goes on below."""


def _style(span: Span) -> str | None:
    """Return the quote around a scalar, nothing if it has none, and None if it can't be replaced on its own."""
    text = span.text
    if not text or text[0] in _NOT_PLAIN:
        return None
    return text[0] if text[0] in "'\"" else ""


def new_key(span: Span, old: str, new: str) -> str | None:
    """Return the text of a key that is renamed; None if something else stands there as well.

    Args:
        span: The key, with its quotes.
        old: Its name.
        new: The name that it gets.
    """
    quote = _style(span)
    return f"{quote}{new}{quote}" if quote is not None and span.text == f"{quote}{old}{quote}" else None


def new_literal(span: Span, text: str) -> str | None:
    """Return the text of a number or of true or false in place of a value."""
    return text if _style(span) is not None else None


def new_text(span: Span, text: str) -> str | None:
    """Return a text in place of a value, in the quotes that this one has, or that it needs."""
    quote = _style(span)
    if quote is None:
        return None
    return f"{quote or _needed_quote(text)}{text}{quote or _needed_quote(text)}"


def _needed_quote(text: str) -> str:
    try:
        return "" if plain_value(text) == text else '"'
    except NumberError:
        return '"'


def quoted(text: str) -> str:
    """Put quotes around a text of one line that needs them."""
    if '"' in text or "\\" in text:
        return "'" + text.replace("'", "''") + "'"
    return f'"{text}"'
