"""The pages of the documentation, taken apart, and a project in which their examples hold."""

import re
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fakes_clips import make_clip
from fakes_masks import make_mask


ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """What stands between two fences of a page."""

    page: str
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Return the pages that people write: the generated ones are tested where they are made."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("es/*.md"))]


def blocks(page: Path) -> Iterator[Block]:
    """Return the fenced blocks of a page, in their order."""
    text = page.read_text(encoding="utf-8")
    name = page.relative_to(ROOT).as_posix()
    for match in _FENCE.finditer(text):
        line = text[: match.start()].count("\n") + 1
        yield Block(page=name, line=line, language=match[1], text=match[2])


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def all_blocks(*languages: str) -> list[Block]:
    """Return the blocks of all pages that are in one of these languages."""
    return [block for page in pages() for block in blocks(page) if block.language in languages]


def headings(page: Path) -> list[tuple[int, str]]:
    """Return the headings of a page with their levels."""
    found = re.findall(r"^(#{1,6}) (.+)$", prose(page), flags=re.MULTILINE)
    return [(len(marks), text) for marks, text in found]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page: those of its headings, as GitHub and the site make them, and its own."""
    texts = [re.sub(r"\]\([^)]*\)|[^\w\s-]", "", text.lower()) for _, text in headings(page)]
    given = re.findall(r"<a id=\"([^\"]+)\">", prose(page))
    return {*given, *(re.sub(r"\s", "-", text.strip()) for text in texts)}


def make_documented_project(root: Path) -> tuple[Path, Path]:
    """Make the files and folders that examples name.

    Returns:
        A recipe of small clips, on which parts of recipes can be laid, and a folder of large ones for whole recipes.
    """
    small = make_clip(root / "small.mp4", frames=84).read_bytes()
    long = make_clip(root / "long.mp4", frames=200).read_bytes()
    for index in range(CLIPS):
        _copy(long if index == 0 else small, root / "clips" / f"c{index}.mp4", f"bar {index}")
        _copy(small, root / "films" / f"c{index}.mp4", f"a bar that moves, number {index}\nbar {index}\n")
        make_mask(root / "masks" / f"c{index}.png")
    shutil.copytree(root / "masks", root / "labels")
    for index in range(4):
        make_mask(root / "photos" / f"p{index}.png", white=8 + index).with_suffix(".txt").write_text(f"photo {index}")
    make_mask(root / "fox.png", size=(96, 64))
    names = [f"c{index}.mp4" for index in range(CLIPS)]
    (root / "motion.csv").write_text("filename,motion_score\n" + "".join(f"{name},7\n" for name in names))
    rows = [f"films/{name},{name},a bar in {name},a bar that moves in {name},bar in {name},1\n" for name in names]
    (root / "films.csv").write_text("url,file,caption,long,short,weight\n" + "".join(rows))
    (root / "recipe.yaml").write_text(_SMALL, encoding="utf-8")
    large = make_large_clips(root / "large")
    for link in (large / "clips", large / "data" / "sample-clips"):
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(large / "datasets" / "disney-black-and-white")
    (large / "ours.yaml").write_text("recipe: 1\n", encoding="utf-8")
    return root / "recipe.yaml", large


def make_large_clips(root: Path) -> Path:
    """Make clips of the size that the model is trained with, in the folder that the shipped recipes name."""
    clip = make_clip(root / "large.mp4", frames=84, size=(832, 480)).read_bytes()
    for index in range(CLIPS):
        _copy(clip, root / "datasets" / "disney-black-and-white" / f"d{index}.mp4", f"a bar, number {index}")
    return root


def _copy(clip: bytes, path: Path, caption: str) -> None:
    """Write a clip that has other bytes than its copies, and its caption."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(clip + struct.pack(">I4s", 8 + len(path.name), b"free") + path.name.encode())
    path.with_suffix(".txt").write_text(caption, encoding="utf-8")


CLIPS = 100
"""So many that a twentieth of them, chosen by their content, is never none."""

_SMALL = """\
recipe: 1
model:
  pretrained_model_name_or_path: tiny
  random_weights: tiny
data:
  buckets: [96x64]
  datasets:
    - id: clips
      instance_data_dir: clips
train:
  max_steps: 1000
validation:
  prompt: a bar moves
"""
