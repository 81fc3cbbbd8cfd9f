"""A plan in words."""

from collections.abc import Iterator, Mapping
from typing import Any

from recipe_compiler.passes.figures import amount, disk_gb, disk_parts, steps_of
from recipe_schema.plan import Plan


def plan_text(plan: Plan) -> str:
    """Say what a plan will do and cost."""
    schedule, cost = plan.body.schedule, plan.meta["estimate"]
    samples = round(schedule.max_steps * schedule.samples_per_step)
    epochs = float(schedule.epochs(schedule.max_steps))
    lines = [
        f"{plan.name}  {plan.plan_id[:19]}",
        "",
        f"  clips      {clips_text(plan.meta['clips'])}",
        *(
            f"  bucket     {b.name}: {clips_of_bucket(b.clips, plan.meta['windows'][b.name])}, "
            f"{count_text(b.samples, 'sample')} an epoch, "
            f"{count_text(steps_of(b, plan), 'step')}"
            for b in plan.body.buckets
        ),
        *(f"  data sets  {line}" for line in phase_lines(plan)),
        (
            f"  training   {count_text(schedule.max_steps, 'step')} of {amount(schedule.samples_per_step)} = "
            f"{count_text(samples, 'sample')}, {count_text(epochs, 'epoch')}"
        ),
        f"  stages     {' → '.join(['preflight', *(stage.id for stage in plan.body.stages)])}",
        *(f"  {line}" for line in cost_text(cost)),
    ]
    for path, ignored in plan.meta["ignored"].items():
        lines.append(f"  ignored    {path} = {ignored['value']}: {ignored['reason']}")
    return "\n".join(lines)


def phase_lines(plan: Plan) -> Iterator[str]:
    """Say which data sets are in use at which steps, and which steps are of images, where there is something to say."""
    for phase in plan.body.schedule.phases:
        last = phase.first_step + phase.steps
        yield f"steps {phase.first_step + 1:,} to {last:,}, from epoch {phase.first_epoch + 1}: {', '.join(phase.datasets)}"
    interval = plan.settings["data.image_interval"]
    frames = {bucket.frames == 1 for bucket in plan.body.buckets}
    if interval is not None and len(frames) > 1:
        yield f"after every {count_text(interval, 'step')}, one of images"


def count_text(number: float, thing: str) -> str:
    """Count things: ``1 clip``, ``1,200 steps``, ``2.5 epochs`` to three digits."""
    shown = f"{number:,}" if isinstance(number, int) else f"{number:.3g}" if number < 1000 else f"{number:,.0f}"  # noqa: PLR2004
    return f"{shown} {thing}{'s' * (shown != '1')}"


def clips_of_bucket(clips: int, windows: int) -> str:
    """Count the clips of a bucket, and their windows where these are more."""
    return count_text(clips, "clip") + (f" in {count_text(windows, 'window')}" if windows != clips else "")


def clips_text(counts: Mapping[str, int]) -> str:
    """Count clips by fate: ``12 found: 10 trained, 2 filtered``."""
    total = sum(counts.values())
    return f"{total:,} found: " + ", ".join(f"{count:,} {fate}" for fate, count in counts.items())


def cost_text(cost: Mapping[str, Any]) -> list[str]:
    """Say what a plan costs, one line for each resource."""
    parts = ", ".join(f"{name} {size(value)}" for name, value in memory_parts(cost))
    compute = f"{flop(cost['train_pflop'])} to train"
    if cost.get("evaluation_pflop"):  # plans of older versions don't say
        compute += f", {flop(cost['evaluation_pflop'])} to measure"
    if cost["encode_pflop"]:
        compute += f", {flop(cost['encode_pflop'])} to encode"
    kept = {what: size(amount) for what, amount in disk_parts(cost).items()}
    drawn = []
    if cost.get("draw_pflop"):  # plans of earlier versions don't say
        drawn.append(
            f"drawing    {flop(cost['draw_pflop'])} for validation clips, about {cost['draw_share']:.0%} of the time"
        )
    return [
        f"memory     about {size(cost['memory_gb'])} in bucket {cost['largest_bucket']} ({parts})",
        *_main_memory(cost),
        f"compute    {compute}; a step is {flop(cost['step_tflop'] / 1000)}",
        f"disk       {size(disk_gb(cost))}: " + ", ".join(f"{what} {amount}" for what, amount in kept.items()),
        *drawn,
    ]


def _main_memory(cost: Mapping[str, Any]) -> list[str]:
    """Say what waits in main memory, where something does. Plans of earlier versions don't know."""
    parts = cost.get("main_memory_parts_gb", {})
    if not parts:
        return []
    each = ", ".join(f"{name} {size(value)}" for name, value in parts.items())
    return [f"main mem.  about {size(cost['main_memory_gb'])} in the first process ({each})"]


def memory_parts(cost: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Return the parts of the memory in GB, the largest first, without those that are zero."""
    parts = [(name, value) for name, value in cost["memory_parts_gb"].items() if value]
    return sorted(parts, key=lambda part: (-part[1], part[0]))


def size(gigabytes: float) -> str:
    """Write a size as people do."""
    if gigabytes >= 1:
        return f"{gigabytes:.1f} GB"
    return f"{gigabytes * 1000:.0f} MB" if gigabytes >= 0.001 else f"{gigabytes * 1e6:.0f} kB"  # noqa: PLR2004


def flop(peta: float) -> str:
    """Write a number of operations as people do."""
    for factor, unit in ((1e-3, "EFLOP"), (1, "PFLOP"), (1e3, "TFLOP")):
        if peta * factor >= 1:
            return f"{peta * factor:,.1f} {unit}"
    return f"{peta * 1e6:,.1f} GFLOP"
