"""The pages of the documentation, taken apart, and a project in which their examples hold."""

import re
import shutil
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
    """Return the anchors of a page's headings, as GitHub and the site make them."""
    texts = [re.sub(r"\]\([^)]*\)|[^\w\s-]", "", text.lower()) for _, text in headings(page)]
    return {re.sub(r"\s", "-", text.strip()) for text in texts}


def make_documented_project(root: Path) -> tuple[Path, Path]:
    """Make the files and folders that examples name.

    Returns:
        A recipe of small clips, on which parts of recipes can be laid, and a folder of large ones for whole recipes.
    """
    for index in range(100):
        make_clip(root / "clips" / f"c{index}.mp4", frames=84 + index, caption=f"bar {index}")
        make_mask(root / "masks" / f"c{index}.png")
        two = make_clip(root / "films" / f"c{index}.mp4", frames=84 + index).with_suffix(".txt")
        two.write_text(f"a bar that moves, number {index}\nbar {index}\n", encoding="utf-8")
    shutil.copytree(root / "masks", root / "labels")
    for index in range(4):
        make_mask(root / "photos" / f"p{index}.png", white=8 + index).with_suffix(".txt").write_text(f"photo {index}")
    make_mask(root / "fox.png", size=(96, 64))
    names = [path.name for path in (root / "clips").glob("*.mp4")]
    (root / "motion.csv").write_text("filename,motion_score\n" + "".join(f"{name},7\n" for name in names))
    (root / "films.csv").write_text("url,caption\n" + "".join(f"films/{name},a bar\n" for name in names))
    (root / "recipe.yaml").write_text(_SMALL, encoding="utf-8")
    large = root / "large"
    for index in range(24):
        path = large / "datasets" / "disney-black-and-white" / f"d{index}.mp4"
        make_clip(path, frames=84 + index, size=(832, 480), caption=f"a bar, number {index}")
    (large / "clips").symlink_to(large / "datasets" / "disney-black-and-white")
    (large / "ours.yaml").write_text("recipe: 1\n", encoding="utf-8")
    return root / "recipe.yaml", large


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
