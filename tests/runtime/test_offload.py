"""Group offloading: what waits elsewhere computes and trains bit for bit as what is there."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from safetensors import SafetensorError

from fakes_training import encoded_project, same_bits, saved_parts
from recipe_runtime import preflight, train
from recipe_runtime.errors import RunError
from recipe_runtime.models.offload import Group, Offloader
from recipe_runtime.models.trained import trained_parameters
from recipe_runtime.space import estimate_needs, parameter_count
from recipe_runtime.stop import StopRequested
from recipe_schema.events import ClipDrawn
from recipe_schema.plan import Prompt


LORA = {
    "model.type": "lora",
    "model.lora.rank": 4,
    "model.lora.target_modules": ["attn*.to_*", "to_out.0", "ff.conv_*", "proj_out"],
    "optimizer.learning_rate": 0.01,
    "checkpoints.step_interval": 100,
    "max_steps": 20,
    "prompts": (),
}
ON = {"memory.group_offload.enabled": True}
LEAVES = {"memory.group_offload.type": "leaf_level"}
DISK = {"memory.group_offload.to_disk_path": "offloaded"}


def trained(tmp_path, name, **settings):
    project, ctx, events = encoded_project(tmp_path / name, **{**LORA, **settings})
    train.run(ctx, StopRequested())
    return project, saved_parts(ctx.run_dir, 20), events


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    """Return what gives the state after a training without offloading. Modes that differ in offloading share one."""
    known = {}

    def state(mode):
        rest = {name: value for name, value in mode.items() if not name.startswith("memory.group_offload.")}
        if repr(rest) not in known:
            _, known[repr(rest)], _ = trained(tmp_path_factory.mktemp("there"), "there", **rest)
        return known[repr(rest)]

    return state


@pytest.fixture
def streams(monkeypatch):
    """Let the processor have streams, which only count what is asked of them."""
    asked = SimpleNamespace(waits=0, ahead=0, kinds=set())

    class Stream:
        def __init__(self, _device):
            pass

        def wait_stream(self, _other):
            asked.waits += 1

    def on(_stream):
        asked.ahead += 1
        return nullcontext()

    class Streaming(Offloader):
        def __init__(self, groups, device, _stream):
            super().__init__(groups, device, Stream(device))

    monkeypatch.setattr("recipe_runtime.models.offload.Offloader", Streaming)
    monkeypatch.setattr(torch.cuda, "stream", on)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda tensor, _stream: asked.kinds.add(type(tensor)))
    return asked


MODES = [
    {},
    {"memory.group_offload.blocks_per_group": 2},
    LEAVES,
    DISK,
    {**LEAVES, **DISK},
    {"memory.gradient_checkpointing": False},
    {**LEAVES, "memory.gradient_checkpointing": False},
    {"model.lora.use_dora": True},
    {**LEAVES, "model.lora.use_dora": True},
    {**LEAVES, "train.mixed_precision": "bf16", "model.lora.dropout": 0.2},
    {"model.base_model_precision": "int8-quanto"},
    {**LEAVES, "model.base_model_precision": "int8-quanto", "train.mixed_precision": "bf16"},
]


@pytest.mark.parametrize(
    "mode", MODES, ids=lambda mode: " ".join(f"{k.rpartition('.')[2]}={v}" for k, v in mode.items())
)
def test_twenty_steps_are_the_same_bits(tmp_path, mode, there):
    mode = {"memory.gradient_checkpointing": True, **mode}

    _, found, _ = trained(tmp_path, "away", **mode, **ON)

    assert same_bits(found, there(mode))


STREAMED = [{}, LEAVES, {"memory.gradient_checkpointing": False}, DISK, {"model.base_model_precision": "int8-quanto"}]


@pytest.mark.parametrize("mode", STREAMED)
def test_with_a_stream_they_are_the_same_bits(tmp_path, mode, there, streams):
    mode = {"memory.gradient_checkpointing": True, **mode}
    expected = there(mode)
    assert streams.ahead == 0

    _, found, _ = trained(tmp_path, "away", **mode, **ON, **{"memory.group_offload.use_stream": True})

    assert same_bits(found, expected)
    assert streams.waits > 20
    assert streams.kinds <= {torch.Tensor, torch.nn.Parameter}


def test_clips_are_the_same_too(tmp_path):
    prompt = {"prompts": (Prompt(nickname="main", text="a red disc."),)}
    there, _, _ = trained(tmp_path, "there", **prompt)

    away, _, events = trained(tmp_path, "away", **prompt, **ON)

    (clip,) = events.of(ClipDrawn)
    assert (away.run_dir / clip.path).read_bytes() == (there.run_dir / clip.path).read_bytes()


def test_what_is_trained_is_never_moved(tmp_path):
    _, ctx, _ = encoded_project(tmp_path, **LORA, **ON, **DISK)
    state = train.build_state(ctx)

    assert all(not parameter.is_meta for parameter in trained_parameters(state.model).values())
    blocks = state.model.transformer_blocks
    assert all(p.is_meta for p in blocks.parameters() if not p.requires_grad)
    assert not state.model.proj_out.base_layer.weight.is_meta


@pytest.mark.parametrize(("precision", "each"), [("no", 4), ("bf16", 2)])
def test_files_are_estimated_and_their_folder_is_looked_at_beforehand(tmp_path, precision, each):
    _, ctx, _ = encoded_project(tmp_path, **LORA, **ON, **DISK, **{"train.mixed_precision": precision})
    count = parameter_count(ctx.resolve("models/tiny/transformer"))

    needs = {need.what: need for need in estimate_needs(ctx)}

    assert (needs["offloaded weights"].folder, needs["offloaded weights"].bytes) == (
        ctx.resolve("offloaded"),
        each * count,
    )
    ctx.resolve("offloaded").write_text("a file")
    with pytest.raises(RunError, match=r"offloaded can't be written.*to_disk_path"):
        preflight.check(ctx)


def test_a_full_disk_is_said_in_a_sentence(tmp_path, monkeypatch):
    def full(_tensors, file):
        file.write_bytes(b"half")
        raise SafetensorError("No space left on device")

    monkeypatch.setattr("recipe_runtime.models.offload.save_file", full)
    _, ctx, _ = encoded_project(tmp_path, **LORA, **ON, **DISK)

    with pytest.raises(RunError, match=r"can't be written: No space left.*to_disk_path"):
        train.build_state(ctx)

    assert list(ctx.resolve("offloaded").iterdir()) == []


def test_a_folder_that_is_used_again_gives_no_other_models_weights(tmp_path):
    shared = {"memory.group_offload.to_disk_path": str(tmp_path / "shared")}
    for name in ("first", "again"):
        _, ctx, _ = encoded_project(tmp_path / name, **LORA, **ON, **shared)
        train.build_state(ctx)
        if name == "first":
            files = {path.name for path in (tmp_path / "shared").iterdir()}
    assert {path.name for path in (tmp_path / "shared").iterdir()} == files
    bf16 = {"train.mixed_precision": "bf16"}
    _, expected, _ = trained(tmp_path, "there", **bf16)

    _, found, _ = trained(tmp_path, "away", **bf16, **ON, **shared)

    assert same_bits(found, expected)
    assert len({path.name for path in (tmp_path / "shared").iterdir()}) == 2 * len(files)


@pytest.mark.usefixtures("streams")
def test_only_one_group_is_there_and_the_next_one_follows_the_direction():
    fetched = []

    class Counted(Group):
        def __init__(self, index):
            super().__init__((), list, ())
            self.index = index

        def fetch(self, _device, *, ahead):
            fetched.append((self.index, ahead))
            return []

    offloader = Offloader([Counted(index) for index in range(3)], torch.device("cpu"), object())
    for index in (0, 1, 1, 2, 1, 0):
        offloader.need(index)

    assert fetched == [(0, False), (1, True), (2, True), (1, True), (0, True), (1, True)]
