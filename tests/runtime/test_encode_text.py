import pytest
import torch
from safetensors.torch import load_file, save_file

from fakes_runtime import make_context, make_project
from fakes_store import shard_files, stored_values
from recipe_runtime import encode_text
from recipe_runtime.errors import ModelError, StoppedBySignal
from recipe_runtime.stop import StopRequested
from recipe_schema.events import Interrupted, StageFinished, StageStarted
from recipe_schema.plan import Prompt


def test_every_text_is_encoded_once_and_the_second_run_reuses_all(tmp_path):
    events = []
    prompts = (Prompt(nickname="a", text="one."), Prompt(nickname="b", text="one."))
    ctx = make_context(make_project(tmp_path, prompts=prompts, negative_prompt="blurry"), [events.append])

    encode_text.run(ctx, StopRequested())
    written = {path: path.stat().st_mtime_ns for path in shard_files(ctx.store.folder)}
    encode_text.run(ctx, StopRequested())

    items = encode_text.text_items(ctx)
    assert [(item.text, item.with_instruction) for item in items] == [
        *[(row.text, True) for row in ctx.rows],
        ("", False),
        ("one.", True),
        ("blurry", False),
    ]
    assert len(stored_values(ctx.store.folder)) == 7
    assert len(written) == 1
    assert {path: path.stat().st_mtime_ns for path in shard_files(ctx.store.folder)} == written
    starts = [(event.total, event.reused) for event in events if isinstance(event, StageStarted)]
    assert starts == [(7, 0), (7, 7)]
    assert sum(isinstance(event, StageFinished) for event in events) == 2


def test_the_index_leads_to_embeddings_without_padding(tmp_path):
    ctx = make_context(make_project(tmp_path))
    encode_text.run(ctx, StopRequested())

    index = encode_text.text_index(ctx)

    null = ctx.store.read("text", index["", False])["embeds"]
    caption = ctx.store.read("text", index[ctx.rows[0].text, True])["embeds"]
    assert null.shape == (1, 32)  # the token that begins every text
    assert 1 < len(caption) < 300
    assert torch.isfinite(caption).all()


def test_a_key_depends_on_all_that_shapes_an_embedding(tmp_path):
    keys = {}
    for name, overrides in {
        "plain": {},
        "again": {},
        "instruction": {"model.instruction": "diffusers"},
        "dtype": {"model.text_encoder_dtype": "bf16"},
        "seed": {"train.seed": 7},
    }.items():
        ctx = make_context(make_project(tmp_path / name, **overrides))
        keys[name] = encode_text.text_index(ctx)[ctx.rows[0].text, True]
    ctx = make_context(make_project(tmp_path / "weights"))
    weights = tmp_path / "weights/project/models/tiny/text_encoder/model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    keys["weights"] = encode_text.text_index(ctx)[ctx.rows[0].text, True]

    assert keys["plain"] == keys["again"] == keys["seed"]
    assert len({keys[name] for name in ("plain", "instruction", "dtype", "weights")}) == 4


def test_a_wish_to_stop_is_met_between_texts_and_nothing_is_lost(tmp_path):
    events = []
    ctx = make_context(make_project(tmp_path), [events.append])

    with pytest.raises(StoppedBySignal, match="SIGTERM"):
        encode_text.run(ctx, StopRequested(requested="SIGTERM"))
    encode_text.run(ctx, StopRequested())

    assert events[2] == Interrupted(signal="SIGTERM", step=0)
    assert [event.reused for event in events if isinstance(event, StageStarted)] == [0, 1]


def test_values_that_are_not_finite_are_never_stored(tmp_path):
    ctx = make_context(make_project(tmp_path))
    weights = ctx.resolve("models/tiny/text_encoder/model.safetensors")
    tensors = load_file(weights)
    tensors["norm.weight"].fill_(float("nan"))
    save_file(tensors, weights, {"format": "pt"})

    with pytest.raises(ModelError, match="values that are not finite for `a red disc moves right"):
        encode_text.run(ctx, StopRequested())

    assert not stored_values(ctx.store.folder)
