"""Rules about what is trained, how it is stored, and what is traded for memory."""

import pytest

from fakes_clips import RECIPE
from recipe_compiler.pipeline import Options, compile_recipe


LORA = "model.type=lora"
OFFLOAD = "memory.group_offload.enabled=true"


@pytest.fixture
def found(tmp_path):
    """Return a function that gives what rules find, with settings changed."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    (tmp_path / "clips").mkdir()

    def look(*overrides: str):
        options = Options(overrides=overrides, look_at_data=False)
        return list(compile_recipe(recipe, options).found)

    return look


def only(found, code: str, *overrides: str):
    (finding,) = found(*overrides)
    assert finding.code == code
    return finding


def test_quantized_weights_that_are_trained_are_an_error_that_names_both_sides(found):
    finding = only(found, "R207", "model.type=full", "model.base_model_precision=int4-quanto")

    assert finding.severity == "error"
    assert "`base_model_precision: int4-quanto` needs frozen weights" in finding.message
    assert [note.text for note in finding.notes] == ["all weights are trained"]
    assert found(LORA, "model.base_model_precision=int4-quanto") == []
    assert found("model.text_encoder_precision=int4-quanto") == []


def test_a_setting_of_something_off_says_what_is_off_and_how_to_turn_it_on(found):
    finding = only(found, "R208", "model.lora.rank=8")

    assert finding.severity == "warning"
    assert finding.message == "`model.lora.rank` has no effect: `model.type` is full"
    assert finding.help == "set `model.type: lora`, or leave it out"
    assert found(LORA, "model.lora.rank=8") == []


@pytest.mark.parametrize(
    ("given", "state", "cure"),
    [
        (
            "model.quantize_via=cpu",
            "`model.base_model_precision` is no_change and `model.text_encoder_precision` is no_change",
            "model.text_encoder_precision=int8-quanto",
        ),
        ("memory.group_offload.vae=true", "`memory.group_offload.enabled` is false", OFFLOAD),
        ("regularizers.crepa.weight=0.5", "`regularizers.crepa.enabled` is false", "regularizers.crepa.enabled=true"),
        (
            "regularizers.masked_loss.invert=true",
            "`regularizers.masked_loss.enabled` is false",
            "regularizers.masked_loss.enabled=true",
        ),
        (
            "regularizers.rollout.probability=0.1",
            "`regularizers.rollout.max_step_offset` is 0",
            "regularizers.rollout.max_step_offset=5",
        ),
        ("validation.preview.steps=5", "`validation.preview.enabled` is false", "validation.preview.enabled=true"),
        (
            "launch.strategy=fsdp2",
            "`launch.processes` is 1 and `launch.machines` is 1",
            "launch.processes=2",
        ),
        (
            "checkpoints.rolling_total_limit=2",
            "`checkpoints.rolling_steps` is null",
            "checkpoints.rolling_steps=5",
        ),
        ("train.huber_c=0.2", "`train.loss_type` is l2", "train.loss_type=smooth_l1"),
        ("train.huber_schedule=snr", "`train.loss_type` is l2", "train.loss_type=huber"),
        ("train.noise_offset_probability=0.5", "`train.noise_offset` is 0", "train.noise_offset=0.1"),
        ("train.input_perturbation_steps=5", "`train.input_perturbation` is 0", "train.input_perturbation=0.1"),
        (
            "lr_schedule.num_cycles=2",
            "`lr_schedule.name` is constant_with_warmup",
            "lr_schedule.name=cosine_with_restarts",
        ),
        ("lr_schedule.power=2", "`lr_schedule.name` is constant_with_warmup", "lr_schedule.name=polynomial"),
        (
            "lr_schedule.period_steps=5",
            "`lr_schedule.name` is constant_with_warmup",
            "lr_schedule.name=simpletuner-sine",
        ),
        ("ema.warmup=ramp", "`ema.enabled` is false", "ema.enabled=true"),
    ],
)
def test_every_switch_silences_the_finding(found, given, state, cure):
    (finding,) = found(given)

    assert finding.message == f"`{given.partition('=')[0]}` has no effect: {state}"
    assert [d.code for d in found(given, cure) if d.code in ("R203", "R208")] == []


def test_the_switch_itself_and_values_that_ask_for_nothing_are_no_findings(found):
    assert found("model.type=full", "model.lora.use_dora=false", "model.lora.dropout=0") == []
    assert found("memory.group_offload.enabled=false", "memory.group_offload.to_disk_path=null") == []
    assert found("regularizers.rollout.max_step_offset=0", "regularizers.rollout.probability=0") == []
    assert [d.pointer for d in found("regularizers.crepa={enabled: false, normalize_by_frames: false}")] == [
        "regularizers.crepa.normalize_by_frames"
    ]


def test_shuffling_is_looked_at_in_each_data_set_that_is_in_use(found):
    shuffled = "{{id: {}, instance_data_dir: clips, video: {{num_frames: 9}}, caption_shuffle: {{{}}}{}}}"
    tables = (
        shuffled.format("a", "enable: true, count: 3", ""),
        shuffled.format("b", "count: 3", ""),
        shuffled.format("c", "count: 3", ", disabled: true"),
    )

    assert [d.pointer for d in found(f"data.datasets=[{', '.join(tables)}]")] == [
        "data.datasets.1.caption_shuffle.count"
    ]


@pytest.mark.parametrize(
    ("entry", "advice"),
    [
        ("to_out", "did you mean `to_out.0`?"),
        ("attn1.to_qq", "did you mean `attn1.to_q`?"),
        ("ff", "did you mean `ff.*`?"),
        ("caption_projection.linear1", "did you mean `caption_projection.linear_1`?"),
        ("transformer_blocks.4.attn1.to_q", "blocks are counted from 0 to 3"),
        ("model.diffusion", "layers of a block are to_q, to_k, to_v, to_out.0, conv_inverted, conv_depth, conv_point"),
        ("o_q", "did you mean `to_q`?"),
    ],
)
def test_a_target_that_no_layer_has_is_named_with_what_is_meant(found, entry, advice):
    finding = only(found, "R209", LORA, f"model.lora.target_modules=[to_k, {entry}]")

    assert finding.message == f"no linear or convolution layer of the model is named `{entry}`"
    assert finding.pointer == "model.lora.target_modules.1"
    assert advice in finding.help


def test_targets_are_whole_names_or_their_ends_with_stars_for_any_part(found):
    good = (
        "to_q, attn2.to_k, patch_embedding, transformer_blocks.3.ff.conv_temp, 'transformer_blocks.*.to_v', 'linear_?'"
    )
    entries = found(LORA, f"model.lora.target_modules=[{good}]")

    assert [d.pointer for d in entries] == ["model.lora.target_modules.5"]  # only the star is special


def test_the_published_model_has_more_blocks_than_the_small_one(found):
    real = ("model.random_weights=null", "model.pretrained_model_name_or_path=somebody/elsewhere", LORA)

    assert found(*real, "model.lora.target_modules=[transformer_blocks.19.attn1.to_q]") == []
    assert (
        "from 0 to 19"
        in only(found, "R209", *real, "model.lora.target_modules=[transformer_blocks.20.attn1.to_q]").help
    )


def test_a_depthwise_convolution_takes_lokr_and_no_lora(found):
    depth = "model.lora.target_modules=[ff.conv_depth]"

    assert "depthwise" in only(found, "R209", LORA, depth).message
    assert found(LORA, depth, "model.lora.type=lokr") == []
    assert found(LORA, "model.lora.target_modules=['ff.*']") == []


@pytest.mark.parametrize("name", ["adamw_bf16", "optimi-adan"])
def test_weights_in_bf16_contradict_full_precision(found, name):
    finding = only(found, "R210", f"optimizer.name={name}", "train.mixed_precision=no")

    assert finding.severity == "error"
    assert [note.text for note in finding.notes] == ["full precision is asked for"]
    assert found(f"optimizer.name={name}") == []
    assert found("optimizer.name=adamw8bit", "train.mixed_precision=no") == []


def test_schedule_free_takes_no_curve_but_a_flat_one(found):
    finding = only(found, "R211", "optimizer.name=schedule-free", "lr_schedule.name=linear")

    assert "`linear` changes the rate over the run" in finding.message
    assert found("optimizer.name=schedule-free", "lr_schedule.name=constant") == []
    assert found("optimizer.name=came", "lr_schedule.name=linear") == []


def test_prodigy_wants_a_rate_of_one_which_is_no_implausible_rate_there(found):
    rate = "optimizer.learning_rate={}".format

    assert "of 5e-05 is a factor" in only(found, "R211", "optimizer.name=prodigy").message
    assert only(found, "R211", "optimizer.name=prodigy", rate(0.5)).pointer == "optimizer.learning_rate"
    assert found("optimizer.name=prodigy", rate("1.0")) == []
    assert only(found, "R406", rate("1.0")).severity == "warning"


@pytest.mark.parametrize(
    ("steps", "decay", "share", "fitting"),
    [(999, 0.999, "37%", "0.99"), (10, 0.999, "99%", "0.5"), (3000, 0.9999, "74%", "0.997"), (99, 0.99, "37%", "0.9")],
)
def test_an_average_that_remembers_more_than_the_run_is_told_what_it_would_be(found, steps, decay, share, fitting):
    overrides = ("ema.enabled=true", "ema.warmup=none", f"ema.decay={decay}")
    finding = only(found, "R212", *overrides, f"train.max_steps={steps}")

    assert f"training takes {steps:,}: {share} of it" in finding.message
    assert finding.help == f"set `decay: {fitting}`, or train longer"
    assert finding.pointer == "ema.decay"
    assert found("ema.enabled=true", "ema.warmup=none", f"ema.decay={fitting}", f"train.max_steps={steps}") == []
    assert found(*overrides, f"train.max_steps={round(1 / (1 - decay))}") == []


def test_an_average_that_begins_otherwise_or_never_moves_is_left_to_other_rules(found):
    assert only(found, "R212", "ema.enabled=true", "ema.warmup=none").pointer == "ema.enabled"
    assert found("ema.enabled=true") == []
    assert found("ema.enabled=true", "ema.warmup_steps=5") == []
    assert found("ema.enabled=true", "train.max_steps=null", "train.num_epochs=1") == []
    only(found, "R204", "ema.enabled=true", "ema.update_interval=11")


def test_an_average_that_copies_to_the_last_step_is_an_error(found):
    assert (
        "10 steps and training takes only 10" in only(found, "R213", "ema.enabled=true", "ema.warmup_steps=10").message
    )
    assert found("ema.enabled=true", "ema.warmup_steps=9") == []


@pytest.mark.parametrize(
    ("rank", "alpha", "is_found"), [(16, 129, True), (16, 128, False), (16, 1, False), (17, 1, True)]
)
def test_alpha_stays_within_reach_of_the_rank(found, rank, alpha, is_found):
    findings = found(LORA, f"model.lora.rank={rank}", f"model.lora.alpha={alpha}")

    assert [d.code for d in findings] == ["R214"] * is_found
    assert all(f"(alpha {alpha} / rank {rank})" in d.message for d in findings)


def test_dora_goes_with_lora_alone(found):
    assert only(found, "R215", LORA, "model.lora.type=lokr", "model.lora.use_dora=true").severity == "error"
    assert found(LORA, "model.lora.use_dora=true") == []
    assert found(LORA, "model.lora.type=lokr") == []


def test_two_ways_of_offloading_are_an_error(found):
    finding = only(found, "R501", LORA, OFFLOAD, "memory.model_cpu_offload=true")

    assert finding.pointer == "memory.model_cpu_offload"
    assert [note.text for note in finding.notes] == ["the other one"]
    assert found("memory.model_cpu_offload=true") == []


def test_streams_need_cuda_and_blocks_that_come_in_one_order(found):
    stream = (LORA, OFFLOAD, "memory.group_offload.use_stream=true")

    only(found, "R502", *stream, "hardware.device=cpu")
    only(found, "R504", *stream)
    assert found(*stream, "memory.gradient_checkpointing=false", "hardware.device=cuda") == []
    assert found(LORA, OFFLOAD, "hardware.device=cpu") == []


def test_nothing_is_offloaded_of_what_is_trained(found):
    extras = ("memory.group_offload.use_stream=true", "memory.group_offload.blocks_per_group=99")

    assert only(found, "R503", OFFLOAD, *extras).severity == "warning"
    assert found(LORA, OFFLOAD) == []
    assert found(OFFLOAD, "memory.group_offload.vae=true") == []


def test_released_gradients_can_neither_be_summed_nor_measured(found):
    release, by_value = "optimizer.release_gradients=true", "train.grad_clip_method=value"

    both = only(found, "R505", release, "train.gradient_accumulation_steps=2", "train.max_grad_norm=0.5")
    assert "`gradient_accumulation_steps: 2` sums them up and clipping by norm (`max_grad_norm` 0.5)" in both.message
    assert [note.text for note in both.notes] == ["summed up here", "measured here"]
    assert "sums" not in only(found, "R505", release).message
    split = only(found, "R505", release, by_value, "launch.processes=2")
    assert split.message.endswith("and `launch.processes: 2` adds up those of all processes")
    assert [note.text for note in split.notes] == ["added up here"]
    assert "clipping" not in only(found, "R505", release, by_value, "train.gradient_accumulation_steps=2").message
    assert found(release, by_value) == []
    assert found(release, "train.max_grad_norm=0") == []


def test_a_run_goes_on_from_a_step_that_it_can_have(found):
    beyond = only(found, "R510", "train.max_steps=10", "checkpoints.resume='11'")

    assert beyond.message == "`resume: 11` lies behind the end of training, step 10"
    assert [note.text for note in beyond.notes] == ["training ends here"]
    assert "there is no checkpoint" in only(found, "R510", "checkpoints.resume='0'").message
    assert found("train.max_steps=10", "checkpoints.resume='10'") == []
    assert found("train.max_steps=10", "checkpoints.resume=runs/other") == []


def test_quantized_weights_are_not_offloaded_to_files(found):
    disk = (OFFLOAD, "memory.group_offload.to_disk_path=there")
    encoder = "model.text_encoder_precision=fp8-quanto"

    assert (
        "`model.base_model_precision: int8-quanto`"
        in only(found, "R506", LORA, *disk, "model.base_model_precision=int8-quanto").message
    )
    assert found(LORA, *disk) == []
    assert found(LORA, *disk, encoder) == []
    assert only(found, "R506", *disk, encoder, "memory.group_offload.text_encoder=true").severity == "error"


def test_the_vae_is_not_freed_while_clips_are_drawn(found):
    crepa = ("regularizers.crepa.enabled=true", "regularizers.crepa.drop_vae_encoder=true")

    (match,) = [d for d in found(*crepa) if d.code == "R507"]
    assert [note.text for note in match.notes] == ["drawn here"]
    assert "R507" not in [d.code for d in found(*crepa, "validation.prompt=null")]


@pytest.mark.parametrize(("count", "is_found"), [(3, False), (4, True)])
def test_a_group_is_smaller_than_the_model(found, count, is_found):
    groups = (LORA, OFFLOAD, f"memory.group_offload.blocks_per_group={count}")

    assert ["the model has 4 blocks" in d.message for d in found(*groups)] == [True] * is_found
    assert "each layer is a group" in only(found, "R508", *groups, "memory.group_offload.type=leaf_level").message
