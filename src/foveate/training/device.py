"""The device that trains, its precision, and how it gives the same bits each time."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Literal

import torch

from foveate import processes
from foveate.errors import SettingError
from foveate.training.memory import raise_malloc_thresholds
from foveate.wording import count_noun

Precision = Literal["float32", "bfloat16", "float16"]

_CUBLAS = "CUBLAS_WORKSPACE_CONFIG"
AUTO = "auto"
"""The name of the best device of a machine."""


def available() -> list[str]:
    """Return the devices of this machine, the best first."""
    found = []
    for kind, module in (("cuda", torch.cuda), ("mps", torch.mps), ("xpu", torch.xpu)):
        count = module.device_count() if module.is_available() else 0
        found += [kind if number == 0 else f"{kind}:{number}" for number in range(count)]
    return [*found, "cpu"]


def find(name: str) -> torch.device:
    """Return the device of a name.

    Args:
        name: One of `available`, or "auto" for the first of them. Where torchrun started several
            processes on this machine, "cuda" and "auto" give each of them a GPU of its own.

    Raises:
        SettingError: This machine has no such device; the message names those that it has.
    """
    here = available()
    if name == AUTO:
        name = here[0]
    if ":" in name and processes.launched():
        raise SettingError(
            f"each process takes a device of its own, and {name} is one",
            where="device",
            remedy=f"Use --device {name.partition(':')[0]}.",
        )
    if name in ("cuda", "xpu") and processes.local_rank():
        name = f"{name}:{processes.local_rank()}"
    if name.removesuffix(":0") not in here:
        raise SettingError(
            f"this machine has no device {name!r}; it has: {', '.join(here)}",
            where="device",
            remedy="Use one of these, or --device auto.",
        )
    return torch.device(name)


def find_or_best(name: str) -> torch.device:
    """Return the device of a name, or the best one of a machine that has no such device."""
    return find(name if name.removesuffix(":0") in available() else AUTO)


def prepare(seed: int, name: str = AUTO) -> torch.device:
    """Seed torch, choose deterministic algorithms, and return a device; see `find`.

    This changes settings of the whole process: callers that return to a user's program work within
    `preserved_torch_state`.

    Raises:
        SettingError: This machine has no such device.
    """
    device = find(name)
    raise_malloc_thresholds()
    torch.manual_seed(seed)
    if device.type != "cpu":  # which is deterministic for a given number of threads
        os.environ.setdefault(_CUBLAS, ":4096:8")  # CUDA asks for it before it is deterministic
        torch.use_deterministic_algorithms(True, warn_only=True)
    return device


@contextmanager
def preserved_torch_state() -> Iterator[None]:
    """Put torch's random generators, determinism and environment back as they were at the start.

    Only the allocator's thresholds stay raised (see `memory`): no result depends on them.
    """
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    threads, workspace = torch.get_num_threads(), os.environ.get(_CUBLAS)
    try:
        with ExitStack() as stack:
            for kind, module in (("cuda", torch.cuda), ("xpu", torch.xpu)):
                own = range(module.device_count() if module.is_available() else 0)
                stack.enter_context(torch.random.fork_rng(own, device_type=kind))
            if torch.mps.is_available():  # which has one device and takes no number
                stack.callback(torch.mps.set_rng_state, torch.mps.get_rng_state())
            yield
    finally:
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        if workspace is None:
            os.environ.pop(_CUBLAS, None)
        else:
            os.environ[_CUBLAS] = workspace


def fastest_precision(device: torch.device, *, on_cpu: bool) -> Precision:
    """The precision to train in: decided by the hardware alone, so load changes no result.

    Args:
        device: The device that trains. NVIDIA's GPUs from 2020 on multiply bfloat16; those from
            2017 on only float16, which needs its loss scaled.
        on_cpu: Whether the net gains by bfloat16 on a CPU that multiplies it in hardware. Without
            such instructions bfloat16 runs at 0.6 to 0.7 of float32's speed (benchmarks/README.md).
    """
    if device.type == "cuda":
        with torch.cuda.device(device):
            if torch.cuda.is_bf16_supported(including_emulation=False):
                return "bfloat16"
            return "float16" if torch.cuda.get_device_capability(device) >= (7, 0) else "float32"
    if device.type != "cpu":
        return "float32"
    avx512, amx = torch.cpu._is_avx512_bf16_supported(), torch.cpu._is_amx_tile_supported()
    return "bfloat16" if on_cpu and (avx512 or amx) else "float32"


def autocast(device: torch.device, amp: torch.dtype | None) -> AbstractContextManager[object]:
    """Compute in mixed precision.

    Args:
        device: The device that computes.
        amp: dtype of the forward pass; None is full precision.
    """
    return nullcontext() if amp is None else torch.autocast(device.type, dtype=amp)


def hardware(device: str = "cpu") -> str:
    """A device and this machine in one line, for the record of a run."""
    several = f"{processes.size()} processes; " if processes.size() > 1 else ""
    name = platform.processor() or platform.machine()
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
            models = (line.split(":")[1].strip() for line in lines if line.startswith("model name"))
            name = next(models, name)
    except OSError:
        pass  # not Linux
    cores = count_noun(os.cpu_count() or 1, "core")
    cpu = f"{name}, {cores}, {count_noun(torch.get_num_threads(), 'thread')}"
    if device == "cpu":
        return several + cpu
    name = torch.cuda.get_device_name(device) if "cuda" in device else device
    return f"{several}{name}; {cpu}"
