"""The page of every finding, as ``recipe explain CODE`` shows it and the reference has it."""

from collections.abc import Mapping
from dataclasses import dataclass

from recipe_compiler.diagnostics.codes import CODES
from recipe_compiler.diagnostics.diagnostic import Severity
from recipe_compiler.rules import all_rules


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page.

    Attributes:
        code: The finding's stable code.
        name: Its name.
        severity: Of most of its findings.
        text: What it does, why it hurts, and for rules an example and a cure.
    """

    code: str
    name: str
    severity: Severity
    text: str

    @property
    def title(self) -> str:
        """The page's first line."""
        return f"{self.code} {self.name} ({self.severity})"


def all_pages() -> Mapping[str, Page]:
    """Return every page by its code, in order of code."""
    pages = [Page(code=c.code, name=c.name, severity=c.severity, text=c.page) for c in CODES.values()]
    pages += [Page(code=r.code, name=r.name, severity=r.severity, text=r.page.strip()) for r in all_rules()]
    return {page.code: page for page in sorted(pages, key=lambda page: page.code)}
