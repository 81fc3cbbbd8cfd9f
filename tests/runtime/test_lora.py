"""Training an adapter: what is trained, that it resumes bit for bit, and what is exported."""

import json
import shutil
import warnings

import pytest
import torch
from accelerate import init_empty_weights
from diffusers.models.transformers.transformer_sana_video import SanaVideoTransformer3DModel
from diffusers.pipelines.sana_video.pipeline_sana_video import SanaVideoPipeline
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from fakes_adapters import plain_model, predicted
from fakes_runtime import make_context
from fakes_training import batch_maker, encoded_project, same_bits, saved_parts
from recipe_compiler.passes.layers import adaptable_layers, adapter_parameters
from recipe_runtime import export, preflight, train
from recipe_runtime.build import adapter_parameters as count_adapter
from recipe_runtime.errors import ModelError, StoppedBySignal
from recipe_runtime.inputs import predict
from recipe_runtime.models.adapter import add_adapter, target_layers
from recipe_runtime.models.trained import trained_parameters
from recipe_runtime.space import estimate_needs
from recipe_runtime.stop import StopRequested
from recipe_schema.events import ClipDrawn, Exported, StepDone
from recipe_schema.family import load_family
from recipe_schema.sections.model import Lora


LORA = {"model.type": "lora", "model.lora.rank": 4, "model.lora.alpha": 8.0, "prompts": ()}
EVERYWHERE = ["attn*.to_*", "to_out.0", "ff.conv_*", "patch_embedding"]
FILE = "pytorch_lora_weights.safetensors"


class StopAfter(StopRequested):
    """Asks to stop when a step is done, as a signal would."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def __call__(self, event):
        if isinstance(event, StepDone) and event.step == self.step:
            self.requested = "SIGTERM"


def run(tmp_path, **settings):
    project, ctx, events = encoded_project(tmp_path, **{**LORA, **settings})
    train.run(ctx, StopRequested())
    return project, ctx, events


def pipeline(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = SanaVideoPipeline.from_pretrained(folder)
    loaded.set_progress_bar_config(disable=True)
    return loaded


@pytest.mark.parametrize("precision", ["no", "bf16"])
@pytest.mark.parametrize("init", ["default", "gaussian"])
def test_a_new_adapter_changes_no_bit_of_what_the_model_computes(tmp_path, precision, init):
    settings = {"model.lora.init": init, "model.lora.target_modules": EVERYWHERE, "train.mixed_precision": precision}
    _, ctx, _ = encoded_project(tmp_path, **LORA, **settings)

    found = predicted(ctx, train.build_state(ctx).model, precision)

    assert torch.equal(found, predicted(ctx, plain_model(tmp_path), precision))


def test_dora_begins_as_the_model_does(tmp_path):
    _, ctx, _ = encoded_project(tmp_path, **LORA, **{"model.lora.use_dora": True})

    found = predicted(ctx, train.build_state(ctx).model)

    assert torch.allclose(found, predicted(ctx, plain_model(tmp_path)), atol=1e-5)


@pytest.mark.parametrize(("precision", "stored"), [("no", {torch.float32}), ("bf16", {torch.bfloat16, torch.float32})])
def test_weights_are_frozen_and_the_adapter_is_fp32(tmp_path, precision, stored):
    _, ctx, _ = encoded_project(tmp_path, **LORA, **{"train.mixed_precision": precision, "ema.enabled": True})

    state = train.build_state(ctx)

    trained = trained_parameters(state.model)
    frozen = {name: p for name, p in state.model.named_parameters() if name not in trained}
    assert {parameter.dtype for parameter in trained.values()} == {torch.float32}
    assert {parameter.dtype for parameter in frozen.values()} == stored
    assert frozen["scale_shift_table"].dtype == torch.float32
    assert all(".lora_" in name for name in trained)
    assert len(trained) == 2 * 2 * 4 * 2  # blocks, attentions, layers, A and B
    optimized = [parameter for group in state.optimizer.param_groups for parameter in group["params"]]
    assert [id(p) for p in optimized] == [id(p) for p in trained.values()]
    assert state.average is not None
    assert set(state.average.state()) == set(trained)


def test_how_an_adapter_begins_depends_on_the_seed_alone(tmp_path):
    _, ctx, _ = encoded_project(tmp_path, **LORA)
    _, other, _ = encoded_project(tmp_path / "other", **LORA, **{"train.seed": 5})
    first, second, third = (trained_parameters(train.build_state(c).model) for c in (ctx, ctx, other))

    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert not any(torch.equal(value, third[name]) for name, value in first.items() if ".lora_A." in name)
    values = [value for name, value in first.items() if ".lora_A." in name]
    assert len({value.sum().item() for value in values}) == len(values)
    # uniform within 1 / sqrt(inputs), as a linear layer of torch begins
    assert all(0.8 < value.abs().max().item() * 48**0.5 <= 1 for value in values)


def test_gaussian_begins_with_a_deviation_of_one_over_the_rank(tmp_path):
    _, ctx, _ = encoded_project(tmp_path, **LORA, **{"model.lora.init": "gaussian"})

    drawn = [v for name, v in trained_parameters(train.build_state(ctx).model).items() if ".lora_A." in name]

    assert torch.cat([value.flatten() for value in drawn]).std().item() == pytest.approx(1 / 4, rel=0.05)


@pytest.mark.parametrize("cut", [1, 3, 4])
@pytest.mark.parametrize("dora", [False, True])
def test_stopping_and_going_on_equals_going_straight_on_bit_for_bit(tmp_path, cut, dora):
    settings = {
        "max_steps": 6,
        "ema.enabled": True,
        "train.batch_size": 1,
        "train.gradient_accumulation_steps": 2,
        "train.mixed_precision": "bf16",
        "memory.gradient_checkpointing": True,
        "model.lora.dropout": 0.3,
        "model.lora.use_dora": dora,
        "model.lora.target_modules": EVERYWHERE,
    }
    _, straight, _ = run(tmp_path / "straight", **settings)
    project, _, _ = encoded_project(tmp_path / "cut", **LORA, **settings)
    stop = StopAfter(cut)
    with pytest.raises(StoppedBySignal):
        train.run(make_context(project, [stop]), stop)
    torch.manual_seed(99)

    train.run(make_context(project), StopRequested())

    parts = saved_parts(project.run_dir, 6)
    assert same_bits(parts, saved_parts(straight.run_dir, 6))
    assert all(".lora_" in name for part in ("model", "ema", "optimizer") for name in parts[part])
    assert any(float(v.abs().max()) > 0 for name, v in parts["model"].items() if ".lora_B." in name)


def test_dropout_drops_in_training_alone_and_in_each_pass_anew(tmp_path):
    settings = {"model.lora.dropout": 0.5, "model.lora.target_modules": EVERYWHERE, "train.batch_size": 1}
    _, ctx, _ = encoded_project(tmp_path, **LORA, **settings)
    state = train.build_state(ctx)
    with torch.no_grad():
        for parameter in trained_parameters(state.model).values():
            parameter.add_(0.1)
    part = batch_maker(ctx).make(0).parts[0]

    def passes(step):
        state.step = step
        state.model.train()
        return [predict(state.model, part.latents, part, mixed_precision="no").detach() for _ in range(2)]

    first, again = passes(0), passes(1)
    state.step = 7
    assert torch.equal(first[0], passes(0)[0])
    assert len({value.sum().item() for value in (*first, *again)}) == 4
    assert torch.equal(predicted(ctx, state.model), predicted(ctx, state.model))


def test_checkpointing_with_dropout_changes_no_bit(tmp_path):
    settings = {"model.lora.dropout": 0.3, "model.lora.target_modules": EVERYWHERE}
    _, kept, _ = run(tmp_path / "kept", **settings)
    _, recomputed, _ = run(tmp_path / "recomputed", **settings, **{"memory.gradient_checkpointing": True})

    assert same_bits(saved_parts(kept.run_dir, 4), saved_parts(recomputed.run_dir, 4))


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize(("enabled", "part"), [(False, "model"), (True, "ema")])
def test_the_exported_adapter_does_in_diffusers_what_it_does_here(tmp_path, dora, enabled, part):
    settings = {
        "model.lora.target_modules": EVERYWHERE,
        "model.lora.use_dora": dora,
        "ema.enabled": enabled,
        "optimizer.learning_rate": 0.01,
    }
    project, ctx, events = run(tmp_path, **settings)

    export.run(ctx)

    state = train.build_state(ctx)
    with torch.no_grad():
        for name, value in saved_parts(ctx.run_dir, 4)[part].items():
            trained_parameters(state.model)[name].copy_(value)
    loaded = pipeline(project.root / "models" / "tiny")
    before = predicted(ctx, loaded.transformer)
    loaded.load_lora_weights(ctx.run_dir / "export")
    here, there = predicted(ctx, state.model), predicted(ctx, loaded.transformer)
    assert torch.allclose(here, there, atol=1e-5)
    assert (here - before).abs().max() > 1e-3
    loaded.fuse_lora()
    loaded.unload_lora_weights()
    assert torch.allclose(here, predicted(ctx, loaded.transformer), atol=1e-5)
    assert events.of(Exported) == [Exported(path="export", weights=part, step=4, what="adapter")]


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"model.lora.type": "lokr", "model.lora.target_modules": ["attn1.to_q", "conv_inverted"]},
        {"model.lora.init": "pissa"},
    ],
)
def test_a_merged_export_is_the_model_with_the_adapter(tmp_path, more):
    settings = {"model.lora.merge": True, "model.lora.target_modules": EVERYWHERE, "optimizer.learning_rate": 0.01}
    project, ctx, _ = run(tmp_path, **{**settings, **more})

    export.run(ctx)

    folder, loaded = ctx.run_dir / "export", pipeline(project.root / "models" / "tiny")
    before = predicted(ctx, loaded.transformer)
    loaded.transformer.load_lora_adapter(
        str(folder), weight_name="pytorch_lora_weights.safetensors", prefix="transformer"
    )
    adapted, merged = predicted(ctx, loaded.transformer), predicted(ctx, pipeline(folder / "merged").transformer)
    assert torch.allclose(merged, adapted, atol=1e-5)
    assert (merged - before).abs().max() > 1e-3
    assert not any("lora" in name for name, _ in pipeline(folder / "merged").transformer.named_modules())


def test_the_export_says_what_it_is(tmp_path):
    project, ctx, _ = run(tmp_path, **{"model.lora.target_modules": ["attn1.to_q"]})

    export.run(ctx)

    folder = ctx.run_dir / "export"
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", FILE, "recipe.json"]
    with safe_open(folder / FILE, framework="pt") as stored:
        config = json.loads(stored.metadata()["lora_adapter_metadata"])
        names = sorted(stored.keys())
    assert config == {
        "transformer.bias": "none",
        "transformer.init_lora_weights": True,
        "transformer.lora_alpha": 8,
        "transformer.lora_dropout": 0.0,
        "transformer.r": 4,
        "transformer.target_modules": ["transformer_blocks.0.attn1.to_q", "transformer_blocks.1.attn1.to_q"],
        "transformer.use_dora": False,
    }
    assert names == [
        f"transformer.transformer_blocks.{block}.attn1.to_q.lora_{half}.weight" for block in (0, 1) for half in "AB"
    ]
    assert json.loads((folder / "recipe.json").read_text())["plan_id"] == project.plan.plan_id
    page = (folder / "README.md").read_text()
    for words in ("LoRA adapter for `models/tiny`", "| rank, alpha | 4, 8 |", "| layers | 2 (`attn1.to_q`) |"):
        assert words in page
    assert not page.startswith("---")
    assert "transformer=" not in page
    assert (folder / FILE).stat().st_mode == (folder / "recipe.json").stat().st_mode


def test_a_transformer_of_another_place_is_named(tmp_path):
    other = tmp_path / "other"
    _, ctx, _ = encoded_project(tmp_path / "first")
    shutil.copytree(ctx.root / "models" / "tiny", other)
    _, ctx, _ = run(tmp_path, **{"model.pretrained_transformer_model_name_or_path": str(other)})

    export.run(ctx)

    page = (ctx.run_dir / "export" / "README.md").read_text()
    assert f'SanaVideoTransformer3DModel.from_pretrained("{other}", subfolder="transformer")' in page
    assert f'SanaVideoPipeline.from_pretrained("{ctx.root / "models" / "tiny"}", transformer=transformer)' in page


def test_a_published_base_is_named_where_the_hub_reads_it(tmp_path):
    _, ctx, _ = run(tmp_path, **{"model.lora.use_dora": True, "ema.enabled": True})
    (ctx.root / "models" / "tiny").rename(ctx.root / "tiny")

    export.run(ctx)  # needs no model

    page = (ctx.run_dir / "export" / "README.md").read_text()
    assert page.startswith("---\nbase_model: models/tiny\nlibrary_name: diffusers\n")
    assert "DoRA adapter" in page
    assert "| weights | average (EMA) |" in page


def test_clips_are_drawn_with_the_adapter(tmp_path):
    settings = {"prompts": (), "optimizer.learning_rate": 0.05, "model.lora.target_modules": EVERYWHERE}
    prompt = {"prompts": make_prompts()}
    _, ctx, events = run(tmp_path / "lora", **{**settings, **prompt})
    _, frozen, drawn = run(tmp_path / "frozen", **{**settings, **prompt, "optimizer.learning_rate": 0.0})

    (path,), (other,) = ([e.path for e in heard.of(ClipDrawn)] for heard in (events, drawn))
    assert (ctx.run_dir / path).read_bytes() != (frozen.run_dir / other).read_bytes()


def make_prompts():
    from recipe_schema.plan import Prompt

    return (Prompt(nickname="main", text="a red disc."),)


def test_training_goes_on_from_an_adapter(tmp_path):
    _, ctx, _ = run(tmp_path / "first")
    export.run(ctx)
    expected = saved_parts(ctx.run_dir, 4)["model"]

    for place in (ctx.run_dir / "export", ctx.run_dir / "export" / FILE):
        _, later, _ = encoded_project(tmp_path / place.name, **LORA, **{"model.lora.init_from": str(place)})
        preflight.check(later)
        found = trained_parameters(train.build_state(later).model)
        assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model.lora.rank": 8, "model.lora.alpha": 16.0}, r"32 tensors are missing, unknown or of another shape"),
        ({"model.lora.target_modules": ["to_q"]}, r"24 tensors .*rank and target_modules"),
        ({"model.lora.alpha": 4.0}, r"scaled by 2 .*says 1; set `model.lora.alpha: 8`"),
        ({"model.lora.use_dora": True}, r"lora_magnitude_vector"),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused_before_anything_runs(tmp_path, settings, message):
    _, ctx, _ = run(tmp_path / "first")
    export.run(ctx)
    start = {"model.lora.init_from": str(ctx.run_dir / "export")}
    _, later, _ = encoded_project(tmp_path / "later", **{**LORA, **start, **settings})

    with pytest.raises(ModelError, match=message):
        preflight.check(later)


def test_an_adapter_without_a_configuration_has_alpha_equal_to_rank(tmp_path):
    _, ctx, _ = run(tmp_path / "first")
    export.run(ctx)
    bare = tmp_path / "bare.safetensors"
    save_file({name: value.clone() for name, value in load_file(ctx.run_dir / "export" / FILE).items()}, bare)
    start = {"model.lora.init_from": str(bare)}
    _, fits, _ = encoded_project(tmp_path / "fits", **{**LORA, **start, "model.lora.alpha": 4.0})
    preflight.check(fits)
    _, other, _ = encoded_project(tmp_path / "other", **LORA, **start)

    with pytest.raises(ModelError, match=r"set `model.lora.alpha: 4`"):
        preflight.check(other)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda _place: None, r"`model.lora.init_from` names .*place, and there is no .*place"),
        (lambda place: place.mkdir(), r"there is no .*place/pytorch_lora_weights.safetensors"),
        (lambda place: place.write_bytes(b"no tensors"), r"place can't be read"),
    ],
)
def test_an_adapter_that_is_not_there_is_named(tmp_path, make, message):
    place = tmp_path / "place"
    make(place)
    _, ctx, _ = encoded_project(tmp_path, **LORA, **{"model.lora.init_from": str(place)})

    with pytest.raises(ModelError, match=message):
        preflight.check(ctx)


@pytest.mark.parametrize("target", ["to_x", "norm_q", "conv_depth", "q"])
def test_a_target_that_means_no_layer_is_refused(tmp_path, target):
    _, ctx, _ = encoded_project(tmp_path, **LORA, **{"model.lora.target_modules": ["to_q", target]})

    with pytest.raises(
        ModelError, match=rf"names {target}, which is no linear layer .*it has conv_inverted, .*to_k, to_out.0, to_q"
    ):
        preflight.check(ctx)


def test_an_adapter_of_nothing_is_refused(tmp_path):
    _, ctx, _ = encoded_project(tmp_path, **LORA, **{"model.lora.target_modules": []})

    with pytest.raises(ModelError, match="nothing would be trained"):
        preflight.check(ctx)


def test_the_estimate_of_the_disk_counts_the_adapter(tmp_path):
    _, ctx, _ = encoded_project(tmp_path, **LORA)

    needs = {need.what: need.bytes for need in estimate_needs(ctx)}

    count = count_adapter(ctx)
    state = trained_parameters(train.build_state(ctx).model)
    assert count == sum(parameter.numel() for parameter in state.values())
    assert needs["checkpoints"] == 2 * 3 * 4 * count
    assert needs["the exported model"] == 4 * count


@pytest.mark.parametrize("dora", [False, True])
def test_the_compiler_counts_the_adapter_as_it_is(dora):
    config = load_family("sana-video-480p").raw["transformer"]
    with init_empty_weights(include_buffers=False):
        model = SanaVideoTransformer3DModel(**config)
    able = target_layers(model, ["*"], "standard")
    assert sorted(layer.name for layer in adaptable_layers(config, "standard")) == sorted(able)
    settings = Lora(
        type="standard",
        rank=16,
        alpha=16.0,
        dropout=0.0,
        target_modules=("*",),
        init="default",
        init_from=None,
        use_dora=dora,
        merge=False,
        lokr_factor=16,
    )

    add_adapter(model, settings, seed=0)

    count = sum(parameter.numel() for parameter in trained_parameters(model).values())
    assert adapter_parameters(adaptable_layers(config, "standard"), rank=16, dora=dora) == count
