"""``recipe watch``: serves a page that follows runs, to this machine alone. It reads, and writes nothing.

The standard library's server is enough: three fixed files, a few clips, and one stream of events for a page. So the page
comes with every installation, and there is no package to pin, or to trust with an open port.
"""

import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from recipe_runtime.errors import RunError
from recipe_runtime.pages.facts import facts_of_run
from recipe_runtime.pages.files import MEDIA_TYPES, clip_file
from recipe_runtime.pages.tail import Shrunk, Tail


ADDRESS = "127.0.0.1"
FIRST_PORT = 8642
_PORTS = 20
"""Where nobody says which port, so many are tried."""

_HERE = Path(__file__).parent
_PAGE: Mapping[str, tuple[str, str]] = {
    "/": ("watch.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/watch.css": ("watch.css", "text/css; charset=utf-8"),
    "/watch.js": ("watch.js", "text/javascript; charset=utf-8"),
    "/charts.js": ("charts.js", "text/javascript; charset=utf-8"),
}
_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""Names under which a browser may ask. Another one was made to point here by somebody else (DNS rebinding)."""

_SAFE = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "connect-src 'self'; media-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_CLIP = re.compile(r"/clips/(\d{1,4})/(.+)")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_LOOK_SECONDS = 0.5
_SILENCE_SECONDS = 15.0
"""After so long without an event the stream says that it lives, and learns whether somebody still listens."""

_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run that is shown: its place in the list, and its directory."""

    number: int
    folder: Path


class WatchServer(ThreadingHTTPServer):
    """Serves the page of some runs.

    Args:
        folders: The run directories.
        port: Where; 0 takes any free one.

    Raises:
        OSError: The port is taken.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, folders: Sequence[Path], port: int) -> None:
        self.runs = [Run(number=number, folder=folder.resolve()) for number, folder in enumerate(folders)]
        self.over = threading.Event()
        super().__init__((ADDRESS, port), _Handler)

    @property
    def address(self) -> str:
        """The page's address."""
        return f"http://{ADDRESS}:{self.server_address[1]}/"

    def close(self) -> None:
        """End streams, and stop listening."""
        self.over.set()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of browsers that hang up."""


def build_server(folders: Sequence[Path], port: int | None) -> WatchServer:
    """Make a server on a port, or on the first of some that is free.

    Raises:
        RunError: There is none.
    """
    ports = range(FIRST_PORT, FIRST_PORT + _PORTS) if port is None else [port]
    reason: OSError | None = None
    for number in ports:
        try:
            return WatchServer(folders, number)
        except OSError as error:
            reason = error
    assert reason is not None, "there is a port to try"
    raise RunError(
        f"port {ports[0]} of {ADDRESS} can't be listened on ({reason.strerror}); name another one with --port"
    )


class _Handler(BaseHTTPRequestHandler):
    server: WatchServer
    protocol_version = "HTTP/1.1"
    server_version = "recipe-watch"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer."""
        if not _is_local(self.headers.get("Host", "")):
            self._refuse(HTTPStatus.FORBIDDEN, "this page is served to this machine alone; ask for localhost")
            return
        path = unquote(urlsplit(self.path).path)
        clip = _CLIP.fullmatch(path)
        if path in _PAGE:
            name, kind = _PAGE[path]
            self._send(kind, (_HERE / name).read_bytes())
        elif path == "/runs.json":
            facts = json.dumps([_facts(run) for run in self.server.runs], ensure_ascii=False)
            self._send("application/json", facts.encode())
        elif path == "/events":
            self._stream()
        elif clip is not None and int(clip[1]) < len(self.server.runs):
            self._clip(clip_file(self.server.runs[int(clip[1])].folder, clip[2]))
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")

    do_HEAD = do_GET  # noqa: N815 - the base class asks for this name

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Keep the terminal quiet."""

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self._send("text/plain; charset=utf-8", f"{why}\n".encode(), status=status)

    def _send(self, kind: str, content: bytes, *, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._head(status, {"Content-Type": kind, "Content-Length": str(len(content))})
        if self.command != "HEAD":
            self.wfile.write(content)

    def _head(self, status: HTTPStatus, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, **_SAFE}.items():
            self.send_header(name, value)
        self.end_headers()

    def _clip(self, path: Path | None) -> None:
        """Send a clip or a sheet, or the part that is asked for: browsers seek that way."""
        if path is None:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such clip")
            return
        with path.open("rb") as file:
            size = file.seek(0, 2)
            asked = _RANGE.fullmatch((self.headers.get("Range") or "").strip())
            part = (0, size - 1) if asked is None else _part(asked, size)
            if part is None:
                self._head(
                    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
                    {"Content-Range": f"bytes */{size}", "Content-Length": "0"},
                )
                return
            first, last = part
            kind, length = MEDIA_TYPES[path.suffix], str(last - first + 1)
            headers = {"Content-Type": kind, "Accept-Ranges": "bytes", "Content-Length": length}
            if asked is not None:
                headers["Content-Range"] = f"bytes {first}-{last}/{size}"
            self._head(HTTPStatus.OK if asked is None else HTTPStatus.PARTIAL_CONTENT, headers)
            if self.command != "HEAD":
                file.seek(first)
                left = last - first + 1
                while left and (chunk := file.read(min(_CHUNK, left))):
                    self.wfile.write(chunk)
                    left -= len(chunk)

    def _stream(self) -> None:
        """Send all events so far, and those to come, until the page is closed.

        One stream carries all runs: browsers open only a few connections to one place. Its messages are numbered by
        what was read of each file, so that a page that lost it goes on where it was.
        """
        self.close_connection = True
        self._head(HTTPStatus.OK, {"Content-Type": "text/event-stream; charset=utf-8"})
        if self.command == "HEAD":
            return
        offsets = _offsets(self.headers.get("Last-Event-ID"), len(self.server.runs))
        tails = [Tail(run.folder, offset) for run, offset in zip(self.server.runs, offsets, strict=True)]
        silent = 0.0
        while not self.server.over.is_set():
            sent = False
            for message in _messages(tails):
                self.wfile.write(message)
                sent = True
            if sent:
                silent = 0.0
                continue
            self.server.over.wait(_LOOK_SECONDS)
            silent += _LOOK_SECONDS
            if silent >= _SILENCE_SECONDS:
                self.wfile.write(b": still here\n\n")
                silent = 0.0


def _messages(tails: Sequence[Tail]) -> Iterator[bytes]:
    """Yield a message for each run that has something new."""
    for number, tail in enumerate(tails):
        before = tail.offset
        try:
            events, kind = tail.read(), "more"
        except Shrunk:
            events, kind = [], "anew"
        if tail.offset != before:
            place = ",".join(str(one.offset) for one in tails)
            data = json.dumps({"run": number, "events": events}, ensure_ascii=False)
            yield f"id: {place}\nevent: {kind}\ndata: {data}\n\n".encode()


def _facts(run: Run) -> dict[str, Any]:
    return {"folder": str(run.folder), "plan": facts_of_run(run.folder)}


def _is_local(host: str) -> bool:
    """Tell whether a request asks for this machine by one of its own names, whatever the port: ssh may forward it."""
    return re.sub(r":\d+\Z", "", host).lower() in _NAMES


def _offsets(text: str | None, count: int) -> list[int]:
    parts = (text or "").split(",")
    if len(parts) == count and all(part.isdecimal() and len(part) < 19 for part in parts):
        return [int(part) for part in parts]
    return [0] * count


def _part(asked: re.Match[str], size: int) -> tuple[int, int] | None:
    """Return the first and last byte that are asked for; None if there is no such part."""
    if not asked[1]:
        first, last = max(size - int(asked[2] or 0), 0), size - 1
    else:
        first, last = int(asked[1]), min(int(asked[2] or size - 1), size - 1)
    return (first, last) if first <= last else None
