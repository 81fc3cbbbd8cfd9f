"""Settings and what follows from them as JSON values."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from recipe_compiler.diagnostics.diagnostic import Diagnostic
from recipe_compiler.diagnostics.render_json import FORMAT_VERSION, to_json
from recipe_compiler.passes.figures import fates, figures, left_out
from recipe_compiler.subject import Record, Stated, Subject


def as_json(subject: Subject, found: Sequence[Diagnostic], settings: Sequence[Stated]) -> dict[str, Any]:
    """Return a recipe or a plan as JSON values.

    Args:
        subject: The recipe or plan.
        found: Findings about it.
        settings: Those of its settings that are to be told of.
    """
    document: dict[str, Any] = {
        **to_json(found),
        "format_version": FORMAT_VERSION,
        "settings": {stated.path: _setting(stated) for stated in settings},
    }
    plan, rows = subject.plan, subject.rows
    if plan is not None and rows is not None:
        document["plan_id"] = plan.plan_id
        document["schedule"] = asdict(plan.body.schedule)
        document["buckets"] = [{"name": b.name, **asdict(b)} for b in plan.body.buckets]
        document["clips"] = plan.meta["clips"]
        document["estimate"] = plan.meta["estimate"]
        document["figures"] = asdict(figures(plan, rows, subject.family))
    elif rows is not None:
        document["clips"] = fates(rows)
        document["figures"] = {"fates": fates(rows), "left_out": [asdict(group) for group in left_out(rows)]}
    return document


def _setting(stated: Stated) -> dict[str, Any]:
    key = stated.leaf.key if stated.leaf is not None else None
    return {
        "value": stated.value,
        "unit": key.unit if key is not None else None,
        "origin": origin_json(stated.origin),
        "shadowed": [{"value": value, "origin": origin_json(origin)} for value, origin in stated.shadowed],
        "ignored": stated.ignored,
        "impact": stated.impact,
        "read_by": list(key.reads) if key is not None else [],
    }


def origin_json(origin: Record) -> dict[str, Any]:
    """Return an origin as a JSON value."""
    return {"detail": "", **origin}
