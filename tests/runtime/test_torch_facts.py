"""What torch says of a machine is measured, and is read back."""

import subprocess
import sys

import pytest
import torch

from recipe_runtime.torch_facts import facts
from recipe_schema.torch_facts import torch_facts


def test_the_processor_is_measured():
    found = facts()
    assert found.torch == torch.__version__
    assert found.cpu_gflops > 0.1
    assert found.threads == torch.get_num_threads()
    assert torch_facts(found.to_json()) == found


def test_the_process_prints_one_line_of_facts(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", ":".join(path for path in sys.path if path))
    done = subprocess.run(
        [sys.executable, "-m", "recipe_runtime.torch_facts"], capture_output=True, text=True, timeout=120, check=True
    )
    assert torch_facts(done.stdout).torch == torch.__version__


def test_a_driver_that_fails_is_told(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

    def fail():
        raise RuntimeError("The driver is too old\nand so on")

    monkeypatch.setattr(torch.cuda, "device_count", fail)
    found = facts()
    assert found.problem == "The driver is too old"
    assert found.devices == ()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_gpu_is_measured():
    device = facts().devices[0]
    assert device.name == torch.cuda.get_device_name(0)
    assert 0 < device.free_gb <= device.memory_gb
    assert device.tflops > 1
