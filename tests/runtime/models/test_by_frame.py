import gc

import pytest
import torch
from diffusers.models.transformers.transformer_sana_video import SanaVideoTransformer3DModel

from fakes_runtime import TINY_CONFIGS
from recipe_runtime.models.by_frame import take_frames
from recipe_runtime.models.checkpointing import enable_checkpointing


def pair():
    """diffusers' own transformer, and one of the same weights that takes frames."""
    torch.manual_seed(0)
    stock = SanaVideoTransformer3DModel(**TINY_CONFIGS["transformer"])
    ours = SanaVideoTransformer3DModel(**TINY_CONFIGS["transformer"])
    ours.load_state_dict(stock.state_dict())
    take_frames(ours)
    return stock, ours


def inputs(frames=3):
    draw = torch.Generator().manual_seed(1)
    latents = torch.randn(2, 16, frames, 8, 12, generator=draw)
    return {"hidden_states": latents, "encoder_hidden_states": torch.randn(2, 5, 32, generator=draw)}


def by_token(timestep):
    """What diffusers' pipeline from image to video tells: the same for all tokens of a frame."""
    return timestep[:, None, :, None, None].expand(2, 1, timestep.shape[1], 4, 6)


TOLD = torch.tensor([[0.0, 700.0, 700.0], [300.0, 300.0, 300.0]])


@pytest.mark.parametrize("checkpointed", [False, True])
def test_a_timestep_for_each_frame_gives_what_diffusers_gives_for_each_token(checkpointed):
    stock, ours = pair()
    if checkpointed:
        enable_checkpointing(ours, interval=1)

    expected = stock(**inputs(), timestep=by_token(TOLD), return_dict=False)[0]
    found = ours(**inputs(), timestep=TOLD, return_dict=False)[0]
    for result in (expected, found):
        result.square().sum().backward()

    assert torch.allclose(found, expected, atol=1e-5)
    for (name, wanted), there in zip(stock.named_parameters(), ours.parameters(), strict=True):
        assert torch.allclose(there.grad, wanted.grad, rtol=1e-3, atol=1e-3 * wanted.grad.abs().max()), name
    # The given frame's timestep matters: the test would be blind if it did not.
    uniform = stock(**inputs(), timestep=TOLD[:, 1], return_dict=False)[0]
    assert (found[0] - uniform[0]).abs().max() > 1e-3
    assert torch.allclose(found[1], uniform[1], atol=1e-5)


def test_what_diffusers_takes_is_computed_by_diffusers_own_modules_bit_for_bit():
    stock, ours = pair()

    for timestep in (TOLD[:, 1], by_token(TOLD)):
        assert torch.equal(
            ours(**inputs(), timestep=timestep, return_dict=False)[0],
            stock(**inputs(), timestep=timestep, return_dict=False)[0],
        )
    one = ours(**inputs(frames=1), timestep=TOLD[:, :1], return_dict=False)[0]
    assert torch.equal(one, stock(**inputs(frames=1), timestep=TOLD[:, 0], return_dict=False)[0])


def test_a_timestep_for_each_frame_keeps_no_more_for_the_backward_pass_than_one_for_each_sample():
    _, ours = pair()
    kept = {}

    for name, timestep in {"sample": TOLD[:, 1], "frame": TOLD, "token": by_token(TOLD)}.items():
        sizes = {}

        def note(tensor, sizes=sizes):
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            result = ours(**inputs(), timestep=timestep, return_dict=False)[0]
        kept[name] = sum(sizes.values())
        del result
        gc.collect()

    # Each block keeps six values of a frame more: 2 samples, 3 frames, 2 layers, 48 channels, fp32, and what comes of them.
    assert kept["frame"] - kept["sample"] < 0.05 * kept["sample"]
    assert kept["token"] - kept["sample"] > 0.2 * kept["sample"]
