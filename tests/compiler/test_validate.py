import pytest

from recipe_compiler.passes.validate import validate
from recipe_compiler.source import Source
from recipe_compiler.syntax.tree import to_plain
from recipe_compiler.syntax.yaml_tree import parse_yaml


HEAD = "recipe: 1\ndata:\n  datasets:\n    - {id: a, instance_data_dir: clips}\n"


def found(text):
    root, syntax = parse_yaml(Source("x", text))
    return [*syntax, *validate(root).found]


def only(text):
    (finding,) = found(HEAD + text)
    return finding


SIX = """\
recipe: 1
data:
  datasets:
    - id: a
      instance_data_dir: clips
      repeats: many
trian:
  bacth_size: 2
  max_steps: 10
  max_steps: 20
  mixed_precision: bf17
optimizer:
  learning_rate: 5e-5x
"""


def test_six_mistakes_are_found_in_one_run_each_at_its_place():
    places = sorted((d.span.line, d.span.column, d.code) for d in found(SIX))

    assert places == [
        (6, 16, "R102"),
        (7, 1, "R101"),
        (8, 3, "R101"),
        (10, 3, "R002"),
        (11, 20, "R103"),
        (13, 18, "R102"),
    ]


def test_below_a_misspelt_section_the_near_one_is_assumed():
    root, _ = parse_yaml(Source("x", SIX))

    assert to_plain(validate(root).tree)["train"] == {"batch_size": 2, "max_steps": 10, "mixed_precision": "bf17"}


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("train: {batchsize: 1}", "R101", "did you mean `batch_size`?"),
        ("train_batch_size: 4", "R101", "`train_batch_size` is `train.batch_size` here"),
        ("--user_prompt_library: x", "R101", "`--user_prompt_library` is `validation.prompt_library` here"),
        ("train: {learning_rate: 0.1}", "R101", "`learning_rate` is `optimizer.learning_rate` here"),
        ("train: {zebra: 1}", "R101", "known here: batch_size"),
        ("train: {train_batch_size: 4}", "R101", "did you mean `batch_size`?"),
        ("train: {batch_size: '4'}", "R102", "write `4` without quotes"),
        ("train: {batch_size: 1.5}", "R102", "write a whole number"),
        ("train: {batch_size: true}", "R102", ""),
        ("train: {batch_size: [1]}", "R102", ""),
        ("train: 3", "R102", "write its keys below it, indented"),
        ("train:", "R102", "write its keys below it, indented"),
        ("optimizer: adamw", "R102", "write `optimizer: {name: adamw}`"),
        ("ema: {enabled: yes}", "R102", "write `true`"),
        ("ema: {enabled: 'false'}", "R102", "write `false`"),
        ("train: {mixed_precision: fp16}", "R103", "activations of Sana overflow"),
        ("optimizer: {name: torch-adamw}", "R103", "that is `adamw` here"),
        ("optimizer: {name: lion}", "R103", "that is `optimi-lion` here"),
        ("train: {loss_type: mse}", "R103", "is `l2` here"),
        ("lr_schedule: {name: cosine_with_min_lr}", "R103", "`cosine` with `lr_schedule.end`"),
        ("memory: {group_offload: {type: disk}}", "R103", "where `to_disk_path` names a folder"),
        ("ema: {validation: emaonly}", "R103", "did you mean `ema_only`?"),
        ("train: {batch_size: 0}", "R104", ""),
        ("optimizer: {learning_rate: 0}", "R104", ""),
        ("optimizer: {learning_rate: 4e07}", "R104", "did you mean `4e-07`?"),
        ("optimizer: {beta1: 1}", "R104", ""),
        ("validation: {resolution: 832*480}", "R106", ""),
        ("validation: {prompt_library: {a/b: x}}", "R106", "use letters, digits"),
    ],
)
def test_one_mistake_gives_one_finding_with_advice(text, code, words):
    finding = only(text)

    assert finding.code == code
    assert words in finding.help


@pytest.mark.parametrize(
    ("text", "missing"), [("data:\n  datasets:\n    - {id: a, instance_data_dir: c}\n", ["recipe"])]
)
def test_a_key_without_default_is_missed(text, missing):
    assert [(d.code, d.pointer) for d in found(text)] == [("R105", name) for name in missing]


def test_a_data_set_misses_its_keys_by_name():
    findings = found("recipe: 1\ndata:\n  datasets:\n    - repeats: 1\n")

    assert [d.pointer for d in findings] == ["data.datasets.0.id"]


def test_a_misspelt_key_is_not_missed_as_well():
    findings = found("recipe: 1\ndata:\n  datasets:\n    - {di: a, instance_data_dir: clips}\n")

    assert [(d.code, d.pointer) for d in findings] == [("R101", "data.datasets.0.di")]


def test_where_a_text_is_meant_an_unquoted_number_is_taken_as_written():
    root, _ = parse_yaml(Source("x", HEAD + "name: 2024\nmodel: {revision: 1e10}\n"))
    valid = validate(root)

    assert valid.found == ()
    assert to_plain(valid.tree)["name"] == "2024"
    assert to_plain(valid.tree)["model"]["revision"] == "1e10"


# What people bring along from SimpleTuner


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("data_backend_config: x.json", "data sets stand in the recipe"),
        ("datasets: [{id: a}]", "`datasets` is `data.datasets` here"),
        ("--report_to: wandb", "`--report_to` is `tracking.report_to` here"),
        ("resolution: 480", "write `resolution` in each entry of `data.datasets` that it is for"),
        ("train: {resolution: 480}", "write `resolution` in each entry of `data.datasets` that it is for"),
        ("webhook_config: x.json", "`tracking.webhooks` takes a list"),
        ("data: {datasets: [{id: a, instance_data_dir: b, max_upscale_threshold: 1}]}", "R316 names those"),
        (
            "data: {datasets: [{id: a, instance_data_dir: b, text_cache_disable: true}]}",
            "stored by content in `data.store_dir`",
        ),
        (
            "data: {datasets: [{id: a, instance_data_dir: b, aws_secret_access_key: x}]}",
            "secrets never stand in a recipe",
        ),
        ("data: {datasets: [{id: a, instance_data_dir: b, is_i2v: false}]}", "is `data.datasets.0.video.is_i2v` here"),
        ("data: {datasets: [{id: a, instance_data_dir: b, framerate: 16}]}", "`framerate` is `data.framerate` here"),
        ("flux_guidance_value: 1", "is for other models, or without a counterpart here"),
        ("validation_steps: 5", "`validation_steps` is `validation.step_interval` here"),
        ("checkpoints: {save_total_limit: 5}", "did you mean `total_limit`?"),
    ],
)
def test_a_key_of_simpletuner_that_means_nothing_here_is_explained(text, advice):
    head = "recipe: 1\n" if text.startswith("data:") else HEAD
    (finding,) = found(head + text)

    assert finding.code == "R101"
    assert advice in finding.help


def test_no_key_of_the_language_is_called_unknown():
    from recipe_compiler.passes.foreign import why_not
    from recipe_schema.definition import leaves

    flat = [leaf.path for leaf in leaves() if leaf.path.startswith("data.datasets.")]

    assert [path for path in flat if why_not(path.split(".")[3], ("data", "datasets", 0)) is not None] == []


def test_a_key_that_is_given_under_its_own_name_as_well_is_named():
    finding = only("train: {max_steps: 3, max_train_steps: 4}")

    assert finding.help == "`max_steps` is given already"


def test_data_sets_written_as_a_mapping_are_checked_all_the_same():
    findings = found("recipe: 1\ndata:\n  datasets:\n    id: a\n    instance_data_dir: b\n    repeets: 1\n")

    assert [(d.code, d.span.line, d.span.column) for d in findings] == [("R102", 3, 3), ("R101", 6, 5)]
    assert findings[0].help == "put `- ` before its first key"
