"""Gets data sets from the Hugging Face hub. The library honors ``HF_ENDPOINT``, ``HF_TOKEN`` and proxies."""

import glob
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

from recipe_compiler.fetch.caption_lists import join_lines
from recipe_compiler.fetch.errors import FetchError
from recipe_compiler.fetch.folder import complete_folder, is_fetched, is_unused, keep_only, refuse_foreign


def fetch_dataset(name: str, folder: Path, report: Callable[[str], None]) -> None:
    """Download a data set of the hub into ``folder``, which appears when it is complete.

    The download goes to a hidden folder beside it; an interrupted one goes on where it stopped.

    Args:
        name: ``OWNER/NAME``.
        folder: Where its files go, under their own names.
        report: Told what happens, a line at a time.

    Raises:
        FetchError: It can't be downloaded, or the folder was made by something else.
    """
    source = f"hf:{name}"
    if is_fetched(folder, source):
        report(f"{folder} already holds {source}")
        return
    if not is_unused(folder):
        raise refuse_foreign(folder, source)
    with hub_errors(name):
        # One commit for all files, even if the download is interrupted and the data set changes meanwhile.
        info = HfApi().dataset_info(name)
    files = frozenset(sibling.rfilename for sibling in info.siblings or ())
    download_files(Snapshot(name=name, commit=str(info.sha), files=files), folder, source, report, join_lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Files of one commit.

    Attributes:
        name: ``OWNER/NAME``.
        commit: Its hash.
        files: Paths of all its files.
        leave_out: Paths that are not wanted.
    """

    name: str
    commit: str
    files: frozenset[str]
    leave_out: tuple[str, ...] = ()


def download_files(
    snapshot: Snapshot, folder: Path, source: str, report: Callable[[str], None], finish: Callable[[Path], object]
) -> None:
    """Download files under their own names.

    Args:
        snapshot: Which.
        folder: Appears when it is complete.
        source: What it will hold.
        report: Told what happens, a line at a time.
        finish: Called with the folder that holds all files, before it appears.

    Raises:
        FetchError: They can't be had.
    """
    name = snapshot.name
    partial = folder.parent / f".{folder.name}.{name.replace('/', '.')}.partial"
    partial.mkdir(parents=True, exist_ok=True)
    report(f"downloading the data set {name} at {snapshot.commit}")
    left_out = [glob.escape(path) for path in snapshot.leave_out]
    with hub_errors(name):
        snapshot_download(
            name, repo_type="dataset", revision=snapshot.commit, local_dir=partial, ignore_patterns=left_out or None
        )
    shutil.rmtree(partial / ".cache" / "huggingface", ignore_errors=True)  # the library's notes for going on
    keep_only(partial, snapshot.files.difference(snapshot.leave_out))
    finish(partial)
    complete_folder(partial, folder, source, {"revision": snapshot.commit})


@contextmanager
def hub_errors(name: str, *, what: str = "data set") -> Iterator[None]:
    """Turn what the hub's library raises for a data set or a model into a `FetchError` that says what to do."""
    try:
        yield
    except GatedRepoError as error:
        raise FetchError(
            f"the {what} {name} is gated: accept its terms on its page, run `hf auth login`, then run again"
        ) from error
    except RevisionNotFoundError as error:
        raise FetchError(f"the {what} {name} has no such revision: check `revision`") from error
    except RepositoryNotFoundError as error:
        raise FetchError(
            f"the hub has no {what} {name}, or it is private: check the name, or run `hf auth login`"
        ) from error
    except Exception as error:
        # The library's network errors come from an HTTP package that changes between its versions.
        raise FetchError(
            f"hf:{name} could not be downloaded ({_first_line(error)}); check the network, or set HF_ENDPOINT to a "
            "mirror, and run again: what is there already is kept"
        ) from error


def _first_line(error: Exception) -> str:
    text = str(error).strip() or "no details"
    return f"{type(error).__name__}: {text.splitlines()[0]}"
