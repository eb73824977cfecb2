"""A pretended accelerator: tensors that say they lie on another device, computed on the CPU.

`PretendedDevice` is a mode under which the device "meta" stands for an accelerator. Tensors that
are moved to it, or made on it, become `Pretended`: they hold a CPU tensor, compute with it, and
refuse what a real accelerator refuses: to be mixed with tensors of the CPU, or to become an array
without a copy to the CPU; and float64, which Apple's GPUs do not have. Numbers (tensors without
dimensions) may be mixed in, as CUDA allows.
"""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map_only

DEVICE = torch.device("meta")


class Pretended(Tensor):
    """A tensor on the pretended device."""

    held: Tensor
    is_meta = False  # or `load_state_dict` would skip it

    @staticmethod
    def __new__(cls, held: Tensor) -> Any:
        made = Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=DEVICE,
            requires_grad=False,
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(func, args, kwargs or {})

    def tolist(self) -> Any:
        """Copy to the CPU without being asked, as a real device does."""
        return self.held.tolist()

    def __repr__(self) -> str:
        return f"Pretended({self.held!r})"


class PretendedDevice(TorchDispatchMode):
    """While it is active, tensors can be moved to the pretended device and made there."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = _Numbers()

    def __enter__(self) -> Any:
        self.numbers.__enter__()
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self.numbers.__exit__(*error)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(func, args, kwargs or {})


class _Numbers(TorchFunctionMode):
    """Makes tensors of Python's numbers on the CPU first: torch forgets them for "meta"."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        device = kwargs.get("device")
        if func is torch.tensor and device is not None and torch.device(device) == DEVICE:
            return func(*args, **{**kwargs, "device": "cpu"}).to(DEVICE)
        return func(*args, **kwargs)


def _compute(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Compute with what the tensors hold; the result lies where a real device would leave it."""
    tensors = [one for one in tree_flatten((args, kwargs))[0] if isinstance(one, Tensor)]
    pretended = any(isinstance(one, Pretended) for one in tensors)
    copies = func in (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)
    if pretended and not copies:
        _refuse_mixing(func, tensors)
    there = pretended
    if kwargs.get("device") is not None:
        there = torch.device(kwargs["device"]) == DEVICE
        kwargs = {**kwargs, "device": torch.device("cpu")}
    elif func is torch.ops.aten.copy_.default:
        there = isinstance(args[0], Pretended)
    held_args, held_kwargs = tree_map_only(Pretended, lambda one: one.held, (args, kwargs))
    result = func(*held_args, **held_kwargs)
    if not there:
        return result
    for one in tree_flatten(result)[0]:
        if isinstance(one, Tensor) and one.dtype == torch.float64:
            raise AssertionError(f"{func} makes float64, which Apple's GPUs do not have")
    wrapped = tree_map_only(Tensor, Pretended, result)
    return return_and_correct_aliasing(func, args, kwargs, wrapped) if pretended else wrapped


def _refuse_mixing(func: Any, tensors: list[Tensor]) -> None:
    numbers_mix = "fused" not in str(func)  # a fused optimizer's count of steps must be there too
    for one in tensors:
        if not isinstance(one, Pretended) and (one.ndim or not numbers_mix):
            raise AssertionError(
                f"{func} mixes the device with a tensor of the CPU of shape {tuple(one.shape)}"
            )


def allow_fused(monkeypatch: Any) -> None:
    """Let torch's optimizers update all weights at once there, as they do on accelerators."""
    module = importlib.import_module("torch.optim.optimizer")  # `torch.optim` hides its name
    devices = [DEVICE.type, "cpu"]
    monkeypatch.setattr(module, "_get_fused_kernels_supported_devices", lambda: devices)
