"""Lower: settings and survey become the body of a plan, with its stages."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from recipe_compiler.data.captions import motion_suffix
from recipe_compiler.data.facts import Survey, epoch_shares
from recipe_compiler.rules.nickname_clash import MAIN
from recipe_compiler.settings import Resolved
from recipe_schema.canonical import digest
from recipe_schema.ledger import ClipRow, ledger_digest
from recipe_schema.marks import Stage
from recipe_schema.plan import Body, Execution, PlanStage, Prompt, Schedule
from recipe_schema.shares import in_an_epoch, plain, samples_of, taken


STAGE_VERSIONS: Mapping[str, int] = {"build-model": 1, "encode-text": 1, "encode-video": 1, "train": 1, "export": 1}
"""Raised when a stage comes to do something else with the same inputs."""

_NEEDS: Mapping[Stage, tuple[Stage, ...]] = {
    "build-model": (),
    "encode-text": ("build-model",),
    "encode-video": ("build-model",),
    "train": ("build-model", "encode-text", "encode-video"),
    "export": ("train",),
}


def lower(settings: Resolved, survey: Survey) -> Body:
    """Decide everything that shapes the trained weights.

    Args:
        settings: Settings without errors.
        survey: The data, with at least one trained clip.
    """
    values = by_impact(settings, ("result",))
    facts = used_facts(settings)
    ledger = ledger_digest(survey.rows)
    inputs: Mapping[Stage, Mapping[str, str]] = {
        "build-model": {"random_weights": digest(facts["random_weights"])},
        "encode-text": {"texts": digest(sorted({text for row in survey.rows if row.used for text in row.texts}))},
        "encode-video": {"ledger": ledger, **_measured(survey)},
        "train": {"ledger": ledger, "noise_schedule": digest(facts["noise_schedule"])},
        "export": {},
    }
    samples, shares = _samples(survey), epoch_shares(settings.values(), survey.trained())
    return Body(
        settings=values,
        facts=facts,
        buckets=tuple(replace(b, samples=plain(in_an_epoch(samples[b.name], shares))) for b in survey.buckets),
        schedule=_schedule(settings, tuple(samples.values()), shares),
        ledger_digest=ledger,
        stages=_stages(settings, values, inputs),
    )


def _measured(survey: Survey) -> Mapping[str, str]:
    """Return what is encoded besides what is trained."""
    rows = [replace(row, fate="trained") for row in survey.rows if row.fate == "evaluated"]
    return {"measured": ledger_digest(rows)} if rows else {}


def by_impact(settings: Resolved, impacts: Sequence[str]) -> dict[str, Any]:
    """Return the settings of some impacts. One that is ignored counts as not given."""
    return {
        path: None if setting.ignored is not None else setting.value
        for path, setting in settings.settings.items()
        if setting.leaf.key.impact in impacts
    }


def used_facts(settings: Resolved) -> dict[str, Any]:
    """Return the family's facts, reduced to what this plan uses."""
    raw = settings.family.raw
    preset = settings["model.random_weights"]
    return {
        "vae": raw["vae"],
        "patch_size": raw["patch_size"],
        "instruction": "\n".join(raw["text"]["instructions"][settings["model.instruction"]]),
        "max_sequence_length": raw["text"]["max_sequence_length"],
        "null_caption": "",
        "noise_schedule": raw["noise_schedules"][settings["train.noise_schedule"]],
        "random_weights": raw["random_weights"][preset] if preset is not None else None,
    }


def _samples(survey: Survey) -> Mapping[str, Mapping[str, int]]:
    """Count the samples of each bucket by data set."""
    rows: dict[str, list[ClipRow]] = {}
    for row in survey.trained():
        rows.setdefault(row.bucket, []).append(row)
    return {name: samples_of(members) for name, members in rows.items()}


def _schedule(settings: Resolved, buckets: Sequence[Mapping[str, int]], shares: Mapping[str, Fraction]) -> Schedule:
    """Count steps. Buckets carry what does not fill a step into their next epoch, so epochs end on whole steps."""
    per_process = settings["train.batch_size"] * settings["train.gradient_accumulation_steps"]
    per_step = per_process * settings["launch.processes"] * settings["launch.machines"]
    steps = settings["train.max_steps"]
    if steps is None:
        epochs = settings["train.num_epochs"]
        given = (sum(taken(count, shares[name], epochs) for name, count in bucket.items()) for bucket in buckets)
        steps = max(sum(samples // per_step for samples in given), 1)
    each = sum((in_an_epoch(bucket, shares) for bucket in buckets), Fraction(0))
    return Schedule(max_steps=steps, samples_per_step=per_step, samples_per_epoch=plain(each))


def _stages(
    settings: Resolved, values: Mapping[str, Any], inputs: Mapping[Stage, Mapping[str, str]]
) -> tuple[PlanStage, ...]:
    stages: dict[Stage, PlanStage] = {}
    for kind, wanted in _NEEDS.items():
        if kind == "build-model" and values["model.random_weights"] is None:
            continue
        needs = tuple(stage for stage in wanted if stage in stages)
        reads = {path: value for path, value in values.items() if kind in settings.settings[path].leaf.key.reads}
        key = digest(
            {
                "kind": kind,
                "version": STAGE_VERSIONS[kind],
                "reads": reads,
                "inputs": inputs[kind],
                "needs": {stage: stages[stage].key for stage in needs},
            }
        )
        stages[kind] = PlanStage(id=kind, needs=needs, reads=reads, inputs=inputs[kind], key=key)
    return tuple(stages.values())


def execution(settings: Resolved, root: str) -> Execution:
    """Collect what may differ when the run is resumed.

    Args:
        settings: Settings without errors.
        root: Absolute folder at which relative paths start.
    """
    suffix = motion_suffix(settings)
    prompts = dict(settings["validation.prompt_library"])
    if settings["validation.prompt"]:
        prompts = {MAIN: settings["validation.prompt"], **prompts}
    return Execution(
        settings=by_impact(settings, ("runtime", "cosmetic")),
        root=root,
        prompts=tuple(Prompt(nickname=name, text=text + suffix) for name, text in prompts.items()),
        negative_prompt=settings["validation.negative_prompt"],
    )
