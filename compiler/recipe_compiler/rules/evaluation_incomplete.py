"""The loss is to be measured on clips that are not there, or clips are set apart and never measured.

What it does: compares the intervals of `evaluation` with what can be measured: data sets of `dataset_type: eval`, or the
share that `evaluation.fraction` sets apart. It also looks for the data set that `evaluation.dataset_id` names.

Why it hurts: clips that are set apart are not trained. Without an interval they are lost to both; without clips there
is no curve, and nobody learns so before the end.

Example:
    evaluation:
      step_interval: 5

Use instead:
    evaluation:
      step_interval: 5
      fraction: 0.25
"""

from collections.abc import Iterator

from recipe_compiler.rules.data_set_roles import ROLE_KEYS, TRAINED, ids, in_role
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.suggest import near


STEPS, EPOCHS = "evaluation.step_interval", "evaluation.epoch_interval"
FRACTION, ONLY = "evaluation.fraction", "evaluation.dataset_id"


def check(facts: Facts) -> Iterator[Finding]:
    """Compare what is to be measured with when."""
    settings = facts.settings
    if not in_role(settings, *TRAINED):
        return  # there is nothing to train, and something was said
    measured = in_role(settings, "eval")
    interval = next((path for path in (STEPS, EPOCHS) if settings[path] is not None), None)
    source = FRACTION if settings[FRACTION] is not None else f"{measured[0]}.dataset_type" if measured else None
    if interval is not None and source is None:
        yield Finding(
            at=interval,
            message="the loss is to be measured, and no clips are set apart for it",
            help="set `evaluation.fraction`, such as 0.05, or add a data set with `dataset_type: eval`",
            severity="error",
        )
    elif interval is None and source is not None:
        yield Finding(
            at=source,
            message="clips are set apart for measuring, and nothing says when: they are never measured",
            help="set `evaluation.step_interval`",
        )
    if source is not None and settings[ONLY] is not None:
        yield from _named(facts, (*measured, *(in_role(settings, *TRAINED) if settings[FRACTION] else ())))


def _named(facts: Facts, tables: tuple[str, ...]) -> Iterator[Finding]:
    """Look for the data set that is to be measured alone."""
    name, known = facts.settings[ONLY], ids(facts.settings, tables)
    if name in known:
        return
    meant = near(name, known)
    yield Finding(
        at=ONLY,
        message=f"`evaluation.dataset_id` is `{name}`, and no data set of this id is measured",
        help=f"did you mean `{meant}`?"
        if meant
        else f"take {' or '.join(f'`{one}`' for one in known)}, or leave it out",
        fix=meant,
        severity="error",
    )


RULE = Rule(
    code="R416",
    name="evaluation-incomplete",
    severity="warning",
    reads=(STEPS, EPOCHS, FRACTION, ONLY, *ROLE_KEYS),
    check=check,
    page=__doc__,
)
