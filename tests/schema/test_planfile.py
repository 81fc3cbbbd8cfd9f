import json
from dataclasses import replace
from fractions import Fraction

import pytest

from recipe_schema.canonical import digest
from recipe_schema.plan import (
    PLAN_VERSION,
    Body,
    Bucket,
    Execution,
    FirstImage,
    Phase,
    Plan,
    PlanStage,
    Prompt,
    Schedule,
)
from recipe_schema.planfile import PLAN_FILE, PlanChangedError, PlanError, plan_id, read_plan, write_plan


def a_plan() -> Plan:
    body = Body(
        settings={"train.seed": 42, "optimizer.learning_rate": 5e-5},
        facts={"null_caption": ""},
        buckets=(Bucket(width=832, height=480, frames=81, clips=3, samples=6),),
        schedule=Schedule(max_steps=10, samples_per_step=2, samples_per_epoch=6),
        ledger_digest="sha256:0",
        stages=(PlanStage(id="train", needs=("encode-text",), reads={"train.seed": 42}, inputs={}, key="sha256:1"),),
    )
    execution = Execution(
        settings={"name": "x"}, root="/somewhere", prompts=(Prompt(nickname="main", text="a"),), negative_prompt=""
    )
    return Plan(plan_id=plan_id(body), body=body, execution=execution, meta={"created": "today"})


def test_a_plan_comes_back_as_it_was_written(tmp_path):
    write_plan(a_plan(), tmp_path)

    assert read_plan(tmp_path) == a_plan()


def test_a_prompt_comes_back_with_its_picture(tmp_path):
    cut = {"resize_width": 96, "resize_height": 64, "crop_left": 0, "crop_top": 0}
    image = FirstImage(path="a.png", sha256="0", size_bytes=1, bucket_width=96, bucket_height=64, **cut)
    plan = a_plan()
    prompts = (Prompt(nickname="main", text="a", image=image), Prompt(nickname="plain", text="a"))
    plan = replace(plan, execution=replace(plan.execution, prompts=prompts))

    write_plan(plan, tmp_path)

    assert read_plan(tmp_path).execution.prompts == prompts


def test_a_prompt_of_an_older_plan_has_no_picture(tmp_path):
    write_plan(a_plan(), tmp_path)
    document = json.loads((tmp_path / PLAN_FILE).read_text())
    del document["digest"], document["execution"]["prompts"][0]["image"]
    document["digest"] = digest(document)
    (tmp_path / PLAN_FILE).write_text(json.dumps(document), encoding="utf-8")

    assert read_plan(tmp_path).execution.prompts[0].image is None


def test_the_id_leaves_out_what_may_vary():
    plan = a_plan()

    assert plan_id(plan.body) == plan.plan_id
    assert plan.body.buckets[0].name == "832x480@81"


def leaf_paths(value, path=()):
    if isinstance(value, dict):
        for key, part in value.items():
            yield from leaf_paths(part, (*path, key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from leaf_paths(part, (*path, index))
    else:
        yield path


def test_any_edit_by_hand_is_noticed(tmp_path):
    write_plan(a_plan(), tmp_path)
    text = (tmp_path / PLAN_FILE).read_text(encoding="utf-8")
    for path in leaf_paths(json.loads(text)):
        document = json.loads(text)
        part = document
        for key in path[:-1]:
            part = part[key]
        part[path[-1]] = "edited"
        (tmp_path / PLAN_FILE).write_text(json.dumps(document), encoding="utf-8")
        with pytest.raises(PlanError):
            read_plan(tmp_path)


def test_another_version_is_refused_by_name(tmp_path):
    write_plan(a_plan(), tmp_path)
    document = json.loads((tmp_path / PLAN_FILE).read_text(encoding="utf-8"))
    document["plan_version"] = PLAN_VERSION + 1
    (tmp_path / PLAN_FILE).write_text(json.dumps(document), encoding="utf-8")

    with pytest.raises(PlanError, match=f"version {PLAN_VERSION + 1}"):
        read_plan(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "null", '{"plan_version":1}'])
def test_what_is_no_plan_is_refused_in_one_sentence(tmp_path, content):
    (tmp_path / PLAN_FILE).write_text(content, encoding="utf-8")

    with pytest.raises(PlanError, match="plan"):
        read_plan(tmp_path)


def test_an_id_that_is_not_that_of_the_body_is_noticed(tmp_path):
    write_plan(replace(a_plan(), plan_id="sha256:2"), tmp_path)

    with pytest.raises(PlanChangedError, match="states another id than its body has"):
        read_plan(tmp_path)


def test_numbers_that_a_plan_never_has_are_noticed(tmp_path):
    (tmp_path / PLAN_FILE).write_text(f'{{"plan_version":{PLAN_VERSION},"digest":null,"x":NaN}}', encoding="utf-8")

    with pytest.raises(PlanChangedError, match="was changed"):
        read_plan(tmp_path)


def test_a_missing_plan_is_refused(tmp_path):
    with pytest.raises(PlanError, match="does not exist"):
        read_plan(tmp_path)


def test_what_few_plans_have_leaves_the_ids_of_others_alone(tmp_path):
    plan = a_plan()
    write_plan(plan, tmp_path)

    body = json.loads((tmp_path / PLAN_FILE).read_text(encoding="utf-8"))["body"]

    assert "batch_size" not in body["buckets"][0]
    assert "phases" not in body["schedule"]


def test_phases_and_batch_sizes_come_back_as_they_were_written(tmp_path):
    plan = a_plan()
    phases = (phase(0, 6, 0, 2.0), phase(6, 4, 2, 0.4))
    schedule = replace(plan.body.schedule, phases=phases, samples_per_step=2.5)
    body = replace(plan.body, schedule=schedule, buckets=(replace(plan.body.buckets[0], batch_size=4),))
    plan = replace(plan, body=body, plan_id=plan_id(body))
    write_plan(plan, tmp_path)

    assert read_plan(tmp_path) == plan
    assert plan.body.buckets[0].name == "832x480@81/4"
    assert plan.plan_id != a_plan().plan_id


def phase(first_step, steps, first_epoch, epochs):
    return Phase(
        first_step=first_step,
        steps=steps,
        first_epoch=first_epoch,
        epochs=epochs,
        datasets=("a", "b"),
        first_pass=first_epoch,
        first_image_pass=0,
    )


def test_epochs_pass_evenly_within_each_phase():
    schedule = Schedule(
        max_steps=10, samples_per_step=1, samples_per_epoch=5, phases=(phase(0, 6, 0, 1.5), phase(6, 4, 2, 0.4))
    )

    assert [float(schedule.epochs(step)) for step in (0, 2, 6, 7, 10)] == [0, 0.5, 1.5, 2.1, 2.4]


@pytest.mark.parametrize(("per_step", "per_epoch"), [(1, 10), (3, 7), (2.5, 12.5)])
def test_intervals_of_epochs_are_counted_exactly(per_step, per_epoch):
    schedule = Schedule(max_steps=100, samples_per_step=per_step, samples_per_epoch=per_epoch)

    for tenths in (1, 3, 10, 25):
        for step in range(100):
            exact = step * Fraction(str(per_step)) / Fraction(str(per_epoch)) / Fraction(tenths, 10)
            assert schedule.intervals(step, tenths / 10) == exact // 1
