import json
import shutil

import pytest
import torch
from accelerate import init_empty_weights
from diffusers.models.transformers.transformer_sana_video import SanaVideoTransformer3DModel
from safetensors.torch import load_file, save_file
from torch import nn

from fakes_runtime import make_project
from recipe_runtime.errors import ModelError
from recipe_runtime.models.transformer import build_transformer, weight_files
from recipe_schema.family import load_family


WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(tmp_path):
    return make_project(tmp_path).root / "models" / "tiny" / "transformer"


def change(folder, edit):
    weights = load_file(folder / WEIGHTS)
    edit(weights)
    save_file({name: tensor.clone() for name, tensor in weights.items()}, folder / WEIGHTS)


def test_weights_arrive_as_they_are_stored(folder):
    model = build_transformer(folder, weight_files(folder))

    stored = load_file(folder / WEIGHTS)
    assert {name: tensor.tolist() for name, tensor in model.state_dict().items()} == {
        name: tensor.tolist() for name, tensor in stored.items()
    }
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_bf16_files_become_fp32_weights(folder):
    def to_bf16(weights):
        weights.update({name: tensor.bfloat16() for name, tensor in weights.items()})

    change(folder, to_bf16)

    assert {p.dtype for p in build_transformer(folder, weight_files(folder)).parameters()} == {torch.float32}


def test_a_final_table_with_a_leading_axis_is_taken(folder):
    expected = load_file(folder / WEIGHTS)["scale_shift_table"]
    change(folder, lambda weights: weights.update(scale_shift_table=weights["scale_shift_table"][None]))

    model = build_transformer(folder, weight_files(folder))

    assert torch.equal(model.scale_shift_table, expected)


def test_sharded_weights_are_put_together(folder):
    whole = load_file(folder / WEIGHTS)
    model = build_transformer(folder, weight_files(folder))
    shutil.rmtree(folder)
    model.save_pretrained(folder, max_shard_size="100KB")

    assert len(weight_files(folder)) > 1
    loaded = build_transformer(folder, weight_files(folder))
    assert all(torch.equal(tensor, whole[name]) for name, tensor in loaded.state_dict().items())


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda weights: weights.pop("proj_out.bias"), r"1 missing \(proj_out.bias\)"),
        (lambda weights: weights.update(extra=torch.zeros(1)), r"1 unknown \(extra\)"),
        (lambda weights: weights.update({"proj_out.bias": torch.zeros(3)}), r"proj_out.bias \(3,\) instead of \(64,\)"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(folder, edit, message):
    change(folder, edit)

    with pytest.raises(ModelError, match=message):
        build_transformer(folder, weight_files(folder))


def test_missing_and_broken_files_are_named(folder):
    (folder / WEIGHTS).write_bytes(b"not safetensors")
    with pytest.raises(ModelError, match=WEIGHTS):
        build_transformer(folder, weight_files(folder))

    (folder / WEIGHTS).unlink()
    with pytest.raises(ModelError, match="holds neither"):
        build_transformer(folder, weight_files(folder))

    (folder / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps({"weights": {}}))
    with pytest.raises(ModelError, match="not an index"):
        build_transformer(folder, weight_files(folder))

    with pytest.raises(ModelError, match="no configuration"):
        build_transformer(folder.parent / "nowhere", [])


def test_the_family_describes_the_published_transformer():
    facts = load_family("sana-video-480p").raw

    with init_empty_weights():
        model = SanaVideoTransformer3DModel(**facts["transformer"])

    assert sum(parameter.numel() for parameter in model.parameters()) == facts["parameters"]["transformer"]


def _kind(module):
    if isinstance(module, nn.Linear | nn.Conv3d):
        return "linear" if isinstance(module, nn.Linear) else "conv3d"
    return "conv" if module.groups == 1 else "depthwise"


def test_the_family_lists_the_layers_that_adapters_are_added_to():
    family = load_family("sana-video-480p")
    for preset in (None, "tiny"):
        with init_empty_weights():
            model = SanaVideoTransformer3DModel(**family.transformer(preset))

        layers = {
            name: _kind(module)
            for name, module in model.named_modules()
            if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d)
        }
        assert family.layers(preset) == layers
