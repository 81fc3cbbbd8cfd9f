"""The Dockerfile is not built here, for want of Docker: it is read."""

import re
import shlex
import shutil
import subprocess
import tomllib
from fnmatch import fnmatch

import pytest

from fakes_docs import ROOT


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def instructions() -> list[tuple[str, str]]:
    lines = [line for line in TEXT.splitlines() if not line.startswith("#")]
    whole = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in whole.splitlines() if line)]


def copied() -> list[str]:
    """Return what is copied from the project, in order."""
    found = [shlex.split(rest) for name, rest in instructions() if name == "COPY" and not rest.startswith("--from")]
    return [source for *sources, _ in found for source in sources]


def test_what_is_copied_is_there_and_not_kept_out():
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
    let_in = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    assert "*" in rules
    for source in copied():
        assert (ROOT / source).exists(), source
    assert set(copied()) == let_in


def test_everything_that_the_package_is_made_of_is_copied():
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    made_of = [*wheel["packages"], *wheel["force-include"], PROJECT["project"]["readme"]]
    for path in [*made_of, *PROJECT["project"]["license-files"]]:
        assert any(fnmatch(path, source) or path.startswith(f"{source}/") for source in copied()), path


def test_every_install_takes_the_versions_that_are_tested():
    installs = [line for name, line in instructions() if name == "RUN" and "pip install" in line]
    assert len(installs) == 3
    for line in installs:
        for command in line.split("&&"):
            assert "pip install" not in command or "--constraint constraints.txt" in command
    build = next(line for line in installs if line.endswith(" ."))
    assert "--build-constraint constraints.txt" in build
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    for tool in ("uv", "hatchling"):
        assert re.search(rf"^{tool}==", pinned, flags=re.MULTILINE)


def test_what_others_wrote_is_installed_before_our_code_is_copied():
    order = [rest for name, rest in instructions() if name in ("RUN", "COPY")]
    install = next(place for place, rest in enumerate(order) if "--requirement pyproject.toml" in rest)
    ours = [
        place for place, rest in enumerate(order) if rest.split()[0] in ("schema", "compiler", "runtime", "recipes")
    ]
    assert len(ours) == 4
    assert install < min(ours)


def test_the_extras_are_those_of_the_project():
    extras = re.search(r'^ARG EXTRAS="([^"]+)"', TEXT, flags=re.MULTILINE)
    assert extras is not None
    assert set(extras[1].split()) <= set(PROJECT["project"]["optional-dependencies"])


def test_it_runs_recipe_as_somebody_who_is_not_root():
    last = TEXT[TEXT.rindex("\nFROM ") :]
    assert 'ENTRYPOINT ["recipe"]' in last
    assert re.findall(r"^USER (.+)$", last, flags=re.MULTILINE) == ["${OWNER}"]
    owner = re.search(r"^ARG OWNER=(\d+)", last, flags=re.MULTILINE)
    assert owner is not None
    assert int(owner[1]) > 0


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint is not installed")
def test_hadolint_finds_nothing():
    done = subprocess.run(["hadolint", str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
