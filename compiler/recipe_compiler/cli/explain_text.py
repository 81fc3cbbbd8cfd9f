"""Settings, keys and clips in words."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from recipe_compiler.cli.findings import print_json
from recipe_compiler.cli.plan_text import clips_text, cost_text
from recipe_compiler.diagnostics.render_json import FORMAT_VERSION, to_json
from recipe_compiler.pipeline import Compiled, make_plan
from recipe_compiler.rules.wording import reasons
from recipe_compiler.settings import Origin, Resolved, Setting
from recipe_compiler.suggest import near
from recipe_schema.exits import Exit
from recipe_schema.ledger import ClipRow
from recipe_schema.plan import Schedule


_VALUE_WIDTH = 56
_IMPACTS = {
    "result": "shapes the trained weights: part of the plan id",
    "runtime": "may differ when a run is resumed",
    "cosmetic": "a name, without effect on the run",
}


def origin_text(origin: Origin) -> str:
    """Say where a value came from, in a few words."""
    words = {
        "recipe": "",
        "fragment": "",
        "override": "",
        "template": f"template {origin.detail} at ",
        "default": "default",
        "family": f"family default of {origin.detail}",
        "derived": f"derived: {origin.detail}",
    }
    return words[origin.kind] + (str(origin.span) if origin.span is not None else "")


def value_text(setting: Setting) -> str:
    """Write a value, with its unit."""
    return _plain(setting.value) + (
        f" {setting.leaf.key.unit}" if setting.leaf.key.unit and setting.value is not None else ""
    )


def _plain(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return ", ".join(_plain(item) for item in value)
    return str(value) if value != "" else '""'


def all_settings(compiled: Compiled) -> str:
    """Show every setting with its origin, then what follows from them."""
    assert compiled.settings is not None
    lines: list[str] = []
    section = ""
    for setting in compiled.settings.settings.values():
        above, _, name = setting.path.rpartition(".")
        if above != section:
            section = above
            lines += ["", section]
        lines += _setting_lines(setting, name, "  " if section else "")
    return "\n".join([*lines, "", *_figures(compiled)]).lstrip("\n")


def _setting_lines(setting: Setting, name: str, indent: str) -> list[str]:
    text = f"{indent}{name} = {value_text(setting)}"
    where = origin_text(setting.origin)
    if setting.ignored is not None:
        where = f"{where}; ignored, because {setting.ignored}"
    if len(text) > _VALUE_WIDTH:
        return [text, f"{'':{_VALUE_WIDTH}}  ← {where}"]
    return [f"{text:{_VALUE_WIDTH}}  ← {where}"]


def _figures(compiled: Compiled) -> list[str]:
    """Say what follows from the settings and the data."""
    settings, survey = compiled.settings, compiled.survey
    assert settings is not None
    if not compiled.ok:
        return ["What follows from these settings is left out: the recipe has errors."]
    if survey is None or not survey.buckets:
        return ["What follows from the data is left out: nobody looked, or there are no clips."]
    plan = make_plan(compiled)
    schedule = plan.body.schedule
    lines = ["what follows", f"  clips      {clips_text(plan.meta['clips'])}"]
    left_out = [row for row in survey.rows if row.fate not in ("trained", "disabled")]
    if left_out:
        lines.append(f"             left out: {reasons(left_out)}")
    for bucket in plan.body.buckets:
        size = (bucket.width, bucket.height, bucket.frames)
        shape = "×".join(str(n) for n in settings.family.latent_shape(*size))
        lines.append(
            f"  bucket     {bucket.name}: {bucket.clips} clips, {bucket.samples} samples an epoch; latents {shape}, "
            f"{settings.family.tokens(*size):,} tokens"
        )
    lines += [
        f"  batch      {schedule.samples_per_step} samples a step",
        f"  epoch      {schedule.samples_per_epoch} samples, {schedule.samples_per_epoch / schedule.samples_per_step:g} steps",
        f"  training   {schedule.max_steps:,} steps, {_epochs(schedule):.3g} epochs",
        *(f"  {line}" for line in cost_text(plan.meta["estimate"])),
        f"  plan       {plan.plan_id}",
    ]
    return lines


def _epochs(schedule: Schedule) -> float:
    return schedule.max_steps * schedule.samples_per_step / schedule.samples_per_epoch


def one_key(setting: Setting) -> str:
    """Tell all about one setting."""
    key = setting.leaf.key
    rows = [("type", setting.leaf.spec.words()), ("from", origin_text(setting.origin))]
    rows += [("replaced", f"{_plain(value)} at {origin_text(origin)}") for value, origin in setting.shadowed]
    if setting.ignored is not None:
        rows.append(("ignored", f"because {setting.ignored}"))
    rows.append(("read by", ", ".join(key.reads) or "nothing"))
    rows.append(("impact", _IMPACTS[key.impact]))
    if key.aka is not None:
        rows.append(("SimpleTuner", key.aka))
    table = "\n".join(f"  {name:<12}{text}" for name, text in rows)
    return f"{setting.path} = {value_text(setting)}\n\n  {key.doc}\n\n{table}"


def unknown_key(settings: Resolved, key: str) -> str:
    """Say that there is no such setting, and which one may be meant."""
    meant = near(key, settings.settings) or next((p for p in settings.settings if p.rpartition(".")[2] == key), None)
    return f"error: there is no setting `{key}`" + (f"; did you mean `{meant}`?" if meant else "")


def as_json(compiled: Compiled, key: str | None) -> dict[str, Any]:
    """Return settings and what follows from them as JSON values."""
    assert compiled.settings is not None
    chosen = compiled.settings.settings
    if key is not None:
        chosen = {key: chosen[key]}
    document: dict[str, Any] = {
        **to_json(compiled.found),
        "format_version": FORMAT_VERSION,
        "settings": {path: _setting_json(setting) for path, setting in chosen.items()},
    }
    if compiled.ok and compiled.survey is not None and compiled.survey.buckets:
        plan = make_plan(compiled)
        document["plan_id"] = plan.plan_id
        document["schedule"] = asdict(plan.body.schedule)
        document["buckets"] = [{"name": b.name, **asdict(b)} for b in plan.body.buckets]
        document["clips"] = plan.meta["clips"]
        document["estimate"] = plan.meta["estimate"]
    return document


def _setting_json(setting: Setting) -> dict[str, Any]:
    key = setting.leaf.key
    return {
        "value": setting.value,
        "unit": key.unit,
        "origin": _origin_json(setting.origin),
        "shadowed": [{"value": value, "origin": _origin_json(origin)} for value, origin in setting.shadowed],
        "ignored": setting.ignored,
        "impact": key.impact,
        "read_by": list(key.reads),
    }


def _origin_json(origin: Origin) -> dict[str, Any]:
    span = origin.span
    place = {} if span is None else {"file": span.source.name, "line": span.line, "column": span.column}
    return {"kind": origin.kind, **place, "detail": origin.detail}


def clip(compiled: Compiled, name: str, output: str) -> int:
    """Tell what becomes of one clip."""
    settings, survey = compiled.settings, compiled.survey
    assert settings is not None
    if survey is None:
        print("error: the data sets were not looked at", file=sys.stderr)
        return Exit.FINDINGS
    folders = {
        settings[f"{t}.id"]: compiled.root / settings[f"{t}.instance_data_dir"]
        for t in settings.tables("data.datasets")
    }
    wanted = Path(name).absolute()
    rows = [r for r in survey.rows if name in (r.path, r.clip_id) or (folders[r.dataset] / r.path).absolute() == wanted]
    if not rows:
        meant = near(name, [row.path for row in survey.rows])
        print(f"error: no data set holds `{name}`" + (f"; did you mean `{meant}`?" if meant else ""), file=sys.stderr)
        return Exit.USAGE
    if output == "json":
        print_json({"format_version": FORMAT_VERSION, "clips": [asdict(row) for row in rows]})
    else:
        print("\n\n".join(_clip_text(row) for row in rows))
    return Exit.OK


def _clip_text(row: ClipRow) -> str:
    rows = [("fate", row.fate + (f": {row.reason}" if row.reason else ""))]
    if row.codec:
        rows.append(
            (
                "file",
                f"{row.width}x{row.height}, {row.frames} frames at {row.fps:.4g} fps ({row.seconds:.2f} s), {row.codec}",
            )
        )
    if row.bucket_width:
        window = (
            f"{row.bucket_frames} of {row.frames_at_rate} frames at {row.framerate:g} fps, from {row.start_seconds:g} s"
        )
        scale = f"resized to {row.resize_width}x{row.resize_height}, cropped at {row.crop_left},{row.crop_top}"
        rows += [("bucket", f"{row.bucket}: {scale}"), ("window", window)]
    if row.text:
        rows += [
            ("caption", row.caption),
            ("encoded", row.text),
            ("repeats", f"{row.repeats}: seen {row.repeats + 1} times an epoch"),
        ]
    if row.sha256:
        rows.append(("sha256", row.sha256))
    return f"{row.clip_id}\n" + "\n".join(f"  {name:<9}{text}" for name, text in rows)
