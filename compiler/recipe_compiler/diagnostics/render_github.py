"""Findings as commands of GitHub's workflow log, which shows them beside the changed lines.

The form is that of https://docs.github.com/actions/reference/workflow-commands-for-github-actions.
"""

import os
from collections.abc import Sequence

from recipe_compiler.diagnostics.diagnostic import Diagnostic
from recipe_compiler.diagnostics.place import relative_path


def render_github(diagnostics: Sequence[Diagnostic]) -> str:
    """Return one command for each finding, a line each."""
    return "".join(f"{_command(diagnostic)}\n" for diagnostic in diagnostics)


def _command(diagnostic: Diagnostic) -> str:
    span = diagnostic.span
    properties = {"title": f"{diagnostic.code} {diagnostic.name}"}
    where = ""
    if span.source.is_file:
        place = {"file": relative_path(span.source).replace(os.sep, "/"), "line": str(span.line)}
        if span.line == span.end_line:  # GitHub takes columns only within one line
            place |= {"col": str(span.column), "endColumn": str(span.end_column)}
        properties = {**place, "endLine": str(span.end_line), **properties}
    else:
        where = f" ({span})"
    lines = [f"{diagnostic.message}{where}", *(f"{note.text}: {note.span}" for note in diagnostic.notes)]
    if diagnostic.help:
        lines.append(f"help: {diagnostic.help}")
    written = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{diagnostic.severity} {written}::{_data(chr(10).join(lines))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
