import pytest
import torch
from torch import nn

from recipe_runtime.ema import WeightAverage, decay_at
from recipe_schema.section import keys_of
from recipe_schema.sections.optimizer import Ema


def settings(decay=0.99, interval=1, **chosen):
    usual = {name: key.default for name, key in keys_of(Ema).items()}
    return Ema(**usual | {"enabled": True, "decay": decay, "update_interval": interval} | chosen)


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
    assert decay_at(20_010, settings(decay=0.999, interval=10)) == pytest.approx(0.999**10)
    assert decay_at(1, settings(decay=0.999)) == pytest.approx(0.1)


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


def test_without_a_ramp_a_thousand_updates_equal_the_closed_form_of_one_decay():
    weights = model()
    average = WeightAverage(weights, settings(warmup="none"))
    values = torch.cos(torch.arange(1, 1001) / 70).tolist()

    for step, value in enumerate(values, start=1):
        nn.init.constant_(weights.weight, value)
        average.update(step)

    expected = sum(0.01 * 0.99 ** (1000 - step) * value for step, value in enumerate(values, start=1))
    assert average.state()["weight"][0, 0].item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("ramp", ["none", "ramp"])
def test_in_the_warmup_the_average_is_a_copy_and_then_follows_its_closed_form(ramp):
    weights = model()
    average = WeightAverage(weights, settings(warmup_steps=100, warmup=ramp))
    values = torch.sin(torch.arange(1, 1001) / 50).tolist()

    for step, value in enumerate(values, start=1):
        nn.init.constant_(weights.weight, value)
        average.update(step)
        if step <= 100:
            assert torch.equal(average.state()["weight"], weights.weight)

    expected = values[99]
    for since, value in enumerate(values[100:]):
        decay = min((1 + since) / (10 + since), 0.99) if ramp == "ramp" else 0.99
        expected = decay * expected + (1 - decay) * value
    assert average.state()["weight"][0, 0].item() == pytest.approx(expected, rel=1e-4)


def test_an_average_in_main_memory_is_the_same_bit_for_bit():
    weights = model()
    kept = {device: WeightAverage(weights, settings(device=device)) for device in ("accelerator", "cpu")}

    for step in range(1, 50):
        nn.init.normal_(weights.weight, generator=torch.Generator().manual_seed(step))
        for average in kept.values():
            average.update(step)

    assert torch.equal(kept["cpu"].state()["weight"], kept["accelerator"].state()["weight"])
    assert kept["cpu"].state()["weight"].device.type == "cpu"


def test_the_average_of_bf16_weights_is_put_in_as_fp32_and_the_weights_come_back():
    weights = model(1.0, torch.bfloat16)
    average = WeightAverage(weights, settings())

    with average.swapped():
        inside = weights.weight.dtype

    assert (inside, weights.weight.dtype) == (torch.float32, torch.bfloat16)
