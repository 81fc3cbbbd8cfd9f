"""What SimpleTuner's users bring is trained: a few steps of a small model, as docs/coming-from-simpletuner.md shows."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from huggingface_hub import constants
from pyarrow import parquet

from fakes_clips import make_clip
from fakes_docs import all_blocks
from fakes_served_sets import ServedSet
from fakes_server import serving
from fakes_simpletuner import CLIPS, GUIDE, TEXTS
from recipe_compiler.cli.main import main


pytestmark = pytest.mark.slow
PAGE = "coming-from-simpletuner.md"
SIZE = (640, 368)
"""Of clips that the guide's ``minimum_image_size`` of 480 lets pass."""

EXAMPLE = {
    "base_model_precision": "int8-quanto",
    "quantize_via": "cpu",
    "data_backend_config": "config/examples/data.json",
    "model_type": "lora",
    "lora_type": "standard",
    "lora_rank": 16,
    "model_family": "sanavideo",
    "model_flavour": "2b-480p",
    "learning_rate": 6e-5,
    "lr_scheduler": "constant_with_warmup",
    "lr_warmup_steps": 50,
    "max_grad_norm": 0.1,
    "max_train_steps": 200,
    "num_train_epochs": 0,
    "train_batch_size": 1,
    "vae_enable_slicing": True,
    "vae_enable_tiling": True,
    "gradient_checkpointing": True,
    "optimizer": "adamw_bf16",
    "use_ema": False,
    "seed": 42,
    "validation_step_interval": 50,
    "validation_prompt": "a bar on a board",
    "validation_num_video_frames": 49,
    "validation_guidance": 5.0,
    "validation_resolution": "832x480",
    "report_to": "none",
}
HUB_CLIPS = {
    "id": "dreambooth-480",
    "type": "huggingface",
    "dataset_type": "video",
    "dataset_name": "me/clips",
    "crop": False,
    "resolution": 480,
    "minimum_image_size": 128,
    "resolution_type": "pixel_area",
    "metadata_backend": "huggingface",
    "caption_strategy": "huggingface",
    "video": {"num_frames": 48},
    "huggingface": {"video_column": "video", "caption_column": "prompt"},
}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Serve the folder ``remote`` as the data set ``me/clips``."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    with serving(ServedSet(tmp_path / "remote")) as server:
        old = constants.ENDPOINT
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(old, server.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def lay_small_over() -> list[str]:
    """Write the overlay of the page, and return what lays it over a recipe, for two steps."""
    (block,) = [b for b in all_blocks("yaml") if b.page.endswith(PAGE) and "random_weights" in b.text]
    Path("small.yaml").write_text(block.text, encoding="utf-8")
    steps = ("train.max_steps=2", "validation.step_interval=2", "checkpoints.step_interval=2")
    return ["-f", "small.yaml", *(word for key in steps for word in ("--set", key))]


def run_it(*options: str) -> None:
    """Run the recipe in a process of its own, which becomes the runtime's."""
    command = [sys.executable, "-m", "recipe_compiler", "run", "mine.yaml", *options]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def check(run: str) -> None:
    """See that a run trained, drew and exported."""
    events = [json.loads(line) for line in Path(run, "events.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [event["step"] for event in events if event["event"] == "step"] == [1, 2]
    assert Path(run, "export").is_dir()
    assert list(Path(run, "validation").rglob("*.mp4"))


def test_the_guide_is_planned_and_trained(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(Path("config/config.json"), GUIDE)
    write(Path("config/sanavideo/multidatabackend.json"), [CLIPS, TEXTS])
    for name in ("a", "b"):
        make_clip(Path("datasets/disney", f"{name}.mp4"), size=SIZE, caption=f"a bar, {name}")

    assert main(["import", "simpletuner", "config", "-o", "mine.yaml"]) == 0
    small = lay_small_over()
    assert main(["plan", "mine.yaml", *small]) == 0
    run_it(*small)
    check("runs/small")


@pytest.mark.usefixtures("hub")
def test_the_public_example_is_fetched_and_trained(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(Path("config/examples/sanavideo/config.json"), EXAMPLE)
    write(Path("config/examples/data.json"), [HUB_CLIPS, TEXTS])
    clip = make_clip(tmp_path / "one.mp4", size=SIZE).read_bytes()
    rows = [{"video": {"bytes": clip, "path": f"{name}.mp4"}, "prompt": f"a bar, {name}"} for name in "ab"]
    Path("remote").mkdir()
    parquet.write_table(pa.Table.from_pylist(rows), "remote/0.parquet")

    assert main(["import", "simpletuner", "config/examples/sanavideo", "-o", "mine.yaml"]) == 0
    small = lay_small_over()
    assert main(["fetch", "mine.yaml"]) == 0
    run_it(*small)
    check("runs/small")
