from dataclasses import replace

import numpy as np
import pytest
import torch

from recipe_runtime.noise import SCHEDULES, official, simpletuner
from recipe_runtime.randomness import generator
from recipe_schema.definition import leaf_index
from recipe_schema.family import load_family


FACTS = load_family("sana-video-480p").raw["noise_schedules"]


def test_every_schedule_of_the_language_is_there_and_has_facts():
    assert set(SCHEDULES) == set(leaf_index()["train.noise_schedule"].spec.choices) == set(FACTS)


def test_the_official_table_runs_from_data_to_nearly_noise():
    levels = official(FACTS["official"]).levels

    assert (levels[0].sigma, levels[0].timestep) == (0.0, 0)
    assert levels[-1].sigma == pytest.approx(3 * 0.999 / (1 + 2 * 0.999), rel=1e-12)
    assert levels[-1].timestep == 999


def test_the_official_table_has_733_whole_timesteps():
    levels = official(FACTS["official"]).levels

    assert len({level.timestep for level in levels}) == 733
    assert all(0 <= 1000 * level.sigma - level.timestep < 1 for level in levels)


def test_official_levels_are_the_shifted_sigmas_of_their_index():
    levels = official(FACTS["official"]).levels
    s = np.arange(1000) / 1000

    assert np.allclose([level.sigma for level in levels], 3 * s / (1 + 2 * s), rtol=0, atol=1e-12)


def test_official_levels_are_drawn_with_a_logit_normal_density():
    schedule = official(FACTS["official"])
    draw = generator(0, "test")

    sigmas = torch.tensor([schedule.draw(draw, exact=False).sigma for _ in range(20_000)])

    u = torch.sigmoid(torch.linspace(-8, 8, 100_001, dtype=torch.float64))
    weight = torch.exp(-(torch.linspace(-8, 8, 100_001, dtype=torch.float64) ** 2) / 2)
    expected = ((3 * u / (1 + 2 * u)) * weight).sum() / weight.sum()
    assert expected.item() == pytest.approx(0.714, abs=5e-4)
    assert sigmas.mean().item() == pytest.approx(expected.item(), abs=0.005)
    assert (sigmas > 0.75).float().mean().item() == pytest.approx(0.5, abs=0.015)


def test_simpletuner_levels_are_uniform_and_told_as_they_are():
    schedule = simpletuner(FACTS["simpletuner"])
    draw = generator(0, "test")

    drawn = [schedule.draw(draw, exact=False) for _ in range(20_000)]

    assert (schedule.levels[0].sigma, schedule.levels[-1].sigma) == (1.0, 0.001)
    assert all(level.sigma * 1000 == pytest.approx(level.timestep) for level in drawn)
    assert np.mean([level.sigma for level in drawn]) == pytest.approx(0.5005, abs=0.01)


@pytest.mark.parametrize("u", [0.0, 1.0 - 1e-9, 1.0])
def test_the_ends_of_the_density_stay_in_the_table(u):
    schedule = official(FACTS["official"])

    level = replace(schedule, density=lambda _: u).draw(torch.Generator(), exact=False)

    assert level == schedule.levels[0 if u == 0 else -1]


@pytest.mark.parametrize("name", ["official", "simpletuner"])
def test_exact_levels_lie_on_the_curve_of_the_table_and_are_told_unrounded(name):
    schedule = SCHEDULES[name](FACTS[name])

    for u in (0.0, 0.2504, 0.5, 0.9999):
        at = replace(schedule, density=lambda _, u=u: u)
        exact, whole = at.draw(torch.Generator(), exact=True), at.draw(torch.Generator(), exact=False)
        assert exact.timestep == 1000 * exact.sigma
        assert abs(exact.sigma - whole.sigma) <= 0.003
        assert abs(exact.timestep - whole.timestep) <= 3 + 1

    table = replace(schedule, density=lambda _: 0.25)
    assert table.draw(torch.Generator(), exact=True).sigma == pytest.approx(
        table.draw(torch.Generator(), exact=False).sigma, abs=1e-12
    )
