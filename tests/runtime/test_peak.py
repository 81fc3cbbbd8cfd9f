import torch

from fakes_training import encoded_project
from recipe_runtime import peak, train
from recipe_runtime.peak import PeakMemory
from recipe_runtime.stop import StopRequested
from recipe_schema.events import MemoryMeasured, StepDone


def test_a_peak_is_told_when_it_has_grown_by_a_hundredth(monkeypatch):
    sizes = iter([1_000_000_000, 1_005_000_000, 1_020_000_000, 1_020_000_000])
    monkeypatch.setattr(peak, "_process_bytes", lambda: next(sizes))
    memory = PeakMemory(torch.device("cpu"))

    assert [memory.grown(step) for step in (1, 2, 3, 4)] == [
        MemoryMeasured(step=1, gb=1.0, where="process"),
        None,
        MemoryMeasured(step=3, gb=1.02, where="process"),
        None,
    ]


def test_on_a_device_only_what_steps_allocate_counts(monkeypatch):
    device = torch.device("cuda", 0)
    allocated = {"most": 9_000_000_000}
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: allocated["most"])
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda _: allocated.update(most=1_000_000_000))
    memory = PeakMemory(device)
    memory.begin()

    assert memory.grown(1) == MemoryMeasured(step=1, gb=1.0, where="cuda")
    allocated["most"] = 9_000_000_000  # a clip was drawn
    memory.begin()
    assert memory.grown(2) is None


def test_a_training_tells_its_peak_after_its_first_step(tmp_path):
    _, ctx, events = encoded_project(tmp_path, prompts=())

    train.run(ctx, StopRequested())

    told = [event for event in events if isinstance(event, StepDone | MemoryMeasured)]
    assert isinstance(told[1], MemoryMeasured)
    assert (told[1].step, told[1].where) == (1, "process")
    assert told[1].gb > 0.05
