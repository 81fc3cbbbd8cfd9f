"""The plan on disk: ``NAME.plan/plan.json``. This module alone knows its JSON."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from recipe_schema.canonical import canonical_json, digest
from recipe_schema.files import write_atomically
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


PLAN_FILE = "plan.json"
LEDGER_FILE = "ledger.parquet"


class PlanError(Exception):
    """A plan that can't be used. The message says why, in one sentence."""


class PlanVersionError(PlanError):
    """A plan of another version."""


class PlanChangedError(PlanError):
    """A plan that was edited after it was frozen."""


def plan_id(body: Body) -> str:
    """Return the id of a plan: the digest of its body."""
    return digest(_body(body))


def _body(body: Body) -> dict[str, Any]:
    """Return a body as JSON values. What few plans have is left out where it is empty: the others keep their ids."""
    document = asdict(body)
    for bucket in document["buckets"]:
        if bucket["batch_size"] is None:
            del bucket["batch_size"]
    if not document["schedule"]["phases"]:
        del document["schedule"]["phases"]
    return document


def write_plan(plan: Plan, folder: Path) -> None:
    """Write ``plan.json`` atomically into ``folder``, which is made if it is not there."""
    document: dict[str, Any] = {"plan_version": PLAN_VERSION, **asdict(plan), "body": _body(plan.body)}
    document["digest"] = digest(document)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / PLAN_FILE, canonical_json(document).encode() + b"\n")


def read_plan(folder: Path) -> Plan:
    """Read and verify a plan.

    Raises:
        PlanError: There is none, it has another version, or it was changed after it was frozen.
    """
    path = folder / PLAN_FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise PlanError(f"{path} does not exist; make a plan with `recipe plan RECIPE`") from None
    except (ValueError, RecursionError) as error:
        raise PlanError(f"{path} is not a plan: {error}; make it anew with `recipe plan RECIPE`") from None
    if not isinstance(document, dict) or "plan_version" not in document:
        raise PlanError(f"{path} is not a plan; make one with `recipe plan RECIPE`")
    if document["plan_version"] != PLAN_VERSION:
        raise PlanVersionError(
            f"{path} has plan version {document['plan_version']} and this tool reads version {PLAN_VERSION}; "
            "make it anew with `recipe plan RECIPE`"
        )
    stated = document.pop("digest", None)
    if stated is None or stated != _digest(document):
        raise PlanChangedError(f"{path} was changed after it was frozen; make it anew with `recipe plan RECIPE`")
    plan = _plan(document)
    if plan.plan_id != plan_id(plan.body):
        raise PlanChangedError(f"{path} states another id than its body has; make it anew with `recipe plan RECIPE`")
    return plan


def _digest(document: dict[str, Any]) -> str | None:
    """Return the digest of what was read; None if it holds a number that a plan never has."""
    try:
        return digest(document)
    except ValueError:
        return None


def _plan(document: dict[str, Any]) -> Plan:
    body, execution = document["body"], document["execution"]
    return Plan(
        plan_id=document["plan_id"],
        body=Body(
            settings=body["settings"],
            facts=body["facts"],
            buckets=tuple(Bucket(**bucket) for bucket in body["buckets"]),
            schedule=_schedule(body["schedule"]),
            ledger_digest=body["ledger_digest"],
            stages=tuple(PlanStage(**{**stage, "needs": tuple(stage["needs"])}) for stage in body["stages"]),
        ),
        execution=Execution(
            settings=execution["settings"],
            root=execution["root"],
            prompts=tuple(map(_prompt, execution["prompts"])),
            negative_prompt=execution["negative_prompt"],
        ),
        meta=document["meta"],
    )


def _prompt(prompt: dict[str, Any]) -> Prompt:
    image = prompt.get("image")  # plans from before there were pictures say nothing of them
    return Prompt(**{**prompt, "image": None if image is None else FirstImage(**image)})


def _schedule(document: dict[str, Any]) -> Schedule:
    phases = [Phase(**{**phase, "datasets": tuple(phase["datasets"])}) for phase in document.get("phases", ())]
    return Schedule(**{**document, "phases": tuple(phases)})
