"""An editor's YAML server finds no fault with the shipped recipes, and the faults of broken ones."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest


SERVER = "yaml-language-server@1.25.0"
RECIPES = Path(__file__).parents[2] / "recipes"
SCHEMA = Path(__file__).parents[2] / "schema" / "recipe.schema.json"


class Server:
    """Speaks the Language Server Protocol over the pipes of a process."""

    def __init__(self, binary: Path) -> None:
        self._process = subprocess.Popen(
            ["node", str(binary), "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._ids = 0
        self.request("initialize", {"processId": None, "rootUri": None, "capabilities": {}})
        self._send({"method": "initialized", "params": {}})
        settings = {"yaml": {"validate": True, "hover": True, "schemaStore": {"enable": False}}}
        self._send({"method": "workspace/didChangeConfiguration", "params": {"settings": settings}})

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            pipe.close()

    def request(self, method: str, params: dict[str, Any]) -> Any:
        self._ids += 1
        self._send({"id": self._ids, "method": method, "params": params})
        while True:
            message = self._receive()
            if message.get("id") == self._ids and "method" not in message:
                return message.get("result")

    def diagnose(self, file: Path, text: str) -> list[dict[str, Any]]:
        uri = file.as_uri()
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self._send({"method": "textDocument/didOpen", "params": {"textDocument": document}})
        while True:
            message = self._receive()
            if message.get("method") == "textDocument/publishDiagnostics" and message["params"]["uri"] == uri:
                return message["params"]["diagnostics"]

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._process.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        length = 0
        while (line := self._process.stdout.readline().strip()) or not length:
            assert self._process.poll() is None, "the server died"
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        message = json.loads(self._process.stdout.read(length))
        if "method" in message and "id" in message:  # the server asks for its settings
            items = message.get("params", {}).get("items", [None])
            self._send({"id": message["id"], "result": [None for _ in items]})
        return message


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node is not installed")
    folder = tmp_path_factory.mktemp("server")
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), SERVER]
    if subprocess.run(install, check=False, capture_output=True, timeout=300).returncode:
        pytest.skip(f"npm can't install {SERVER}")
    server = Server(folder / "node_modules" / "yaml-language-server" / "bin" / "yaml-language-server")
    yield server
    server.close()


@pytest.mark.parametrize("recipe", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_an_editor_finds_no_fault_with_a_shipped_recipe(recipe, server):
    assert server.diagnose(recipe, recipe.read_text(encoding="utf-8")) == []


def test_an_editor_shows_the_faults_that_the_schema_knows(server, tmp_path):
    text = (
        f"# yaml-language-server: $schema={SCHEMA}\n"
        "recipe: 1\n"
        "data: {datasets: [{id: a, instance_data_dir: clips}]}\n"
        "train: {batch_size: four, zebra: 1}\n"
        "optimizer: {name: sgd}\n"
    )

    lines = {d["range"]["start"]["line"] for d in server.diagnose(tmp_path / "recipe.yaml", text)}

    assert lines == {3, 4}


def test_an_editor_takes_templates_and_still_completes_choices(server, tmp_path):
    start = f"# yaml-language-server: $schema={SCHEMA}\nrecipe: 1\n"
    needed = "data: {datasets: [{id: a, instance_data_dir: clips}]}\n"
    templates = 'train: {max_steps: "{{ vars.steps }}", mixed_precision: "{{ vars.precision }}"}\n'
    assert server.diagnose(tmp_path / "templates.yaml", start + needed + templates) == []

    file = tmp_path / "choices.yaml"
    server.diagnose(file, f"{start}{needed}optimizer:\n  name: \n")
    place = {"textDocument": {"uri": file.as_uri()}, "position": {"line": 4, "character": 8}}
    offered = {item["label"] for item in server.request("textDocument/completion", place)["items"]}
    assert {"adamw", "adamw_bf16", "prodigy"} <= offered

    (fault,) = server.diagnose(tmp_path / "wrong.yaml", f"{start}{needed}optimizer: {{name: sgd}}\n")
    assert "adamw_bf16" in fault["message"]


def test_an_editor_explains_a_key(server, tmp_path):
    file = tmp_path / "hover.yaml"
    server.diagnose(file, f"# yaml-language-server: $schema={SCHEMA}\nrecipe: 1\ntrain:\n  max_steps: 3\n")

    hover = server.request(
        "textDocument/hover", {"textDocument": {"uri": file.as_uri()}, "position": {"line": 3, "character": 4}}
    )

    assert "Optimizer steps" in json.dumps(hover)
