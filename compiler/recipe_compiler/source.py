"""Source texts and places in them."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A text that a value can come from: a file, or an argument of the command line.

    Attributes:
        name: What people call it: a path as they gave it, or ``--set`` with its number.
        text: The whole text, without a byte order mark.
    """

    name: str
    text: str
    lines: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Split the text once, the way YAML does."""
        text = self.text.replace("\r\n", "\n").replace("\r", "\n")
        object.__setattr__(self, "lines", tuple(text.split("\n")))


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a source. Lines and columns count from 1; the end column is the first one after it."""

    source: Source
    line: int
    column: int
    end_line: int
    end_column: int

    def __str__(self) -> str:
        """Say the place as ``file:line:column``."""
        return f"{self.source.name}:{self.line}:{self.column}"

    def upto(self, end: "Span") -> "Span":
        """Return the stretch from the start of this one to the end of ``end``."""
        return Span(self.source, self.line, self.column, end.end_line, end.end_column)


def start_of(source: Source) -> Span:
    """Return the place for findings about a source as a whole."""
    return Span(source, 1, 1, 1, 1)
