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
from recipe_compiler.settings import Resolved


LIBRARY, PROMPT = "validation.prompt_library", "validation.prompt"
MAIN = "main"
PLACEHOLDERS = {
    "<token>": "write your subject's name in its place",
    "{{": "templates are evaluated in recipes, not in files of prompts; write what is meant",
}


def check(facts: Facts) -> Iterator[Finding]:
    """Check nicknames and prompts. One of which something was said already does not hide the others."""
    settings = facts.settings
    main = settings[PROMPT] if settings.fine(PROMPT) else None
    library = (
        {}
        if LIBRARY in settings.bad
        else {name: text for name, text in settings[LIBRARY].items() if _fine(settings, name)}
    )
    seen = {MAIN: f"`{PROMPT}`"} if main else {}
    for nickname in library:
        first = seen.get(nickname.lower())
        if first is not None:
            message = f"the nickname `{nickname}` is taken by {first}"
            advice = "choose another nickname; cases are not told apart"
            yield Finding(at=f"{LIBRARY}.{nickname}", message=message, help=advice)
        seen.setdefault(nickname.lower(), f"`{nickname}`")
    prompts = {PROMPT: main, **{f"{LIBRARY}.{name}": text for name, text in library.items()}}
    for at, prompt in prompts.items():
        for placeholder, advice in PLACEHOLDERS.items():
            if placeholder in (prompt or ""):
                message = f"`{at}` still holds `{placeholder}`"
                yield Finding(at=at, message=message, help=advice, severity="warning")


def _fine(settings: Resolved, nickname: str) -> bool:
    return f"{LIBRARY}.{nickname}" not in settings.bad


RULE = Rule(code="R603", name="nickname-clash", severity="error", reads=(), check=check, page=__doc__)
