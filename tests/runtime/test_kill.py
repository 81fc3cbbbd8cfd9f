import signal

import pytest

from fakes_processes import run_to_its_end, start_and_signal, steps_done
from fakes_training import encoded_project, same_bits, saved_parts


SETTINGS = {
    "max_steps": 60,
    "prompts": (),
    "ema.enabled": True,
    "train.mixed_precision": "bf16",
    "checkpoints.step_interval": 5,
    "checkpoints.total_limit": 2,
}


@pytest.mark.slow
def test_a_run_that_was_killed_and_stopped_ends_as_one_that_was_left_alone(tmp_path):
    straight, _, _ = encoded_project(tmp_path / "straight", **SETTINGS)
    project, _, _ = encoded_project(tmp_path / "killed", **SETTINGS)
    run_to_its_end(straight)

    killed = start_and_signal(project, signal.SIGKILL, after=12)
    stopped = start_and_signal(project, signal.SIGTERM, after=31)
    run_to_its_end(project)

    assert (killed, stopped) == (-signal.SIGKILL, 128 + signal.SIGTERM)
    done = steps_done(project)
    assert done[-1] == 60
    assert set(done) == set(range(1, 61))
    assert same_bits(saved_parts(project.run_dir, 60), saved_parts(straight.run_dir, 60))
    assert len(list((project.run_dir / "checkpoints").iterdir())) == 2
    exported = "export/transformer/diffusion_pytorch_model.safetensors"
    assert (project.run_dir / exported).read_bytes() == (straight.run_dir / exported).read_bytes()
