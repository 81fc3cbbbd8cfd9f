"""Rules about the training schedule, plausible values, evaluation and regularizers, at the edges of what they find."""

from pathlib import Path

import pytest

from recipe_compiler.passes.number_slips import number_inside
from recipe_compiler.pipeline import Options, compile_recipe
from recipe_compiler.rules.value_implausible import RANGES
from recipe_schema.definition import leaf_index


RECIPES = Path(__file__).parents[2] / "recipes"
SETS = """
data:
  datasets:
    - {id: clips, instance_data_dir: clips, video: {num_frames: 9}}
"""


@pytest.fixture
def look(tmp_path):
    """Lint a recipe of one data set with this text below it; returns what was found about values and training."""

    def found(text: str):
        recipe = tmp_path / "recipe.yaml"
        head = "recipe: 1\nmodel: {random_weights: tiny, pretrained_model_name_or_path: tiny}\n"
        data = "" if "data:" in text else SETS
        recipe.write_text(f"{head}{data}{text}", encoding="utf-8")
        (tmp_path / "clips").mkdir(exist_ok=True)
        return [d for d in compile_recipe(recipe, Options(look_at_data=False)).found if d.code[:2] in ("R1", "R4")]

    return found


def brief(found):
    return [f"{d.code} {d.severity[0]} {d.pointer.rpartition('.')[2]}" for d in found]


def schedule(name: str, rest: str, steps: int = 100, rate: str = "1e-4") -> str:
    return (
        f"train: {{max_steps: {steps}}}\noptimizer: {{learning_rate: {rate}}}\nlr_schedule: {{name: {name}, {rest}}}\n"
    )


@pytest.mark.parametrize("recipe", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_shipped_recipes_have_no_finding(recipe):
    assert compile_recipe(recipe, Options(look_at_data=False)).found == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (schedule("cosine", "warmup_steps: 100"), ["R402 e warmup_steps"]),
        (schedule("sine", "warmup_steps: 100"), ["R402 e warmup_steps"]),
        (schedule("linear", "warmup_steps: 100"), ["R402 e warmup_steps"]),
        (schedule("linear", "warmup_steps: 99"), []),
        (schedule("cosine", "warmup_steps: 50"), ["R409 w warmup_steps"]),
        (schedule("cosine", "warmup_steps: 49"), []),
        (schedule("sine", "warmup_steps: 1"), ["R409 w warmup_steps"]),
        (schedule("sine", "end: 1e-5"), []),
        (schedule("constant", "warmup_steps: 200"), ["R403 e warmup_steps"]),
        (schedule("simpletuner-cosine", "warmup_steps: 200"), ["R403 e warmup_steps"]),
        (schedule("simpletuner-sine", "warmup_steps: 100, period_steps: 100"), ["R403 e warmup_steps"]),
        (schedule("simpletuner-cosine", "period_steps: 100, end: 1e-3"), ["R404 e end"]),
        (schedule("simpletuner-cosine", "end: 1e-6"), ["R408 e name"]),
        (schedule("simpletuner-cosine", "period_steps: 100"), []),
        (schedule("simpletuner-cosine", "period_steps: 93"), []),
        (schedule("simpletuner-cosine", "period_steps: 92"), ["R408 w period_steps"]),
        (schedule("simpletuner-cosine", "period_steps: 107"), []),
        (schedule("simpletuner-cosine", "period_steps: 108"), ["R408 w period_steps"]),
        (schedule("simpletuner-sine", "period_steps: 100"), []),
        (schedule("simpletuner-sine", "period_steps: 66"), []),
        (schedule("simpletuner-sine", "period_steps: 62"), ["R408 w period_steps"]),
        (schedule("simpletuner-sine", "period_steps: 232"), []),
        (schedule("simpletuner-sine", "period_steps: 233"), ["R408 w period_steps"]),
        ("train: {num_epochs: 3}\nlr_schedule: {name: simpletuner-sine, period_steps: 7}", []),
        (schedule("cosine_with_restarts", "end: 0.0"), ["R421 w name"]),
        (schedule("cosine_with_restarts", "num_cycles: 1"), ["R421 w num_cycles"]),
        (schedule("cosine_with_restarts", "num_cycles: 45, warmup_steps: 10"), []),
        (schedule("cosine_with_restarts", "num_cycles: 46, warmup_steps: 10"), ["R421 w num_cycles"]),
        (schedule("cosine_with_restarts", "num_cycles: 5, warmup_steps: 100"), ["R402 e warmup_steps"]),
        ("train: {num_epochs: 3}\nlr_schedule: {name: cosine_with_restarts, num_cycles: 70}", []),
    ],
)
def test_each_curve_has_its_own_limits(text, expected, look):
    assert brief(look(text)) == expected


@pytest.mark.parametrize(
    ("text", "message", "advice"),
    [
        (
            schedule("simpletuner-cosine", "period_steps: 30", steps=121),
            "at `end` after 30 of 121 steps and climbs again, 2 times; the last step has 0.0001",
            "`period_steps: 121`",
        ),
        (schedule("simpletuner-cosine", "period_steps: 50"), "climbs again, once", "`period_steps: 100`"),
        (
            schedule("simpletuner-cosine", "period_steps: 198, end: 2e-5"),
            "comes to `end` after 198 steps, and training has 100: it only falls to 6e-05",
            "`period_steps: 100`",
        ),
        (
            schedule("simpletuner-sine", "period_steps: 400"),
            "climbs for 200 steps, and training has 100",
            "`period_steps: 67`",
        ),
        (schedule("simpletuner-sine", "period_steps: 40"), "at `end` after 60 of 100 steps", "`period_steps: 67`"),
        (schedule("simpletuner-sine", "end: 0.0"), "has no `period_steps`", "`name: sine`"),
        (schedule("simpletuner-cosine", "warmup_steps: 90"), "has no warm-up", "write `period_steps: 90`"),
        (
            schedule("simpletuner-cosine", "warmup_steps: 9, period_steps: 100"),
            "has no warm-up",
            "leave warmup_steps out: period_steps",
        ),
        (
            schedule("cosine", "warmup_steps: 100"),
            "warm-up takes 100 steps and training only 100",
            "if it is SimpleTuner's period, write `name: simpletuner-cosine` and `period_steps: 100`",
        ),
        (schedule("sine", "warmup_steps: 100"), "warm-up takes", "leave warmup_steps out; if it is SimpleTuner's"),
        (
            schedule("constant_with_warmup", "warmup_steps: 100"),
            "warm-up takes",
            "leave warmup_steps out, or take about a twentieth",
        ),
        (schedule("sine", "warmup_steps: 9"), "drops to `end` at once", "`period_steps: 9`"),
        (schedule("cosine", "warmup_steps: 60"), "60 of 100 steps", "`name: simpletuner-cosine`"),
    ],
)
def test_a_schedule_that_can_not_be_meant_is_explained(text, message, advice, look):
    (finding,) = look(text)

    assert message in finding.message
    assert advice in finding.help


def test_every_key_with_a_plausible_range_is_one_of_the_language():
    assert {row.path for row in RANGES} <= set(leaf_index())


@pytest.mark.parametrize(
    ("text", "key", "advice"),
    [
        ("optimizer: {eps: 1e8}", "eps", "did you mean `1e-08`? "),
        ("optimizer: {eps: 0.01}", "eps", "1e-10 to"),
        ("optimizer: {beta2: 0.0999}", "beta2", "did you mean `0.999`? 0.999 is usual"),
        ("optimizer: {beta2: 0.4}", "beta2", "0.999 is"),
        ("optimizer: {beta1: 0.09}", "beta1", "did you mean `0.9`?"),
        ("optimizer: {beta2: 0.85}", "beta2", "are they swapped?"),
        ("optimizer: {beta1: 0.9995}", "beta1", "are they swapped?"),
        ("optimizer: {weight_decay: 10}", "weight_decay", "did you mean `0.1`?"),
        ("optimizer: {learning_rate: 5e-9}", "learning_rate", "1e-6 to"),
        ("ema: {enabled: true, decay: 0.5}", "decay", "0.98 to"),
        ("train: {batch_size: 65, max_steps: 9}", "batch_size", "1 to 8"),
        ("train: {caption_dropout_probability: 0.51, max_steps: 9}", "caption_dropout_probability", "0.05 to"),
        ("train: {max_grad_norm: 1e3, max_steps: 9}", "max_grad_norm", "0.1 to"),
        ("train: {noise_offset: 0.5, max_steps: 9}", "noise_offset", "did you mean `0.05`?"),
        ("train: {snr_gamma: 0.05, max_steps: 9}", "snr_gamma", "did you mean `5`?"),
        ("data: {framerate: 160, datasets: [{id: a, instance_data_dir: clips}]}", "framerate", "did you mean `16`?"),
        ("validation: {prompt: a, guidance: 60, num_video_frames: 9}", "guidance", "did you mean `6`?"),
        ("lr_schedule: {name: polynomial, power: 90}", "power", "0.5 to"),
        ("regularizers: {crepa: {enabled: true, block_index: 2, weight: 50}}", "weight", "did you mean `0.5`?"),
        ("regularizers: {rollout: {max_step_offset: 300, probability: 0.1}}", "max_step_offset", "each timestep"),
    ],
)
def test_a_value_far_from_any_that_works_is_a_warning(text, key, advice, look):
    length = "" if "max_steps" in text else "\ntrain: {max_steps: 1000}"
    (finding,) = look(text + length)

    assert (finding.code, finding.severity, finding.pointer.rpartition(".")[2]) == ("R410", "warning", key)
    assert finding.help.startswith(advice) or advice in finding.help


@pytest.mark.parametrize(
    "text",
    [
        "optimizer: {beta1: 0, beta2: 0.5, eps: 0.001, weight_decay: 1}",
        "optimizer: {beta1: 0.95, beta2: 0.95}",
        "optimizer: {learning_rate: 1e-8}",
        "ema: {enabled: true, decay: 0.9}",
        "ema: {enabled: true, decay: 0.5}\ntrain: {max_steps: 99}",
        "train: {max_steps: 9, batch_size: 64, caption_dropout_probability: 0.5, max_grad_norm: 100, noise_offset: 0.3}",
        "train: {max_steps: 9, max_grad_norm: 0, snr_gamma: null}",
        "validation: {prompt: a, guidance: 20, num_inference_steps: 2, framerate: 60, num_video_frames: 9}",
    ],
)
def test_values_at_the_edge_are_left_alone(text, look):
    length = "" if "max_steps" in text else "\ntrain: {max_steps: 1000}"

    assert "R410" not in [d.code for d in look(text + length)]


def crepa(keys: str, rest: str = "") -> str:
    return f"train: {{max_steps: 100}}\nregularizers: {{crepa: {{enabled: true, {keys}}}}}\n{rest}"


AVERAGE = "ema: {enabled: true, decay: 0.98}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (crepa("block_index: 3"), []),
        (crepa("block_index: 4"), ["R411 e block_index"]),
        (crepa("weight: 1"), ["R411 e block_index"]),
        (crepa("block_index: 3, feature_source: backbone, teacher_block_index: 3"), ["R411 e block_index"]),
        (crepa("block_index: 2, feature_source: backbone, teacher_block_index: 3"), []),
        (crepa("block_index: 2, feature_source: backbone, teacher_block_index: 2"), ["R411 e teacher_block_index"]),
        (crepa("block_index: 2, feature_source: backbone, teacher_block_index: 4"), ["R411 e teacher_block_index"]),
        (crepa("block_index: 2, feature_source: backbone"), ["R411 e feature_source"]),
        (crepa("block_index: 1, feature_source: self_flow, teacher_block_index: 2", AVERAGE), []),
        (crepa("block_index: 1, feature_source: self_flow, teacher_block_index: 2"), ["R413 e feature_source"]),
        (crepa("block_index: 1, encoder_image_size: 224"), []),
        (crepa("block_index: 1, encoder_image_size: 225"), ["R413 e encoder_image_size"]),
        (crepa("block_index: 1, weight: 0"), ["R412 w weight"]),
        (crepa("block_index: 1, weight: 0, schedule: linear, weight_end: 0.5"), []),
        (crepa("block_index: 1, warmup_steps: 99"), []),
        (crepa("block_index: 1, warmup_steps: 100"), ["R412 e warmup_steps"]),
        (crepa("block_index: 1, schedule: linear, warmup_steps: 9, decay_steps: 9"), ["R412 e decay_steps"]),
        (crepa("block_index: 1, schedule: linear, warmup_steps: 9, decay_steps: 10"), []),
        (crepa("block_index: 1, schedule: cosine, decay_steps: 101"), ["R412 w decay_steps"]),
        (crepa("block_index: 1, cutoff_step: 100"), []),
        (crepa("block_index: 1, cutoff_step: 101"), ["R412 w cutoff_step"]),
        (crepa("block_index: 1, cutoff_step: 9, warmup_steps: 9"), ["R412 e cutoff_step"]),
        (crepa("block_index: 1, weight_end: 0.1, decay_steps: 9"), ["R422 w weight_end", "R422 w decay_steps"]),
        (crepa("block_index: 1, schedule: linear, power: 2"), ["R422 w power"]),
        (crepa("block_index: 1, teacher_block_index: 2"), ["R422 w teacher_block_index"]),
        (crepa("block_index: 1, threshold_mode: recoverable"), ["R422 w threshold_mode"]),
        (crepa("block_index: 1, adjacent_distance: 2"), []),
        (crepa("block_index: 1, adjacent_distance: 3"), ["R422 w adjacent_distance"]),
        (crepa("block_index: 1, adjacent_distance: 0, adjacent_tau: 2"), ["R422 w adjacent_tau"]),
        (crepa("block_index: 1, adjacent_distance: 1", SETS.replace(": 9", ": 1")), ["R422 w adjacent_distance"]),
        ("regularizers: {crepa: {enabled: false, block_index: 99}}\ntrain: {num_epochs: 2}", []),
        ("regularizers: {crepa: {enabled: true, block_index: 1, warmup_steps: 9}}\ntrain: {num_epochs: 2}", []),
    ],
)
def test_alignment_is_checked_against_the_model_the_run_and_itself(text, expected, look):
    assert brief(look(text)) == expected


def test_alignment_names_the_numbers_that_would_do(look):
    (size,) = look(crepa("block_index: 1, encoder_image_size: 512"))
    (deep,) = look(crepa("block_index: 7, feature_source: backbone"))
    (teacher,) = look(crepa("block_index: 1, feature_source: backbone"))
    (far,) = look(crepa("block_index: 1, adjacent_distance: 5"))

    assert size.help == "take 504 or 518"
    assert size.fix == "518"
    assert "the model has 4 blocks, 0 to 3, with one left for the teacher" in deep.message
    assert deep.help == "take 2 or less"
    assert teacher.help.endswith("2 to 3")
    assert "clips of 9 frames have 3" in far.message


def test_the_number_of_blocks_is_that_of_the_model_that_is_trained(tmp_path):
    (tmp_path / "clips").mkdir()
    recipe = tmp_path / "recipe.yaml"
    regularizers = "regularizers: {crepa: {enabled: true, block_index: %d}}"
    found = []
    for index in (19, 20):
        recipe.write_text("recipe: 1\ntrain: {max_steps: 9}\n" + SETS + regularizers % index, encoding="utf-8")
        found.append("R411" in [d.code for d in compile_recipe(recipe, Options(look_at_data=False)).found])

    assert found == [False, True]


def rollout(keys: str, steps: int = 100) -> str:
    return f"train: {{max_steps: {steps}}}\nregularizers: {{rollout: {{{keys}}}}}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (rollout("max_step_offset: 0, reflexflow: false"), []),
        (rollout("max_step_offset: 5"), ["R414 e max_step_offset"]),
        (rollout("max_step_offset: 5, probability: 0"), ["R414 e probability"]),
        (rollout("max_step_offset: 5, ramp_steps: 9, prob_end: 0"), ["R414 e prob_end"]),
        (rollout("max_step_offset: 5, ramp_steps: 9"), []),
        (rollout("max_step_offset: 5, prob_start: 0.1, prob_end: 0.5"), ["R414 e prob_start"]),
        (rollout("max_step_offset: 5, prob_end: 0.5, order: 3"), ["R414 e prob_end", "R420 w order"]),
        (rollout("max_step_offset: 5, probability: 0.1, start_step: 99"), []),
        (rollout("max_step_offset: 5, probability: 0.1, start_step: 100"), ["R414 e start_step"]),
        (rollout("max_step_offset: 5, start_step: 50, ramp_steps: 50"), []),
        (rollout("max_step_offset: 5, start_step: 50, ramp_steps: 51"), ["R414 w ramp_steps"]),
        (rollout("max_step_offset: 5, probability: 0.6, ramp_steps: 9"), ["R414 w ramp_steps"]),
        (rollout("max_step_offset: 5, prob_start: 0.3, prob_end: 0.2, ramp_steps: 9"), ["R414 w prob_end"]),
        (rollout("max_step_offset: 5, probability: 0.2, prob_end: 0.3"), ["R420 w prob_end"]),
        (rollout("max_step_offset: 5, probability: 0.2, prob_start: 0.1, ramp_steps: 9"), ["R420 w probability"]),
        (rollout("max_step_offset: 5, probability: 0.2, ramp_steps: 9"), []),
        (rollout("max_step_offset: 5, probability: 0.2, order: 3"), ["R420 w order"]),
        (rollout("max_step_offset: 5, probability: 0.2, order: 3, sampler: unipc"), []),
        (rollout("max_step_offset: 5, probability: 0.2, reflexflow_beta1: 5"), ["R420 w reflexflow_beta1"]),
        (rollout("max_step_offset: 5, probability: 0.2, reflexflow: true, reflexflow_beta1: 5"), []),
        (rollout("max_step_offset: 4, probability: 0.2, order: 3, sampler: unipc"), ["R431 w order"]),
        (rollout("max_step_offset: 3, probability: 0.2, order: 2, sampler: unipc"), []),
        (rollout("max_step_offset: 2, probability: 0.2, order: 2, sampler: unipc"), ["R431 w order"]),
        (rollout("max_step_offset: 2, probability: 0.2, sampler: unipc"), []),
        (rollout("max_step_offset: 1, probability: 0.2, order: 1, sampler: unipc"), []),
        (rollout("max_step_offset: 0, order: 3, sampler: unipc"), []),
        (rollout("max_step_offset: 5, probability: 0.2, reflexflow: true, reflexflow_beta1: 0"), []),
        (rollout("max_step_offset: 5, probability: 0.2, reflexflow: true, reflexflow_beta2: 0"), []),
        (
            rollout("max_step_offset: 5, probability: 0.2, reflexflow: true, reflexflow_beta1: 0, reflexflow_beta2: 0"),
            ["R428 w reflexflow"],
        ),
        (
            rollout("max_step_offset: 5, probability: 0.2, reflexflow: true, reflexflow_beta1: 0, reflexflow_alpha: 0"),
            ["R428 w reflexflow"],
        ),
        ("train: {num_epochs: 1}\nregularizers: {rollout: {max_step_offset: 5, ramp_steps: 900}}", []),
    ],
)
def test_rollouts_have_to_happen_and_their_settings_to_matter(text, expected, look):
    assert brief(look(text)) == expected


def test_an_order_that_is_never_reached_is_told_with_the_one_that_is(look):
    (finding,) = look(rollout("max_step_offset: 3, probability: 0.2, order: 3, sampler: unipc"))

    assert (
        "order 3 takes rollouts of 5 timesteps, and the longest has 3: the highest that is reached is 2"
        in finding.message
    )
    assert finding.fix == "2"


def test_two_noise_levels_go_with_rollouts_and_given_frames(look):
    assert not look(
        f"{AVERAGE}\ntrain: {{max_steps: 100}}\nregularizers:\n  rollout: {{max_step_offset: 5, probability: 0.2}}\n"
        "  crepa: {enabled: true, block_index: 1, feature_source: self_flow, teacher_block_index: 2}\n"
        "data: {datasets: [{id: a, instance_data_dir: clips, video: {is_i2v: true}}]}\n"
    )


def test_both_terms_without_weight_are_named_where_they_are(look):
    (finding,) = look(
        rollout("max_step_offset: 5, probability: 0.2, reflexflow: true, reflexflow_beta1: 0, reflexflow_alpha: 0")
    )

    assert finding.message == "`reflexflow` adds nothing: both of its terms have the weight 0"
    assert [note.text for note in finding.notes] == ["the anti-drift term", "the frequency compensation"]


LABELS = "id: m, dataset_type: conditioning, conditioning_type: segmentation, source_dataset_id: a"


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (LABELS, []),
        (f"{LABELS}, label_weights: {{255: 1, '#ff0000': 0.5, 0: 0}}", []),
        (f"{LABELS}, label_weights: {{255: 0, '#ff0000': 0}}", ["R430 e label_weights"]),
        (f"{LABELS}, label_weights: {{255: 1, '#FFFFFF': 0.5}}", ["R430 e #FFFFFF"]),
        (f"{LABELS}, label_weights: {{255: 1, '#ffffff': 1}}", []),
        (f"{LABELS}, label_weights: {{'#aabbcc': 1, '#AABBCC': 0.5}}", ["R430 e #AABBCC"]),
        (f"{LABELS.replace('segmentation', 'mask')}, label_weights: {{255: 1}}", ["R430 w label_weights"]),
        (f"{LABELS}, disabled: true, label_weights: {{255: 0}}", ["R415 e enabled"]),
    ],
)
def test_weights_of_labels_are_checked(keys, expected, look):
    assert brief(look(sets("id: a", keys, rest=MASKED))) == expected


@pytest.mark.parametrize("label", ["256", "'#12345'", "red", "'007'", "-1"])
def test_a_label_has_a_form(label, look):
    found = look(sets("id: a", f"{LABELS}, label_weights: {{{label}: 1}}", rest=MASKED))

    assert len(found) == 1
    assert found[0].severity == "error"


def sets(*tables: str, rest: str = "", length: str = "max_steps: 100") -> str:
    lines = "".join(f"    - {{instance_data_dir: clips, {table}}}\n" for table in tables)
    return f"train: {{{length}}}\n{rest}\ndata:\n  datasets:\n{lines}"


MASKED = "regularizers: {masked_loss: {enabled: true}}"
MASKS = "id: m, dataset_type: conditioning, conditioning_type: mask"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (sets("id: a", rest=MASKED), ["R415 e enabled"]),
        (sets("id: a", MASKS, rest=MASKED), ["R415 e enabled"]),
        (sets("id: a, conditioning_data: m", MASKS, rest=MASKED), []),
        (sets("id: a", f"{MASKS}, source_dataset_id: a", rest=MASKED), []),
        (sets("id: a", f"{MASKS.replace('mask', 'segmentation')}, source_dataset_id: a", rest=MASKED), []),
        (sets("id: a, conditioning_data: m", f"{MASKS}, disabled: false", rest=""), ["R415 w conditioning_type"]),
        (sets("id: a", MASKS), []),
        (sets("id: a", "id: m, dataset_type: conditioning", rest=MASKED), []),
        (sets("id: a, conditioning_data: n", MASKS, rest=MASKED), []),
        (sets("id: a", f"{MASKS}, source_dataset_id: b", rest=MASKED), []),
        (sets("id: a", "id: e, dataset_type: eval, conditioning_data: m", MASKS, rest=MASKED), ["R415 e enabled"]),
        (sets("id: a, conditioning_data: m", MASKS, rest=MASKED.replace("true", "true, background_weight: 1")), "w"),
        (sets("id: a, conditioning_data: m", MASKS, rest=MASKED.replace("true", "true, probability: 0")), "w"),
        (sets("id: a, disabled: true", rest=MASKED), []),
    ],
)
def test_a_masked_loss_needs_masks_and_masks_a_masked_loss(text, expected, look):
    found = [d for d in look(text) if d.code != "R416"]

    if expected == "w":
        assert [(d.code, d.severity, d.message.startswith("masks have no effect")) for d in found] == [
            ("R415", "warning", True)
        ]
    else:
        assert brief(found) == expected


EVAL = "id: measured, dataset_type: eval"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (sets("id: a", rest="evaluation: {step_interval: 9}"), ["R416 e step_interval"]),
        (sets("id: a", rest="evaluation: {epoch_interval: 0.5}"), ["R416 e epoch_interval"]),
        (sets("id: a", f"{EVAL}, disabled: true", rest="evaluation: {step_interval: 9}"), ["R416 e step_interval"]),
        (sets("id: a", EVAL, rest="evaluation: {step_interval: 9}"), []),
        (sets("id: a", rest="evaluation: {step_interval: 9, fraction: 0.1}"), []),
        (sets("id: a", EVAL), ["R416 w dataset_type"]),
        (sets("id: a", rest="evaluation: {fraction: 0.1}"), ["R416 w fraction"]),
        (sets("id: a", EVAL, rest="evaluation: {step_interval: 9, dataset_id: measured}"), []),
        (sets("id: a", EVAL, rest="evaluation: {step_interval: 9, dataset_id: a}"), ["R416 e dataset_id"]),
        (sets("id: a", rest="evaluation: {step_interval: 9, dataset_id: a, fraction: 0.1}"), []),
        (sets("id: a", rest="evaluation: {timesteps: 4}"), []),
        ("train: {max_steps: 9}\nevaluation: {step_interval: 9}\ndata: {datasets: 3}", ["R102 e datasets"]),
    ],
)
def test_what_is_measured_and_when_belong_together(text, expected, look):
    assert brief(look(text)) == expected


def test_the_data_set_that_is_measured_alone_is_suggested(look):
    (near,) = look(sets("id: a", EVAL, rest="evaluation: {step_interval: 9, dataset_id: mesured}"))
    (far,) = look(sets("id: a", EVAL, rest="evaluation: {step_interval: 9, dataset_id: other}"))

    assert near.help == "did you mean `measured`?"
    assert near.fix == "measured"
    assert far.help == "take `measured`, or leave it out"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (sets("id: a, start_step: 1"), []),
        (sets("id: a, start_step: 2"), ["R417 e start_step"]),
        (sets("id: a, start_epoch: 2"), ["R417 e start_epoch"]),
        (sets("id: a, end_step: 50", "id: b, start_step: 51"), []),
        (sets("id: a, end_step: 50", "id: b, start_step: 52"), ["R417 e end_step"]),
        (sets("id: a, end_step: 50", "id: c, end_step: 20", "id: b, start_step: 51"), []),
        (sets("id: a, end_step: 99"), ["R417 e end_step"]),
        (sets("id: a, end_step: 100"), []),
        (sets("id: a, end_step: 9", length="num_epochs: 4"), []),
        (sets("id: a, start_step: 9, end_step: 8"), ["R417 e end_step"]),
        (sets("id: a, start_epoch: 3, end_epoch: 2"), ["R417 e end_epoch"]),
        (sets("id: a, start_step: 9, end_step: 9", "id: b"), []),
        (sets("id: a", "id: b, start_step: 100"), []),
        (sets("id: a", "id: b, start_step: 101"), ["R417 w start_step"]),
        (sets("id: a", "id: b, start_step: 200, disabled: true"), []),
        (sets("id: a", "id: b, start_epoch: 4", length="num_epochs: 4"), []),
        (sets("id: a", "id: b, start_epoch: 5", length="num_epochs: 4"), ["R417 w start_epoch"]),
        (sets("id: a, start_epoch: 2, disabled: true", "id: b, start_step: 7, disabled: true"), []),
    ],
)
def test_some_data_set_is_used_at_every_step(text, expected, look):
    assert brief(look(text)) == expected


def test_steps_without_a_data_set_are_named(look):
    (gap,) = look(sets("id: a, end_step: 50", "id: b, start_step: 60"))

    assert gap.message == "no data set is used after step 50, and training has 100"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("validation: {prompt: a, num_video_frames: 9, step_interval: 1000}", []),
        ("validation: {prompt: a, num_video_frames: 9, step_interval: 1001}", ["R418 w step_interval"]),
        ("validation: {prompt: a, num_video_frames: 9, step_interval: 900, after_step: 1000}", ["R418 w after_step"]),
        ("validation: {step_interval: 1001}", []),
        ("evaluation: {fraction: 0.1, step_interval: 1001}", ["R418 w step_interval"]),
        ("checkpoints: {rolling_steps: 1001}", ["R418 w rolling_steps"]),
        ("checkpoints: {step_interval: 1001}", ["R407 w step_interval"]),
        ("checkpoints: {step_interval: 1001, rolling_steps: 100}", []),
        ("checkpoints: {step_interval: 1001, epoch_interval: 1}", []),
        ("checkpoints: {step_interval: 2000, rolling_steps: 1001}", ["R407 w step_interval", "R418 w rolling_steps"]),
    ],
)
def test_an_interval_within_the_run_is_left_alone(text, expected, look):
    assert brief(look(f"train: {{max_steps: 1000}}\n{text}")) == expected


def test_intervals_in_epochs_are_compared_with_epochs(look):
    text = "train: {num_epochs: 3}\nevaluation: {fraction: 0.1, epoch_interval: %s}\ncheckpoints: {step_interval: 9999}"

    assert brief(look(text % "3")) == []
    (finding,) = look(text % "3.5")
    assert finding.message == "`epoch_interval` is 3.5, and training takes 3 epochs: the loss is never measured"


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("optimizer: {learning_rate: 4e07}", "did you mean `4e-07`?"),
        ("optimizer: {learning_rate: 2e0}", ""),
        ("optimizer: {learning_rate: 50e1}", ""),
        ("train: {max_steps: 1e12}", ""),
        ("data: {framerate: 1e3}", ""),
        ("train: {caption_dropout_probability: 10}", "it is a share of 1: 10 % is `0.1`"),
        ("train: {caption_dropout_probability: 101}", ""),
        ("ema: {decay: 9}", ""),
        ("optimizer: {learning_rate: 5e-5x}", "did you mean `5e-5`? `x` is no part of a number"),
        ("optimizer: {learning_rate: '0,0001'}", "write `0.0001`: decimals follow a point"),
    ],
)
def test_a_slip_of_the_pen_in_a_number_is_explained(text, advice, look):
    found = look(text) if "max_steps" in text else look(f"{text}\n")

    assert advice in [d.help for d in found if d.code in ("R102", "R104")]


@pytest.mark.parametrize(
    ("text", "number", "count"),
    [
        ("3 e-5", "write `3e-5`, without spaces", "write `3e-5`, without spaces"),
        ("5e\u22125", "write `5e-5`, without spaces", "write `5e-5`, without spaces"),
        ("1,5", "write `1.5`: decimals", "write a whole number"),
        ("1,500", "write `1.500` or `1500`: decimals", "write `1500`, without a comma"),
        ("10k", "did you mean `10000`?", "did you mean `10000`?"),
        ("10%", "did you mean `0.1`?", ""),
        ("16 fps", "did you mean `16`? `fps` is", "did you mean `16`? `fps` is"),
        ("1e400x", "", ""),
        ("10^-3", "write `1e-3`", ""),
        ("10**4", "write `1e4`", "write `1e4`"),
        ("5*10^-5", "write `5e-5`", ""),
        ("12*20", 'to calculate, write a template: `"{{ 12*20 }}"`', "to calculate, write a template"),
        ("1e-3 / 2", 'to calculate, write a template: `"{{ 1e-3 / 2 }}"`', "to calculate, write a template"),
        ("1e-3 * lr", "", ""),
        ("5/x", "", ""),
        ("many", "", ""),
    ],
)
def test_the_number_in_a_text_is_found(text, number, count):
    for expected, whole in ((number, False), (count, True)):
        found = number_inside(text, whole=whole)
        assert found.startswith(expected)
        assert bool(found) == bool(expected)
