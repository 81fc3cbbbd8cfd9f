"""Images between videos, batch sizes of data sets, and data sets that come and go."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from fakes_planned import CLIPS, MORE, PHOTOS, draw_data, encoded, plan_project
from fakes_runtime import make_context
from fakes_training import StopAfter, batch_maker, same_bits, saved_parts
from recipe_runtime import train
from recipe_runtime.course import Course
from recipe_runtime.errors import StoppedBySignal
from recipe_runtime.stop import StopRequested


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    draw_data(folder)
    return folder


def course(root, *datasets, steps=24, **changes):
    return Course(make_context(plan_project(root, *datasets, train__max_steps=steps, **changes)))


def samples(step):
    return [(sample.row.clip_id, sample.epoch, sample.repeat) for sample in step.samples]


def of_set(step):
    return {sample.row.dataset for sample in step.samples}


def test_images_and_videos_never_share_a_step(root):
    joint = course(root, CLIPS, PHOTOS, train__batch_size=2)

    steps = [joint.step(number) for number in range(24)]

    assert {len(of_set(step)) for step in steps} == {1}
    assert {step.bucket for step in steps} == {"96x64@9", "96x64@1"}


@pytest.mark.parametrize("interval", [2, 3, 7])
def test_steps_of_images_leave_those_of_videos_as_they_are(root, interval):
    videos, images = course(root, CLIPS, MORE, train__batch_size=2), course(root, PHOTOS, train__batch_size=2)
    joint = course(root, CLIPS, MORE, PHOTOS, train__batch_size=2, data__image_interval=interval)

    steps = [joint.step(number) for number in range(24)]

    turn = [number > 0 and number % interval == 0 for number in range(24)]
    assert [of_set(step) == {"photos"} for step in steps] == turn
    own = [step for step, images_turn in zip(steps, turn, strict=True) if not images_turn]
    assert [samples(step) for step in own] == [samples(videos.step(number)) for number in range(len(own))]
    own = [step for step, images_turn in zip(steps, turn, strict=True) if images_turn]
    assert [samples(step) for step in own] == [samples(images.step(number)) for number in range(len(own))]


def test_a_batch_size_of_a_data_set_makes_its_steps_larger(root):
    mixed = course(root, CLIPS, {**MORE, "train_batch_size": 3, "repeats": 1}, train__gradient_accumulation_steps=2)

    steps = [mixed.step(number) for number in range(24)]

    assert {(*of_set(step), step.batch_size, len(step.samples)) for step in steps} == {
        ("clips", 1, 2),
        ("more", 3, 6),
    }
    assert sum(of_set(step) == {"clips"} for step in steps) == 16  # of each epoch's 3 steps, 4 / 2 are theirs


@pytest.mark.parametrize("size", [1, 2])
def test_a_batch_size_of_the_only_data_set_is_that_of_the_run(root, size):
    whole = encoded(plan_project(root, CLIPS, name=f"whole{size}", train__max_steps=3, train__batch_size=size))
    sets = {**CLIPS, "train_batch_size": size}
    own = encoded(plan_project(root, sets, name=f"own{size}", train__max_steps=3, train__batch_size=2))
    for ctx in (whole, own):
        train.run(ctx, StopRequested())

    assert same_bits(saved_parts(whole.run_dir, 3), saved_parts(own.run_dir, 3))


def test_processes_share_a_step_of_any_batch_size(root):
    sets = (CLIPS, {**PHOTOS, "train_batch_size": 3, "repeats": 1})
    plan = plan_project(root, *sets, train__max_steps=9, data__image_interval=2, train__gradient_accumulation_steps=2)
    one = encoded(plan)
    two = encoded(plan_project(root, *sets, train__max_steps=9, data__image_interval=2, launch__processes=2))
    first, second = batch_maker(two), batch_maker(replace(two, rank=1))

    for step in range(9):
        whole = batch_maker(one).make(step)
        shared = [*first.make(step).parts, *second.make(step).parts]
        assert len(shared) == len(whole.parts) == 2
        assert whole.samples == first.make(step).samples
        assert all(torch.equal(a.noise, b.noise) for a, b in zip(whole.parts, shared, strict=True))
        assert all(torch.equal(a.latents, b.latents) for a, b in zip(whole.parts, shared, strict=True))


def test_a_data_set_comes_and_goes_by_steps(root):
    steps = course(
        root, {**CLIPS, "end_step": 18}, {**MORE, "start_step": 7}, {**PHOTOS, "start_step": 3, "end_step": 9}
    )

    used = [of_set(steps.step(number)) for number in range(24)]

    assert set().union(*used[:2]) == {"clips"}
    assert set().union(*used[2:6]) == {"clips", "photos"}
    assert set().union(*used[6:9]) <= {"clips", "more", "photos"}
    assert set().union(*used[9:18]) == {"clips", "more"}
    assert set().union(*used[18:]) == {"more"}


def test_before_a_data_set_begins_nothing_is_other_than_without_it(root):
    without, later = course(root, CLIPS), course(root, CLIPS, {**MORE, "start_step": 11})

    assert [later.step(n) for n in range(10)] == [without.step(n) for n in range(10)]


def test_no_clip_meets_the_noise_of_a_pass_twice(root):
    steps = course(
        root,
        {**CLIPS, "end_epoch": 5},
        {**MORE, "start_step": 5, "end_step": 30},
        {**PHOTOS, "start_epoch": 3, "train_batch_size": 2},
        steps=60,
        data__image_interval=3,
    )

    seen = Counter(place for number in range(60) for place in samples(steps.step(number)))

    assert max(seen.values()) == 1


def test_a_data_set_comes_and_goes_by_epochs(root):
    plan = plan_project(
        root, {**CLIPS, "end_epoch": 3}, {**MORE, "start_epoch": 2}, train__max_steps="null", train__num_epochs=4
    )
    steps = Course(make_context(plan))

    seen = Counter(
        name for number in range(plan.plan.body.schedule.max_steps) for name, _, _ in samples(steps.step(number))
    )

    assert seen == {**{f"clips/c{n}.mp4": 3 for n in range(4)}, **{f"more/c{n}.mp4": 3 for n in range(3)}}
    epochs = plan.plan.body.schedule.epochs
    assert [epochs(step) for step in (4, 11, 18, 21)] == [1, 2, 3, 4]


@pytest.mark.parametrize("cut", [3, 5, 8])
def test_a_run_of_images_and_passing_data_sets_resumes_bit_for_bit(root, cut):
    sets = (CLIPS, {**MORE, "start_step": 5}, {**PHOTOS, "train_batch_size": 2})
    settings = {"train__max_steps": 9, "data__image_interval": 3, "checkpoints__step_interval": 3, "ema__enabled": True}
    straight = encoded(plan_project(root, *sets, name=f"straight{cut}", **settings))
    train.run(straight, StopRequested())
    stopped = plan_project(root, *sets, name=f"cut{cut}", **settings)
    stop = StopAfter(cut)
    with pytest.raises(StoppedBySignal):
        train.run(make_context(stopped, [stop]), stop)

    train.run(make_context(stopped), StopRequested())

    assert same_bits(saved_parts(stopped.run_dir, 9), saved_parts(straight.run_dir, 9))
