"""The model card: what was trained, on what, by which settings, and how to load it."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from recipe_runtime.exported import INDEX, MARKER, loading
from recipe_schema.definition import leaves
from recipe_schema.plan import Plan
from recipe_schema.sections.forms import A_PATH


CARD = "README.md"

_ANSWERED = frozenset({"recipe", "fragment", "override", "template"})
"""Origins of settings that somebody chose."""


def model_card(plan: Plan, export: Path, repository: str) -> str:
    """Write the card of an exported model.

    It holds no folders of this machine, and no text of a caption: what of the data may be told is for its owner to say.

    Args:
        plan: The plan of its run.
        export: The exported model.
        repository: Where it goes.
    """
    marker = json.loads((export / MARKER).read_text(encoding="utf-8"))
    return (
        "\n".join([*_head(plan), *_story(plan, marker), *_loading(plan, export, repository), *_settings(plan)]) + "\n"
    )


def _head(plan: Plan) -> Iterator[str]:
    """Yield what the hub reads. The licence is left out on purpose: only the owner can state it."""
    base = _base(plan)
    yield "---"
    if base is not None:
        yield f"base_model: {base}"
    yield from ("library_name: diffusers", "pipeline_tag: text-to-video", "tags:", "- sana-video", "- sana-recipes")
    yield from ("---", "")


def _story(plan: Plan, marker: Mapping[str, Any]) -> Iterator[str]:
    schedule = plan.body.schedule
    yield from (f"# {plan.name}", "")
    if plan.settings["description"]:
        yield from (plan.settings["description"], "")
    average = "the average of the weights" if marker["weights"] == "ema" else "the weights"
    yield f"Sana Video, trained with sana-recipes from {_base(plan) or 'a local model'}. This is {average} after"
    yield f"{marker['step']} optimizer steps of {schedule.samples_per_step:.4g} samples."
    yield from ("", f"Plan: `{plan.plan_id}`", "", "## Data", "")
    yield from ("| fate of a file | files |", "| --- | --- |")
    yield from (f"| {fate} | {count} |" for fate, count in plan.meta["clips"].items())
    yield from ("", "| size and frames | clips | samples of an epoch |", "| --- | --- | --- |")
    yield from (f"| {bucket.name} | {bucket.clips} | {bucket.samples} |" for bucket in plan.body.buckets)
    yield from ("", "## Licence", "")
    yield "The weights derive from those of the base model, whose licence holds for them too. Rights in the clips are"
    yield "not known to the program that wrote this card: whoever publishes the model states them here."


def _loading(plan: Plan, export: Path, repository: str) -> Iterator[str]:
    if (export / INDEX).exists():
        load = [f'pipeline = SanaVideoPipeline.from_pretrained("{repository}", torch_dtype=torch.bfloat16)']
    else:
        base = _base(plan) or "PATH OF THE BASE MODEL"
        load = [
            f'pipeline = SanaVideoPipeline.from_pretrained("{base}", torch_dtype=torch.bfloat16)',
            loading(plan.settings["model.lora.type"], repository),
        ]
    bucket, rate = plan.body.buckets[0], plan.settings["validation.framerate"]
    yield from ("", "## Load it", "", "```python", "import torch", "from diffusers import SanaVideoPipeline")
    yield from ("from diffusers.utils import export_to_video", "", *load)
    yield from ("pipeline.vae.to(torch.float32)", 'pipeline.to("cuda")')
    yield f'clip = pipeline("what is to be seen", width={bucket.width}, height={bucket.height}, frames={bucket.frames})'
    yield f'export_to_video(clip.frames[0], "clip.mp4", fps={rate:g})'
    yield from ("```", "")


def _settings(plan: Plan) -> Iterator[str]:
    """Yield the settings that shaped the weights and that somebody chose. Paths are left out."""
    paths = {leaf.path for leaf in leaves() if leaf.spec.pattern == A_PATH}
    origins = plan.meta["origins"]
    yield from ("## Settings", "", "What the recipe gave, of the keys that shape the weights:", "", "```yaml")
    for path, value in plan.body.settings.items():
        generic = ".".join("*" if part.isdigit() else part for part in path.split("."))
        if generic not in paths and origins[path]["kind"] in _ANSWERED:
            yield f"{path}: {json.dumps(value, ensure_ascii=False)}"
    yield "```"


def _base(plan: Plan) -> str | None:
    """Return the hub's name of the model that was trained; None for a folder of this machine."""
    name: str = plan.settings["model.pretrained_model_name_or_path"]
    return None if (Path(plan.execution.root) / name).exists() or name.count("/") != 1 else name
