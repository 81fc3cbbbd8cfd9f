"""Draws the pictures of the README from what the commands really print and draw.

script -qec "recipe lint mistakes.yaml" /dev/null | python docs/make_pictures.py docs/lint.svg "recipe lint mistakes.yaml"
python docs/make_pictures.py docs/demo.png runs/quickstart/validation/step-00002000/{main,square,disc}-ema.jpg
"""

import re
import sys
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.text import Text


def main() -> None:
    """Draw what the name of the picture asks for."""
    _, target, *given = sys.argv
    if target.endswith(".png"):
        stack(target, given)
    else:
        draw_terminal(target, *given)


def stack(target: str, strips: list[str]) -> None:
    """Put pictures of one width below each other."""
    pictures = [Image.open(strip) for strip in strips]
    gap = 4
    height = sum(picture.height + gap for picture in pictures) - gap
    sheet = Image.new("RGB", (pictures[0].width, height), "white")
    top = 0
    for picture in pictures:
        sheet.paste(picture, (0, top))
        top += picture.height + gap
    sheet.save(target)


def draw_terminal(target: str, title: str) -> None:
    """Turn terminal output with colors into an SVG."""
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
