import importlib.util
import shutil

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from fakes_runtime import TINY_CONFIGS, make_context
from fakes_training import EventList, StopAfter, batch_maker, encoded_project, same_bits, saved_parts
from recipe_compiler.passes.estimate import checkpoint_bytes, optimizer_bytes
from recipe_runtime import export, preflight, train
from recipe_runtime.errors import PlanRefused, StoppedBySignal
from recipe_runtime.models.source import component_dir, pipeline_dir
from recipe_runtime.optim import KINDS, build_optimizer
from recipe_runtime.space import state_bytes, weight_shapes
from recipe_runtime.step import train_step
from recipe_runtime.stop import StopRequested
from recipe_schema.definition import leaf_index
from recipe_schema.events import ClipDrawn, StepDone
from recipe_schema.optimizers import PACKAGES, STORAGE


NAMES = list(KINDS)

LOW_BIT = {"adamw8bit": 1, "ao-adamw8bit": 256, "ao-adamw4bit": 128, "ao-adamwfp8": 256}
"""Those that keep moments in few bits, of tensors whose size is a multiple of this."""

RATES = {"adafactor": 0.02, "prodigy": 1.0, "optimi-lion": 3e-4}
"""Learning rates of those that need another one than Adam."""


def overrides(name, **more):
    return {
        "prompts": (),
        "max_steps": 5,
        "train.batch_size": 2,
        "train.mixed_precision": "bf16",
        "optimizer.name": name,
        "optimizer.learning_rate": RATES.get(name, 1e-3),
        "optimizer.weight_decay": 0.01,
        "lr_schedule.name": "cosine",
        "lr_schedule.warmup_steps": 1,
        "checkpoints.step_interval": 100,
        **more,
    }


def stepped(tmp_path, steps=2, **settings):
    """Take steps without saving; return the state."""
    _, ctx, _ = encoded_project(tmp_path, **settings)
    state, maker = train.build_state(ctx), batch_maker(ctx)
    for step in range(steps):
        result = train_step(
            state.model,
            state.optimizer,
            maker.make(step),
            rate=ctx.settings.optimizer.learning_rate,
            settings=ctx.settings.train,
            release=state.release,
        )
        assert result.finite
        state.step += 1
    return state


def bytes_of(tensors):
    return sum(tensor.nbytes for tensor in tensors)


def test_every_optimizer_of_the_language_is_there_and_says_what_it_keeps():
    assert set(KINDS) == set(STORAGE) == set(leaf_index()["optimizer.name"].spec.choices)


@pytest.mark.parametrize("name", NAMES)
def test_stopping_and_going_on_equals_going_straight_on_bit_for_bit(tmp_path, name):
    settings = overrides(name, **{"ema.enabled": True, "optimizer.decay_all": False})
    _, straight, _ = encoded_project(tmp_path / "straight", **settings)
    train.run(straight, StopRequested())
    project, _, _ = encoded_project(tmp_path / "cut", **settings)
    stop = StopAfter(3)
    with pytest.raises(StoppedBySignal):
        train.run(make_context(project, [stop]), stop)

    train.run(make_context(project), StopRequested())

    one, other = saved_parts(project.run_dir, 5), saved_parts(straight.run_dir, 5)
    assert same_bits(one, other)
    assert all(tensor.dtype == other[part][key].dtype for part, found in one.items() for key, tensor in found.items())
    assert set(one) == {"model", "optimizer", "ema"} | ({"averaged"} if name == "schedule-free" else set())


@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_learns_a_clip(tmp_path, name):
    _, ctx, _ = encoded_project(tmp_path, **overrides(name, **{"train.batch_size": 4, "optimizer.beta2": 0.99}))
    state, batch = train.build_state(ctx), batch_maker(ctx).make(0)

    rate = ctx.settings.optimizer.learning_rate
    losses = [
        train_step(state.model, state.optimizer, batch, rate=rate, settings=ctx.settings.train).loss for _ in range(15)
    ]

    assert losses[-1] < 0.97 * losses[0]


@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_keeps_what_the_table_says(tmp_path, name):
    state = stepped(tmp_path, **overrides(name))

    weights = [parameter.detach() for parameter in state.model.parameters()]
    storage = STORAGE[name]
    assert {tensor.dtype.itemsize for tensor in weights} == {storage.weight}
    memory = list(state.parts()["optimizer"].values())
    count = sum(tensor.numel() for tensor in weights)
    whole = storage.full * count
    if name in LOW_BIT:  # small tensors stay in fp32; the tables of codes are the same for all
        memory = [tensor for key, tensor in state.parts()["optimizer"].items() if "qmap" not in key]
        few = [t.numel() >= 4096 and t.numel() % LOW_BIT[name] == 0 for t in weights]
        whole = sum((storage.full if low else 8) * t.numel() for t, low in zip(weights, few, strict=True))
        assert any(few)
    factors = sum(4 * (t[..., 0].numel() + t[..., 0, :].numel()) if t.ndim > 1 else 0 for t in weights)
    vectors = sum(4 * t.numel() for t in weights if t.ndim <= 1) if storage.factored else 0
    kept = bytes_of(memory)
    assert kept == pytest.approx(whole + storage.factored * factors + vectors, rel=0.03)
    if name not in LOW_BIT:
        assert kept == pytest.approx(optimizer_bytes(name, TINY_CONFIGS["transformer"]), rel=0.05)


@pytest.mark.parametrize("name", NAMES)
def test_the_estimates_of_a_checkpoint_are_close_to_its_size(tmp_path, name):
    _, ctx, _ = encoded_project(tmp_path, **overrides(name, **{"ema.enabled": name == "adamw"}))
    state = stepped(tmp_path / "state", steps=1, **overrides(name, **{"ema.enabled": name == "adamw"}))

    size = sum(bytes_of(part.values()) for part in state.parts().values())

    tolerance = 0.45 if name in LOW_BIT else 0.05  # most of its tensors are too small to be kept in 8 bits
    folder = component_dir(pipeline_dir(ctx), "transformer")
    assert state_bytes(list(weight_shapes(folder)), ctx.settings) == pytest.approx(size, rel=tolerance)
    values = dict(ctx.plan.settings)
    assert checkpoint_bytes(values, TINY_CONFIGS["transformer"]) == pytest.approx(size, rel=tolerance)


def test_the_rate_of_the_schedule_is_set_for_all_groups(tmp_path):
    state = stepped(tmp_path, **overrides("adamw", **{"optimizer.decay_all": False}))

    assert [group["lr"] for group in state.optimizer.param_groups] == [1e-3, 1e-3]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("adafactor", "prodigy")])
def test_biases_and_norms_do_not_decay_unless_asked(tmp_path, name):
    _, ctx, _ = encoded_project(
        tmp_path,
        **overrides(
            name,
            **{"optimizer.decay_all": False, "optimizer.weight_decay": 0.5, "optimizer.learning_rate": 0.01},
        ),
    )
    dtype = torch.bfloat16 if STORAGE[name].weight == 2 else torch.float32
    matrix, bias = nn.Parameter(torch.ones(2, 2, dtype=dtype)), nn.Parameter(torch.ones(2, dtype=dtype))
    optimizer = build_optimizer([bias, matrix], ctx.settings.optimizer, seed=0)

    for _ in range(20):
        for parameter in (matrix, bias):
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()

    assert bias.tolist() == [1.0, 1.0]
    assert all(0.85 < value < 0.95 for value in matrix.flatten().tolist())


@pytest.mark.parametrize("name", [name for name in NAMES if KINDS[name].alone])
def test_releasing_gradients_changes_no_bit_and_frees_them(tmp_path, name):
    settings = overrides(name, **{"train.max_grad_norm": 1e-3, "train.grad_clip_method": "value"})
    plain = stepped(tmp_path / "plain", **settings)

    state = stepped(tmp_path, **settings, **{"optimizer.release_gradients": True})

    assert all(parameter.grad is None for parameter in state.model.parameters())
    assert same_bits({"model": state.parts()["model"]}, {"model": plain.parts()["model"]})


@pytest.mark.parametrize("name", ["adamw", "optimi-adamw", "schedule-free"])
def test_released_gradients_resume_bit_for_bit_and_report_the_same_norms(tmp_path, name):
    settings = overrides(name, **{"train.max_grad_norm": 0.0})
    _, plain, events = encoded_project(tmp_path / "plain", **settings)
    train.run(plain, StopRequested())
    project, _, _ = encoded_project(tmp_path / "cut", **settings, **{"optimizer.release_gradients": True})
    stop, heard = StopAfter(3), EventList()
    with pytest.raises(StoppedBySignal):
        train.run(make_context(project, [stop, heard]), stop)

    train.run(make_context(project, [heard]), StopRequested())

    one, other = saved_parts(project.run_dir, 5), saved_parts(plain.run_dir, 5)
    assert same_bits({"model": one["model"]}, {"model": other["model"]})
    expected = [event.grad_norm for event in events.of(StepDone)]
    assert [event.grad_norm for event in heard.of(StepDone)] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"optimizer.name": "prodigy", "optimizer.release_gradients": True}, "all gradients at once"),
        (
            {"optimizer.release_gradients": True, "train.gradient_accumulation_steps": 2},
            "gradient_accumulation_steps: 1",
        ),
        ({"optimizer.release_gradients": True, "train.max_grad_norm": 0.5}, "max_grad_norm: 0"),
        ({"optimizer.name": "adamw_bf16", "train.mixed_precision": "no"}, "mixed_precision: bf16"),
        ({"optimizer.name": "schedule-free", "optimizer.beta1": 0.0}, "above 0"),
    ],
)
def test_what_an_optimizer_cannot_do_is_refused(tmp_path, settings, told):
    _, ctx, _ = encoded_project(tmp_path, **settings)

    with pytest.raises(PlanRefused, match=told):
        train.build_state(ctx)


def test_drawing_with_schedule_free_shows_the_average_and_leaves_training_alone(tmp_path):
    settings = overrides("schedule-free", **{"optimizer.beta1": 0.95})
    state = stepped(tmp_path, steps=4, **settings)
    before = {name: tensor.clone() for name, tensor in state.parts()["model"].items()}

    with state.result():
        shown = {name: tensor.clone() for name, tensor in state.parts()["model"].items()}

    assert same_bits({"model": before}, {"model": state.parts()["model"]})
    state.optimizer.eval()  # what the library makes of it, in place
    assert same_bits({"model": shown}, {"model": state.parts()["model"]})
    assert not torch.equal(shown["proj_out.weight"], before["proj_out.weight"])


def test_what_schedule_free_averages_is_what_is_exported(tmp_path):
    project, ctx, _ = encoded_project(tmp_path, **overrides("schedule-free"))
    train.run(ctx, StopRequested())

    export.run(ctx)

    averaged = saved_parts(project.run_dir, 5)["averaged"]
    (file,) = (project.run_dir / "export" / "transformer").glob("*.safetensors")
    assert same_bits({"": averaged}, {"": load_file(file)})
    assert not torch.equal(averaged["proj_out.weight"], saved_parts(project.run_dir, 5)["model"]["proj_out.weight"])


@pytest.mark.parametrize("name", ["adamw_bf16", "optimi-adamw", "schedule-free"])
def test_clips_are_drawn_and_the_model_exported_in_fp32(tmp_path, name):
    settings = overrides(name, **{"max_steps": 1, "ema.enabled": True, "ema.validation": "comparison"})
    del settings["prompts"]
    project, ctx, events = encoded_project(tmp_path, **settings)

    train.run(ctx, StopRequested())
    export.run(ctx)

    assert [event.weights for event in events.of(ClipDrawn)] == ["model", "ema"]
    (file,) = (project.run_dir / "export" / "transformer").glob("*.safetensors")
    assert {tensor.dtype for tensor in load_file(file).values()} == {torch.float32}
    shutil.rmtree(project.run_dir)


def test_adamw_takes_torchs_one_kernel(tmp_path):
    _, ctx, _ = encoded_project(tmp_path, prompts=())

    assert train.build_state(ctx).optimizer.defaults["fused"] is True


def test_schedule_free_is_measured_before_its_first_step(tmp_path):
    _, ctx, _ = encoded_project(tmp_path, **overrides("schedule-free"))
    state = train.build_state(ctx)
    before = {name: tensor.clone() for name, tensor in state.parts()["model"].items()}

    with state.result():
        assert same_bits({"": before}, {"": state.parts()["model"]})


@pytest.mark.parametrize("name", ["adamw8bit", "ao-adamw4bit"])
def test_a_package_that_is_missing_is_told_before_anything_runs(tmp_path, monkeypatch, name):
    project, _, _ = encoded_project(tmp_path, **overrides(name))
    plain = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda found: None if found in PACKAGES.values() else plain(found))

    with pytest.raises(
        PlanRefused, match=rf"`optimizer.name: {name}` needs the package {PACKAGES[name]} .*pip install"
    ):
        preflight.check(make_context(project))
