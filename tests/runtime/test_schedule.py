import pytest

from recipe_runtime.schedule import learning_rate
from recipe_schema.definition import leaf_index
from recipe_schema.recipe import LrSchedule


def rates(name, warmup=0, end=0.0, max_steps=11, peak=1.0):
    settings = LrSchedule(name=name, warmup_steps=warmup, end=end)
    return [learning_rate(step, settings, peak=peak, max_steps=max_steps) for step in range(max_steps)]


def test_every_curve_of_the_language_is_there():
    assert all(rates(name) for name in leaf_index()["lr_schedule.name"].spec.choices)


def test_constant_is_flat_from_the_first_step():
    assert rates("constant", warmup=4) == [1.0] * 11


@pytest.mark.parametrize("name", ["constant_with_warmup", "linear", "cosine"])
def test_warm_up_climbs_from_zero_and_is_at_the_peak_when_it_is_over(name):
    assert rates(name, warmup=4)[:5] == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_constant_with_warmup_stays_at_the_peak():
    assert rates("constant_with_warmup", warmup=4)[4:] == [1.0] * 7


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_falling_curves_end_at_the_end(name):
    fall = rates(name, warmup=4, end=0.25)[4:]

    assert fall[0] == 1.0
    assert fall[-1] == pytest.approx(0.25)
    assert fall == sorted(fall, reverse=True)


def test_both_falling_curves_are_half_way_in_the_middle():
    assert rates("linear")[5] == pytest.approx(0.5)
    assert rates("cosine")[5] == pytest.approx(0.5)


def test_a_run_of_one_step_trains_at_the_peak():
    assert rates("cosine", max_steps=1) == [1.0]
