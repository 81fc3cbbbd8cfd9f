"""The wheel, installed into an empty environment outside of the repository, as docs/install.md says."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from fakes_docs import ROOT


pytestmark = pytest.mark.slow
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONSTRAINTS = str(ROOT / "constraints.txt")
UV = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))


def call(*command: object, cwd: Path, **more: str) -> str:
    """Run a program without what points at this checkout, and return what it says."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL"))}
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env={**environment, **more}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    arguments = ("wheel", ROOT, "--no-deps", "--wheel-dir", folder)
    call(sys.executable, "-m", "pip", *arguments, cwd=folder, PIP_CONSTRAINT=CONSTRAINTS)
    (made,) = folder.glob("*.whl")
    return made


def test_the_wheel_holds_all_that_is_needed_and_nothing_else(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    tracked = call("git", "ls-files", "schema", "compiler", "runtime", "recipes", cwd=ROOT).splitlines()
    places = {**dict.fromkeys(("schema", "compiler", "runtime"), ""), "recipes": "recipe_compiler/builtin/"}
    wanted = {places[part] + rest for part, _, rest in (path.partition("/") for path in tracked)}

    shipped = {name for name in wanted if not name.endswith(".schema.json")}
    assert names == shipped | {"recipe_compiler/constraints.txt"}


def test_its_metadata_names_the_extras_and_the_licence(wheel):
    archive = zipfile.ZipFile(wheel)
    (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    metadata = Parser().parsestr(archive.read(name).decode())

    assert set(metadata.get_all("Provides-Extra")) == set(PROJECT["project"]["optional-dependencies"])
    assert metadata["License-Expression"] == "Apache-2.0"
    assert any(entry.endswith("/LICENSE") for entry in archive.namelist())


def test_pip_installs_it_and_a_recipe_is_linted_and_explained(wheel, tmp_path):
    venv.create(tmp_path / "env", with_pip=True)
    programs = tmp_path / "env" / "bin"
    call(programs / "python", "-m", "pip", "install", "--quiet", "-c", CONSTRAINTS, wheel, cwd=tmp_path)
    look_around(programs, tmp_path)


@pytest.mark.skipif(UV is None, reason="uv is not installed")
def test_uv_installs_it_and_a_recipe_is_linted_and_explained(wheel, tmp_path):
    call(UV, "venv", "--quiet", "--python", sys.executable, "env", cwd=tmp_path)
    install = ("pip", "install", "--quiet", "--python", tmp_path / "env", "-c", CONSTRAINTS, wheel)
    call(UV, *install, cwd=tmp_path, UV_SYSTEM_CERTS="1")
    look_around(tmp_path / "env" / "bin", tmp_path)


def look_around(programs: Path, folder: Path) -> None:
    """Use what was installed, in a folder of which it knows nothing."""
    (folder / "mine.yaml").write_text("recipe: 1\nextends: builtin:quickstart\n", encoding="utf-8")
    (folder / "large.yaml").write_text(
        "recipe: 1\nextends: [builtin:sana_480p, builtin:fragments/crepa]\n", encoding="utf-8"
    )
    recipe = programs / "recipe"
    assert "no findings" in call(recipe, "lint", "mine.yaml", "large.yaml", "--no-data", cwd=folder)
    assert "R303" in call(recipe, "explain", "R303", cwd=folder)
    assert json.loads(call(recipe, "schema", cwd=folder))["properties"]["train"]
    page = call(recipe, "explain", "mine.yaml", "--no-data", "--format", "html", cwd=folder)
    assert "<html" in page
    found = call(programs / "python", "-c", "import recipe_compiler; print(recipe_compiler.__file__)", cwd=folder)
    assert found.startswith(str(folder.resolve()))
    torch = "import importlib.util; print(importlib.util.find_spec('torch'))"
    assert call(programs / "python", "-c", torch, cwd=folder).strip() == "None"
