"""Lower: settings and survey become the body of a plan, with its stages."""

from collections.abc import Mapping, Sequence
from typing import Any

from recipe_compiler.data.captions import motion_suffix
from recipe_compiler.data.course import course
from recipe_compiler.data.facts import Survey
from recipe_compiler.rules.nickname_clash import MAIN
from recipe_compiler.settings import Resolved
from recipe_schema.canonical import digest
from recipe_schema.ledger import encoded_digest, ledger_digest
from recipe_schema.marks import Stage
from recipe_schema.plan import Body, Execution, PlanStage, Prompt


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
        "encode-video": {"clips": encoded_digest(survey.rows)},
        "train": {"ledger": ledger, "noise_schedule": digest(facts["noise_schedule"])},
        "export": {},
    }
    counted = course(settings.values(), survey.trained())
    return Body(
        settings=values,
        facts=facts,
        buckets=counted.buckets,
        schedule=counted.schedule,
        ledger_digest=ledger,
        stages=_stages(settings, values, inputs),
    )


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
        "vae": settings.family.vae(preset),
        "patch_size": raw["patch_size"],
        "instruction": "\n".join(raw["text"]["instructions"][settings["model.instruction"]]),
        "max_sequence_length": raw["text"]["max_sequence_length"],
        "null_caption": "",
        "noise_schedule": raw["noise_schedules"][settings["train.noise_schedule"]],
        "random_weights": raw["random_weights"][preset] if preset is not None else None,
    }


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


def execution(settings: Resolved, root: str, survey: Survey) -> Execution:
    """Collect what may differ when the run is resumed.

    Args:
        settings: Settings without errors.
        root: Absolute folder at which relative paths start.
        survey: The data.
    """
    suffix = motion_suffix(settings, settings["data.motion_score"])
    prompts = dict(settings["validation.prompt_library"])
    if settings["validation.prompt"]:
        prompts = {MAIN: settings["validation.prompt"], **prompts}
    return Execution(
        settings=by_impact(settings, ("runtime", "cosmetic")),
        root=root,
        prompts=tuple(
            Prompt(
                nickname=name,
                text=text + suffix,
                caption=text,
                image=survey.images[name].image if name in survey.images else None,
            )
            for name, text in prompts.items()
        ),
        negative_prompt=settings["validation.negative_prompt"],
    )
