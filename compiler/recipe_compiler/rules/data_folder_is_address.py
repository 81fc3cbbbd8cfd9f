"""The folder of a data set is written as a file, an address or a placeholder.

What it does: finds an `instance_data_dir` that begins with `http://`, `https://`, `s3://`, `hf:` or `builtin:`, ends like
a video, or holds a placeholder of SimpleTuner such as `{env:HOME}`.

Why it hurts: it is read as the path of a folder, and no such folder exists. Other keys take addresses.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: hf:owner/clips

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          source: hf:owner/clips
"""

import re
from collections.abc import Iterator
from pathlib import PurePath

from recipe_compiler.rules.data_sets import in_use
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_schema.video import is_picture


FOLDER = "instance_data_dir"
_ADVICE = {
    "hf": "give any folder here, and the address as `source: {}`; or take `type: huggingface` with `dataset_name`",
    "builtin": "give any folder here, and `source: {}`; `recipe fetch` then puts the clips there",
    "s3": "take `type: aws` with `aws_bucket_name` and `aws_data_prefix`",
    "http": "download the clips; or take `type: csv` with a table of addresses, or `source: hf:OWNER/NAME`",
}


def check(facts: Facts) -> Iterator[Finding]:
    """Look at how each folder is written."""
    for table in in_use(facts.settings, FOLDER):
        if not _exists(facts, table):
            for message, advice in _unlike_a_folder(facts.settings[f"{table}.{FOLDER}"] or ""):
                yield Finding(at=f"{table}.{FOLDER}", message=message, help=advice)


def is_address(text: str) -> bool:
    """Say whether this rule speaks of a folder that is written so."""
    return any(_unlike_a_folder(text))


def _exists(facts: Facts, table: str) -> bool:
    return facts.survey is not None and table in facts.survey.looked and table not in facts.survey.missing


def _unlike_a_folder(text: str) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a folder, and what to do."""
    scheme = re.match(r"(https?|s3|hf|builtin):", text)
    if scheme:
        advice = _ADVICE[scheme[1].removesuffix("s") if scheme[1].startswith("http") else scheme[1]]
        yield f"`{text}` is an address, and `{FOLDER}` a folder of this machine", advice.format(text)
    elif "{env:" in text:
        message = f"`{text}` holds a placeholder of SimpleTuner's, and would be taken as it is"
        yield message, 'declare the variable with `env: [NAME]`, and write `"{{ env.NAME }}"`'
    elif PurePath(text).suffix and (kind := _is_file(text)):
        message = f"`{text}` is named like a {kind}, and `{FOLDER}` takes the folder that holds them"
        yield message, f"write `{PurePath(text).parent}`; all clips below it are used"


def _is_file(text: str) -> str:
    """Return what a name stands for by its ending: a video, a picture, or nothing that is known."""
    from recipe_compiler.data.probe import VIDEO_SUFFIXES  # noqa: PLC0415 - loads the video library

    return (
        "video" if PurePath(text).suffix.lower() in VIDEO_SUFFIXES else "picture" if is_picture(PurePath(text)) else ""
    )


RULE = Rule(code="R333", name="data-folder-is-address", severity="error", reads=(), check=check, page=__doc__)
