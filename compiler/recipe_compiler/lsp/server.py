"""The server: what the protocol asks, and who answers it."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from lsprotocol import types
from pygls.lsp.server import LanguageServer
from pygls.uris import to_fs_path

from recipe_compiler import __version__
from recipe_compiler.lsp.complete import completions
from recipe_compiler.lsp.describe import header, hover_text, node_at
from recipe_compiler.lsp.look import Look, actions, definition_of, look_at, shown
from recipe_compiler.lsp.places import at_offset, typing
from recipe_compiler.pipeline import Options
from recipe_schema.record import replace


class RecipeServer(LanguageServer):
    """Answers editors. A text that was opened or saved is linted with its data, one that is being typed without.

    Args:
        index_file: Where probes of clips are remembered; None keeps them in memory.
    """

    def __init__(self, index_file: Path | None) -> None:
        super().__init__("recipe", __version__, text_document_sync_kind=types.TextDocumentSyncKind.Full)
        self.options = Options(index_file=index_file, environment=os.environ)
        self.looks: dict[str, Look] = {}
        self._shown: dict[str, set[str]] = {}

    def look(self, uri: str, *, look_at_data: bool = False) -> Look:
        """Look at a text anew."""
        document = self.workspace.get_text_document(uri)
        encoding = str(getattr(self.workspace.position_encoding, "value", "utf-16"))
        options = replace(self.options, look_at_data=look_at_data)
        file = Path(os.path.abspath(to_fs_path(uri) or "untitled.yaml"))
        return look_at(file, document.source, encoding, options)

    def seen(self, uri: str) -> Look:
        """Return the last look at a text; a new one if it has changed since."""
        return self.looks[uri] if self.is_seen(uri) else self.look(uri)

    def is_seen(self, uri: str) -> bool:
        """Say whether the last look was at the text that is there now."""
        return uri in self.looks and self.looks[uri].text == self.workspace.get_text_document(uri).source

    def show(self, uri: str, look: Look) -> None:
        """Send findings, and take those back that were shown in other files."""
        self.looks[uri] = look
        files = shown(look)
        own = look.file.as_uri()
        for address in self._shown.get(uri, set()) - set(files):
            self._publish(address, [])
        for address, found in files.items():
            self._publish(uri if address == own else address, found)
        self._shown[uri] = set(files) - {own}

    def forget(self, uri: str) -> None:
        """Take all findings of a text back."""
        self.looks.pop(uri, None)
        for address in (uri, *self._shown.pop(uri, set())):
            self._publish(address, [])

    def _publish(self, uri: str, found: list[types.Diagnostic]) -> None:
        self.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri=uri, diagnostics=found))


def make_server(index_file: Path | None) -> RecipeServer:
    """Return a server that is not started yet.

    Args:
        index_file: Where probes of clips are remembered; None keeps them in memory.
    """
    server = RecipeServer(index_file)
    for method, answer, *options in _ANSWERS:
        server.feature(method, *options)(answer)
    return server


async def _opened(
    server: RecipeServer, params: types.DidOpenTextDocumentParams | types.DidSaveTextDocumentParams
) -> None:
    """Lint with the data, beside other answers: to probe a folder for the first time takes a while."""
    uri = params.text_document.uri
    server.show(uri, server.look(uri))
    before = server.looks[uri]
    look = await asyncio.to_thread(server.look, uri, look_at_data=True)
    if server.looks.get(uri) is before:  # nothing was typed meanwhile
        server.show(uri, look)


def _changed(server: RecipeServer, params: types.DidChangeTextDocumentParams) -> None:
    server.show(params.text_document.uri, server.look(params.text_document.uri))


def _closed(server: RecipeServer, params: types.DidCloseTextDocumentParams) -> None:
    server.forget(params.text_document.uri)


def _hover(server: RecipeServer, params: types.HoverParams) -> types.Hover | None:
    look = server.seen(params.text_document.uri)
    positions = look.positions(look.source)
    at = at_offset(look.source, positions.offset(params.position))
    if at is None:
        return None
    node = node_at(tuple("*" if isinstance(part, int) else part for part in at.path))
    if node is not None:
        text = hover_text(node, ".".join(map(str, at.path)), look.settings)
    elif at.path[0] in (known := header()):
        text = f"**`{at.path[0]}`**\n\n{known[str(at.path[0])]}"
    else:
        return None
    contents = types.MarkupContent(kind=types.MarkupKind.Markdown, value=text)
    return types.Hover(contents=contents, range=positions.range(at.span))


def _completion(server: RecipeServer, params: types.CompletionParams) -> list[types.CompletionItem]:
    look = server.seen(params.text_document.uri)
    positions = look.positions(look.source)
    start = positions.offset(types.Position(line=params.position.line, character=0))
    lines = look.source.text.splitlines() or [""]
    line = min(params.position.line, len(lines) - 1)
    if params.position.line > line:  # the last line is empty
        lines, line = [*lines, ""], line + 1
    typed = typing(lines, line, positions.offset(params.position) - start)
    return completions(typed, params.position, look.file)


def _definition(server: RecipeServer, params: types.DefinitionParams) -> types.Location | None:
    look = server.seen(params.text_document.uri)
    at = at_offset(look.source, look.positions(look.source).offset(params.position))
    return definition_of(look, at) if at is not None else None


def _actions(server: RecipeServer, params: types.CodeActionParams) -> list[types.CodeAction]:
    uri = params.text_document.uri
    return list(actions(server.seen(uri), uri, params.range))


_ANSWERS: tuple[tuple[str, Callable[..., object]] | tuple[str, Callable[..., object], object], ...] = (
    (types.TEXT_DOCUMENT_DID_OPEN, _opened),
    (types.TEXT_DOCUMENT_DID_SAVE, _opened),
    (types.TEXT_DOCUMENT_DID_CHANGE, _changed),
    (types.TEXT_DOCUMENT_DID_CLOSE, _closed),
    (types.TEXT_DOCUMENT_HOVER, _hover),
    (types.TEXT_DOCUMENT_COMPLETION, _completion, types.CompletionOptions(trigger_characters=[" ", ":", "-"])),
    (types.TEXT_DOCUMENT_DEFINITION, _definition),
    (
        types.TEXT_DOCUMENT_CODE_ACTION,
        _actions,
        types.CodeActionOptions(code_action_kinds=[types.CodeActionKind.QuickFix]),
    ),
)
"""Each method of the protocol that is answered, who does, and what the editor is told of it."""
