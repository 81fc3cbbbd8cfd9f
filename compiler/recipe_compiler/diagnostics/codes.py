"""The findings of parsing, templates and validation: code, name, and the page that `recipe explain CODE` shows.

Rules have their own files in `recipe_compiler.rules`. Codes are never used for something else again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recipe_compiler.diagnostics.diagnostic import Diagnostic
from recipe_compiler.source import Span


@dataclass(frozen=True, slots=True)
class Code:
    """A kind of finding. All of these are errors."""

    code: str
    name: str
    page: str

    def at(self, span: Span, message: str, **more: Any) -> Diagnostic:
        """Make a finding of this kind."""
        return Diagnostic(code=self.code, name=self.name, severity="error", message=message, span=span, **more)


SYNTAX = Code("R001", "yaml-syntax", "The text is not YAML, or not text at all. Nothing after that place was read.")
DUPLICATE_KEY = Code(
    "R002",
    "duplicate-key",
    "A key is given twice in one mapping. Most YAML readers keep the last one in silence; here it is an error, and "
    "the first one is used for the other checks.",
)
UNSUPPORTED = Code(
    "R003",
    "unsupported-yaml",
    "A feature of YAML that recipes don't use: tags, merge keys (`<<`, use `extends`), keys that are not texts, "
    "several documents, recursive aliases, or a file of more than 100,000 values or 64 levels.",
)
UNQUOTED_TEMPLATE = Code(
    "R004",
    "unquoted-template",
    "`{{ … }}` without quotes is a mapping in YAML, not a template. Put quotes around the whole value.",
)
NOT_A_NUMBER = Code(
    "R005",
    "number-out-of-range",
    "A number that JSON does not have: infinite, not a number, or an integer beyond 2**53 - 1.",
)
TEMPLATE = Code(
    "R006",
    "template-error",
    "A template can't be evaluated. Templates are Jinja expressions inside a value: names (`vars.x`), attributes, "
    "arithmetic, comparisons, `if … else`, and a few filters. They can't loop, call functions or change structure.",
)
EXTENDS = Code(
    "R007",
    "extends-not-found",
    "A recipe that this one builds on does not exist, can't be read, or builds on this one in turn.",
)
OVERRIDE = Code("R008", "bad-override", "An argument of `--set` is not of the form `section.key=value`.")
UNKNOWN_KEY = Code(
    "R101",
    "unknown-key",
    "A key that the recipe language does not have. If one of a near name is missing, that one is assumed, and "
    "what is below it is checked as well.",
)
WRONG_TYPE = Code("R102", "wrong-type", "A value is of another type than its key takes.")
NOT_A_CHOICE = Code("R103", "not-a-choice", "A value is none of those that its key takes.")
OUT_OF_RANGE = Code("R104", "out-of-range", "A number is outside the range of its key.")
MISSING_KEY = Code("R105", "missing-key", "A key without a default is not given.")
BAD_FORM = Code("R106", "bad-form", "A text or a list has not the form that its key takes.")

CODES: Mapping[str, Code] = {
    code.code: code
    for code in (
        SYNTAX,
        DUPLICATE_KEY,
        UNSUPPORTED,
        UNQUOTED_TEMPLATE,
        NOT_A_NUMBER,
        TEMPLATE,
        EXTENDS,
        OVERRIDE,
        UNKNOWN_KEY,
        WRONG_TYPE,
        NOT_A_CHOICE,
        OUT_OF_RANGE,
        MISSING_KEY,
        BAD_FORM,
    )
}
