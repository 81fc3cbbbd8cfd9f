"""Small real video files, drawn and encoded in a moment."""

import shutil
from pathlib import Path

import av
import numpy as np

from fakes_masks import make_mask


def make_clip(
    path: Path,
    *,
    frames: int = 84,
    size: tuple[int, int] = (96, 64),
    fps: int = 16,
    gop: int = 250,
    caption: str = "",
) -> Path:
    """Write a clip of a bar that moves to the right; with a caption, write that beside it."""
    width, height = size
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "ultrafast", "g": str(gop)}
        for index in range(frames):
            image = np.full((height, width, 3), 40, np.uint8)
            image[:, (index * 3) % width : (index * 3) % width + 8] = 220
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    if caption:
        path.with_suffix(".txt").write_text(caption, encoding="utf-8")
    return path


def make_project(root: Path) -> Path:
    """Make folders of clips of every kind, and a recipe that is in order. Returns the recipe."""
    for index in range(4):
        make_clip(root / "clips" / f"c{index}.mp4", frames=84 + index, caption=f"a bar, number {index}")
    make_clip(root / "mixed" / "long.mp4", caption="a long bar")
    make_clip(root / "mixed" / "longer.mp4", frames=90, caption="a longer bar")
    make_clip(root / "mixed" / "short.mp4", frames=6, caption="a short bar")
    make_clip(root / "uncaptioned" / "a.mp4")
    make_clip(root / "uncaptioned" / "b.mp4", caption="this one has a caption")
    for name in ("a", "b"):
        make_clip(root / "broken" / f"{name}.mp4", caption=f"a bar, {name}")
    (root / "broken" / "cut.mp4").write_bytes((root / "broken" / "a.mp4").read_bytes()[:300])
    (root / "broken" / "empty.mp4").write_bytes(b"")
    for index, name in enumerate("abc"):
        make_clip(root / "repeated" / f"{name}.mp4", frames=84 + index, caption="a bar")
    make_clip(root / "wordy" / "a.mp4", caption="a long bar, " * 120)
    make_clip(root / "wordy" / "b.mp4", caption="a short bar")
    make_clip(root / "lines" / "a.mp4", caption="a bar\na bar moves\n")
    make_clip(root / "lines" / "b.mp4", caption="a bar that stands\n\n")
    for frames, suffix in ((84, ".mp4"), (85, ".mov")):
        make_clip(root / "twins" / f"a{suffix}", frames=frames, caption="a bar")
    for name in ("a", "b"):
        make_clip(root / "copied" / f"{name}.mp4", frames=12, caption="a bar")
    for index in range(4):
        make_mask(root / "masks" / f"c{index}.png")
    for index in range(2):
        make_mask(root / "photos" / f"p{index}.png", white=8 + index).with_suffix(".txt").write_text(f"photo {index}")
    shutil.copytree(root / "masks", root / "masks-cut")
    (root / "masks-cut" / "c0.png").write_bytes(b"no picture")
    lines = ["file,caption,short", *(f'c{index}.mp4,"a bar, row {index}",bar {index}' for index in range(4))]
    (root / "captions.csv").write_text("\n".join(lines), encoding="utf-8")
    scores = ["filename,motion_score", *(f"c{index}.mp4,{index + 0.9}" for index in range(4))]
    (root / "motion.csv").write_text("\n".join(scores), encoding="utf-8")
    recipe = root / "recipe.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    return recipe


RECIPE = """\
recipe: 1
name: small
model:
  pretrained_model_name_or_path: tiny
  random_weights: tiny
data:
  buckets: [96x64, 64x48]
  datasets:
    - id: clips
      instance_data_dir: clips
      video:
        num_frames: 9
train:
  max_steps: 10
validation:
  num_video_frames: 9
  prompt: a bar moves
"""
