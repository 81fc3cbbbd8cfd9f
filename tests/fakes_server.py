"""A web server on loopback that answers as a test says, and keeps what it was sent."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Heard:
    """A request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Answer:
    """What is answered. A status of 0 resets the connection; ``hold`` is waited for before anything is said."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    hold: threading.Event | None = None


class LoopbackServer(ThreadingHTTPServer):
    """Answers each request with ``answer(request)``."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, answer: Callable[[Heard], Answer]) -> None:
        self.heard: list[Heard] = []
        self.answer = answer
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_arguments: Any) -> None:
        """Say nothing: a client that went away is what many tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: LoopbackServer

    def handle_one_request(self) -> None:
        """Treat every method alike."""
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline:
            self.close_connection = True
        elif self.parse_request():
            self._take()

    def _take(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        heard = Heard(self.command, self.path, {name.lower(): text for name, text in self.headers.items()}, body)
        self.server.heard.append(heard)
        answer = self.server.answer(heard)
        if answer.hold is not None:
            answer.hold.wait(30)
        if answer.status == 0:
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, text in {"Content-Type": "application/json", **answer.headers}.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def log_message(self, *_arguments: Any) -> None:
        """Keep the tests' output clean."""


@contextmanager
def serving(answer: Callable[[Heard], Answer] = lambda _: Answer()) -> Iterator[LoopbackServer]:
    """Run a server while the context lasts."""
    server = LoopbackServer(answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
