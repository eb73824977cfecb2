"""Where the arithmetic is done, and how it is made to give the same bits each time."""

from __future__ import annotations

import os
import platform

import torch

from foveate.training.memory import keep_freed_memory


def prepare(seed: int) -> torch.device:
    """The best device of this machine, with deterministic algorithms chosen and the global seed set."""
    keep_freed_memory()
    torch.manual_seed(seed)
    if not torch.cuda.is_available():
        return torch.device("cpu")  # whose kernels give the same bits for the same number of threads
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what CUDA asks for before it is deterministic
    torch.use_deterministic_algorithms(True, warn_only=True)
    return torch.device("cuda")


def mixed_precision(device: torch.device) -> torch.dtype | None:
    """bfloat16 on a GPU that has it. Not on a CPU: measured, it lost (benchmarks/README.md)."""
    return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else None


def hardware() -> str:
    """This machine in a line, for the record of a run."""
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123 - a stream, not a file
            name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), name)
    except OSError:
        pass  # not Linux
    said = f"{name}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    return f"{torch.cuda.get_device_name()}; {said}" if torch.cuda.is_available() else said
