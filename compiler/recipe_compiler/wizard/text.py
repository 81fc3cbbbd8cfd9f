"""The text of a recipe, each choice with its reason beside it."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from recipe_compiler.passes.cures import BASE, CHECKPOINTING, INTERVAL, OFFLOAD
from recipe_compiler.wizard.answers import Answers
from recipe_compiler.wizard.fit import CONTEXT_GB, EMA_DEVICE, OPTIMIZER, TYPE, Fit
from recipe_compiler.wizard.quoting import quoted
from recipe_schema.family import FamilyFacts


_LORA_RATE = "1.0e-4"
_TINY_RATE = "1.0e-3"
_TINY_SIZES = ("224x128", "288x128", "128x128")
_TINY_FRAMES = 33
_LONG = 1000
"""Steps from which on a run has an average of its weights."""

_SMALL = 26
"""10⁹ bytes: a GPU on which the whole pipeline has little room."""

_WIDE = 76
"""Characters of a comment's line."""

_SAMPLING_STEPS = 50
_LARGER = 1.5
"""How much more a pass over a drawn clip may take than one over a trained clip, which may be of a smaller bucket."""
_MOST_VALIDATION = 0.25
"""The share of a run that drawing clips may take. Rule R604 has the same limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How clips are cut.

    Attributes:
        sizes: Sizes of buckets.
        rate: Frames a second.
        frames: Frames of a sample.
        least: Frames that a clip has at least.
        cut: Samples are shorter than they could be, to fit the GPU.
    """

    sizes: Sequence[str]
    rate: float
    frames: int
    least: int
    cut: bool = False


def usual_sizes(answers: Answers, family: FamilyFacts) -> Sequence[str]:
    """Return the sizes to begin with."""
    return _TINY_SIZES if answers.tiny else tuple(family.default("buckets"))


def usual_frames(answers: Answers, family: FamilyFacts) -> int:
    """Return the frames of a sample to begin with."""
    return _TINY_FRAMES if answers.tiny else int(family.default("num_frames"))


def recipe_text(answers: Answers, shape: Shape, fit: Fit | None, family: FamilyFacts) -> str:
    """Write a recipe.

    Args:
        answers: What was asked for.
        shape: How clips are cut.
        fit: What fits the GPU; None where nobody has asked yet, or where there is none.
        family: The model family.
    """
    blocks = (
        _head(answers, fit),
        _model(answers, fit),
        _data(answers, shape, family),
        _train(answers, fit),
        _memory(answers, fit),
        _drawing(answers, shape, fit, family),
    )
    return "\n\n".join("\n".join(block) for block in map(list, blocks) if block) + "\n"


def _head(answers: Answers, fit: Fit | None) -> Iterator[str]:
    yield from _comment(f"Written by `recipe init`. Clips: {answers.look.text}.")
    if answers.tiny:
        yield from _comment(
            "A small model with random weights, on the processor: it goes through every stage of a real "
            "run, and what it draws is no art."
        )
    if fit is not None:
        parts = ", ".join(f"{name} {size:.1f}" for name, size in fit.parts_gb.items() if size >= 0.05)  # noqa: PLR2004
        yield from _comment(
            f"Takes about {fit.peak_gb + CONTEXT_GB:.1f} of {answers.gpu_gb:.4g} GB by the estimate: {parts}, and "
            f"{CONTEXT_GB:g} GB for CUDA."
        )
    yield "recipe: 1"
    yield f"name: {quoted(name_of(answers))}"


def name_of(answers: Answers) -> str:
    """Return the recipe's name: that of its file, or of the folder of clips where the file says nothing."""
    stem = answers.file.stem if answers.file.stem != "recipe" else answers.look.folder.absolute().name
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in stem).strip("._-")[:64]
    return plain or "recipe"


def _model(answers: Answers, fit: Fit | None) -> Iterator[str]:
    yield "model:"
    if answers.tiny:
        yield "  pretrained_model_name_or_path: models/tiny-sana-video"
        yield "  random_weights: tiny            # built there on first use"
        yield "  text_encoder_dtype: fp32"
    kind = _kind(answers, fit)
    if fit is not None and fit.refused:
        yield from _comment(f"An adapter: {fit.refused}, and the GPU has {answers.gpu_gb:.4g} GB.", "  ")
    yield f"  type: {kind}"
    if fit is not None and BASE in fit.settings:
        yield from _comment(fit.why[BASE], "  ")
        yield f"  base_model_precision: {fit.settings[BASE]}"
    if kind == "lora":
        yield "  lora:"
        yield "    rank: 16                      # more rank learns more, and learns by heart sooner"


def _kind(answers: Answers, fit: Fit | None) -> str:
    if fit is not None:
        return str(fit.settings[TYPE])
    return "lora" if answers.goal == "lora" else "full"


def _data(answers: Answers, shape: Shape, family: FamilyFacts) -> Iterator[str]:
    yield "data:"
    if shape.rate != family.default("framerate"):
        yield f"  framerate: {shape.rate:g}                   # most clips have no more; the model was made with 16"
    yield "  store_dir: store                # latents and text embeddings, by content; other recipes may share it"
    if tuple(shape.sizes) != tuple(family.default("buckets")):
        if not answers.tiny:
            yield from _comment(
                "Smaller than the sizes that the model was made with: the clips have no more pixels.", "  "
            )
        yield f"  buckets: [{', '.join(shape.sizes)}]"
    yield "  datasets:"
    yield "    - id: clips"
    yield f"      instance_data_dir: {quoted(path_from(answers.file, answers.look.folder))}"
    yield from _captions(answers)
    if len(answers.look.clips) == 1:
        yield "      repeats: 1                      # seen twice in an epoch: a data set has two samples at least"
    yield "      video:"
    if shape.cut:
        yield from _comment("Fewer than the clips have and the model was made with (81), to fit the GPU.", "        ")
    yield f"        num_frames: {shape.frames}            # {shape.frames / shape.rate:.3g} seconds at {shape.rate:g} fps"
    if shape.least < shape.frames:
        yield f"        min_frames: {shape.least}            # shorter clips are trained at their own length"


def _captions(answers: Answers) -> Iterator[str]:
    found = answers.look.captions
    if answers.caption:
        yield "      caption_strategy: instanceprompt   # one caption for all: give each its own, and it learns more"
        yield f"      instance_prompt: {quoted(answers.caption)}"
    elif found.kind == "parquet":
        assert found.table is not None, "a table was found"
        yield "      caption_strategy: parquet"
        yield "      parquet:"
        yield f"        path: {quoted(path_from(answers.file, found.table))}"
        yield f"        filename_column: {quoted(found.columns[0])}"
        yield f"        caption_column: {quoted(found.columns[1])}"
        if not found.endings:
            yield "        identifier_includes_extension: false"
    else:
        yield f"      caption_strategy: {found.kind}"


def path_from(file: Path, target: Path) -> str:
    """Return how a recipe names a path: from its own folder where both are near, else from the root."""
    relative = os.path.relpath(target.absolute(), file.absolute().parent)
    return str(target.absolute()) if relative.startswith(os.path.join("..", "..", "..")) else relative


def _train(answers: Answers, fit: Fit | None) -> Iterator[str]:
    steps, lora = answers.steps, _kind(answers, fit) == "lora"
    yield "train:"
    yield "  batch_size: 1"
    yield f"  max_steps: {steps}"
    if answers.tiny:
        yield "  mixed_precision: no             # fp32: the model is small"
    yield ""
    yield "optimizer:"
    if fit is not None and OPTIMIZER in fit.settings:
        yield from _comment(fit.why[OPTIMIZER], "  ")
        yield f"  name: {fit.settings[OPTIMIZER]}"
    if answers.tiny:
        yield f"  learning_rate: {_TINY_RATE}         # for random weights"
    elif lora:
        yield f"  learning_rate: {_LORA_RATE}         # twice that of all weights: an adapter begins at no change"
    else:
        yield "  learning_rate: 5.0e-5         # the authors'"
    yield ""
    yield "lr_schedule:"
    yield "  name: cosine"
    warmup = min(100, steps // 20)
    if warmup:
        yield f"  warmup_steps: {warmup}"
    if steps >= _LONG:
        yield ""
        yield "ema:"
        yield "  enabled: true                   # the average of the weights, which is what is exported and drawn with"
        if fit is not None and EMA_DEVICE in fit.settings:
            yield from _comment(fit.why[EMA_DEVICE], "  ")
            yield f"  device: {fit.settings[EMA_DEVICE]}"


def _memory(answers: Answers, fit: Fit | None) -> Iterator[str]:
    if fit is None:
        return
    yield "memory:"
    yield from _comment(fit.why.get(CHECKPOINTING) or fit.why[INTERVAL], "  ")
    yield f"  gradient_checkpointing: {str(fit.settings[CHECKPOINTING]).lower()}"
    if fit.settings.get(INTERVAL, 1) > 1:
        yield f"  gradient_checkpointing_interval: {fit.settings[INTERVAL]}"
    if OFFLOAD in fit.settings:
        yield from _comment(fit.why[OFFLOAD], "  ")
        yield "  group_offload: {enabled: true}"
    elif answers.gpu_gb <= _SMALL:
        yield "  model_cpu_offload: true         # while clips are drawn, transformer and VAE take turns on the GPU"


def _drawing(answers: Answers, shape: Shape, fit: Fit | None, family: FamilyFacts) -> Iterator[str]:
    yield "validation:"
    yield f"  prompt: {quoted(answers.prompt)}"
    if shape.frames != family.default("num_frames"):
        yield f"  num_video_frames: {shape.frames}"
    passes = 2 if fit is None else 2 + (fit.settings[TYPE] == "full") + fit.settings[CHECKPOINTING]
    drawing = 2 * _SAMPLING_STEPS * _LARGER
    enough = -(-drawing * (1 - _MOST_VALIDATION) // (_MOST_VALIDATION * passes))
    interval = max(min(500, answers.steps // 4), int(enough))
    if interval <= answers.steps // 2:
        yield f"  step_interval: {interval}              # and at the end"
    yield ""
    yield "checkpoints:"
    yield f"  step_interval: {max(min(500, answers.steps // 4), 1)}"
    yield "  total_limit: 3"


def _comment(text: str, indent: str = "") -> Iterator[str]:
    """Break a comment into lines."""
    line = ""
    for word in (text[0].upper() + text[1:]).split():
        if line and len(line) + 1 + len(word) > _WIDE:
            yield f"{indent}# {line}"
            line = ""
        line = f"{line} {word}" if line else word
    yield f"{indent}# {line}"
