import pytest
import torch

from recipe_runtime.objective import interpolate, sample_losses, velocity


def tensors():
    draw = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, 2, 4, 4, generator=draw), torch.randn(2, 3, 2, 4, 4, generator=draw)


def test_sigma_zero_is_data_and_sigma_one_is_noise():
    data, noise = tensors()

    mixed = interpolate(data, noise, torch.tensor([0.0, 1.0]))

    assert torch.equal(mixed[0], data[0])
    assert torch.equal(mixed[1], noise[1])


def test_the_target_is_the_slope_of_the_path():
    data, noise = (tensor.double() for tensor in tensors())
    near, far = torch.full((2,), 0.25, dtype=torch.float64), torch.full((2,), 0.75, dtype=torch.float64)

    slope = (interpolate(data, noise, far) - interpolate(data, noise, near)) / 0.5

    assert torch.allclose(slope, velocity(data, noise))


def test_a_perfect_prediction_has_no_loss():
    data, noise = tensors()

    losses = sample_losses(velocity(data, noise), velocity(data, noise))

    assert losses.tolist() == [0.0, 0.0]


def test_the_loss_is_the_mean_square_of_each_sample_in_fp32():
    target = torch.zeros(2, 3, 2, 4, 4)
    prediction = torch.stack([torch.full((3, 2, 4, 4), 2.0), torch.full((3, 2, 4, 4), 3.0)]).bfloat16()

    losses = sample_losses(prediction, target)

    assert losses.dtype == torch.float32
    assert losses.tolist() == pytest.approx([4.0, 9.0])
