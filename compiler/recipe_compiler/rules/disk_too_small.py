"""Checkpoints need more room than the disk has.

What it does: before a plan or a run, compares the checkpoints that are kept, and the one that is being written, with the
free space where `output_dir` is. What an earlier run left there counts as free. The sizes are those of
`recipe plan`'s estimate. It warns; `recipe run` refuses.

Why it hurts: a disk that is full stops a run in the middle of a checkpoint.

Example:
    checkpoints:
      step_interval: 1
      total_limit: null

Use instead:
    checkpoints:
      step_interval: 5
      total_limit: 1
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


LIMIT, INTERVAL, STEPS, FOLDER = (
    "checkpoints.total_limit",
    "checkpoints.step_interval",
    "train.max_steps",
    "output_dir",
)
SHAPES = ("model.type", "model.random_weights", "model.pretrained_model_name_or_path", "optimizer.name", "ema.enabled")


def check(facts: Facts) -> Iterator[Finding]:
    """Compare sizes, where they are known: of the published model or a small one, all of it trained by AdamW."""
    # Only before a run is there something to count.
    from recipe_compiler.passes.estimate import checkpoint_bytes, checkpoint_count  # noqa: PLC0415

    settings = facts.settings
    known = settings[SHAPES[1]] is not None or settings[SHAPES[2]] == settings.family.default("model_id")
    if settings[STEPS] is None or not known or (settings[SHAPES[0]], settings[SHAPES[3]]) != ("full", "adamw"):
        return
    folder = facts.root / settings[FOLDER]
    free = facts.machine.free_bytes(folder)
    values = settings.values()
    count, size = (
        checkpoint_count(values, settings[STEPS]),
        int(checkpoint_bytes(values, settings.family.transformer(values["model.random_weights"]))),
    )
    if free is None or count * size <= free + facts.machine.used_bytes(folder / "checkpoints"):
        return
    what = f"a checkpoint of {_shown(size)} needs" if count == 1 else f"{count} checkpoints of {_shown(size)} need"
    yield Finding(
        at=next((path for path in (LIMIT, FOLDER) if settings.given(path)), LIMIT),
        message=f"{what} {_shown(count * size)}, and {_shown(free)} are free for `{settings[FOLDER]}`",
        help="keep fewer with `checkpoints.total_limit`, save less often, or name another disk in `output_dir`",
        severity="error" if facts.starts_here else "warning",
        also=tuple((path, "counted here") for path in (INTERVAL, STEPS) if settings.given(path)),
    )


def _shown(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"  # noqa: PLR2004 - a gigabyte


RULE = Rule(
    code="R805",
    name="disk-too-small",
    severity="warning",
    reads=(LIMIT, INTERVAL, STEPS, FOLDER, *SHAPES),
    check=check,
    page=__doc__,
)
