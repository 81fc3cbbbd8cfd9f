"""Training is to go on from a step of which the run can have no checkpoint.

What it does: compares `checkpoints.resume`, where it is a step, with `train.max_steps`.

Why it hurts: checkpoints lie after the first step and up to the last one. The run is refused when it starts.

Example:
    train:
      max_steps: 500
    checkpoints:
      resume: "600"

Use instead:
    train:
      max_steps: 500
    checkpoints:
      resume: "400"
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


RESUME, STEPS = "checkpoints.resume", "train.max_steps"


def check(facts: Facts) -> Iterator[Finding]:
    """Look whether the step lies in training."""
    asked, last = facts.settings[RESUME], facts.settings[STEPS]
    if not asked.isdecimal():
        return
    step = int(asked)
    if step == 0:
        yield Finding(
            at=RESUME,
            message="`resume: 0` asks for the beginning, of which there is no checkpoint",
            help="name another `output_dir` to train anew, or write `resume: latest`",
        )
    elif last is not None and step > last:
        yield Finding(
            at=RESUME,
            message=f"`resume: {step}` lies behind the end of training, step {last:,}",
            help=f"take a step up to {last:,}, write `resume: latest`, or train longer",
            also=((STEPS, "training ends here"),) if facts.settings.given(STEPS) else (),
        )


RULE = Rule(
    code="R510",
    name="resume-step-impossible",
    severity="error",
    reads=(RESUME, STEPS),
    check=check,
    page=__doc__,
)
