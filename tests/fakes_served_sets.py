"""A data set of the hub, served on loopback: what its library asks for to read parts of files."""

import json
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from fakes_server import Answer, Heard


@dataclass
class ServedSet:
    """The data set ``me/clips``, out of a folder.

    Attributes:
        folder: Its files.
        commit: What its newest commit is called.
        sent: Bytes that were sent of each file.
        trouble: Answers a request for a part of a file in the hub's place, or returns None.
    """

    folder: Path
    commit: str = "c" * 40
    sent: dict[str, int] = field(default_factory=dict)
    trouble: Callable[[Heard], Answer | None] = lambda _: None

    def __call__(self, heard: Heard) -> Answer:
        path = unquote(heard.path.partition("?")[0])
        if found := re.fullmatch(r"/datasets/me/clips/resolve/\w+/(.+)", path):
            return self.trouble(heard) or self._part(found[1], heard)
        if re.fullmatch(r"/api/datasets/me/clips/paths-info/\w+", path):
            return _json([self._facts(name) for name in _paths(heard) if (self.folder / name).is_file()])
        if found := re.fullmatch(r"/api/datasets/me/clips/tree/\w+/?(.*)", path):
            return _json([self._facts(name) for name in self._names() if name.rpartition("/")[0] == found[1]])
        if re.fullmatch(r"/api/datasets/me/clips(/revision/\w+)?", path):
            siblings = [{"rfilename": name} for name in self._names()]
            return _json({"id": "me/clips", "sha": self.commit, "siblings": siblings})
        return Answer(status=404, body=b'{"error": "no such thing"}')

    def _names(self) -> list[str]:
        return sorted(p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*") if p.is_file())

    def _facts(self, name: str) -> dict[str, object]:
        return {"type": "file", "path": name, "size": (self.folder / name).stat().st_size, "oid": "0" * 40}

    def _part(self, name: str, heard: Heard) -> Answer:
        file = self.folder / name
        if not file.is_file():
            return Answer(status=404)
        content, asked = file.read_bytes(), re.fullmatch(r"bytes=(\d+)-(\d*)", heard.headers.get("range", ""))
        start, end = (int(asked[1]), int(asked[2] or len(content) - 1)) if asked else (0, len(content) - 1)
        part = content[start : end + 1]
        if heard.method != "HEAD":
            self.sent[name] = self.sent.get(name, 0) + len(part)
        headers = {"ETag": f'"{zlib.crc32(content):08x}"', "X-Repo-Commit": self.commit, "Accept-Ranges": "bytes"}
        if asked:
            headers["Content-Range"] = f"bytes {start}-{start + len(part) - 1}/{len(content)}"
        return Answer(status=206 if asked else 200, body=part, headers=headers)


def _paths(heard: Heard) -> list[str]:
    body = heard.body.decode()
    if heard.headers.get("content-type", "").startswith("application/json"):
        asked = json.loads(body)["paths"]
        return [asked] if isinstance(asked, str) else asked
    return [unquote(text) for text in re.findall(r"paths=([^&]+)", body)]


def _json(value: object) -> Answer:
    return Answer(body=json.dumps(value).encode())
