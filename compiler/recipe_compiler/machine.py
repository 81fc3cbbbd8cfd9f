"""What rules may ask of the machine. Every answer is looked up when it is asked for: most lints ask nothing."""

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from recipe_schema.record import record


_WANDB_HOST = "api.wandb.ai"
_WITHOUT_UPLOAD = ("offline", "disabled", "dryrun")
_HUB_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


def _version(package: str) -> str | None:
    # Loading this takes a tenth of a lint.
    from importlib import metadata  # noqa: PLC0415

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _free_bytes(path: Path) -> int | None:
    """Return the free bytes of a path's file system; the path itself need not be there yet."""
    try:
        disk = os.statvfs(next(place for place in (path, *path.parents) if place.exists()))
    except OSError:
        return None
    return disk.f_bavail * disk.f_frsize


def _used_bytes(folder: Path) -> int:
    """Return the bytes of all files below a folder; those that go away meanwhile are not counted."""
    total = 0
    for above, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(above, name)).st_size
    return total


@record
class Machine:
    """The machine that a recipe is looked at on.

    Attributes:
        environment: The variables of the environment.
        home: The user's folder.
        python: Version of the interpreter that would train.
        version: Returns the version of an installed package by its name; None for one that is not there.
        free_bytes: Returns the free bytes of the file system that a path is on; None where nobody knows.
        used_bytes: Returns the bytes of all files below a folder.
    """

    environment: Mapping[str, str]
    home: Path
    python: tuple[int, int] = sys.version_info[:2]
    version: Callable[[str], str | None] = _version
    free_bytes: Callable[[Path], int | None] = _free_bytes
    used_bytes: Callable[[Path], int] = _used_bytes

    def variable(self, name: str) -> str | None:
        """Return a variable of the environment; None for one that is not set, or empty."""
        return self.environment.get(name) or None

    def has_wandb_login(self) -> bool:
        """Say whether wandb can upload, or was told by the environment that it need not."""
        if self.variable("WANDB_API_KEY") or self.environment.get("WANDB_MODE") in _WITHOUT_UPLOAD:
            return True
        address = self.environment.get("WANDB_BASE_URL", "")
        host = address.partition("://")[2].partition("/")[0].partition(":")[0] or _WANDB_HOST
        named = self.variable("NETRC")
        files = (Path(named),) if named else (self.home / ".netrc", self.home / "_netrc")
        return any(re.search(rf"\bmachine\s+{re.escape(host)}\s", _text(file)) for file in files)

    def has_hub_login(self, variable: str) -> bool:
        """Say whether there is a token for the Hugging Face hub.

        Args:
            variable: A variable that may hold it, besides those of the hub's own library.
        """
        return any(self.variable(name) for name in (variable, *_HUB_VARIABLES)) or any(
            _text(file).strip() for file in self._hub_files()
        )

    def _hub_files(self) -> Iterator[Path]:
        named, home = self.variable("HF_TOKEN_PATH"), self.variable("HF_HOME")
        cache = self.variable("XDG_CACHE_HOME")
        if named:
            yield Path(named)
        yield (Path(home) if home else (Path(cache) if cache else self.home / ".cache") / "huggingface") / "token"
        yield self.home / ".huggingface" / "token"


def this_machine(environment: Mapping[str, str]) -> Machine:
    """Return the machine that this process runs on.

    Args:
        environment: The variables of the environment.
    """
    return Machine(environment=environment, home=Path(os.path.expanduser("~")))


def _text(file: Path) -> str:
    """Return what a file holds; nothing if it can't be read."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
