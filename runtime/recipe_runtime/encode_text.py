"""Stage ``encode-text``: the embedding of every text that training and validation need, once for each content."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from recipe_runtime.build import build_text_encoder
from recipe_runtime.context import Context
from recipe_runtime.encode_queue import EncodeQueue, Work
from recipe_runtime.errors import ModelError
from recipe_runtime.models.source import component_dir, pipeline_dir, weights_digest
from recipe_runtime.models.text import TextEncoder
from recipe_runtime.stage import report_stage
from recipe_runtime.stop import StopRequested
from recipe_runtime.store import content_key
from recipe_schema.stored import text_facts


_ENCODE_VERSION = 1
"""Raised whenever the same text and encoder give another embedding."""

_SHOWN = 60
"""Characters of a text that a message shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextItem:
    """A text to encode.

    Attributes:
        text: The text, without the instruction.
        with_instruction: Whether the instruction is put before it: so for captions and prompts, and not for the
            null caption and the negative prompt.
        key: Its key in the store. The value holds ``embeds``, shape (tokens, channels).
    """

    text: str
    with_instruction: bool
    key: str


def text_items(ctx: Context) -> list[TextItem]:
    """Return every text of the run, each once: captions in order of clip, null caption, prompts, negative prompt.

    Raises:
        ModelError: The text encoder is missing.
    """
    wanted = [(text, True) for row in ctx.rows for text in row.texts]
    wanted.extend((row.text, True) for row in ctx.eval_rows)
    wanted.append((ctx.facts["null_caption"], False))
    wanted.extend((prompt.text, True) for prompt in ctx.plan.execution.prompts)
    wanted.append((ctx.plan.execution.negative_prompt, False))
    home = pipeline_dir(ctx)
    encoder = {
        "version": _ENCODE_VERSION,
        "tokenizer": weights_digest(component_dir(home, "tokenizer")),
        "text_encoder": weights_digest(component_dir(home, "text_encoder")),
        "dtype": ctx.settings.model.text_encoder_dtype,
        "max_sequence_length": ctx.facts["max_sequence_length"],
    }
    precision = ctx.settings.model.text_encoder_precision
    if precision != "no_change":  # as it was, so that stores of earlier versions hold
        encoder["precision"] = precision
    items = []
    for text, with_instruction in dict.fromkeys(wanted):
        instruction = ctx.facts["instruction"] if with_instruction else None
        key = content_key({**encoder, "text": text, "instruction": instruction})
        items.append(TextItem(text=text, with_instruction=with_instruction, key=key))
    return items


def text_index(ctx: Context) -> Mapping[tuple[str, bool], str]:
    """Return the key in the store of each text, by the text and whether it has the instruction."""
    return {(item.text, item.with_instruction): item.key for item in text_items(ctx)}


def run(ctx: Context, stop: StopRequested) -> None:
    """Encode what the store does not have. Where nothing is missing, no model is loaded.

    Raises:
        ModelError: The text encoder can't be loaded, or gives values that are not finite.
        StoppedBySignal: Someone asked the run to stop. What is encoded is kept.
    """
    items = text_items(ctx)
    missing = ctx.store.missing("text", [item.key for item in items])
    reused = sum(item.key not in missing for item in items)
    with report_stage(ctx.recorder, "encode-text", total=len(items), reused=reused, unit="texts", stop=stop) as report:
        if not missing:
            return
        queue = EncodeQueue(
            ctx.store,
            "text",
            missing=frozenset(missing),
            work=[Work(item=item, keys={item.key: 1}) for item in items],
            worker=ctx.worker,
            report=report,
        )
        with queue:
            work = queue.take(wait=True)
            if work is None:  # other processes were faster
                return
            encoder = build_text_encoder(ctx)
            while work is not None:
                embeds = _encode(ctx, encoder, work.item)
                queue.write(work.item.key, {"embeds": embeds}, _facts(ctx, work.item))
                queue.done(work)
                work = queue.take(wait=True)


def _encode(ctx: Context, encoder: TextEncoder, item: TextItem) -> Tensor:
    """Return a text's embedding, shape (tokens, channels)."""
    instruction = ctx.facts["instruction"] if item.with_instruction else None
    embeds = encoder.encode(item.text, instruction=instruction, max_length=ctx.facts["max_sequence_length"])
    if not bool(torch.isfinite(embeds).all()):
        raise ModelError(
            f"the text encoder gives values that are not finite for `{item.text[:_SHOWN]}`; set "
            "`model.text_encoder_dtype: fp32`, and fetch the text encoder anew if it is fp32 already"
        )
    return embeds


def _facts(ctx: Context, item: TextItem) -> dict[str, str]:
    model = ctx.settings.model
    return text_facts(
        item.text,
        instruction=ctx.facts["instruction"] if item.with_instruction else None,
        dtype=model.text_encoder_dtype,
        precision=model.text_encoder_precision,
    )
