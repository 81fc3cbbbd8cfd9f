"""The decoder of previews is not there.

What it does: looks for what `validation.preview.decoder` names: `linear`, a file, a folder with `taew2_1.safetensors` or
`taew2_1.pth`, or an id of the Hugging Face hub (OWNER/NAME). Whether the hub has it is not asked.

Why it hurts: the run would stop before its first step.

Example:
    validation:
      prompt: a red ball rolls over a table
      preview:
        enabled: true
        decoder: liner

Use instead:
    validation:
      prompt: a red ball rolls over a table
      preview:
        enabled: true
        decoder: linear
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.suggest import near
from recipe_schema.hub_id import is_hub_id
from recipe_schema.sections.evaluation import LINEAR, TINY_DECODER_FILES


ENABLED, DECODER = "validation.preview.enabled", "validation.preview.decoder"


def check(facts: Facts) -> Iterator[Finding]:
    """Look for the decoder."""
    named = facts.settings[DECODER]
    if not facts.settings[ENABLED] or named == LINEAR:
        return
    place = facts.root / named
    files = " or ".join(f"`{name}`" for name in TINY_DECODER_FILES)
    if place.is_dir():
        if not any((place / name).is_file() for name in TINY_DECODER_FILES):
            yield _finding(facts, f"the folder `{place}` holds no {files}")
    elif not place.is_file() and not is_hub_id(named):
        yield _finding(facts, f"there is no decoder `{place}`")


def _finding(facts: Facts, message: str) -> Finding:
    meant = near(facts.settings[DECODER], [LINEAR])
    return Finding(
        at=DECODER,
        message=message,
        help=f"did you mean `{LINEAR}`?" if meant else f"correct the path, or take `{LINEAR}`, which needs no download",
        fix=meant,
        severity="error" if meant or facts.starts_here else "warning",
    )


RULE = Rule(
    code="R613",
    name="preview-decoder-missing",
    severity="error",
    reads=(ENABLED, DECODER),
    check=check,
    page=__doc__,
)
