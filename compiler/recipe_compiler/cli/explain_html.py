"""A recipe or a plan as one HTML page, which needs nothing beside itself."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from recipe_compiler import __version__
from recipe_compiler.cli.figures_text import batch_text, epoch_text, samples_text, training_text
from recipe_compiler.cli.plan_text import clips_of_bucket, flop, memory_parts, size
from recipe_compiler.cli.setting_text import IMPACTS, origin_text, plain, value_text
from recipe_compiler.diagnostics.diagnostic import Diagnostic
from recipe_compiler.diagnostics.render_text import render_text, summary
from recipe_compiler.passes.figures import Figures, amount, disk_parts, figures
from recipe_compiler.subject import Stated, Subject
from recipe_schema.definition import Leaf, Section, Table, definition


_TEMPLATE = Path(__file__).parent / "explain.html"
_NAMED = 20
"""Findings that are shown in full; the rest are counted."""
_QUOTED = re.compile(r" *[0-9]* +\|")
"""How lines of the recipe begin, and those of carets."""


def as_html(subject: Subject, found: Sequence[Diagnostic], settings: Sequence[Stated]) -> str:
    """Return the page.

    Args:
        subject: A recipe or a plan.
        found: Findings about it.
        settings: Those of its settings that are shown.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    plan, rows = subject.plan, subject.rows
    counted = figures(plan, rows, subject.family) if plan is not None and rows is not None else None
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        title=str(subject.value("name")),
        description=str(subject.value("description")),
        source=subject.name,
        kind=subject.kind,
        version=__version__,
        plan_id=plan.plan_id if plan is not None else None,
        missing=subject.unplanned or "the ledger can't be used",
        status=summary(found) or "no findings",
        worst=min((d.severity for d in found), default="fine"),
        findings=[{"severity": d.severity, "lines": _lines(render_text([d], color=False))} for d in found[:_NAMED]],
        more_findings=max(len(found) - _NAMED, 0),
        sections=_sections(subject, settings),
        left_out=len(subject.settings) - len(settings),
        data=None if plan is None or counted is None else _data(counted, plan.meta["estimate"]),
    )


def _sections(subject: Subject, settings: Sequence[Stated]) -> list[dict[str, Any]]:
    """Group settings by section, in the order in which they come."""
    sections: dict[str, list[dict[str, Any]]] = {}
    for stated in settings:
        above, _, name = stated.path.rpartition(".")
        sections.setdefault(above, []).append(_row(subject, stated, name))
    return [{"path": path, "doc": _doc(path), "rows": rows} for path, rows in sections.items()]


def _doc(path: str) -> str:
    """Return what the language says of a section; a plain sentence for the keys that are in none."""
    if not path:
        return "What stands at the top of a recipe."
    node: Leaf | Section | Table | None = definition()
    for part in path.split("."):
        children = node.children if isinstance(node, Section) else {}
        node = node.item if isinstance(node, Table) else children.get(part)
    return node.doc if isinstance(node, Section) else "This version of the language does not have it."


def _row(subject: Subject, stated: Stated, name: str) -> dict[str, Any]:
    key = stated.leaf.key if stated.leaf is not None else None
    facts = [("impact", IMPACTS[stated.impact])]
    if stated.leaf is not None and key is not None:
        facts.insert(0, ("type", stated.leaf.spec.words()))
        facts.append(("read by", ", ".join(key.reads) or "nothing"))
        if key.aka is not None:
            facts.append(("SimpleTuner", key.aka))
    return {
        "name": name,
        "value": value_text(stated),
        "doc": key.doc if key is not None else "",
        "facts": facts,
        "kind": stated.origin["kind"],
        "origin": " · ".join(
            filter(None, (stated.origin.get("detail", ""), origin_text({**stated.origin, "kind": ""})))
        ),
        "replaced": [(plain(value), origin_text(origin)) for value, origin in stated.shadowed],
        "ignored": stated.ignored,
        "usual": subject.is_usual(stated),
    }


def _lines(text: str) -> list[dict[str, Any]]:
    """Tell lines of the recipe, and the carets below them, from sentences: those must not be wrapped."""
    return [{"text": line, "quoted": _QUOTED.match(line) is not None} for line in text.splitlines()]


def _step_parts(counted: Figures) -> str:
    """Say what multiplies to a step's samples."""
    processes = f" × {counted.processes}" if counted.processes > 1 else ""
    sizes = sorted({bucket.batch_size for bucket in counted.buckets})
    return f"{' or '.join(map(str, sizes))} × {counted.accumulation}{processes}"


def _data(counted: Figures, cost: dict[str, Any]) -> dict[str, Any]:
    """Write the figures for the page."""
    most = max(bucket.samples for bucket in counted.buckets)
    parts = dict(memory_parts(cost))
    return {
        "cards": [
            ("clips trained", f"{counted.fates['trained']:,}", f"of {sum(counted.fates.values()):,} found"),
            ("steps", f"{counted.max_steps:,}", samples_text(counted)),
            ("samples a step", amount(counted.samples_per_step), _step_parts(counted)),
            ("memory", size(cost["memory_gb"]), f"in bucket {cost['largest_bucket']}"),
            ("training", flop(cost["train_pflop"]), f"{flop(cost['step_tflop'] / 1000)} a step"),
            ("disk", size(counted.disk_gb), "written by the run"),
        ],
        "fates": list(counted.fates.items()),
        "groups": [
            *(("left out, ", "bad", group) for group in counted.left_out),
            *(("trained, but ", "odd", group) for group in counted.notable),
        ],
        "buckets": [
            {
                "figures": bucket,
                "clips": clips_of_bucket(bucket.clips, bucket.windows),
                "samples": amount(bucket.samples),
                "bar": round(100 * bucket.samples / most, 1),
                "shape": " × ".join(str(n) for n in bucket.latent_shape),
            }
            for bucket in counted.buckets
        ],
        "batch": batch_text(counted),
        "epoch": epoch_text(counted),
        "training": training_text(counted),
        "measuring": flop(cost["evaluation_pflop"]) if cost.get("evaluation_pflop") else None,
        "encoding": flop(cost["encode_pflop"]) if cost["encode_pflop"] else None,
        "drawing": f"{flop(cost['draw_pflop'])}, about {cost['draw_share']:.0%} of the time"
        if cost.get("draw_pflop")
        else None,
        "memory": [(name, size(gb), round(100 * gb / sum(parts.values()), 2)) for name, gb in parts.items()],
        "disk": [(what, size(amount)) for what, amount in disk_parts(cost).items()],
    }
