"""Draws the pictures of the README from what the commands really print.

script -qec "recipe lint mistakes.yaml" /dev/null | python docs/make_pictures.py docs/lint.svg "recipe lint mistakes.yaml"
"""

import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text


def main() -> None:
    """Turn terminal output with colors into an SVG."""
    _, target, title = sys.argv
    text = Text.from_ansi(sys.stdin.read().replace("\r", ""))
    width = max(len(line) for line in text.plain.splitlines())
    with Path("/dev/null").open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=width + 2, file=nowhere, force_terminal=True)
        console.print(text)
    picture = console.export_svg(title=title)
    # Without rich's font, which would be fetched from a CDN: a font of the reader's takes its place.
    Path(target).write_text(re.sub(r"@font-face \{[^}]*\}\s*", "", picture), encoding="utf-8")


if __name__ == "__main__":
    main()
