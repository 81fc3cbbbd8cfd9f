"""A whole ``config.json`` of SimpleTuner, as people have one, pasted into a recipe."""

from pathlib import Path

import pytest

from recipe_compiler.cli.main import main
from recipe_compiler.pipeline import Options, compile_recipe


CONFIG = """\
recipe: 1
resume_from_checkpoint: latest
quantize_via: cpu
data_backend_config: config/sanavideo/multidatabackend.json
seed: 42
output_dir: output/sanavideo
max_train_steps: 400000
checkpoint_step_interval: 1000
checkpoints_total_limit: 5
tracker_project_name: video-training
tracker_run_name: sanavideo-2b-480p
report_to: wandb
model_type: full
pretrained_model_name_or_path: Efficient-Large-Model/SANA-Video_2B_480p_diffusers
pretrained_vae_model_name_or_path: Efficient-Large-Model/SANA-Video_2B_480p_diffusers
model_family: sanavideo
train_batch_size: 1
gradient_checkpointing: true
gradient_accumulation_steps: 1
caption_dropout_probability: 0.1
resolution_type: pixel_area
resolution: 480
validation_seed: 42
validation_step_interval: 200
validation_resolution: 832x480
validation_negative_prompt: blurry and shaky
validation_guidance: 6.0
validation_num_inference_steps: 50
validation_num_video_frames: 81
validation_prompt: a kitten looks around a bright room and then walks to the window
mixed_precision: bf16
optimizer: adamw
learning_rate: 0.00005
max_grad_norm: 0.0
grad_clip_method: value
lr_scheduler: cosine
lr_warmup_steps: 400000
base_model_precision: bf16
vae_batch_size: 1
use_ema: true
ema_validation: ema_only
ema_update_interval: 2
delete_problematic_images: "true"
framerate: 16
validation_prompt_library: false
ignore_final_epochs: true
"""

LEFT = {
    "data_backend_config": "data sets stand in the recipe",
    "resolution_type": "in each entry of `data.datasets`",
    "resolution": "in each entry of `data.datasets`",
    "delete_problematic_images": "files are only deleted if",
    "validation_prompt_library": "no prompts are built in",
    "ignore_final_epochs": "training ends at `train.max_steps`",
    "model.base_model_precision": "that is no quantization",
    "data.datasets": "add `datasets:`",
    "lr_schedule.warmup_steps": "a cosine spans all of training by itself",
}
"""What a person has to decide, each with the start of the advice."""


@pytest.fixture
def config(tmp_path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


def test_every_key_is_put_where_it_belongs_or_explained(config, capsys):
    main(["lint", "--no-data", "--fix", str(config)])
    capsys.readouterr()
    found = compile_recipe(config, Options(look_at_data=False)).found
    errors = {d.pointer: d.help for d in found if d.severity == "error"}

    assert set(errors) == set(LEFT)
    assert [pointer for pointer, words in LEFT.items() if words not in errors[pointer]] == []
    text = config.read_text(encoding="utf-8")
    assert "optimizer: {name: adamw, learning_rate: 0.00005}" in text
    assert "  family: sana-video-480p\n" in text


def test_fixing_again_changes_nothing(config, capsys):
    main(["lint", "--no-data", "--fix", str(config)])
    once = config.read_bytes()
    capsys.readouterr()
    main(["lint", "--no-data", "--fix", str(config)])

    assert config.read_bytes() == once
    assert "--fix may put" not in capsys.readouterr().err
