"""What torch says of a machine: the runtime measures it, and ``recipe doctor`` tells it."""

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A GPU.

    Attributes:
        name: As its maker calls it.
        memory_gb: All of its memory, in 10⁹ bytes.
        free_gb: What nobody uses of it now.
        bf16: It computes in bf16.
        tflops: Measured in products of matrices: 10¹² operations a second, in bf16 where it can, else in fp32.
    """

    name: str
    memory_gb: float
    free_gb: float
    bf16: bool
    tflops: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchFacts:
    """What torch says of a machine.

    Attributes:
        torch: Its version.
        cuda: The version of CUDA that it was built for; None for a build without.
        devices: The GPUs that it sees.
        cpu_gflops: The processor's rate in fp32, measured: 10⁹ operations a second.
        threads: Threads that it computes with.
        problem: Why GPUs can't be used; empty if they can, or if there are none.
    """

    torch: str
    cuda: str | None
    devices: tuple[Device, ...]
    cpu_gflops: float
    threads: int
    problem: str = ""

    def to_json(self) -> str:
        """Write the facts on one line."""
        return json.dumps(asdict(self))


def torch_facts(text: str) -> TorchFacts:
    """Read facts that were written by `TorchFacts.to_json`.

    Raises:
        ValueError: They are something else.
    """
    try:
        raw = json.loads(text)
        devices = tuple(Device(**device) for device in raw.pop("devices"))
        return TorchFacts(devices=devices, **raw)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"no facts of torch: {error}") from None
