"""A model repository of the hub. The library honours ``HF_ENDPOINT`` and proxies, and resumes what was interrupted."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError
from huggingface_hub.utils.tqdm import disable_progress_bars

from recipe_runtime.errors import RunError
from recipe_schema.sections.output import Hub


_T = TypeVar("_T")

_TRIES = 5
_PAUSE_SECONDS = 2.0
"""After a failure follow 2, 4, 8, 16 seconds. The library tries again by itself before."""

_PASSING = frozenset({408, 409, 412, 429})
"""Refusals that may be over soon: time is out, somebody else commits at this moment, too many requests."""


class Repository:
    """A repository for models.

    Args:
        model_id: ``OWNER/NAME``, or ``NAME`` for one's own.
        private: Whether it is made a private one, and has to be one.
        token: The token; None takes that of ``hf auth login``.
        pause_seconds: The first pause after a failure. Each further one is twice as long.
    """

    def __init__(
        self, model_id: str, *, private: bool, token: str | None, pause_seconds: float = _PAUSE_SECONDS
    ) -> None:
        self.name = model_id
        self._private = private
        self._pause_seconds = pause_seconds
        self._api = HfApi(token=token)

    def open(self) -> None:
        """Check the login and that the repository can be written, and make it if it is not there.

        Raises:
            RunError: Nobody is logged in, the hub can't be reached or refuses, or the repository is public where it
                has to be private.
        """
        disable_progress_bars()  # downloads are over, and the console has bars of its own
        user = self._retried("does not let anyone in", self._api.whoami)
        if "/" not in self.name:
            self.name = f"{user['name']}/{self.name}"
        self._retried(
            f"does not make or open {self.name}",
            lambda: self._api.create_repo(self.name, private=self._private, exist_ok=True),
        )
        found = self._retried(f"does not show {self.name}", lambda: self._api.model_info(self.name))
        if self._private and found.private is False:
            raise RunError(
                f"the repository {self.name} of the hub is public, and `hub.private: true` asks for a private one; name "
                "another one in `hub.model_id`, make it private there, or set `hub.private: false`"
            )

    def upload(self, folder: Path, *, below: str, message: str) -> str:
        """Upload a folder. Files that are there already are not sent again.

        Args:
            folder: The folder.
            below: Where it goes in the repository; empty for the top.
            message: Of the commit.

        Returns:
            The address of its page.

        Raises:
            RunError: It can't be uploaded.
        """
        self._retried(
            f"does not take {folder.name}",
            lambda: self._api.upload_folder(
                repo_id=self.name, folder_path=folder, path_in_repo=below or None, commit_message=message
            ),
        )
        return f"{self._api.endpoint}/{self.name}" + (f"/tree/main/{below}" if below else "")

    def _retried(self, what: str, call: Callable[[], _T]) -> _T:
        for pause in [*(self._pause_seconds * 2.0**count for count in range(_TRIES - 1)), None]:
            try:
                return call()
            except Exception as error:
                # What a broken line raises changes between versions of the library and of what it is built on.
                if pause is None or _is_final(error):
                    raise RunError(
                        f"the hub {what} ({_first_line(error)}); {_cure(error)}, and run the same command again: what "
                        "is done is kept"
                    ) from error
            time.sleep(pause)
        raise AssertionError("the last try returns or raises")


def build_repository(hub: Hub, environment: Mapping[str, str]) -> Repository | None:
    """Return the repository that a recipe pushes to; None if nothing is uploaded.

    Args:
        hub: The settings.
        environment: Variables of the environment.

    Raises:
        RunError: It has no name.
    """
    if not (hub.push or hub.push_checkpoints):
        return None
    if hub.model_id is None:
        raise RunError("an upload to the hub needs the name of a repository; give `hub.model_id`, as in OWNER/NAME")
    return named_repository(hub.model_id, hub.token_env, environment, private=hub.private)


def named_repository(model_id: str, token_env: str, environment: Mapping[str, str], *, private: bool) -> Repository:
    """Return a repository.

    Args:
        model_id: Its name.
        token_env: The variable that holds the token.
        environment: Variables of the environment.
        private: Whether it has to be a private one.
    """
    return Repository(model_id, private=private, token=environment.get(token_env, "").strip() or None)


def _is_final(error: Exception) -> bool:
    """Say whether the same call would fail again."""
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        return 400 <= status < 500 and status not in _PASSING
    return isinstance(error, LocalTokenNotFoundError | ValueError | FileNotFoundError)


def _cure(error: Exception) -> str:
    if isinstance(error, LocalTokenNotFoundError):
        return "log in with `hf auth login`, or set the variable that `hub.token_env` names"
    if isinstance(error, HfHubHTTPError) and error.response.status_code in {401, 403}:
        return "check that the token is valid and may write to `hub.model_id`"
    if _is_final(error):
        return "correct the cause"
    return "check the network (HF_ENDPOINT names a mirror)"


def _first_line(error: Exception) -> str:
    text = str(error).strip() or "no details"
    return f"{type(error).__name__}: {text.splitlines()[0]}"
