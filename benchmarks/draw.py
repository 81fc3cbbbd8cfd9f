"""Draws prompts with an exported model, by diffusers alone.

    python benchmarks/draw.py MODEL PROMPTS DIR [--guidance 1.5]

MODEL is a run's export, PROMPTS a JSON file of names and prompts, and DIR gets a clip of each, NAME.mp4.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from diffusers.pipelines.sana_video.pipeline_sana_video import SanaVideoPipeline

from recipe_compiler.fetch.shapes import FRAMES, RATE, SIZE
from recipe_runtime.video_file import write_mp4


BATCH = 16


def main() -> None:
    """Draw the clips."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL")
    parser.add_argument("prompts", type=Path, metavar="PROMPTS")
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--guidance", type=float, default=1.5, metavar="SCALE", help="guidance scale, 1 for none (1.5)")
    parser.add_argument("--steps", type=int, default=20, metavar="N", help="sampling steps (20)")
    parser.add_argument("--seed", type=int, default=42)
    options = parser.parse_args()
    if options.steps < 1:
        parser.error("--steps takes at least 1")
    if not (options.model / "model_index.json").is_file():
        parser.error(f"{options.model} holds no model in diffusers format; a run's export does, but that of an adapter")
    try:
        prompts = list(json.loads(options.prompts.read_text(encoding="utf-8")).items())
    except (OSError, ValueError, AttributeError) as error:
        parser.error(f"{options.prompts} is no JSON file of names and prompts: {error}")
    if not prompts or any("/" in name for name, _ in prompts):
        parser.error(f"{options.prompts} has no prompts, or a name with a slash: names become those of files")
    pipeline = SanaVideoPipeline.from_pretrained(options.model, dtype=torch.float32)
    pipeline.to("cuda" if torch.cuda.is_available() else "cpu")
    pipeline.set_progress_bar_config(disable=True)
    options.folder.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(prompts), BATCH):
        names, texts = zip(*prompts[start : start + BATCH], strict=True)
        clips = pipeline(
            list(texts),
            height=SIZE,
            width=SIZE,
            frames=FRAMES,
            guidance_scale=options.guidance,
            num_inference_steps=options.steps,
            use_resolution_binning=False,
            complex_human_instruction=None,
            generator=torch.Generator().manual_seed(options.seed),
            output_type="np",
        ).frames
        for name, clip in zip(names, clips, strict=True):
            frames = np.rint(np.asarray(clip) * 255).astype(np.uint8)
            write_mp4(options.folder / f"{name}.mp4", frames, fps=RATE, note="")
        print(f"{start + len(names)}/{len(prompts)} clips", flush=True)


if __name__ == "__main__":
    main()
