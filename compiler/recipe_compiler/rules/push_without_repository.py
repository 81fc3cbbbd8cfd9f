"""An upload has no repository, or a repository no upload.

What it does: finds `hub.push` or `hub.push_checkpoints` without `hub.model_id`, which is an error, and other keys of
`hub` where nothing is uploaded.

Why it hurts: SimpleTuner takes the name of the tracker's project as repository, and weights end up where nobody meant
them to. The other way round, a run ends and nothing was uploaded.

Example:
    hub:
      push: true

Use instead:
    hub:
      push: true
      model_id: me/my-sana
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


PUSHES = ("hub.push", "hub.push_checkpoints")
REPOSITORY = "hub.model_id"
OTHERS = (REPOSITORY, "hub.private", "hub.token_env")


def check(facts: Facts) -> Iterator[Finding]:
    """Compare uploads with where they go."""
    settings = facts.settings
    pushed = [path for path in PUSHES if settings[path]]
    waiting = [path for path in OTHERS if settings.fine(path) and settings.given(path) and settings[path] is not None]
    if pushed and settings[REPOSITORY] is None:
        yield Finding(
            at=pushed[0],
            message=f"`{pushed[0]}` has no repository to upload to",
            help="set `hub.model_id: OWNER/NAME`",
        )
    elif not pushed and waiting:
        names = " and ".join(f"`{path}`" for path in waiting)
        yield Finding(
            at=waiting[0],
            message=f"{names} {'has' if len(waiting) == 1 else 'have'} no effect: nothing is uploaded",
            help="set `hub.push: true`, or leave the section out",
            severity="warning",
        )


RULE = Rule(
    code="R612",
    name="push-without-repository",
    severity="error",
    reads=(*PUSHES, REPOSITORY),
    check=check,
    page=__doc__,
)
