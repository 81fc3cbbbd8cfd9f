"""A model of a hub on loopback: what `recipe fetch --weights` leaves is what a run finds without a network."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from huggingface_hub import snapshot_download

from fakes_clips import make_project
from fakes_served_sets import ServedSet
from fakes_server import Answer, serving
from recipe_schema.family import MODEL_ENDINGS


BIG = "transformer/diffusion_pytorch_model.safetensors"


def as_model(served):
    """Serve a data set's files as a model's, of which all folders are asked for at once."""

    def answer(heard):
        if heard.path.startswith("/api/models/me/clips/tree/"):
            return Answer(body=json.dumps([served._facts(name) for name in served._names()]).encode())
        path = heard.path.replace("/api/models/", "/api/datasets/").replace("/me/clips/res", "/datasets/me/clips/res")
        return served(replace(heard, path=path))

    return answer


def test_a_broken_download_goes_on_and_a_run_finds_all_without_a_network(tmp_path):
    model = tmp_path / "served"
    (model / "transformer").mkdir(parents=True)
    (model / BIG).write_bytes(os.urandom(300_000))
    (model / "model_index.json").write_text("{}")
    (model / "picture.png").write_bytes(b"not wanted")
    served = ServedSet(model)
    served.trouble = lambda heard: Answer(status=500) if BIG in heard.path and heard.method == "GET" else None
    recipe = make_project(tmp_path / "project")
    keys = ("model.random_weights=null", "model.pretrained_model_name_or_path=me/clips")
    command = [sys.executable, "-m", "recipe_compiler", "fetch", str(recipe), "--weights"]
    command += [f"--set={key}" for key in keys]
    cache = tmp_path / "hub"
    with serving(as_model(served)) as server:
        variables = {**os.environ, "HF_ENDPOINT": server.url, "HF_HOME": str(cache), "HF_HUB_DISABLE_XET": "1"}
        broken = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=100, check=False)
        served.trouble = lambda _: None
        whole = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=100, check=False)

    assert broken.returncode == 4, broken.stderr
    assert "run again: what is there already is kept" in broken.stderr
    assert whole.returncode == 0, whole.stderr
    assert served.sent == {BIG: 300_000, "model_index.json": 2}
    asked = [f"*{end}" for end in MODEL_ENDINGS]  # as a run asks
    found = snapshot_download("me/clips", cache_dir=cache / "hub", allow_patterns=asked, local_files_only=True)
    assert (model / BIG).read_bytes() == (Path(found) / BIG).read_bytes()
    assert not (Path(found) / "picture.png").exists()
