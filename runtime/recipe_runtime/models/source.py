"""Where weights come from: a local directory in diffusers format, or the Hugging Face hub."""

import functools
import hashlib
import json
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from recipe_runtime.context import Context
from recipe_runtime.errors import ModelError
from recipe_runtime.exported import INDEX
from recipe_schema.canonical import canonical_json
from recipe_schema.family import MODEL_ENDINGS
from recipe_schema.hub_id import is_hub_id


def model_dir(name: str, revision: str | None, root: Path, key: str = "model.pretrained_model_name_or_path") -> Path:
    """Return the directory that holds a model in diffusers format, downloading it when it is not local.

    Args:
        name: A directory, absolute or below ``root``; or a hub id, ``OWNER/NAME``.
        revision: Branch, tag or commit on the hub; None takes the default branch.
        root: Where relative directories start.
        key: The setting that names it.

    Raises:
        ModelError: It is neither a directory nor can it be had from the hub.
    """
    local = root / name
    if local.is_dir():
        return local
    if not is_hub_id(name):
        raise ModelError(
            f"the model directory {local} does not exist; correct `{key}`, or put the model there in diffusers format"
        )
    try:
        return _download(name, revision)
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(
            f"`{name}` is not a directory below {root} and could not be had from the Hugging Face hub: {reason}; "
            "check the name and the network (HF_ENDPOINT names a mirror, HF_TOKEN opens gated models), or download it "
            f"beforehand with `hf download {name}`"
        ) from error


@functools.cache
def _download(name: str, revision: str | None) -> Path:
    """Ask the hub once in a process: a branch that moves meanwhile must not give a run two models."""
    return Path(snapshot_download(name, revision=revision, allow_patterns=[f"*{end}" for end in MODEL_ENDINGS]))


def pipeline_dir(ctx: Context) -> Path:
    """Return the directory of the model that is trained."""
    model = ctx.settings.model
    return model_dir(model.pretrained_model_name_or_path, model.revision, ctx.root)


def vae_dir(ctx: Context) -> Path:
    """Return the folder of the VAE itself.

    The revision belongs to the trained model's repository; a VAE of another repository comes from its default
    branch.
    """
    model = ctx.settings.model
    if model.pretrained_vae_model_name_or_path == model.pretrained_model_name_or_path:
        return component_dir(pipeline_dir(ctx), "vae")
    key = "model.pretrained_vae_model_name_or_path"
    return component_dir(model_dir(model.pretrained_vae_model_name_or_path, None, ctx.root, key), "vae")


def transformer_dir(ctx: Context) -> Path:
    """Return the folder of the transformer that training starts from.

    It may be given as a model in diffusers format or as the transformer's own folder. The revision belongs to the
    model's repository; a transformer of another one comes from its default branch.
    """
    model = ctx.settings.model
    if model.pretrained_transformer_model_name_or_path == model.pretrained_model_name_or_path:
        return component_dir(pipeline_dir(ctx), "transformer")
    key = "model.pretrained_transformer_model_name_or_path"
    home = model_dir(model.pretrained_transformer_model_name_or_path, None, ctx.root, key)
    return home if (home / "config.json").is_file() else component_dir(home, "transformer")


def component_dir(home: Path, component: str) -> Path:
    """Return the folder of one component, such as ``vae``, of a model in diffusers format.

    Raises:
        ModelError: There is no such folder.
    """
    folder = home / component
    if not folder.is_dir():
        raise ModelError(
            f"{home} has no folder `{component}`; a model in diffusers format has one for each component, so check "
            "that the download is complete and that the path names the model's top folder"
        )
    return folder


def check_index(home: Path) -> Path:
    """Return the index of a model in diffusers format.

    Raises:
        ModelError: There is none.
    """
    if not (home / INDEX).is_file():
        raise ModelError(f"{home} has no {INDEX}, so it is no complete model; download it again")
    return home / INDEX


def read_config(path: Path) -> dict[str, Any]:
    """Read the configuration of a component.

    Raises:
        ModelError: It is missing or damaged.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path} does not exist; check that the download is complete") from None
    except ValueError as error:
        raise ModelError(f"{path} is not JSON ({error}); fetch or build the model anew") from error
    if not isinstance(config, dict):
        raise ModelError(f"{path} holds no configuration; fetch or build the model anew")
    return config


def weights_digest(folder: Path) -> str:
    """Return the SHA-256, hexadecimal, of a component: its configuration and weight files, names and content.

    Files are read once in a process, as long as size and modification time stay. Entries of ``config.json`` that
    begin with an underscore, such as the version of the library that wrote it, do not enter.

    Raises:
        ModelError: The folder has no such file, or its configuration is damaged.
    """
    files = sorted(path for path in folder.iterdir() if path.suffix in MODEL_ENDINGS and path.is_file())
    if not files:
        raise ModelError(f"{folder} holds neither configuration nor weights; check that the download is complete")
    state = hashlib.sha256()
    for path in files:
        stat = path.stat()
        state.update(f"{path.name}|{_file_digest(path, stat.st_size, stat.st_mtime_ns)}\n".encode())
    return state.hexdigest()


@functools.cache
def _file_digest(path: Path, _size: int, _mtime_ns: int) -> str:
    if path.name == "config.json":
        config = read_config(path)
        plain = canonical_json({name: value for name, value in config.items() if not name.startswith("_")})
        return hashlib.sha256(plain.encode()).hexdigest()
    state = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 22):
            state.update(chunk)
    return state.hexdigest()
