import pytest
import torch
from torch import nn

from recipe_runtime.ema import WeightAverage, decay_at
from recipe_schema.section import keys_of
from recipe_schema.sections.optimizer import Ema


def settings(decay=0.99, interval=1):
    usual = {name: key.default for name, key in keys_of(Ema).items()}
    return Ema(**usual | {"enabled": True, "decay": decay, "update_interval": interval})


def model(value=0.0, dtype=torch.float32):
    layer = nn.Linear(2, 2, bias=False).to(dtype)
    nn.init.constant_(layer.weight, value)
    return layer


def test_a_thousand_updates_equal_the_closed_form():
    weights = model()
    average = WeightAverage(weights, settings())
    values = torch.sin(torch.arange(1, 1001) / 50).tolist()

    for step, value in enumerate(values, start=1):
        nn.init.constant_(weights.weight, value)
        average.update(step)

    kept = [min((1 + s) / (10 + s), 0.99) for s in range(1000)]
    expected = sum(
        (1 - kept[i]) * value * torch.tensor(kept[i + 1 :], dtype=torch.float64).prod().item()
        for i, value in enumerate(values)
    )
    assert average.state()["weight"][0, 0].item() == pytest.approx(expected, rel=1e-4)


def test_an_interval_spans_the_same_time_as_single_steps():
    assert decay_at(2000, 0.999, 10) == pytest.approx(0.999**10)
    assert decay_at(0, 0.999, 1) == pytest.approx(0.1)


def test_updates_come_at_the_interval_alone():
    weights = model()
    average = WeightAverage(weights, settings(interval=3))
    nn.init.constant_(weights.weight, 1.0)

    seen = []
    for step in range(1, 7):
        average.update(step)
        seen.append(average.state()["weight"][0, 0].item())

    assert seen[0] == seen[1] == 0.0
    assert seen[2] == seen[3] == seen[4] == pytest.approx(1 - 0.1**3)
    assert seen[5] > seen[4]


def test_the_average_is_kept_in_fp32_and_moves_where_bf16_would_not():
    weights = model(1.0, torch.bfloat16)
    average = WeightAverage(weights, settings(decay=0.999))
    nn.init.constant_(weights.weight, 1.0625)

    for step in range(20_000, 20_100):
        average.update(step)

    shadow = average.state()["weight"]
    assert shadow.dtype == torch.float32
    assert shadow[0, 0].item() == pytest.approx(1.0625 - 0.0625 * 0.999**100, rel=1e-5)


def test_swapping_puts_the_average_in_and_the_weights_back_exactly():
    weights = model()
    average = WeightAverage(weights, settings())
    nn.init.normal_(weights.weight)
    average.update(1)
    before, shadow = weights.weight.detach().clone(), average.state()["weight"].clone()

    with average.swapped():
        inside = weights.weight.detach().clone()

    assert torch.equal(inside, shadow)
    assert torch.equal(weights.weight, before)
    assert torch.equal(average.state()["weight"], shadow)


def test_swapping_ends_even_when_the_inside_fails():
    weights = model()
    average = WeightAverage(weights, settings())
    nn.init.constant_(weights.weight, 5.0)

    with pytest.raises(RuntimeError, match="out of memory"), average.swapped():
        raise RuntimeError("out of memory")

    assert weights.weight[0, 0].item() == 5.0
