"""``recipe report``: a run as one HTML file, which needs nothing beside itself and no network."""

import base64
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jinja2

from recipe_runtime.durations import format_duration, format_rate
from recipe_runtime.errors import RunError
from recipe_runtime.exported import EXPORT_FOLDER, MARKER
from recipe_runtime.ledgerfile import read_ledger
from recipe_runtime.pages.curve import Line, Points, chart, smoothed
from recipe_runtime.pages.facts import PLAN_FOLDER, facts_of_run, plan_of
from recipe_runtime.pages.files import MEDIA_TYPES, clip_file
from recipe_runtime.pages.story import Story, story_of
from recipe_runtime.pages.tail import read_all
from recipe_runtime.push.card import model_card
from recipe_schema.files import write_atomically
from recipe_schema.plan import Plan


_HERE = Path(__file__).parent
_COLORS = ("var(--p1)", "var(--p5)", "var(--p3)", "var(--p4)", "var(--p2)")
_SMOOTH = 0.9
_SILENT = timedelta(minutes=5)
"""A run that was not finished and said nothing for so long may be dead, as on the page of ``recipe watch``."""
_BINS = 10
"""Parts of the noise levels from 0 to 1, of which each has the mean loss of the steps that fall into it."""


def write_report(run_dir: Path, target: Path, *, steps: int) -> None:
    """Write the report of a run.

    Args:
        run_dir: The run directory. Nothing is written there, unless ``target`` lies in it.
        target: The file.
        steps: Of so many steps clips are embedded: the first, the last, and what lies evenly between.

    Raises:
        RunError: The run has no events, or the file can't be written.
    """
    events = read_all(run_dir)
    if not events:
        raise RunError(f"{run_dir} holds no events of a run; name a run directory, which has an events.jsonl")
    page = render(run_dir, events, steps=steps)
    try:
        write_atomically(target, page.encode())
    except OSError as error:
        raise RunError(f"{target} can't be written: {error}; name another place with -o") from error


def render(run_dir: Path, events: Iterable[Mapping[str, Any]], *, steps: int) -> str:
    """Return the page. See `write_report`."""
    story, plan, facts = story_of(events), plan_of(run_dir), facts_of_run(run_dir)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string((_HERE / "report.html").read_text(encoding="utf-8")).render(
        css=(_HERE / "page.css").read_text(encoding="utf-8"),
        story=story,
        state="silent" if _is_silent(story) else story.state,
        plan=facts,
        cards=_cards(story, facts),
        charts=_charts(story),
        stages=[(stage, format_duration(seconds)) for stage, seconds in story.stages.items()],
        clips=_clips(run_dir, story, steps),
        left_out=[] if plan is None else _left_out(run_dir),
        card=None if plan is None else _card(run_dir, plan, story),
    )


def _is_silent(story: Story) -> bool:
    return story.state == "running" and story.last < (datetime.now(UTC) - _SILENT).isoformat()


def _cards(story: Story, facts: Mapping[str, Any] | None) -> list[tuple[str, str, str]]:
    """Return what stands in large letters: a title, a figure, and what it means."""
    last = max(story.steps, default=0)
    cards = [("steps", f"{last:,}", f"of {story.max_steps:,}")]
    if story.steps:
        losses = smoothed([(step, event["loss"]) for step, event in sorted(story.steps.items())], _SMOOTH)
        seconds = sorted(event["seconds"] for event in story.steps.values())
        cards.append(("loss", f"{losses[-1][1]:.4f}" if losses else "–", "mean of the last steps"))
        cards.append(("speed", format_rate(seconds[len(seconds) // 2]), "median"))
    cards += _figures(story)
    if story.memory is not None:
        what = "on the device" if story.memory["where"] == "cuda" else "of the whole process, libraries included"
        expected = "" if facts is None else f"; {gigabytes(facts['estimate']['memory_gb'])} predicted for the device"
        cards.append(("memory at most", gigabytes(story.memory["gb"]), what + expected))
    cards.append(("time", format_duration(_seconds(story)), "of the stages that were finished"))
    return cards


def _figures(story: Story) -> list[tuple[str, str, str]]:
    """Return a card for each data set that was measured, of the average of the weights where there is one."""
    datasets = sorted({dataset for dataset, _, _ in story.evaluations})
    cards = []
    for dataset in datasets:
        kinds = {weights for name, weights, _ in story.evaluations if name == dataset}
        wanted = "ema" if "ema" in kinds else "model"
        events = [
            event for (name, weights, _), event in story.evaluations.items() if (name, weights) == (dataset, wanted)
        ]
        last, best = max(events, key=lambda event: event["step"]), min(events, key=lambda event: event["loss"])
        name = "evaluation loss" if len(datasets) == 1 else f"evaluation loss, {dataset}"
        whose = "of the average, " if wanted == "ema" else ""
        cards.append((name, f"{last['loss']:.4f}", f"{whose}at best {best['loss']:.4f}, at step {best['step']}"))
    return cards


def _seconds(story: Story) -> float:
    """Add up the stages. Validation is a part of training."""
    return sum(seconds for stage, seconds in story.stages.items() if stage != "validate")


def _charts(story: Story) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Return title, SVG and legend of each chart that has something to show."""
    steps = sorted(story.steps.items())

    def of(name: str) -> Points:
        return [(step, event[name]) for step, event in steps]

    evaluated, by_level = _evaluations(story)
    drawn = [
        (
            "Loss",
            [
                Line(name="each step", points=of("loss"), color=_COLORS[0], faint=True),
                Line(name="smoothed", points=smoothed(of("loss"), _SMOOTH), color=_COLORS[0]),
            ],
            "step",
        ),
        ("Evaluation loss", evaluated, "step"),
        ("Evaluation loss by noise level", by_level, "σ"),
        (
            "Training loss by noise level",
            [Line(name="all steps", points=_by_level(steps), color=_COLORS[0], dotted=True)],
            "σ",
        ),
        ("Learning rate", [Line(name="learning rate", points=of("learning_rate"), color=_COLORS[0])], "step"),
        ("Gradient norm", [Line(name="before clipping", points=of("grad_norm"), color=_COLORS[0])], "step"),
        (
            "Seconds a step",
            [
                Line(name="whole step", points=of("seconds"), color=_COLORS[0]),
                Line(name="waiting for data", points=of("data_seconds"), color=_COLORS[1]),
            ],
            "step",
        ),
    ]
    if story.aligned:
        points = [(step, event["similarity"]) for step, event in sorted(story.aligned.items())]
        drawn.append(("Similarity to the teacher", [Line(name="similarity", points=points, color=_COLORS[2])], "step"))
    charts = [(title, chart(lines, across=across), lines) for title, lines, across in drawn]
    return [(title, svg, [(line.name, line.color) for line in lines]) for title, svg, lines in charts if svg]


def _evaluations(story: Story) -> tuple[list[Line], list[Line]]:
    """Return the evaluation loss over steps, and that of the first and last step over noise levels."""
    series: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for (dataset, weights, _), event in sorted(story.evaluations.items(), key=lambda item: item[0][2]):
        series.setdefault((dataset, weights), []).append(event)
    over_steps, over_levels = [], []
    for number, ((dataset, weights), events) in enumerate(series.items()):
        name = dataset + (", average" if weights == "ema" else "")
        color = _COLORS[number % len(_COLORS)]
        points = [(event["step"], event["loss"]) for event in events]
        over_steps.append(Line(name=name, points=points, color=color, dotted=True))
        for event in events if len(events) == 1 else (events[0], events[-1]):
            levels = sorted(zip(event["sigmas"], event["losses"], strict=True))
            faint = event is events[0] and len(events) > 1
            over_levels.append(Line(name=f"{name}, step {event['step']}", points=levels, color=color, faint=faint))
    return over_steps, over_levels


def _by_level(steps: Sequence[tuple[int, Mapping[str, Any]]]) -> Points:
    """Return the mean loss of the steps whose mean noise level falls into each part of 0 to 1."""
    parts: dict[int, list[float]] = {}
    for _, event in steps:
        parts.setdefault(min(int(event["sigma"] * _BINS), _BINS - 1), []).append(event["loss"])
    return [((part + 0.5) / _BINS, sum(losses) / len(losses)) for part, losses in sorted(parts.items())]


def _clips(run_dir: Path, story: Story, steps: int) -> dict[str, Any]:
    """Return the gallery: its steps, of each prompt what there is at each of them, and its sheet of all steps."""
    every = sorted({event["step"] for event in story.clips.values()})
    chosen = evenly(every, steps)
    rows: dict[str, dict[int, dict[str, Any]]] = {}
    for path, event in story.clips.items():
        if event["step"] in chosen:
            row = {"path": path, "data": _embedded(run_dir, path), "sheet": _embedded(run_dir, event.get("sheet", ""))}
            rows.setdefault(Path(path).stem, {})[event["step"]] = row
    sheets = {name: _embedded(run_dir, event["path"]) for name, event in story.sheets.items()}
    return {"steps": chosen, "rows": rows, "left_out": len(every) - len(chosen), "sheets": sheets}


def evenly(values: Sequence[int], count: int) -> list[int]:
    """Return so many of some values at most: the first, the last, and what lies evenly between."""
    if len(values) <= count:
        return list(values)
    if count < 2:
        return list(values[len(values) - count :])
    return [values[round(place * (len(values) - 1) / (count - 1))] for place in range(count)]


def _embedded(run_dir: Path, path: str) -> str | None:
    """Return a clip or a sheet as a data URI; None if it is not there any more."""
    file = clip_file(run_dir, path)
    if file is None:
        return None
    return f"data:{MEDIA_TYPES[file.suffix]};base64,{base64.b64encode(file.read_bytes()).decode()}"


def _left_out(run_dir: Path) -> list[tuple[str, str, int, str]]:
    """Return why files were not trained: fate, reason, their number, and one of them."""
    try:
        rows = read_ledger(run_dir / PLAN_FOLDER)
    except RunError:
        return []
    counted: Counter[tuple[str, str]] = Counter()
    named: dict[tuple[str, str], str] = {}
    for row in rows:
        if row.fate != "trained":
            counted[row.fate, row.reason] += 1
            named.setdefault((row.fate, row.reason), row.path)
    return [(fate, reason, count, named[fate, reason]) for (fate, reason), count in counted.most_common(20)]


def _card(run_dir: Path, plan: Plan, story: Story) -> str | None:
    export = run_dir / EXPORT_FOLDER
    if not (export / MARKER).is_file():
        return None
    repository = story.pushed[-1]["repository"] if story.pushed else "OWNER/NAME"
    try:
        return model_card(plan, export, repository)
    except (OSError, ValueError, KeyError):
        return None


def gigabytes(amount: float) -> str:
    """Write gigabytes as people do."""
    return f"{amount:.2f} GB" if amount >= 1 else f"{amount * 1000:.0f} MB"
