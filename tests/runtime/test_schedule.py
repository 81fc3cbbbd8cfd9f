import pytest

from recipe_runtime.schedule import learning_rate
from recipe_schema.definition import leaf_index
from recipe_schema.section import keys_of
from recipe_schema.sections.optimizer import LrSchedule


def rates(name, warmup=0, end=0.0, max_steps=11, peak=1.0, **more):
    usual = {name: key.default for name, key in keys_of(LrSchedule).items()}
    settings = LrSchedule(**usual | {"name": name, "warmup_steps": warmup, "end": end} | more)
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


@pytest.mark.parametrize("name", ["linear", "cosine", "polynomial"])
def test_falling_curves_end_at_the_end(name):
    fall = rates(name, warmup=4, end=0.25)[4:]

    assert fall[0] == 1.0
    assert fall[-1] == pytest.approx(0.25)
    assert fall == sorted(fall, reverse=True)


def test_both_falling_curves_are_half_way_in_the_middle():
    assert rates("linear")[5] == pytest.approx(0.5)
    assert rates("cosine")[5] == pytest.approx(0.5)


def test_restarts_begin_at_the_peak_again_and_end_at_the_end():
    curve = rates("cosine_with_restarts", max_steps=11, num_cycles=2, end=0.25)

    assert (curve[0], curve[5], curve[10]) == (1.0, 1.0, 0.25)
    assert curve[:5] == sorted(curve[:5], reverse=True)
    assert rates("cosine_with_restarts") == rates("cosine")


def test_a_polynomial_falls_by_its_power():
    assert rates("polynomial", power=1.0) == rates("linear")
    assert rates("polynomial", power=2.0)[5] == pytest.approx(0.25)


def test_a_sine_is_at_its_peak_half_way():
    curve = rates("sine", end=0.25)

    assert (curve[0], curve[5]) == (0.25, 1.0)
    assert curve[10] == pytest.approx(0.25)


def test_the_curves_of_simpletuner_swing_without_warm_up():
    cosine = rates("simpletuner-cosine", warmup=4, period_steps=5, end=0.2, max_steps=11)
    sine = rates("simpletuner-sine", period_steps=4, end=0.2, max_steps=9)

    assert [cosine[step] for step in (0, 5, 10)] == pytest.approx([1.0, 0.2, 1.0])
    assert [sine[step] for step in (0, 2, 4, 6)] == pytest.approx([0.6, 1.0, 0.6, 0.2])
    # the guide's: base 5e-5, period 400,000, end 4e-7
    settings = {"period_steps": 400_000, "end": 4e-7}
    usual = {name: key.default for name, key in keys_of(LrSchedule).items()}
    guide = LrSchedule(**usual | settings | {"name": "simpletuner-cosine"})
    at = [learning_rate(step, guide, peak=5e-5, max_steps=400_001) for step in (0, 200_000, 400_000)]
    assert at == pytest.approx([5e-5, 2.52e-5, 4e-7])


def test_a_run_of_one_step_trains_at_the_peak():
    assert rates("cosine", max_steps=1) == [1.0]
