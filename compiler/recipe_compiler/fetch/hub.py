"""Gets data sets from the Hugging Face hub. The library honors ``HF_ENDPOINT``, ``HF_TOKEN`` and proxies."""

import shutil
from collections.abc import Callable
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

from recipe_compiler.fetch.errors import FetchError
from recipe_compiler.fetch.folder import complete_folder, is_fetched, is_unused, refuse_foreign


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
    partial = folder.parent / f".{folder.name}.{name.replace('/', '.')}.partial"
    partial.mkdir(parents=True, exist_ok=True)
    commit = _download(name, partial, report)
    shutil.rmtree(partial / ".cache" / "huggingface", ignore_errors=True)  # the library's notes for going on
    complete_folder(partial, folder, source, {"revision": commit})


def _download(name: str, folder: Path, report: Callable[[str], None]) -> str:
    """Download all files and return the commit that they are of."""
    try:
        # One commit for all files, even if the download is interrupted and the data set changes meanwhile.
        commit = HfApi().dataset_info(name).sha
        report(f"downloading the data set {name} at {commit}")
        snapshot_download(name, repo_type="dataset", revision=commit, local_dir=folder)
    except GatedRepoError as error:
        raise FetchError(
            f"the data set {name} is gated: accept its terms on its page, run `hf auth login`, then run again"
        ) from error
    except RepositoryNotFoundError as error:
        raise FetchError(
            f"the hub has no data set {name}, or it is private: check the name, or run `hf auth login`"
        ) from error
    except Exception as error:
        # The library's network errors come from an HTTP package that changes between its versions.
        raise FetchError(
            f"hf:{name} could not be downloaded ({_first_line(error)}); check the network, or set HF_ENDPOINT to a "
            "mirror, and run again: what is there already is kept"
        ) from error
    return str(commit)


def _first_line(error: Exception) -> str:
    text = str(error).strip() or "no details"
    return f"{type(error).__name__}: {text.splitlines()[0]}"
