"""Findings for machines. The format has a version of its own; fields are only ever added to it."""

from collections.abc import Sequence
from typing import Any

from recipe_compiler.diagnostics.diagnostic import Diagnostic


FORMAT_VERSION = 1


def to_json(diagnostics: Sequence[Diagnostic]) -> dict[str, Any]:
    """Return the findings and their count as JSON values."""
    return {
        "format_version": FORMAT_VERSION,
        "diagnostics": [_one(diagnostic) for diagnostic in diagnostics],
        "summary": {
            "errors": sum(d.severity == "error" for d in diagnostics),
            "warnings": sum(d.severity == "warning" for d in diagnostics),
        },
    }


def _one(diagnostic: Diagnostic) -> dict[str, Any]:
    span = diagnostic.span
    return {
        "code": diagnostic.code,
        "name": diagnostic.name,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        "file": span.source.name,
        "line": span.line,
        "column": span.column,
        "end_line": span.end_line,
        "end_column": span.end_column,
        "pointer": diagnostic.pointer,
        "help": diagnostic.help,
        "fix": diagnostic.fix,
        "move": diagnostic.move,
        "safe": diagnostic.safe and (diagnostic.fix is not None or bool(diagnostic.move)),
        "notes": [
            {"file": n.span.source.name, "line": n.span.line, "column": n.span.column, "text": n.text}
            for n in diagnostic.notes
        ],
    }
