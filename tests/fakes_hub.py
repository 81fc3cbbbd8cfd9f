"""A model hub on loopback: as much of it as uploads of small files ask for."""

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fakes_server import Answer, Heard


@dataclass
class FakeHub:
    """Repositories with their files and commits. ``trouble`` may answer before the hub does.

    Attributes:
        repositories: Whether each is private, by name.
        files: Their files, by repository and path.
        commits: Titles of the commits, in order.
        trouble: Answers a request in the hub's place, or returns None.
    """

    repositories: dict[str, bool] = field(default_factory=dict)
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    trouble: Callable[[Heard], Answer | None] = lambda _: None

    def __call__(self, heard: Heard) -> Answer:
        self.tokens.add(heard.headers.get("authorization", ""))
        return self.trouble(heard) or self._answer(heard.path.partition("?")[0], heard.body)

    def _answer(self, path: str, body: bytes) -> Answer:
        match path:
            case "/api/whoami-v2":
                answer = _json({"name": "me", "type": "user", "orgs": []})
            case "/api/validate-yaml":  # asked for the head of a README.md
                answer = _json({"errors": [], "warnings": []})
            case "/api/repos/create":
                answer = self._create(json.loads(body))
            case _:
                found = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(\w+)/.*)?", path)
                known = found is not None and found[1] in self.repositories
                answer = self._of_repository(found[1], found[2], body) if known else Answer(status=404)
        return answer

    def _of_repository(self, name: str, what: str | None, body: bytes) -> Answer:
        match what:
            case None:
                facts = {"id": name, "modelId": name, "private": self.repositories[name]}
                answer = _json({**facts, "sha": "0" * 40, "siblings": []})
            case "preupload":
                shared = {"uploadMode": "regular", "shouldIgnore": False, "oid": None}
                answer = _json({"files": [{"path": file["path"], **shared} for file in json.loads(body)["files"]]})
            case "commit":
                answer = self._commit(name, body)
            case _:
                answer = _json([])
        return answer

    def _create(self, wanted: dict[str, Any]) -> Answer:
        name = f"{wanted['organization'] or 'me'}/{wanted['name']}"
        url = {"url": f"https://huggingface.co/{name}", "name": name}
        if name in self.repositories:
            return Answer(status=409, body=json.dumps({"error": "You already created this model repo", **url}).encode())
        self.repositories[name] = wanted.get("visibility") == "private" or bool(wanted.get("private"))
        return _json(url)

    def _commit(self, name: str, body: bytes) -> Answer:
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "header":
                self.commits.append(value["summary"])
            if line["key"] == "file":
                self.files.setdefault(name, {})[value["path"]] = base64.b64decode(value["content"])
        oid = f"{len(self.commits):040x}"
        return _json({"commitUrl": f"https://huggingface.co/{name}/commit/{oid}", "commitOid": oid, "hookOutput": ""})


def _json(value: Any) -> Answer:
    return Answer(body=json.dumps(value).encode())
