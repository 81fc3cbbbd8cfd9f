import json
import os
import shutil
import warnings

import pytest
import torch
from diffusers.models.transformers.transformer_sana_video import SanaVideoTransformer3DModel
from diffusers.pipelines.sana_video.pipeline_sana_video import SanaVideoPipeline
from safetensors import SafetensorError

from fakes_training import encoded_project, saved_parts
from recipe_runtime import export, train
from recipe_runtime.errors import CheckpointError, ModelError, RunError
from recipe_runtime.stop import StopRequested
from recipe_schema.events import Exported, StageFinished


def trained(tmp_path, **overrides):
    project, ctx, events = encoded_project(tmp_path, prompts=(), **overrides)
    train.run(ctx, StopRequested())
    events.clear()
    return project, ctx, events


def load(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline = SanaVideoPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def test_the_export_loads_and_samples_in_diffusers(tmp_path):
    _, ctx, events = trained(tmp_path)

    export.run(ctx)

    clip = load(ctx.run_dir / "export")(
        prompt="a red disc",
        width=64,
        height=64,
        frames=9,
        num_inference_steps=2,
        use_resolution_binning=False,
        generator=torch.Generator().manual_seed(0),
        output_type="np",
    ).frames[0]
    assert clip.shape == (9, 64, 64, 3)
    assert events.of(Exported) == [Exported(path="export", weights="model", step=4)]


@pytest.mark.parametrize(("enabled", "part"), [(False, "model"), (True, "ema")])
def test_the_average_is_exported_where_it_is_kept(tmp_path, enabled, part):
    _, ctx, events = trained(tmp_path, **{"ema.enabled": enabled})

    export.run(ctx)

    expected = saved_parts(ctx.run_dir, 4)[part]
    found = load(ctx.run_dir / "export").transformer.state_dict()
    assert found.keys() == expected.keys()
    assert all(tensor.dtype == torch.float32 and torch.equal(tensor, expected[name]) for name, tensor in found.items())
    assert events.of(Exported)[0].weights == part


def test_everything_else_is_copied_and_links_are_resolved(tmp_path):
    project, ctx, _ = trained(tmp_path)
    home = project.root / "models" / "tiny"
    blob = project.root / "blob"
    os.replace(home / "vae" / "config.json", blob)
    (home / "vae" / "config.json").symlink_to(blob)

    export.run(ctx)

    exported = ctx.run_dir / "export"
    assert not any(path.is_symlink() for path in exported.rglob("*"))
    for name in ("vae/config.json", "model_index.json", "tokenizer/tokenizer.json", "text_encoder/model.safetensors"):
        assert (exported / name).read_bytes() == (home / name).read_bytes()
    assert json.loads((exported / "recipe.json").read_text()) == {
        "version": 1,
        "plan_id": project.plan.plan_id,
        "step": 4,
        "weights": "model",
    }


def test_an_export_of_the_same_weights_is_reused(tmp_path):
    _, ctx, events = trained(tmp_path)
    export.run(ctx)
    events.clear()

    export.run(ctx)

    assert events.of(Exported) == []
    assert [event.reused for event in events.of(StageFinished)] == [1]


def test_half_an_export_is_replaced(tmp_path):
    _, ctx, _ = trained(tmp_path)
    (ctx.run_dir / "export").mkdir()
    (ctx.run_dir / "export" / "rest").write_text("of an older run")
    (ctx.run_dir / ".tmp-export").mkdir()

    export.run(ctx)

    assert not (ctx.run_dir / "export" / "rest").exists()
    assert [path.name for path in ctx.run_dir.glob(".tmp*")] == []


def test_without_the_last_checkpoint_there_is_no_export(tmp_path):
    _, ctx, _ = trained(tmp_path)
    (ctx.run_dir / "checkpoints" / "step-00000004" / "state.json").unlink()

    with pytest.raises(CheckpointError, match="needs the checkpoint of step 4, and the newest intact one is step 2"):
        export.run(ctx)

    assert not (ctx.run_dir / "export").exists()


def test_an_incomplete_model_is_named(tmp_path):
    project, ctx, _ = trained(tmp_path)
    (project.root / "models" / "tiny" / "model_index.json").unlink()

    with pytest.raises(ModelError, match=r"has no model_index\.json"):
        export.run(ctx)


def test_a_full_disk_is_said_in_a_sentence(tmp_path, monkeypatch):
    _, ctx, _ = trained(tmp_path)

    def full(*_arguments, **_names):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copytree", full)

    with pytest.raises(RunError, match=r"can't be written: .*No space left"):
        export.run(ctx)


def test_weights_that_a_full_disk_does_not_take_leave_no_rest(tmp_path, monkeypatch):
    _, ctx, _ = trained(tmp_path)

    def full(*_arguments, **_names):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(SanaVideoTransformer3DModel, "save_pretrained", full)

    with pytest.raises(RunError, match=r"can't be written: .*No space left"):
        export.run(ctx)

    assert [path.name for path in ctx.run_dir.glob(".tmp*")] == []
