"""The folder of a model does not exist.

What it does: looks for the folders that the recipe names as models: where weights begin, the VAE, the teacher of CREPA and the
judge of prompts. `models/sana` is both a path and a name of the hub; if the folder `models` exists, a path is probably meant. What
`model.random_weights` builds need not be there. A folder for the transformer has to hold one.

Why it hurts: the run would end when it loads the model. Planning on another machine than the one that trains is no mistake, so this is
a warning, and an error only where `recipe run`, `recipe encode` and `recipe doctor` miss the model or the VAE.

Example:
    model:
      pretrained_transformer_model_name_or_path: ./Efficient-Large-Model/SANA-Video_2B_480p_diffusers

Use instead:
    model:
      pretrained_transformer_model_name_or_path: Efficient-Large-Model/SANA-Video_2B_480p_diffusers
"""

import os
from collections.abc import Iterator
from pathlib import Path

from recipe_compiler.rules.data_folder_missing import meant_folder, not_there
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_schema.hub_id import is_hub_id


MODEL, WEIGHTS = "model.pretrained_model_name_or_path", "model.random_weights"
CREPA, TEACHER = "regularizers.crepa.enabled", "regularizers.crepa.encoder_path"
EVALUATION, JUDGE = "evaluation.type", "evaluation.pretrained_model_name_or_path"
TRANSFORMER = "model.pretrained_transformer_model_name_or_path"
PARTS = (
    MODEL,
    "model.pretrained_vae_model_name_or_path",
    TRANSFORMER,
    TEACHER,
    JUDGE,
)
ENCODES = PARTS[:2]
"""What is read even if only the store is filled."""


def check(facts: Facts) -> Iterator[Finding]:
    """Look for each folder, once."""
    settings = facts.settings
    built = settings[MODEL] if settings[WEIGHTS] is not None else None
    seen = {built, None}
    for at in PARTS:
        name = settings[at]
        off = (at == TEACHER and not settings[CREPA]) or (at == JUDGE and settings[EVALUATION] != "clip")
        if name in seen or off:
            continue
        seen.add(name)
        folder = facts.root / name
        on_hub = is_hub_id(name)
        if os.path.isdir(folder):
            yield from _without_transformer(facts, folder) if at == TRANSFORMER else ()
            continue
        if on_hub and not os.path.isdir(folder.parent):
            continue
        meant = meant_folder(folder, facts.root, name)
        cure = "correct the path, which starts at the recipe, or write a model of the hub as OWNER/NAME"
        yield Finding(
            at=at,
            message=not_there(folder) + (": it will be looked for on the hub" if on_hub else ""),
            help=f"did you mean `{meant}`?" if meant else cure,
            fix=meant,
            severity="error" if facts.starts_here and at in ENCODES and not on_hub else "warning",
        )


def _without_transformer(facts: Facts, folder: Path) -> Iterator[Finding]:
    """Look for the slips of those who go on from a run: its own folder, or the export of an adapter."""
    if any(os.path.exists(folder / name) for name in ("config.json", "transformer")):
        return
    adapter, export = folder / "pytorch_lora_weights.safetensors", folder / "export" / "transformer"
    written = facts.settings[TRANSFORMER].rstrip("/")
    if os.path.exists(adapter):
        cure, fix = "that is an adapter: `model.lora.init_from` goes on with one", None
    elif os.path.exists(export):
        cure, fix = f"did you mean `{written}/export`?", f"{written}/export"
    else:
        cure, fix = (
            "name a model in diffusers format, such as the export of a run, or its transformer's own folder",
            None,
        )
    yield Finding(at=TRANSFORMER, message=f"the folder `{folder}` holds no transformer", help=cure, fix=fix)


RULE = Rule(
    code="R223",
    name="model-folder-missing",
    severity="warning",
    reads=(*PARTS, WEIGHTS, CREPA, EVALUATION),
    check=check,
    page=__doc__,
)
