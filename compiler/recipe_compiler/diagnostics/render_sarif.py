"""Findings in the Static Analysis Results Interchange Format, version 2.1.0 of OASIS, for code scanning services.

Section numbers below are those of https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from recipe_compiler import __version__
from recipe_compiler.diagnostics.diagnostic import Diagnostic, Note
from recipe_compiler.diagnostics.place import uri
from recipe_compiler.pages import Page
from recipe_compiler.source import Span


SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def to_sarif(diagnostics: Sequence[Diagnostic], pages: Mapping[str, Page]) -> dict[str, Any]:
    """Return findings as the JSON values of a SARIF log.

    Args:
        diagnostics: The findings.
        pages: The page of every code.
    """
    codes = sorted({diagnostic.code for diagnostic in diagnostics})
    driver = {"name": "recipe", "version": __version__, "rules": [_rule(pages[code]) for code in codes]}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",  # 3.14.17: columns count characters, not UTF-16 units
        "results": [_result(diagnostic, codes.index(diagnostic.code)) for diagnostic in diagnostics],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(page: Page) -> dict[str, Any]:
    first = " ".join(page.text.partition("\n\n")[0].split()).partition(". ")[0].rstrip(".") + "."
    return {
        "id": page.code,
        "name": page.name,
        "shortDescription": {"text": first},
        "fullDescription": {"text": page.text},
        "help": {"text": f"recipe explain {page.code}\n\n{page.text}"},
        "defaultConfiguration": {"level": page.severity},
    }


def _result(diagnostic: Diagnostic, index: int) -> dict[str, Any]:
    text = diagnostic.message + (f"\nhelp: {diagnostic.help}" if diagnostic.help else "")
    location = _location(diagnostic.span)
    if diagnostic.pointer:
        location["logicalLocations"] = [{"fullyQualifiedName": diagnostic.pointer}]
    result: dict[str, Any] = {
        "ruleId": diagnostic.code,
        "ruleIndex": index,
        "level": diagnostic.severity,
        "message": {"text": text},
        "locations": [location],
    }
    if diagnostic.notes:
        result["relatedLocations"] = [_related(number, note) for number, note in enumerate(diagnostic.notes, 1)]
    if diagnostic.fix is not None and diagnostic.span.source.is_file:
        result["fixes"] = [_fix(diagnostic.span, diagnostic.fix)]
    return result


def _location(span: Span) -> dict[str, Any]:
    if not span.source.is_file:
        return {"message": {"text": str(span)}}  # an argument of the command line
    return {"physicalLocation": {"artifactLocation": {"uri": uri(span.source)}, "region": _region(span)}}


def _region(span: Span) -> dict[str, int]:
    return {
        "startLine": span.line,
        "startColumn": span.column,
        "endLine": span.end_line,
        "endColumn": span.end_column,  # 3.30.8: one beyond the last character
    }


def _related(number: int, note: Note) -> dict[str, Any]:
    location = _location(note.span)
    return {
        **location,
        "id": number,
        "message": {"text": note.text if note.span.source.is_file else f"{note.text}: {note.span}"},
    }


def _fix(span: Span, text: str) -> dict[str, Any]:
    replacement = {"deletedRegion": _region(span), "insertedContent": {"text": text}}
    change = {"artifactLocation": {"uri": uri(span.source)}, "replacements": [replacement]}
    return {"description": {"text": f"write {text}"}, "artifactChanges": [change]}
