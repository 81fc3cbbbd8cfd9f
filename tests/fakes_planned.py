"""Plans of whole recipes for the runtime's tests: clips and images are drawn, surveyed and planned as a user's are."""

from pathlib import Path
from typing import Any

import torch
import yaml

from fakes_clips import make_clip
from fakes_masks import make_mask
from fakes_runtime import Project, make_context
from recipe_compiler.passes.freeze import write
from recipe_compiler.pipeline import Options, compile_recipe, make_plan
from recipe_runtime import encode_text, encode_video
from recipe_runtime.context import Context
from recipe_runtime.models import random_weights
from recipe_runtime.stop import StopRequested


torch.set_num_threads(1)

CLIPS = {"id": "clips", "instance_data_dir": "clips", "video": {"num_frames": 9}}
MORE = {"id": "more", "instance_data_dir": "more", "video": {"num_frames": 9}}
PHOTOS = {"id": "photos", "instance_data_dir": "photos", "dataset_type": "image"}


def draw_data(root: Path, *, clips: int = 4, more: int = 3, photos: int = 3) -> None:
    """Draw folders of clips and images, all of one shape."""
    for name, count in (("clips", clips), ("more", more)):
        for index in range(count):
            make_clip(root / name / f"c{index}.mp4", frames=10 + index + len(name), caption=f"{name} {index}")
    for index in range(photos):
        make_mask(root / "photos" / f"p{index}.png", white=8 + index).with_suffix(".txt").write_text(f"photo {index}")


def plan_project(root: Path, *datasets: dict[str, Any], name: str = "run", **changes: Any) -> Project:
    """Plan the training of some data sets of a folder that holds them.

    Args:
        root: The folder.
        datasets: Data sets, as in a recipe.
        name: The run's name.
        changes: Settings by path, with two underscores for a point.
    """
    recipe = root / f"{name}.yaml"
    model = {"pretrained_model_name_or_path": "tiny", "random_weights": "tiny", "text_encoder_dtype": "fp32"}
    data = {"store_dir": "store", "buckets": ["96x64"], "datasets": list(datasets)}
    content = {"recipe": 1, "name": name, "output_dir": f"runs/{name}", "model": model, "data": data}
    recipe.write_text(yaml.safe_dump({**content, "hardware": {"device": "cpu"}}), encoding="utf-8")
    usual = {"train.mixed_precision": "no", "memory.gradient_checkpointing": False, "optimizer.learning_rate": 1e-3}
    chosen = {**usual, **{key.replace("__", "."): value for key, value in changes.items()}}
    overrides = [f"{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in chosen.items()]
    compiled = compile_recipe(recipe, Options(overrides=overrides, must_run=True))
    assert compiled.ok, compiled.found
    assert compiled.survey is not None
    plan, folder = make_plan(compiled), root / f"{name}.plan"
    write(plan, compiled.survey.rows, folder)
    return Project(plan=plan, plan_dir=folder, root=root, run_dir=root / "runs" / name)


def encoded(project: Project, *listeners: Any) -> Context:
    """Build the model, where it is missing, and encode what a run trains."""
    ctx = make_context(project, listeners)
    for stage in (random_weights, encode_text, encode_video):
        stage.run(ctx, StopRequested())
    return ctx
