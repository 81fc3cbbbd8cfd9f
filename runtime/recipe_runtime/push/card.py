"""The model card: what was trained, on what, by which settings, and how to load it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from recipe_runtime.exported import INDEX, MARKER, loading
from recipe_schema.definition import leaves
from recipe_schema.family import load_family
from recipe_schema.hub_id import is_hub_id
from recipe_schema.plan import Bucket, Plan
from recipe_schema.sections.forms import A_PATH


CARD = "README.md"

MODEL, TRANSFORMER = "model.pretrained_model_name_or_path", "model.pretrained_transformer_model_name_or_path"

SIDE = 32
"""Sides of clips that diffusers' classes draw are multiples of this."""

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
    if _from_pictures(plan):
        yield "- image-to-video"
    yield from ("---", "")


def _story(plan: Plan, marker: Mapping[str, Any]) -> Iterator[str]:
    schedule = plan.body.schedule
    yield from (f"# {plan.name}", "")
    if plan.settings["description"]:
        yield from (plan.settings["description"], "")
    average = "the average of the weights" if marker["weights"] == "ema" else "the weights"
    random = plan.settings["model.random_weights"] is not None
    start = "random weights" if random else _base(plan) or "a local model"
    yield f"Sana Video, trained with sana-recipes from {start}. This is {average} after"
    steps, samples = _many(marker["step"], "optimizer step"), _many(schedule.samples_per_step, "sample")
    yield f"{steps} of {samples}."
    yield from ("", f"Plan: `{plan.plan_id}`", "", "## Data", "")
    yield from ("| fate of a file | files |", "| --- | --- |")
    yield from (f"| {fate} | {count} |" for fate, count in plan.meta["clips"].items())
    yield from ("", "| size and frames | clips | samples of an epoch |", "| --- | --- | --- |")
    yield from (f"| {bucket.name} | {bucket.clips} | {bucket.samples} |" for bucket in plan.body.buckets)
    yield from ("", "## Licence", "")
    if not random:
        yield "The weights derive from those of the base model, whose licence holds for them too."
    yield "Rights in the clips are not known to the program that wrote this card: whoever publishes the model states them"
    yield "here."


def _loading(plan: Plan, export: Path, repository: str) -> Iterator[str]:
    own = _own_transformer(plan, export)
    if (export / INDEX).exists():
        load = [f'pipeline = SanaVideoPipeline.from_pretrained("{repository}", dtype=precision)']
    else:
        base = _base(plan) or "PATH OF THE BASE MODEL"
        given = "transformer=transformer, " if own else ""
        load = [
            f'pipeline = SanaVideoPipeline.from_pretrained("{base}", {given}dtype=precision)',
            loading(plan.settings["model.lora.type"], repository),
        ]
    rate = plan.settings["validation.framerate"]
    yield from ("", "## Load it", "", "```python", "import torch", "from diffusers import SanaVideoPipeline")
    yield from ("from diffusers.utils import export_to_video", "")
    yield 'precision = {"vae": torch.float32, "default": torch.bfloat16}'
    yield from (*own, *load, 'pipeline.to("cuda")')
    yield from _as_it_drew(plan)
    yield 'clip = pipeline("what is to be seen" + motion, **size, **drawing)'
    yield f'export_to_video(clip.frames[0], "clip.mp4", fps={rate:g})'
    yield "```"
    if _from_pictures(plan):
        yield from _loading_for_pictures(rate)
    yield ""


def _own_transformer(plan: Plan, export: Path) -> Sequence[str]:
    """Return what loads the transformer that an adapter was trained on, if it is not that of the base model."""
    path: str = plan.settings[TRANSFORMER]
    if (export / INDEX).exists() or path == plan.settings[MODEL]:
        return ()
    place = path if is_hub_id(path) and not (Path(plan.execution.root) / path).exists() else "PATH OF ITS TRANSFORMER"
    load = f'SanaVideoTransformer3DModel.from_pretrained("{place}", subfolder="transformer", dtype=torch.bfloat16)'
    return ("from diffusers import SanaVideoTransformer3DModel", f"transformer = {load}")


def _as_it_drew(plan: Plan) -> Iterator[str]:
    """Yield the arguments with which the run drew its own clips, where diffusers' defaults are others."""
    settings = plan.settings
    score = settings["data.motion_score"]
    suffix: str = load_family(settings["model.family"]).raw["text"]["motion_score_suffix"]
    yield f"motion = {json.dumps('' if score is None else suffix.format(score=score))}  # as its captions end"
    yield f"size = dict({_size(plan.body.buckets)})"
    yield "drawing = dict("
    yield f"    guidance_scale={settings['validation.guidance']:g},"
    yield f"    num_inference_steps={settings['validation.num_inference_steps']},"
    if settings["validation.negative_prompt"]:
        yield f"    negative_prompt={json.dumps(settings['validation.negative_prompt'], ensure_ascii=False)},"
    if settings["model.instruction"] != "diffusers":
        yield from _instruction(plan.body.facts["instruction"])
    yield ")"


def _instruction(text: str) -> Iterator[str]:
    """Yield the text that was put before each caption, as diffusers takes it, in place of its own."""
    if not text:
        yield "    complex_human_instruction=None,"
        return
    yield "    complex_human_instruction=["
    yield from (f"        {json.dumps(line, ensure_ascii=False)}," for line in text.split("\n"))
    yield "    ],"


def _size(buckets: Sequence[Bucket]) -> str:
    """Return the arguments for clips of a size that was trained, as near as diffusers' classes take it.

    They refuse other sides than multiples of 32, and draw in another size of about 480p unless they are told not to.
    """
    bucket = next((one for one in buckets if one.width % SIDE == one.height % SIDE == 0), buckets[0])
    width, height = (max(side // SIDE, 1) * SIDE for side in (bucket.width, bucket.height))
    return f"width={width}, height={height}, frames={bucket.frames}, use_resolution_binning=False"


def _loading_for_pictures(rate: float) -> Iterator[str]:
    """Yield how clips are drawn from pictures with the pipeline that was loaded above: in Euler's steps, shifted as its own."""
    yield from ("", "Clips that start from a picture:", "", "```python")
    yield "from diffusers import FlowMatchEulerDiscreteScheduler, SanaImageToVideoPipeline"
    yield from ("from diffusers.utils import load_image", "", "config = pipeline.scheduler.config")
    yield 'euler = FlowMatchEulerDiscreteScheduler(shift=config.get("flow_shift", config.get("shift")))'
    yield 'pipeline = SanaImageToVideoPipeline(**{**pipeline.components, "scheduler": euler})'
    yield 'picture = load_image("picture.png")'
    yield 'clip = pipeline(picture, "what is to be seen" + motion, **size, **drawing)'
    yield f'export_to_video(clip.frames[0], "clip.mp4", fps={rate:g})'
    yield "```"


def _from_pictures(plan: Plan) -> bool:
    """Return whether a data set that is trained has the first frames of its clips given."""
    settings = plan.settings
    flags = [path for path, value in settings.items() if path.endswith(".video.is_i2v") and value]
    tables = [flag.removesuffix(".video.is_i2v") for flag in flags]
    return any(
        settings[f"{table}.video.i2v_probability"] > 0
        and settings[f"{table}.dataset_type"] == "video"
        and not settings[f"{table}.disabled"]
        for table in tables
    )


def _many(count: float, thing: str) -> str:
    return f"{count:.6g} {thing}{'' if count == 1 else 's'}"


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
