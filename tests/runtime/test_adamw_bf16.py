import pytest
import torch
from torch import nn

from recipe_runtime.adamw_bf16 import AdamWBf16, round_at_random


def constants(**chosen):
    return {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-10, "weight_decay": 0.0, "seed": 3} | chosen


def trained(optimizer_of, steps=100, start=1.0, dtype=torch.float32):
    weight = nn.Parameter(torch.full((1000,), start, dtype=dtype))
    optimizer = optimizer_of([weight])
    for step in range(steps):
        gradient = torch.linspace(0.5, 2, 1000) * (1 if step % 3 else -0.5)
        weight.grad = gradient.to(dtype)
        optimizer.step()
    return weight.detach().float()


def test_rounding_is_right_on_average_and_gives_neighbours_alone():
    low, high = 1.0, 1.0 + 2**-7
    value = torch.full((100_000,), low + 0.3 * (high - low))

    rounded = round_at_random(value, torch.Generator().manual_seed(0))

    assert rounded.dtype == torch.bfloat16
    assert set(rounded.tolist()) == {low, high}
    assert (rounded == high).float().mean().item() == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize("value", [0.0, -1.5, 2.0**100, float("inf"), float("-inf")])
def test_what_bf16_can_hold_stays_what_it_is(value):
    values = torch.full((1000,), value)

    assert torch.equal(round_at_random(values, torch.Generator().manual_seed(0)).float(), values)


def test_negative_values_are_rounded_evenly_too():
    value = torch.full((100_000,), -1.0 - 0.25 * 2**-7)

    mean = round_at_random(value, torch.Generator().manual_seed(0)).double().mean().item()

    assert mean == pytest.approx(value[0].item(), abs=1e-4)


def test_no_number_stays_no_number():
    assert round_at_random(torch.tensor([float("nan")]), torch.Generator()).isnan().all()


def test_updates_that_are_lost_by_rounding_to_the_nearest_are_kept_on_average():
    exact = trained(lambda p: torch.optim.AdamW(p, lr=1e-4, betas=(0.9, 0.999), eps=1e-10, weight_decay=0.1))
    nearest = trained(
        lambda p: torch.optim.AdamW(p, lr=1e-4, betas=(0.9, 0.999), eps=1e-10, weight_decay=0.1), dtype=torch.bfloat16
    )

    found = trained(lambda p: AdamWBf16(p, **constants(lr=1e-4, weight_decay=0.1)), dtype=torch.bfloat16)

    assert (nearest == 1).all()
    moved, expected = (1 - found).mean().item(), (1 - exact).mean().item()
    assert moved == pytest.approx(expected, rel=0.1)


def test_the_same_seed_gives_the_same_bits_and_another_one_others():
    one, same, other = (
        trained(lambda p, seed=seed: AdamWBf16(p, **constants(seed=seed)), dtype=torch.bfloat16) for seed in (1, 1, 2)
    )

    assert torch.equal(one, same)
    assert not torch.equal(one, other)
