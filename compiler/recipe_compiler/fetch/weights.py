"""Gets the models that a recipe trains with from the Hugging Face hub, into the hub's own cache, where a run finds them."""

from collections.abc import Callable, Iterator
from pathlib import Path

from huggingface_hub import snapshot_download

from recipe_compiler.fetch.errors import FetchError
from recipe_compiler.fetch.hub import hub_errors
from recipe_compiler.settings import Resolved
from recipe_schema.family import MODEL_ENDINGS
from recipe_schema.hub_id import is_hub_id


_MODEL = "model.pretrained_model_name_or_path"
_PARTS = (_MODEL, "model.pretrained_vae_model_name_or_path", "model.pretrained_transformer_model_name_or_path")


def fetch_weights(settings: Resolved, root: Path, report: Callable[[str], None]) -> None:
    """Download the model, and the VAE and the transformer where they come from elsewhere.

    A download that was interrupted goes on where it stopped, and files that are there are not downloaded again.

    Args:
        settings: Resolved settings.
        root: Where relative paths start.
        report: Told what happens, a line at a time.

    Raises:
        FetchError: A model can't be had.
    """
    for name, revision in wanted(settings):
        if (root / name).is_dir():
            report(f"{name}: the folder is there")
            continue
        if not is_hub_id(name):
            raise FetchError(
                f"{root / name} does not exist, and {name} is no OWNER/NAME of the hub; correct the recipe"
            )
        report(f"{name}: downloading what is missing")
        with hub_errors(name, what="model"):
            folder = snapshot_download(name, revision=revision, allow_patterns=[f"*{end}" for end in MODEL_ENDINGS])
        report(f"{name}: complete in {folder}")


def wanted(settings: Resolved) -> Iterator[tuple[str, str | None]]:
    """Yield each model by name, with the revision that the recipe asks for. One that is built is none."""
    if settings["model.random_weights"] is not None:
        return
    for name in dict.fromkeys(settings[path] for path in _PARTS):
        yield name, settings["model.revision"] if name == settings[_MODEL] else None
