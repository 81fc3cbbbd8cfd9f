"""The findings of parsing, templates and validation: code, name, and the page that `recipe explain CODE` shows.

Rules have their own files in `recipe_compiler.rules`. Codes are never used for something else again.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from recipe_compiler.diagnostics.diagnostic import Diagnostic, Severity
from recipe_compiler.source import Span


class Code(NamedTuple):
    """A kind of finding."""

    code: str
    name: str
    page: str
    severity: Severity = "error"

    def at(self, span: Span, message: str, **more: Any) -> Diagnostic:
        """Make a finding of this kind."""
        return Diagnostic(code=self.code, name=self.name, severity=self.severity, message=message, span=span, **more)


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
    "A recipe that this one builds on does not exist, can't be read, or builds on this one in turn, or more than 16 "
    "build on each other.",
)
OVERRIDE = Code(
    "R008",
    "bad-override",
    "An argument of `--set` is not of the form `section.key=value`, names an element that a list does not have, or sets "
    "something that can't be set from outside: `extends`, or one of `vars` that the recipe does not have.",
)
NOT_SET = Code(
    "R011",
    "variable-not-set",
    "A variable of the environment that the recipe declares in `env` is not set, and the declaration gives no default.",
)
MATRIX = Code(
    "R012",
    "bad-matrix",
    "A `matrix` that does not say which variants there are: an axis without distinct values or that no template uses, "
    "zipped axes of different lengths, an `include` or `exclude` that does not fit the axes, more than 256 variants, or "
    "variants that share a run directory.",
)
NOTHING_TO_APPEND = Code(
    "R013",
    "nothing-to-append",
    "`key+` appends to the list that a recipe below gives as `key`, and none gives it. Defaults can't be appended to.",
)
CUT_SHORT = Code(
    "R014",
    "text-cut-short",
    "A text without quotes ends where ` #` begins a comment, and the comment has no space behind its `#`, so that it may be "
    "the rest of the text: `prompt: take #3 of the rabbit` asks for `take`. Put quotes around the whole text, or a space "
    "behind the `#`.",
    "warning",
)
UNUSED_SUPPRESSION = Code(
    "R009",
    "unused-suppression",
    "A comment `# recipe: ignore[CODE] reason` silences a warning that is not given there: it was cured, it stands at "
    "another line, or it never was. Such a comment would hide the next one. Remove it. A rule that was not asked, "
    "because nobody looked at the data or because its settings are wrong, does not count.",
    "warning",
)
BAD_SUPPRESSION = Code(
    "R010",
    "bad-suppression",
    "A comment that should silence a warning does not: it is written `# recipe: ignore[R405] reason`, at the end of "
    "the line that the warning points at, or alone on a line above it. Several codes are separated by commas. The "
    "reason is required, for whoever reads the recipe next. Errors can't be silenced.",
    "warning",
)
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
PROMPT_LIBRARY = Code(
    "R605",
    "prompt-library-unreadable",
    "`validation.prompt_library` names a file that does not exist, or that is no mapping of nicknames to prompts. Such a "
    "file is JSON or YAML; what is wrong inside it is reported at its own lines.",
)
PLAN_UNREADABLE = Code(
    "R701",
    "plan-unreadable",
    "The folder holds no plan, or its `plan.json` is not one. A plan is a folder that `recipe plan` made.",
)
PLAN_VERSION_DIFFERS = Code(
    "R702",
    "plan-version-differs",
    "The plan was made by a version of the tool whose plans have another format. Plans are cheap: make it anew from "
    "the recipe.",
)
PLAN_CHANGED = Code(
    "R703",
    "plan-changed",
    "`plan.json` was edited after it was frozen: its digest is not that of its content. A plan says what a run did, "
    "so it is never edited; change the recipe and make the plan anew.",
)
LEDGER_DIFFERS = Code(
    "R704",
    "ledger-differs",
    "`ledger.parquet` beside the plan is missing, can't be read, or is not the one that the plan was frozen with.",
)
CLIP_CHANGED = Code(
    "R705",
    "clip-changed",
    "A clip that the plan trains has other bytes than when the plan was made. Its size is compared first; it is read "
    "and hashed only if its time of change differs. Put the old file back, or make the plan anew.",
)
CLIP_GONE = Code(
    "R706",
    "clip-gone",
    "A clip that the plan trains is no longer there, or can't be read. Put it back, or make the plan anew without it.",
)
VERSIONS = Code(
    "R806",
    "versions-not-supported",
    "The run is to start under a version of Python or torch that is too old for it, or newer than what was tested. Only "
    "`recipe run` asks: plans are made without torch, and may be run elsewhere.",
)

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
        NOT_SET,
        MATRIX,
        NOTHING_TO_APPEND,
        CUT_SHORT,
        UNUSED_SUPPRESSION,
        BAD_SUPPRESSION,
        UNKNOWN_KEY,
        WRONG_TYPE,
        NOT_A_CHOICE,
        OUT_OF_RANGE,
        MISSING_KEY,
        BAD_FORM,
        PROMPT_LIBRARY,
        PLAN_UNREADABLE,
        PLAN_VERSION_DIFFERS,
        PLAN_CHANGED,
        LEDGER_DIFFERS,
        CLIP_CHANGED,
        CLIP_GONE,
        VERSIONS,
    )
}
