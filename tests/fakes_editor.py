"""An editor that speaks the Language Server Protocol over two pipes."""

import json
import os
import select
import subprocess
import sys
import threading
import time


class Editor:
    """Asks a server, and remembers the findings that it was sent.

    Args:
        reads: What the server writes: a file without a buffer.
        writes: What the server reads.
    """

    def __init__(self, reads, writes, encodings=("utf-16",)):
        self._reads, self._writes = reads, writes
        self._ids = 0
        self._rest = b""
        self.found = {}
        general = {"positionEncodings": list(encodings)}
        self.abilities = self.ask(
            "initialize", {"processId": None, "rootUri": None, "capabilities": {"general": general}}
        )
        self.tell("initialized", {})

    def ask(self, method, params):
        self._ids += 1
        self._send({"id": self._ids, "method": method, "params": params})
        while True:
            message = self._receive()
            if message.get("id") == self._ids and "method" not in message:
                assert "error" not in message, message
                return message.get("result")

    def tell(self, method, params):
        self._send({"method": method, "params": params})

    def ask_at(self, method, file, line, character, **more):
        position = {"line": line, "character": character}
        return self.ask(
            f"textDocument/{method}", {"textDocument": {"uri": file.as_uri()}, "position": position, **more}
        )

    def open(self, file, text=None):
        text = file.read_text(encoding="utf-8") if text is None else text
        document = {"uri": file.as_uri(), "languageId": "yaml", "version": 1, "text": text}
        self.tell("textDocument/didOpen", {"textDocument": document})

    def change(self, file, text, version=2):
        document = {"uri": file.as_uri(), "version": version}
        self.tell("textDocument/didChange", {"textDocument": document, "contentChanges": [{"text": text}]})

    def findings(self, file, until, seconds=120):
        """Return the findings of a file, once they are as they should be."""
        end = time.monotonic() + seconds
        while not (file.as_uri() in self.found and until(self.found[file.as_uri()])):
            assert time.monotonic() < end, self.found
            self._receive()
        return self.found[file.as_uri()]

    def _send(self, message):
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._writes.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._writes.flush()

    def _more(self):
        assert select.select([self._reads], [], [], 120)[0], "the server says nothing"
        chunk = os.read(self._reads.fileno(), 65536)
        assert chunk, "the server died"
        self._rest += chunk

    def _receive(self):
        while b"\r\n\r\n" not in self._rest:
            self._more()
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        while len(self._rest) < length:
            self._more()
        message, self._rest = json.loads(self._rest[:length]), self._rest[length:]
        if message.get("method") == "textDocument/publishDiagnostics":
            self.found[message["params"]["uri"]] = message["params"]["diagnostics"]
        return message


class ServerProcess:
    """`recipe lsp` as an editor starts it."""

    def __init__(self, folder, **more):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "HOME": str(folder)}
        command = [sys.executable, "-m", "recipe_compiler", "lsp", "--stdio"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env=environment, cwd=folder
        )
        self.editor = Editor(self.process.stdout, self.process.stdin, **more)

    def close(self):
        """Say good-bye, and return the exit code."""
        self.editor.ask("shutdown", None)
        self.editor.tell("exit", None)
        code = self.process.wait(timeout=120)
        for pipe in (self.process.stdin, self.process.stdout):
            pipe.close()
        return code


class ServerThread:
    """A server in this process, so that a tracer sees it."""

    def __init__(self, server, **more):
        (asked, asks), (answered, answers) = os.pipe(), os.pipe()
        self._streams = os.fdopen(asked, "rb"), os.fdopen(answers, "wb")
        self._files = (os.fdopen(asks, "wb"), os.fdopen(answered, "rb", buffering=0))
        self._thread = threading.Thread(target=server.start_io, args=self._streams, daemon=True)
        self._thread.start()
        self.editor = Editor(self._files[1], self._files[0], **more)

    def close(self):
        self.editor.ask("shutdown", None)
        self.editor.tell("exit", None)
        self._files[0].close()
        self._thread.join(120)
        assert not self._thread.is_alive()
        for file in (*self._files[1:], *self._streams):
            file.close()
