"""The pages of findings, and their index."""

import re
from collections.abc import Iterable, Iterator

from recipe_compiler.docs.markdown import cell, document, escaped, table
from recipe_compiler.pages import Page


_FAMILIES = {
    "R0": "Syntax, templates and composition",
    "R1": "Names and types",
    "R2": "Model and precision",
    "R3": "Data",
    "R4": "Training",
    "R5": "Memory and cost",
    "R6": "Validation and tracking",
    "R7": "Plans",
    "R8": "The machine",
}
_TITLE = re.compile(r"(What it does|Why it hurts|Example|Use instead|Since):\s*")


def findings_index(pages: Iterable[Page]) -> str:
    """List all findings, by family."""
    lines = [
        "# Findings",
        "",
        (
            "Everything that `recipe lint`, `plan`, `run` and `explain` can find. `recipe explain CODE` shows the same pages. "
            "An error keeps a plan from being made or run, a warning does not. A code is never used for something else."
        ),
    ]
    families: dict[str, list[Page]] = {}
    for page in pages:
        families.setdefault(page.code[:2], []).append(page)
    for family, members in families.items():
        rows = [(f"[{p.code}](findings/{p.code}.md)", f"`{p.name}`", p.severity, cell(_summary(p))) for p in members]
        lines += ["", f"## {_FAMILIES[family]}", "", *table(("code", "name", "severity", "what"), rows)]
    return document(lines)


def _summary(page: Page) -> str:
    """Return the first sentence of a page."""
    paragraph = " ".join(page.text.split("\n\n")[0].split())
    return re.split(r"(?<=\.)\s+(?=[A-Z`])", paragraph)[0]


def finding_page(page: Page) -> str:
    """Return the page of one finding."""
    head = [f"# {page.code} {page.name}", "", f"{page.severity} · [all findings](../findings.md)", ""]
    return document([*head, *_body(page.text)])


def _body(text: str) -> Iterator[str]:
    """Turn the text of a page into Markdown: titles in bold, indented examples as YAML."""
    example: list[str] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("    ") or (example and not line):
            example.append(line[4:])
            continue
        if example:
            yield from ("```yaml", *"\n".join(example).rstrip().splitlines(), "```", "")
            example = []
        title = _TITLE.match(line)
        if title is None:
            yield escaped(line)
        else:
            yield f"**{title[1]}:** {escaped(line[title.end() :])}".rstrip()
            if title.end() == len(line):
                yield ""
    if example:
        yield from ("```yaml", *"\n".join(example).rstrip().splitlines(), "```")
