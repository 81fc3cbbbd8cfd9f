"""Two validation prompts would write the same file, or a placeholder was left in one.

What it does: compares nicknames of `validation.prompt_library` without regard to case, reserves `main` for
`validation.prompt`, and looks for `<token>` and `{{` in prompts.

Why it hurts: nicknames are file names, and some file systems don't tell cases apart. `<token>` stands in examples
for the name of a subject; the model would be asked to draw a token. Templates in a file of prompts are not evaluated.

Example:
    validation:
      prompt: a red ball
      prompt_library:
        main: a blue ball

Use instead:
    validation:
      prompt: a red ball
      prompt_library:
        blue: a blue ball
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


LIBRARY, PROMPT = "validation.prompt_library", "validation.prompt"
MAIN = "main"
PLACEHOLDERS = {
    "<token>": "write your subject's name in its place",
    "{{": "templates are evaluated in recipes, not in files of prompts; write what is meant",
}


def check(facts: Facts) -> Iterator[Finding]:
    """Check nicknames and prompts."""
    seen = {MAIN: f"`{PROMPT}`"} if facts.settings[PROMPT] else {}
    for nickname in facts.settings[LIBRARY]:
        at = f"{LIBRARY}.{nickname}"
        first = seen.get(nickname.lower())
        if first is not None:
            message = f"the nickname `{nickname}` is taken by {first}"
            yield Finding(at=at, message=message, help="choose another nickname; cases are not told apart")
        seen.setdefault(nickname.lower(), f"`{nickname}`")
    for at in (PROMPT, *(f"{LIBRARY}.{nickname}" for nickname in facts.settings[LIBRARY])):
        prompt = facts.settings[PROMPT] if at == PROMPT else facts.settings[LIBRARY][at.removeprefix(f"{LIBRARY}.")]
        for placeholder, advice in PLACEHOLDERS.items():
            if placeholder in (prompt or ""):
                message = f"`{at}` still holds `{placeholder}`"
                yield Finding(at=at, message=message, help=advice, severity="warning")


RULE = Rule(code="R603", name="nickname-clash", severity="error", reads=(LIBRARY, PROMPT), check=check, page=__doc__)
