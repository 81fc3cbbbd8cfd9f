"""A model that knew nothing draws what its prompts say, and gross errors in training or sampling show in what it draws."""

import sys
from pathlib import Path

from fakes_planned import encoded, plan_project
from recipe_compiler.fetch.shapes import Scene
from recipe_compiler.fetch.shapes_clips import write_scene
from recipe_runtime import train
from recipe_runtime.models import random_weights
from recipe_runtime.stop import StopRequested


sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))



VAE = Path(random_weights.__file__).parent / "small_vae"
SCENES = [
    Scene(shape="circle", color=color, direction=direction, background=background)
    for color in ("red", "blue")
    for direction in ("left", "right")
    for background in ("black", "white")
]
STEPS = 160


def taught(root: Path) -> Path:
    """Train a tiny model on eight scenes, and return the folder of the clips that it drew of them."""
    (root / "clips").mkdir()
    (root / "trained").mkdir()
    (root / "trained" / "vae").symlink_to(VAE)
    for scene in SCENES:
        write_scene(root / "clips", scene)
    prompts = "{" + ", ".join(f"{scene.name}: {scene.captions()[0]}" for scene in SCENES) + "}"
    project = plan_project(
        root,
        {"id": "clips", "instance_data_dir": "clips", "multiline": "split", "video": {"num_frames": 9}},
        data__buckets="[64x64]",
        data__motion_score="null",
        model__pretrained_vae_model_name_or_path="trained",
        train__batch_size=8,
        train__max_steps=STEPS,
        optimizer__learning_rate=2e-3,
        validation__prompt_library=prompts,
        validation__resolution="64x64",
        validation__num_video_frames=9,
        validation__num_inference_steps=10,
        validation__guidance=3,
    )
    train.run(encoded(project), StopRequested())
    return project.run_dir / "validation" / f"step-{STEPS:08d}"


def test_x(tmp_path: Path) -> None:
    folder = taught(tmp_path)
    print(sorted(folder.iterdir()))
