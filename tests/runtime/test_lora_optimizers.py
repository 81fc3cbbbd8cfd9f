import pytest

from fakes_runtime import make_context
from fakes_training import StopAfter, encoded_project, same_bits, saved_parts
from recipe_runtime import export, train
from recipe_runtime.errors import StoppedBySignal
from recipe_runtime.optim import KINDS
from recipe_runtime.stop import StopRequested


@pytest.mark.parametrize("name", list(KINDS))
def test_an_adapter_is_trained_by_every_optimizer_and_resumes_bit_for_bit(tmp_path, name):
    settings = {
        "max_steps": 4,
        "prompts": (),
        "model.type": "lora",
        "train.mixed_precision": "bf16",
        "optimizer.name": name,
        "checkpoints.step_interval": 100,
        "ema.enabled": True,
    }
    _, straight, _ = encoded_project(tmp_path / "straight", **settings)
    train.run(straight, StopRequested())
    project, _, _ = encoded_project(tmp_path / "cut", **settings)
    stop = StopAfter(2)
    with pytest.raises(StoppedBySignal):
        train.run(make_context(project, [stop]), stop)

    ctx = make_context(project)
    train.run(ctx, StopRequested())

    assert same_bits(saved_parts(project.run_dir, 4), saved_parts(straight.run_dir, 4))
    export.run(ctx)
