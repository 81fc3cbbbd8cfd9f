"""Configurations of other trainers become recipes, for the parts that have a meaning here."""

import json
from pathlib import Path

import pytest

from recipe_compiler.cli.main import main
from recipe_compiler.imports.ai_toolkit import import_ai_toolkit
from recipe_compiler.imports.diffusion_pipe import import_diffusion_pipe
from recipe_compiler.imports.document import recipe_text
from recipe_compiler.imports.draft import Draft, Written
from recipe_compiler.imports.finetrainers import import_finetrainers
from recipe_compiler.imports.given import given_in
from recipe_compiler.imports.musubi_tuner import import_musubi_tuner
from recipe_compiler.imports.place import How
from recipe_compiler.imports.problem import ImportProblemError
from recipe_compiler.imports.reading import read_map
from recipe_compiler.imports.report import report_text
from recipe_compiler.imports.sana import import_sana
from recipe_compiler.pipeline import Options, compile_source
from recipe_compiler.source import Source


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def taken(importer, name, text, **files):
    for other, content in files.items():
        Path(other.replace("__", ".")).write_text(content, encoding="utf-8")
    Path(name).write_text(text, encoding="utf-8")
    draft = importer(Path(name), How(target=Path("recipes"), environment={}))
    told = {(row.file, row.key) for row in draft.rows}
    for file in (name, *(other.replace("__", ".") for other in files)):
        assert {(file, given.name) for given in given_in(read_map(Path(file)))} <= told
    assert len(told) == len(draft.rows)
    return draft


def row(draft, key):
    (found,) = (each for each in draft.rows if each.key == key)
    return found


def value(draft, path):
    return draft.settings[path].value


DIFFUSION_PIPE = """\
output_dir = 'runs'
dataset = 'sets.toml'
eval_datasets = [{name = 'seen', config = 'eval.toml'}]
epochs = 10
micro_batch_size_per_gpu = 2
image_micro_batch_size_per_gpu = 4
pipeline_stages = 1
gradient_accumulation_steps = 1
gradient_clipping = 1.0
warmup_steps = 100
pseudo_huber_c = 0.5
eval_every_n_epochs = 1
save_every_n_epochs = 2
checkpoint_every_n_minutes = 120
activation_checkpointing = 'unsloth'
compile = true
video_clip_mode = 'single_middle'

[model]
type = 'hunyuan-video'
dtype = 'bfloat16'
transformer_dtype = 'float8'
timestep_sample_method = 'logit_normal'

[adapter]
type = 'lora'
rank = 32
init_from_existing = 'old/epoch50'

[optimizer]
type = 'adamw_optimi'
lr = 2e-5
betas = [0.9, 0.99]

[monitoring]
enable_wandb = true
wandb_api_key = 'hidden-value'
wandb_tracker_name = ''
wandb_run_name = 'mine'
"""
SETS = """\
resolutions = [512, 768]
min_ar = 0.5
max_ar = 2.0
num_ar_buckets = 3
frame_buckets = [1, 33, 65]
unused = 1

[[directory]]
path = 'clips'
num_repeats = 5
mask_path = 'masks'

[[directory]]
path = 'more/clips'
frame_buckets = [1]
min_ar = 'wide'
max_ar = 2.0
num_ar_buckets = 3
"""
EVAL = """\
resolutions = [[832, 480]]
ar_buckets = [[512, 512], 1.5]
min_ar = 0.5
frame_buckets = [33]
cache_shuffle_num = 2
cache_shuffle_delimiter = ', '

[[directory]]
path = 'held-out'
num_repeats = 0
cache_shuffle_num = 0

[[directory]]
path = 'held-out too'
"""


def test_diffusion_pipe():
    draft = taken(
        import_diffusion_pipe,
        "train.toml",
        DIFFUSION_PIPE,
        sets__toml=SETS.replace("unused = 1\n", ""),
        eval__toml=EVAL,
    )

    assert value(draft, "output_dir") == "../runs"
    assert value(draft, "train.num_epochs") == 10
    assert value(draft, "train.batch_size") == 2
    assert (value(draft, "train.loss_type"), value(draft, "train.huber_c")) == ("huber", 0.5)
    assert value(draft, "evaluation.epoch_interval") == 1
    assert value(draft, "memory.gradient_checkpointing") is True
    assert value(draft, "hardware.compile") == "default"
    assert value(draft, "train.noise_schedule") == "official"
    assert value(draft, "model.lora.init_from") == "../old/epoch50"
    assert value(draft, "optimizer.name") == "optimi-adamw"
    assert (value(draft, "optimizer.beta1"), value(draft, "optimizer.beta2")) == (0.9, 0.99)
    assert value(draft, "tracking.report_to") == "wandb"
    assert value(draft, "lr_schedule.name") == "constant_with_warmup"
    assert "hidden-value" not in json.dumps([each._asdict() for each in draft.rows])
    assert row(draft, "model.transformer_dtype").fate == "unsupported"
    assert row(draft, "pipeline_stages").fate == "without effect"
    assert value(draft, "data.datasets.0.repeats") == 4
    assert value(draft, "data.datasets.0.video.num_frames") == 65
    assert value(draft, "data.datasets.0.video.min_frames") == 33
    assert value(draft, "data.datasets.0.video.window") == "middle"
    assert value(draft, "data.datasets.0.crop_aspect_buckets") == [0.5, 1.0, 2.0]
    assert value(draft, "data.datasets.0.conditioning_data") == ["clips-masks"]
    assert value(draft, "data.datasets.1.dataset_type") == "conditioning"
    assert value(draft, "data.datasets.2.id") == "clips-2"
    assert value(draft, "data.datasets.3.dataset_type") == "eval"
    assert value(draft, "data.datasets.3.crop_aspect_buckets") == [1.0, 1.5]
    assert "data.datasets.3.resolution" not in draft.settings
    assert value(draft, "data.datasets.2.dataset_type") == "image"
    assert "data.datasets.2.video.window" not in draft.settings
    assert [each.fate for each in draft.rows if each.key == "directory.1.frame_buckets"] == ["mapped"]
    assert [each.fate for each in draft.rows if each.key == "directory.1.min_ar"] == ["unsupported"]
    assert [each.fate for each in draft.rows if each.key == "directory.0.num_repeats" and each.file == "eval.toml"] == [
        "unsupported"
    ]


def test_diffusion_pipe_in_other_ways():
    text = """\
dataset = 'sets.toml'
epochs = 10
max_steps = 5
pipeline_stages = 2
eval_every_n_steps = 3
lr_scheduler = 'step'
activation_checkpointing = [1]
video_clip_mode = 'all'
new_option = 1
[adapter]
type = 'lokr'
rank = 1e6
[optimizer]
betas = [1]
"""
    sets = "enable_ar_bucket = true\nresolutions = []\nar_buckets = 'x'\n[[directory]]\nnum_repeats = 2\nar_buckets = []\nresolutions = ['x']\n"
    draft = taken(import_diffusion_pipe, "train.toml", text, sets__toml=sets)
    assert value(draft, "train.max_steps") == 5
    assert value(draft, "model.lora.type") == "lokr"
    assert value(draft, "model.lora.rank") == 1024
    for key in (
        "pipeline_stages",
        "lr_scheduler",
        "activation_checkpointing",
        "video_clip_mode",
        "new_option",
        "optimizer.betas",
    ):
        assert row(draft, key).fate == "unsupported"
    for key in ("epochs", "eval_every_n_steps", "resolutions", "ar_buckets"):
        assert row(draft, key).fate == "without effect"
    assert row(draft, "directory.0.ar_buckets").fate == row(draft, "directory.0.resolutions").fate == "unsupported"
    several = "dataset = 'sets.toml'\nvideo_clip_mode = 'multiple_overlapping'\n"
    windows = taken(
        import_diffusion_pipe, "train.toml", several, sets__toml="[[directory]]\npath = 'a'\nframe_buckets = 'x'\n"
    )
    assert value(windows, "data.datasets.0.video.window") == "uniform"
    assert value(windows, "model.type") == "full"
    with pytest.raises(ImportProblemError, match=r"train.toml:1:1: `dataset` names the data sets `no.toml`"):
        taken(import_diffusion_pipe, "train.toml", "dataset = 'no.toml'\n")


def test_diffusion_pipe_measures_nothing_without_clips_to_measure():
    text = "dataset = 'sets.toml'\neval_before_first_step = true\n[model]\ntype = 'wan'\n"
    sets = "[[directory]]\npath = 'a'\nframe_buckets = [33]\n"
    assert row(taken(import_diffusion_pipe, "t.toml", text, sets__toml=sets), "eval_before_first_step").fate == (
        "without effect"
    )
    both = text.replace("[model]", "eval_datasets = [{name = 'e', config = 'sets.toml'}]\n[model]")
    draft = import_diffusion_pipe(write("b.toml", both), How(target=Path("recipes"), environment={}))
    assert row(draft, "eval_before_first_step").fate == "unsupported"


def write(name, text):
    Path(name).write_text(text, encoding="utf-8")
    return Path(name)


def test_a_list_of_one_length_is_that_length():
    text = "[[datasets]]\nvideo_directory = 'a'\ntarget_frames = [81]\n"
    draft = taken(import_musubi_tuner, "one.toml", text)
    assert value(draft, "data.datasets.0.video.num_frames") == 81
    assert row(draft, "datasets.0.target_frames").fate == "mapped"


def test_ai_toolkit_puts_the_trigger_word_into_prompts():
    job = """\
config:
  process:
    - trigger_word: p3r5on
      datasets: [{folder_path: a, num_frames: 33}]
      sample: {prompts: ["a [trigger] sings", "a dog", 5]}
"""
    draft = taken(import_ai_toolkit, "job.yaml", job)
    assert value(draft, "validation.prompt") == "a p3r5on sings"
    assert value(draft, "validation.prompt_library") == {"prompt-2": "a dog"}


def test_finetrainers_variables_of_the_script_are_read():
    script = """\
#!/bin/bash
STEPS=500
export WHERE='clips/$STEPS'
PARALLEL="--seed 7 --batch_size 2"
words=( --rank 8 )
CUDA_VISIBLE_DEVICES="0,1" torchrun --nproc_per_node 2 train.py $PARALLEL "${words[@]}" --data_root $WHERE \\
  --target_modules "blocks.*(to_q|to_out.0)" --train_steps ${STEPS} --output_dir '$STEPS' --tracker_name $UNKNOWN
"""
    draft = taken(import_finetrainers, "train.sh", script)
    assert (value(draft, "train.seed"), value(draft, "train.batch_size")) == (7, 2)
    assert value(draft, "train.max_steps") == 500
    assert value(draft, "model.lora.rank") == 8
    assert value(draft, "model.lora.target_modules") == ["to_q", "to_out.0"]
    assert "nproc_per_node" not in {each.key for each in draft.rows}
    assert value(draft, "data.datasets.0.instance_data_dir") == "../clips/$STEPS"
    assert value(draft, "output_dir") == "../$STEPS"
    assert value(draft, "tracking.project_name") == "$UNKNOWN"


def test_musubi_tuner():
    text = """\
[general]
resolution = [832, 480]
caption_extension = ".txt"
batch_size = 2
enable_bucket = true
num_repeats = 1

[[datasets]]
video_directory = "clips"
cache_directory = "cache"
target_frames = [1, 25, 46]
frame_extraction = "chunk"
source_fps = 30.0
max_frames = 9

[[datasets]]
video_jsonl_file = "meta.jsonl"
resolution = [640, 640]
enable_bucket = false
frame_extraction = "full"
max_frames = 45
num_repeats = 2
batch_size = 1
caption_extension = ".caption"
control_directory = "control"

[[datasets]]
video_directory = "clips"
"""
    draft = taken(import_musubi_tuner, "sets.toml", text)
    assert "data.datasets.0.resolution" not in draft.settings
    assert value(draft, "data.datasets.0.train_batch_size") == 2
    assert value(draft, "data.datasets.0.video.num_frames") == 45
    assert value(draft, "data.datasets.0.video.window") == "uniform"
    assert value(draft, "data.datasets.1.csv_file") == "../meta.jsonl"
    assert value(draft, "data.datasets.1.csv_url_column") == "video_path"
    assert value(draft, "data.datasets.1.resolution") == 640
    assert value(draft, "data.datasets.1.repeats") == 1
    assert value(draft, "data.datasets.1.video.num_frames") == 45
    assert any("without enable_bucket" in text for text in draft.warnings)
    assert any("`train.max_steps: 2000` was chosen here" in text for text in draft.warnings)
    assert draft.settings["train.max_steps"].origin == "chosen here"
    compiled = compile_source(
        Source("r.yaml", recipe_text(draft.settings, ["x"])), Path("r.yaml"), Options(look_at_data=False)
    )
    assert [d.message for d in compiled.found if d.severity == "error"] == []
    assert row(draft, "datasets.1.control_directory").fate == "unsupported"
    assert row(draft, "datasets.1.caption_extension").fate == "unsupported"
    other = """\
other = 1
[general]
batch_size = 1
[[datasets]]
image_directory = "photos"
batch_size = 3
frame_extraction = "slide"
frame_sample = 2
target_frames = 25
[[datasets]]
video_directory = "a"
batch_size = 3
frame_extraction = "uniform"
frame_sample = 2
[[datasets]]
video_directory = "b"
batch_size = 3
frame_extraction = "head"
target_frames = ["x"]
[[datasets]]
video_directory = "c"
batch_size = 3
frame_extraction = "none"
"""
    draft = taken(import_musubi_tuner, "sets.toml", other)
    assert value(draft, "data.datasets.0.dataset_type") == "image"
    assert value(draft, "data.datasets.1.video.max_windows") == 2
    assert row(draft, "other").fate == row(draft, "datasets.3.frame_extraction").fate == "unsupported"
    assert row(draft, "general.batch_size").reason == "no data set needs it"
    assert row(draft, "datasets.2.target_frames").fate == "unsupported"
    with pytest.raises(ImportProblemError, match=r"sets.toml:2:1: a data set needs one of"):
        taken(import_musubi_tuner, "sets.toml", "[[datasets]]\nbatch_size = 1\n")


AI_TOOLKIT = """\
---
job: extension
config:
  name: "my first lora"
  process:
    - type: 'sd_trainer'
      training_folder: "output"
      device: cuda:0
      network: {type: "lora", linear: 32, linear_alpha: 32}
      datasets:
        - folder_path: "clips"
          caption_ext: "txt"
          num_frames: 41
          resolution: [ 632 ]
          num_repeats: 2
          mask_path: masks
        - {caption_ext: "caption", resolution: 512}
        - {folder_path: "photos", num_frames: 1}
        - {}
      train:
        steps: 2000
        train_text_encoder: false
        timestep_type: 'sigmoid'
        skip_first_sample: true
        ema_config: {use_ema: true, ema_decay: 0.99}
      model: {arch: 'wan21'}
      sample:
        width: 830
        height: 480
        num_frames: 40
        prompts:
          - "woman playing the guitar"
          - "a text with {{ braces }} and $"
    - type: another
meta:
  name: "[name]"
"""


def test_ai_toolkit():
    draft = taken(import_ai_toolkit, "job.yaml", AI_TOOLKIT)
    assert value(draft, "name") == "my-first-lora"
    assert value(draft, "output_dir") == "../output/my-first-lora"
    assert value(draft, "hardware.device") == "cuda"
    assert value(draft, "model.type") == "lora"
    assert value(draft, "data.datasets.0.video.num_frames") == 41
    assert value(draft, "data.datasets.0.resolution") == 632
    assert value(draft, "data.datasets.2.dataset_type") == "image"
    assert value(draft, "validation.on_startup") is False
    assert value(draft, "validation.resolution") == "832x480"
    assert value(draft, "validation.num_video_frames") == 37
    assert value(draft, "validation.prompt_library") == {"prompt-2": "a text with {{ braces }} and $"}
    assert row(draft, "config.process.1.type").fate == "unsupported"
    assert row(draft, "config.process.0.datasets.1.caption_ext").fate == "unsupported"
    text = recipe_text(draft.settings, ["x"])
    compiled = compile_source(Source("r.yaml", text), Path("r.yaml"), Options(look_at_data=False))
    assert compiled.settings["validation.prompt_library"] == {"prompt-2": "a text with {{ braces }} and $"}


def test_ai_toolkit_in_other_ways():
    text = """\
config:
  name: plain
  process:
    - device: cpu
      network: {type: "dora"}
      sample: {width: 832, prompts: []}
      datasets: []
"""
    draft = taken(import_ai_toolkit, "job.yaml", text)
    assert value(draft, "hardware.device") == "cpu"
    assert value(draft, "name") == "plain"
    assert row(draft, "config.process.0.network.type").fate == "unsupported"
    other = taken(
        import_ai_toolkit,
        "job.yaml",
        "config: {process: [{device: 'xpu:0', network: {type: lokr}, train: {lr: null}}]}\n",
    )
    assert value(other, "model.lora.type") == "lokr"
    assert row(other, "config.process.0.device").fate == "unsupported"
    full = taken(import_ai_toolkit, "job.yaml", "config: {process: [{train: {steps: 5}, sample: {prompts: x}}]}\n")
    assert value(full, "model.type") == "full"
    assert row(full, "config.process.0.sample.prompts").fate == "unsupported"
    with pytest.raises(ImportProblemError, match=r"there is no `config\.process`"):
        taken(import_ai_toolkit, "job.yaml", "job: x\n")


FINETRAINERS = """\
#!/bin/bash
export NCCL_P2P_DISABLE=1
model_cmd=(
  --model_name "wan"
)
dataset_cmd=(
  --dataset_config "training.json"
  --enable_precomputation
)
torchrun train.py "${model_cmd[@]}" --training_type lora \\
  --target_modules "to_q" "to_k" "to_v" \\
  --lr 5e-5 --beta2=0.99 --hub_token hidden-value --resume_from_checkpoint latest \\
  --validation_dataset_file "validation.json" --tracker_name 'two
lines'
echo -ne "done"
"""
TRAINING = {
    "datasets": [
        {
            "data_root": "clips",
            "dataset_type": "video",
            "id_token": "CRUSH",
            "video_resolution_buckets": [[49, 480, 832], [33, 832, 480]],
            "reshape_mode": "bicubic",
        },
        {"dataset_file": "owner/name", "video_resolution_buckets": [1]},
        {"dataset_file": "meta.csv", "dataset_type": "image"},
        {"video_resolution_buckets": ["49x512x768"]},
    ],
    "other": 1,
}
VALIDATION = {"data": [{"caption": "a fox", "height": 480, "image_path": ""}, {"caption": "a hen"}]}


def test_finetrainers():
    draft = taken(
        import_finetrainers,
        "train.sh",
        FINETRAINERS,
        training__json=json.dumps(TRAINING),
        validation__json=json.dumps(VALIDATION),
    )
    assert value(draft, "model.type") == "lora"
    assert value(draft, "model.lora.target_modules") == ["to_q", "to_k", "to_v"]
    assert value(draft, "optimizer.beta2") == 0.99
    assert value(draft, "data.buckets") == ["832x480", "480x832", "768x512"]
    assert value(draft, "data.datasets.0.video.num_frames") == 49
    assert value(draft, "data.datasets.0.video.min_frames") == 33
    assert value(draft, "data.datasets.0.prepend_instance_prompt") is True
    assert value(draft, "data.datasets.1.type") == "huggingface"
    assert value(draft, "data.datasets.2.csv_file") == "../meta.csv"
    assert value(draft, "validation.prompt_library") == {"prompt-1": "a fox", "prompt-2": "a hen"}
    assert value(draft, "tracking.project_name") == "two\nlines"
    assert row(draft, "other").fate == "unsupported"
    assert row(draft, "tracker_name").line == 13
    assert "hidden-value" not in json.dumps([each._asdict() for each in draft.rows])
    plain = taken(
        import_finetrainers, "train.args", "--data_root clips\n--target_modules to_q\n--resume_from_checkpoint x/y\n"
    )
    assert value(plain, "data.datasets.0.instance_data_dir") == "../clips"
    assert value(plain, "model.lora.target_modules") == ["to_q"]
    assert row(plain, "resume_from_checkpoint").fate == "unsupported"
    with pytest.raises(ImportProblemError, match=r"train.sh:2:1: this can't be read"):
        taken(import_finetrainers, "train.sh", "--lr 1\n--name 'open\n\n")
    mixed = taken(
        import_finetrainers, "train.sh", 'x --model_name wan "${sets[@]}" ${more[*]} --lr_num_cycles 1 $LAST\n'
    )
    assert row(mixed, "model_name").value == "wan"
    assert row(mixed, "lr_num_cycles").value == [1, "$LAST"]
    assert row(mixed, "lr_num_cycles").fate == "without effect"
    restarts = taken(import_finetrainers, "train.sh", "--lr_num_cycles 2 --lr_scheduler cosine_with_restarts\n")
    assert value(restarts, "lr_schedule.num_cycles") == 2
    huge = taken(import_finetrainers, "train.sh", "--seed 1e999 --verbose=\n")
    assert row(huge, "seed").fate == "unsupported"


SANA = """\
task: t2v
data:
  data_dir:
    toys: data/toys
    more: data/more
  caption_proportion:
    prompt: 5
  image_size: 480
  aspect_ratio_type: ASPECT_RATIO_VIDEO_480_MS
  num_frames: 81
model:
  aspect_ratio_type: ASPECT_RATIO_VIDEO_720_MS
  mlp_acts: [silu, silu, null]
  class_dropout_prob: 0.1
text_encoder:
  chi_prompt: [x]
scheduler:
  flow_shift: 3.0
  logit_mean: 1.0
  vis_sampler: flow_dpm-solver
train:
  use_fsdp: true
  num_epochs: 10
  gradient_clip: 0.1
  optimizer:
    betas: [0.9, 0.999]
    eps: 1.0e-10
    lr: 5.0e-5
    type: AdamW
  lr_schedule: constant
  lr_schedule_args:
    num_warmup_steps: 500
  work_dir: output/debug
  validation_prompts:
    - the opening scene
  joint_training_interval: 0
"""


def test_sana(capsys):
    draft = taken(import_sana, "sana.yaml", SANA)
    assert value(draft, "data.datasets.0.video.num_frames") == value(draft, "data.datasets.1.video.num_frames") == 81
    assert value(draft, "lr_schedule.name") == "constant_with_warmup"
    assert value(draft, "optimizer.eps") == 1e-10
    assert value(draft, "validation.prompt") == "the opening scene"
    assert row(draft, "scheduler.flow_shift").fate == "mapped"
    assert row(draft, "scheduler.logit_mean").fate == "unsupported"
    assert row(draft, "model.aspect_ratio_type").fate == row(draft, "text_encoder.chi_prompt").fate == "unsupported"
    assert row(draft, "data.image_size").fate == "without effect"
    other = """\
task: ti2v
data: {num_frames: 81}
text_encoder:
  chi_prompt: %s
train: {lr_schedule: constant, joint_training_interval: 5}
"""
    official = json.dumps(
        import_sana.__globals__["load_family"]("sana-video-480p").raw["text"]["instructions"]["official"]
    )
    second = taken(import_sana, "sana.yaml", other % official)
    assert value(second, "model.instruction") == "official"
    assert value(second, "data.image_interval") == 5
    assert value(second, "lr_schedule.name") == "constant"
    assert row(second, "data.num_frames").fate == row(second, "task").fate == "unsupported"
    odd = taken(import_sana, "sana.yaml", "data: {data_dir: {a: b, c: d}, num_frames: many}\n")
    assert "data.datasets.1.video.num_frames" not in odd.settings
    Path("sana.yaml").write_text(SANA, encoding="utf-8")
    assert main(["import", "sana", "sana.yaml", "--force"]) == 2
    assert "`sana.yaml` is the configuration itself: name another file with -o" in capsys.readouterr().err
    assert Path("sana.yaml").read_text(encoding="utf-8") == SANA
    assert main(["import", "sana", "sana.yaml", "-o", "mine.yaml"]) == 0
    assert main(["import", "sana", "sana.yaml", "-o", "mine.yaml", "--force"]) == 0


def test_a_file_with_nothing_in_it():
    with pytest.raises(ImportProblemError, match=r"sana.yaml: there is nothing in it"):
        taken(import_sana, "sana.yaml", "# nothing\n")


def test_a_report_tells_each_warning_once():
    draft = Draft()
    assert report_text(draft) == "nothing"
    draft.warn("one")
    draft.warn("one")
    assert report_text(draft) == "to know:\n  - one\n\nnothing"


def test_texts_that_yaml_would_take_for_something_else():
    settings = {
        "description": Written('12\n\x07"quoted" # no comment', "x"),
        "validation.prompt_library": Written(
            {"a": "yes", "1": "1e999", "b c": "true", "d": "- x", "e": "x: y"}, "x\ny"
        ),
        "data.buckets": Written([], "x"),
    }
    text = recipe_text(settings, ["two\nlines"])
    compiled = compile_source(Source("r.yaml", text), Path("r.yaml"), Options(look_at_data=False))
    assert compiled.settings["description"] == '12\n\x07"quoted" # no comment'
    assert "x\\ny" in text
    assert '"1e999"' in text
    assert '"b c": "true"' in text
