"""Findings for people: message, place, excerpt with a caret, advice."""

from collections.abc import Sequence

from recipe_compiler.diagnostics.diagnostic import Diagnostic
from recipe_compiler.source import Span


_STYLES = {"error": "1;31", "warning": "1;33", "bold": "1", "dim": "34", "help": "1;36"}
_WIDEST = 160


class Painter:
    """Paints text for a terminal, or leaves it as it is."""

    def __init__(self, *, color: bool) -> None:
        self._color = color

    def __call__(self, text: str, style: str) -> str:
        """Return the text in a style: error, warning, bold, dim or help."""
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self._color and text else text


def render_text(diagnostics: Sequence[Diagnostic], *, color: bool) -> str:
    """Show findings one after the other, and count them."""
    paint = Painter(color=color)
    blocks = [_block(diagnostic, paint) for diagnostic in diagnostics]
    return "\n\n".join(blocks) + ("\n" if blocks else "")


def summary(diagnostics: Sequence[Diagnostic]) -> str:
    """Count findings in words: ``2 errors, 1 warning``; empty without any."""
    counts = [(sum(d.severity == s for d in diagnostics), s) for s in ("error", "warning")]
    return ", ".join(f"{n} {word}{'s' * (n != 1)}" for n, word in counts if n)


def _block(diagnostic: Diagnostic, paint: Painter) -> str:
    head = paint(f"{diagnostic.severity}[{diagnostic.code}]", diagnostic.severity)
    lines = [f"{head}{paint(': ' + diagnostic.message, 'bold')}"]
    places = [(diagnostic.span, "", diagnostic.severity), *((n.span, n.text, "dim") for n in diagnostic.notes)]
    width = max(len(str(span.line)) for span, _, _ in places)
    for number, (span, text, style) in enumerate(places):
        arrow = "-->" if number == 0 else ":::"
        lines.append(f"{' ' * width}{paint(arrow, 'dim')} {span}")
        lines += _excerpt(span, text, width, style, paint)
    bar = " " * width
    if diagnostic.help:
        lines.append(f"{bar} {paint('=', 'dim')} {paint('help:', 'help')} {diagnostic.help}")
    lines.append(f"{bar} {paint('=', 'dim')} {diagnostic.name}: see `recipe explain {diagnostic.code}`")
    return "\n".join(lines)


def _excerpt(span: Span, text: str, width: int, style: str, paint: Painter) -> list[str]:
    source = span.source.lines
    if span.line > len(source) or not source[span.line - 1].strip():
        return [f"{' ' * width}  {text}"] if text else []
    line = source[span.line - 1]
    end = span.end_column if span.end_line == span.line else len(line) + 1
    start, length = span.column - 1, max(end - span.column, 1)
    first = max(0, start - _WIDEST // 2) if len(line) > _WIDEST else 0
    shown = _printable(line[first : first + _WIDEST])
    length = min(length, max(len(shown) - (start - first), 1))
    gutter = paint(f"{' ' * width} |", "dim")
    number = paint(f"{span.line:>{width}} |", "dim")
    caret = paint(("^" if style != "dim" else "-") * length + (f" {text}" if text else ""), style)
    return [gutter, f"{number} {shown}", f"{gutter} {' ' * (start - first)}{caret}"]


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)
