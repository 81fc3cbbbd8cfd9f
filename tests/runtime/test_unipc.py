import itertools

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler

from recipe_runtime.randomness import generator
from recipe_runtime.rollout import roll_out
from recipe_runtime.unipc import UniPc


COARSE = (0.9, 0.8, 0.7, 0.55, 0.4, 0.3, 0.2)
FINE = (0.5, 0.499, 0.498, 0.497, 0.496, 0.495)


def curved(noisy, sigma):
    return torch.sin(noisy.roll(1, dims=-1) * 2) + sigma * noisy


def by_diffusers(noisy, levels, order):
    """Sample with diffusers' class, whose levels are set in fp64."""
    scheduler = UniPCMultistepScheduler(
        solver_order=order, prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=1.0
    )
    scheduler.set_timesteps(sigmas=np.array(levels[:-1]))
    scheduler.sigmas = torch.tensor([min(level, 1 - 1e-6) for level in levels], dtype=torch.float64)
    for timestep, sigma in zip(scheduler.timesteps, levels[:-1], strict=True):
        noisy = scheduler.step(curved(noisy, sigma), timestep, noisy).prev_sample
    return noisy


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("levels", [COARSE, FINE, (1.0, 0.9, 0.5, 0.25), (0.5, 0.3), (0.6, 0.5, 0.4)])
def test_it_gives_what_diffusers_scheduler_gives(order, levels):
    noisy = torch.randn(1, 4, 6, dtype=torch.float64, generator=generator(0, "unipc"))
    sampler, found = UniPc(order=order, steps=len(levels) - 1), noisy

    for sigma, to in itertools.pairwise(levels):
        found = sampler.step(found, curved(found, sigma), sigma, to)

    assert torch.allclose(found, by_diffusers(noisy, levels, order), rtol=0, atol=1e-13)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_rollout_equals_running_the_sampler_step_by_step_for_each_sample(order):
    data, noise = (torch.randn(3, 4, 6, dtype=torch.float64, generator=generator(0, name)) for name in "dn")
    sigma, counts = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64), torch.tensor([7, 0, 30])

    def start(level):
        return (1 - level.view(-1, 1, 1)) * data + level.view(-1, 1, 1) * noise

    found = roll_out(
        lambda noisy, level, _: curved(noisy, level.view(-1, 1, 1)), start, sigma, counts, sampler="unipc", order=order
    )

    begin = start(sigma + counts / 1000)
    for index, count in enumerate(counts.tolist()):
        levels = [sigma[index].item() + left / 1000 for left in range(count, -1, -1)]
        alone = by_diffusers(begin[index : index + 1], levels, order) if count else begin[index : index + 1]
        assert torch.allclose(found[index], alone[0], rtol=0, atol=1e-7)  # counts / 1000 is in fp32


def test_a_higher_order_is_nearer_to_the_true_way():
    noisy = torch.randn(1, 2, 6, dtype=torch.float64, generator=generator(0, "true"))

    def end(steps, order):
        levels = np.linspace(0.8, 0.3, steps + 1).tolist()
        sampler, found = UniPc(order=order, steps=steps), noisy
        for sigma, to in itertools.pairwise(levels):
            found = sampler.step(found, curved(found, sigma), sigma, to)
        return found

    true = end(2000, 3)
    first, second = ((end(20, order) - true).abs().max().item() for order in (1, 2))

    assert first > 2 * second
