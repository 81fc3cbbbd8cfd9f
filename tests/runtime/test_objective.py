import math

import pytest
import torch

from recipe_runtime.objective import huber_c, interpolate, min_snr_weight, sample_losses, velocity
from recipe_schema.section import keys_of
from recipe_schema.sections.train import Train


HALF = torch.tensor([0.5, 0.5])


def settings(**chosen):
    return Train(**{name: key.default for name, key in keys_of(Train).items()} | chosen)


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

    losses = sample_losses(velocity(data, noise), velocity(data, noise), HALF, settings())

    assert losses.tolist() == [0.0, 0.0]


def test_the_loss_is_the_mean_square_of_each_sample_in_fp32():
    target = torch.zeros(2, 3, 2, 4, 4)
    prediction = torch.stack([torch.full((3, 2, 4, 4), 2.0), torch.full((3, 2, 4, 4), 3.0)]).bfloat16()

    losses = sample_losses(prediction, target, HALF, settings())

    assert losses.dtype == torch.float32
    assert losses.tolist() == pytest.approx([4.0, 9.0])


@pytest.mark.parametrize(("kind", "factor"), [("huber", 0.25), ("smooth_l1", 1.0)])
def test_robust_losses_equal_their_closed_form(kind, factor):
    prediction = torch.stack([torch.full((3, 2, 4, 4), 2.0), torch.full((3, 2, 4, 4), -3.0)])

    losses = sample_losses(prediction, torch.zeros_like(prediction), HALF, settings(loss_type=kind, huber_c=0.25))

    expected = [factor * 2 * (math.sqrt(d * d + 0.25**2) - 0.25) for d in (2.0, 3.0)]
    assert losses.tolist() == pytest.approx(expected, rel=1e-6)


def test_huber_is_the_square_near_zero_and_straight_far_away():
    def loss(difference):
        prediction = torch.full((1, 1, 1, 1, 1), difference)
        chosen = settings(loss_type="huber", huber_c=0.1)
        return sample_losses(prediction, torch.zeros_like(prediction), HALF[:1], chosen).item()

    assert loss(0.01) == pytest.approx(0.01**2, rel=0.01)
    assert loss(200.0) - loss(100.0) == pytest.approx(2 * 0.1 * 100, rel=1e-4)


def test_the_schedules_of_huber_run_from_one_to_the_given_value():
    sigma = torch.tensor([0.0, 0.5, 1.0])

    assert huber_c(sigma, 0.1, "constant").tolist() == pytest.approx([0.1, 0.1, 0.1])
    assert huber_c(sigma, 0.1, "exponential").tolist() == pytest.approx([1.0, math.sqrt(0.1), 0.1])
    assert huber_c(sigma, 0.1, "snr").tolist() == pytest.approx([1.0, 0.9 / (1 + 0.5 / 0.5) ** 2 + 0.1, 0.1])


def test_min_snr_weighs_velocities_so_that_errors_of_the_data_count_min_snr_gamma():
    data, noise = (tensor.double() for tensor in tensors())
    sigma = torch.tensor([0.2, 0.7], dtype=torch.float64)
    level = sigma.view(2, 1, 1, 1, 1)
    noisy, wrong = interpolate(data, noise, sigma), velocity(data, noise) + 0.25 * torch.randn(data.shape).double()

    guessed = noisy - level * wrong
    of_data = (guessed - data).square().flatten(1).mean(1)
    snr = ((1 - sigma) / sigma).square()

    of_velocity = (wrong - velocity(data, noise)).square().flatten(1).mean(1)
    assert torch.allclose(min_snr_weight(sigma, 5.0) * of_velocity, snr.clamp(max=5.0) * of_data)


def test_min_snr_stays_finite_at_both_ends_and_multiplies_the_loss():
    assert min_snr_weight(torch.tensor([0.0, 1.0]), 5.0).tolist() == [0.0, 0.0]
    prediction = torch.full((2, 1, 1, 1, 1), 2.0)

    losses = sample_losses(prediction, torch.zeros_like(prediction), HALF, settings(snr_gamma=0.5))

    assert losses.tolist() == pytest.approx([4 * 0.5 * 0.25] * 2)
