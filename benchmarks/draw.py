"""Draws prompts with an exported model, by diffusers alone.

    python benchmarks/draw.py MODEL PROMPTS DIR [--guidance 4]

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
    parser.add_argument("--guidance", type=float, default=4.0, metavar="SCALE", help="guidance scale, 1 for none (4)")
    parser.add_argument("--steps", type=int, default=20, metavar="N", help="sampling steps (20)")
    parser.add_argument("--seed", type=int, default=42)
    options = parser.parse_args()
    pipeline = SanaVideoPipeline.from_pretrained(options.model, dtype=torch.float32)
    pipeline.to("cuda" if torch.cuda.is_available() else "cpu")
    pipeline.set_progress_bar_config(disable=True)
    options.folder.mkdir(parents=True, exist_ok=True)
    prompts = list(json.loads(options.prompts.read_text(encoding="utf-8")).items())
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
