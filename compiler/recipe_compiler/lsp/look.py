"""One look at a recipe: its findings where an editor shows them, what cures them, and where things are defined."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lsprotocol.types import (
    CodeAction,
    CodeActionKind,
    Diagnostic as Shown,
    DiagnosticRelatedInformation,
    DiagnosticSeverity,
    Location,
    Range,
    TextEdit,
    WorkspaceEdit,
)

from recipe_compiler.diagnostics.diagnostic import Diagnostic
from recipe_compiler.fixes.move import moved
from recipe_compiler.lsp.places import At
from recipe_compiler.lsp.positions import Positions
from recipe_compiler.passes.extends import NoFile, locate
from recipe_compiler.pipeline import Compiled, Options, compile_source
from recipe_compiler.settings import Resolved
from recipe_compiler.source import Source, Span
from recipe_schema.definition import generic, leaf_index
from recipe_schema.sections.forms import A_PATH


_IS_RECIPE = re.compile(r"^[\"']?recipe[\"']?\s*:", re.MULTILINE)
_SEVERITY = {"error": DiagnosticSeverity.Error, "warning": DiagnosticSeverity.Warning}


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at a recipe.

    Attributes:
        file: Where it is.
        text: What the editor holds.
        source: The text without a byte order mark.
        compiled: What came of it; None for a text that is no recipe.
        encoding: What the editor's columns count.
    """

    file: Path
    text: str
    source: Source
    compiled: Compiled | None
    encoding: str

    @property
    def settings(self) -> Resolved | None:
        """The settings; None where the recipe can't be read."""
        return self.compiled.settings if self.compiled is not None else None

    @property
    def found(self) -> Sequence[Diagnostic]:
        """All findings."""
        return self.compiled.found if self.compiled is not None else ()

    def positions(self, source: Source) -> Positions:
        """Return what turns places of a text into those of the editor."""
        return Positions(source, self.encoding)


def look_at(file: Path, text: str, encoding: str, options: Options) -> Look:
    """Lint a text that is open in an editor.

    Args:
        file: Where it is.
        text: What the editor holds.
        encoding: What the editor's columns count.
        options: How to look.
    """
    source = Source(str(file), text.removeprefix("\ufeff"))
    if _IS_RECIPE.search(text) is None:
        return Look(file=file, text=text, source=source, compiled=None, encoding=encoding)
    return Look(file=file, text=text, source=source, compiled=compile_source(source, file, options), encoding=encoding)


def shown(look: Look) -> Mapping[str, list[Shown]]:
    """Return what an editor shows, by the address of the file: also in files that the recipe builds on."""
    files: dict[str, list[Shown]] = {look.file.as_uri(): []}
    for found in look.found:
        files.setdefault(_address(found.span), []).append(_shown(look, found))
    return files


def _address(span: Span) -> str:
    return Path(os.path.abspath(span.source.name)).as_uri()


def _shown(look: Look, found: Diagnostic) -> Shown:
    notes = [
        DiagnosticRelatedInformation(location=_location(look, note.span), message=note.text) for note in found.notes
    ]
    return Shown(
        range=look.positions(found.span.source).range(found.span),
        message=found.message + (f"\n{found.help}" if found.help else ""),
        severity=_SEVERITY[found.severity],
        code=found.code,
        source="recipe",
        related_information=notes or None,
    )


def _location(look: Look, span: Span) -> Location:
    return Location(uri=_address(span), range=look.positions(span.source).range(span))


def actions(look: Look, uri: str, where: Range) -> Iterator[CodeAction]:
    """Yield what cures the findings within a stretch of the text.

    Args:
        look: The last look at the text.
        uri: The text's address, as the editor writes it.
        where: The stretch.
    """
    positions = look.positions(look.source)
    for found in look.found:
        if found.span.source is not look.source:
            continue
        range_ = positions.range(found.span)
        if range_.end < where.start or where.end < range_.start:
            continue
        edit = _cure(look, found, positions)
        if edit is not None:
            title, change = edit
            yield CodeAction(
                title=title,
                kind=CodeActionKind.QuickFix,
                diagnostics=[_shown(look, found)],
                is_preferred=found.safe,
                edit=WorkspaceEdit(changes={uri: [change]}),
            )


def _cure(look: Look, found: Diagnostic, positions: Positions) -> tuple[str, TextEdit] | None:
    if found.fix is not None:
        return f"{found.code}: write `{found.fix}`", TextEdit(range=positions.range(found.span), new_text=found.fix)
    text = moved(look.source, found) if found.move else None
    if text is None:
        return None
    return f"{found.code}: move it to `{found.move}`", TextEdit(range=positions.whole(), new_text=text)


def definition_of(look: Look, at: At) -> Location | None:
    """Return where something leads: a file that is named, or the value that a key replaces."""
    if at.value is not None and at.path[0] == "extends":
        target = locate(str(at.value.value), look.file.parent)
        return None if isinstance(target, NoFile) else _start(target)
    path = ".".join(map(str, at.path))
    leaf = leaf_index().get(generic(path))
    if at.value is not None and leaf is not None and (leaf.spec.pattern is A_PATH or leaf.spec.or_file):
        file = look.file.parent / str(at.value.value)
        return _start(file) if os.path.isfile(file) else None  # unlike Path.is_file, it takes what no path can be
    setting = look.settings.settings.get(path) if look.settings is not None else None
    spans = [origin.span for _, origin in setting.shadowed] if setting is not None else []
    return next((_location(look, span) for span in spans if span is not None), None)


def _start(file: Path) -> Location:
    start = Positions(Source("", ""), "utf-16").whole()
    return Location(uri=Path(os.path.abspath(file)).as_uri(), range=start)
