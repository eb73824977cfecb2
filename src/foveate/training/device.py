"""Where the arithmetic is done, and how it is made to give the same bits each time."""

from __future__ import annotations

import os
import platform
import time

import torch

from foveate.training.memory import raise_malloc_thresholds


def prepare(seed: int) -> torch.device:
    """The best device of this machine, with deterministic algorithms chosen and the global seed set."""
    raise_malloc_thresholds()
    torch.manual_seed(seed)
    if not torch.cuda.is_available():
        return torch.device(
            "cpu"
        )  # whose kernels give the same bits for the same number of threads
    os.environ.setdefault(
        "CUBLAS_WORKSPACE_CONFIG", ":4096:8"
    )  # what CUDA asks for before it is deterministic
    torch.use_deterministic_algorithms(True, warn_only=True)
    return torch.device("cuda")


def bf16_is_faster(device: torch.device, *, on_cpu: bool) -> bool:
    """Whether to train in bfloat16: on a GPU that has it; on a CPU only nets that gain there (on_cpu), and only where a
    product of matrices is clearly faster so, which is measured in a tenth of a second: what a processor says of itself
    does not tell (benchmarks/README.md).
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return on_cpu and _time_in_half() < 0.7


def _time_in_half() -> float:
    """The time of a product of matrices in bfloat16, as a share of that in full precision: the best of a hundred each, which take turns, so
    that other work on the machine, which comes and goes, slows both.
    """
    pair = [torch.ones(384, 384, dtype=dtype) for dtype in (torch.bfloat16, torch.float32)]
    taken = [[_seconds(one) for one in pair] for _ in range(100)]
    half, full = map(min, zip(*taken, strict=True))
    return half / full


def _seconds(one: torch.Tensor) -> float:
    """Of a matrix multiplied with itself."""
    began = time.perf_counter()
    one @ one
    return time.perf_counter() - began


def hardware() -> str:
    """This machine in a line, for the record of a run."""
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123 - a stream, not a file
            name = next(
                (line.split(":")[1].strip() for line in lines if line.startswith("model name")),
                name,
            )
    except OSError:
        pass  # not Linux
    said = f"{name}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    return f"{torch.cuda.get_device_name()}; {said}" if torch.cuda.is_available() else said
