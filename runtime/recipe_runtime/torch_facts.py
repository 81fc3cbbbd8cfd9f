"""``python -m recipe_runtime.torch_facts``: prints what torch sees of this machine, and how fast it multiplies."""

import time

import torch

from recipe_schema.torch_facts import Device, TorchFacts


_GPU_SIDE = 4096
_GPU_ROUNDS = 30
_CPU_SIDE = 1024
_CPU_SECONDS = 0.3


def facts() -> TorchFacts:
    """Look at this machine and measure it: a second or two."""
    devices, problem = [], ""
    try:
        devices = [_device(index) for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0)]
    except RuntimeError as error:
        problem = str(error).strip().splitlines()[0]
    return TorchFacts(
        torch=torch.__version__,
        cuda=torch.version.cuda,
        devices=tuple(devices),
        cpu_gflops=_cpu_rate() / 1e9,
        threads=torch.get_num_threads(),
        problem=problem,
    )


def _device(index: int) -> Device:
    with torch.cuda.device(index):
        free, total = torch.cuda.mem_get_info()
        bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        rate = _gpu_rate(torch.bfloat16 if bf16 else torch.float32)
    return Device(
        name=torch.cuda.get_device_name(index), memory_gb=total / 1e9, free_gb=free / 1e9, bf16=bf16, tflops=rate / 1e12
    )


def _gpu_rate(dtype: torch.dtype) -> float:
    """Multiply square matrices and return operations a second: 2 n³ for each product."""
    left = torch.randn(_GPU_SIDE, _GPU_SIDE, device="cuda").to(dtype)
    right = torch.randn(_GPU_SIDE, _GPU_SIDE, device="cuda").to(dtype)
    for _ in range(_GPU_ROUNDS):
        left @ right
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(_GPU_ROUNDS):
        left @ right
    torch.cuda.synchronize()
    return 2 * _GPU_SIDE**3 * _GPU_ROUNDS / (time.perf_counter() - start)


def _cpu_rate() -> float:
    """Multiply square matrices in fp32 for a moment and return operations a second."""
    left, right = torch.randn(_CPU_SIDE, _CPU_SIDE), torch.randn(_CPU_SIDE, _CPU_SIDE)
    left @ right
    start, rounds = time.perf_counter(), 0
    while time.perf_counter() - start < _CPU_SECONDS:
        left @ right
        rounds += 1
    return 2 * _CPU_SIDE**3 * rounds / (time.perf_counter() - start)


if __name__ == "__main__":
    print(facts().to_json())  # noqa: T201 - the answer
