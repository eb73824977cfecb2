"""safetensors files from strangers: nothing is read or built that their bytes do not justify.

The header is checked first: it tells how many tensors there are, and how large. A net is then built
with no more and no larger weights than the file has, whatever a config.json or a record announces.
"""

from __future__ import annotations

import math
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from foveate import record_io

MAX_HEADER_BYTES = 32_000_000
"""Largest header: that of a record of 100,000 epochs."""
MAX_TENSORS = 30_000
"""Most tensors of a file. The largest nets have a thousand; an optimizer keeps three for each."""
_DTYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}
_PREFIX = 8  # bytes: the length of the header
_MODULES_PER_TENSOR = 30
"""Modules that are registered for each tensor of a file, activations and containers included; nets
have about three."""
_FREE_MODULES = 2000
_DROPPED_VALUES = 200_000_000
"""Values of the largest weight that a net may build and drop: VGG's first linear layer has half."""


@dataclass(frozen=True)
class TensorInfo:
    """A tensor of a file.

    Attributes:
        shape: Its shape.
        dtype: Its dtype.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype


_Net = TypeVar("_Net", bound=nn.Module)
Tensors = Mapping[str, TensorInfo] | Mapping[str, Tensor]
"""The tensors of a file, or what its header tells of them."""


@dataclass(frozen=True)
class WeightHeader:
    """The header of a file.

    Attributes:
        tensors: Each tensor.
        metadata: Texts that are stored with them.
    """

    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]


def read_header(
    path: Path, max_bytes: int | None = None, *, remedy: str = record_io.BACKUP
) -> WeightHeader:
    """Read the header of a safetensors file, and check that the tensors fill the file exactly.

    Args:
        path: The file.
        max_bytes: Its largest size.
        remedy: What to do about a damaged file, for the error.

    Raises:
        FileNotFoundError: There is no such file.
        RunError: The file is damaged.
    """
    with record_io.open_file(path, max_bytes, remedy=remedy) as file:
        try:
            size = file.seek(0, 2)
            file.seek(0)
            prefix = file.read(_PREFIX)
            length = struct.unpack("<Q", prefix)[0] if len(prefix) == _PREFIX else size
            if length > min(size - _PREFIX, MAX_HEADER_BYTES):
                raise ValueError("it does not begin with a header, or was cut off")
            return _checked(record_io.parse_json(file.read(length)), size - _PREFIX - length)
        except (OSError, ValueError) as error:
            raise record_io.damaged(path, error, remedy=remedy) from None


def _checked(header: Any, size: int) -> WeightHeader:
    """The header of a file with `size` bytes of tensors; ValueError if it cannot be."""
    if not isinstance(header, dict):
        raise ValueError("its header is no object")
    metadata = header.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict) or not all(type(v) is str for v in metadata.values()):
        raise ValueError("its metadata are no texts")
    if len(header) > MAX_TENSORS:
        raise ValueError(f"at most {MAX_TENSORS:,} tensors are expected, it has {len(header):,}")
    tensors, places = {}, [(0, 0), (size, size)]
    for name, entry in header.items():
        if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
            raise ValueError(f"tensor {name!r} is not described")
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not isinstance(dtype, str) or dtype not in _DTYPES:
            raise ValueError(f"tensor {name!r} has the unknown type {dtype!r}")
        if not (_are_sizes(shape, size) and _are_sizes(offsets, size) and len(offsets) == 2):
            raise ValueError(f"tensor {name!r} has an impossible shape or place")
        info = TensorInfo(tuple(shape), _DTYPES[dtype])
        if math.prod(shape) * info.dtype.itemsize != offsets[1] - offsets[0]:
            raise ValueError(f"tensor {name!r} has another shape than its bytes")
        tensors[name] = info
        places.append((offsets[0], offsets[1]))
    places.sort()
    if any(before[1] != after[0] for before, after in pairwise(places)):
        raise ValueError("its tensors overlap, or do not fill the file: it was changed or cut off")
    return WeightHeader(tensors, metadata)


def _are_sizes(values: Any, most: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) <= 16
        and all(type(value) is int and 0 <= value <= most for value in values)
    )


def mismatch(expected: Mapping[str, Tensor], tensors: Tensors) -> str | None:
    """Return how a file's tensors differ from a net's state dict, or None if they fit.

    Args:
        expected: The state dict; its tensors may be on the meta device.
        tensors: The tensors of the file, or what its header tells of them.
    """
    for what, names in (
        ("is missing", expected.keys() - tensors.keys()),
        ("is unknown", tensors.keys() - expected.keys()),
    ):
        if names:
            return f"tensor {min(names)} {what}: it may be of another version of foveate"
    for name, tensor in expected.items():
        info = tensors[name]
        if (tuple(tensor.shape), tensor.dtype) != (tuple(info.shape), info.dtype):
            return (
                f"tensor {name} is expected as {tensor.dtype} {tuple(tensor.shape)}, "
                f"got {info.dtype} {tuple(info.shape)}"
            )
    return None


def filled(build: Callable[[], _Net], tensors: Mapping[str, Tensor]) -> _Net:
    """Build a net with the tensors of a file, which are checked before it takes any memory.

    Args:
        build: Builds it, with any weights.
        tensors: Its whole state.

    Raises:
        ValueError: They are not the state of this net, or not finite.
    """
    with no_larger_than(tensors):
        try:
            with torch.device("meta"):
                net = build()
        except TooLargeError:
            raise
        except Exception:  # an operation that needs numbers; of other errors building tells again
            net = build()
        if reason := mismatch(net.state_dict(), tensors):
            raise ValueError(reason)
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and not tensor.isfinite().all():
                raise ValueError(f"tensor {name} has numbers that are not finite")
        if _is_whole_state(net, tensors):
            # Copies, since what was read is a view of the file.
            copies = {name: tensor.clone() for name, tensor in tensors.items()}
            net.load_state_dict(copies, assign=True)
        else:  # it computes some buffers when it is built
            net = build()
            net.load_state_dict(tensors)
    return net


def _is_whole_state(net: nn.Module, tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are all tensors of a net: it keeps no others, as a buffer or otherwise."""
    own = {name for name, _ in (*net.named_parameters(), *net.named_buffers())}
    return own <= tensors.keys() and not any(
        isinstance(value, Tensor) for module in net.modules() for value in vars(module).values()
    )


class TooLargeError(ValueError):
    """A net would be larger than the tensors that are to fill it."""


@contextmanager
def no_larger_than(tensors: Tensors) -> Iterator[None]:
    """Within the block, a net is refused as soon as it outgrows the tensors of a file.

    Raises:
        TooLargeError: A module with more or larger weights than the file has is being built.
    """
    _install_hooks()
    before, _limits.active = getattr(_limits, "active", None), _Limit(tensors)
    try:
        yield
    finally:
        _limits.active = before


class _Limit:
    """How many modules and weights a net may have, and how many it has so far."""

    def __init__(self, tensors: Tensors):
        self.tensors, self.weights, self.modules = len(tensors), 0, 0
        largest = max((math.prod(info.shape) for info in tensors.values()), default=0)
        self.largest = max(largest, _DROPPED_VALUES)

    def count(self, name: str, value: Tensor | nn.Module) -> None:
        """Count what a module was given."""
        if isinstance(value, nn.Module):
            self.modules += 1
        else:
            self.weights += 1
            if value.numel() > self.largest:
                raise TooLargeError(
                    f"the net that it describes has a weight {name!r} of shape "
                    f"{tuple(value.shape)}, larger than any of its tensors"
                )
        # A net may build some layers that it then drops, and tie weights of others.
        if (
            self.weights > 4 * self.tensors + 100
            or self.modules > _MODULES_PER_TENSOR * self.tensors + _FREE_MODULES
        ):
            raise TooLargeError(
                f"the net that it describes has more layers than its {self.tensors:,} tensors fill"
            )


_limits = threading.local()


@cache
def _install_hooks() -> None:
    """Once, and never removed: torch's table of hooks must not change while a net is built."""

    def count(_module: nn.Module, name: str, value: Any) -> None:
        limit: _Limit | None = getattr(_limits, "active", None)
        if limit is not None and isinstance(value, Tensor | nn.Module):
            limit.count(name, value)

    hooks = nn.modules.module
    hooks.register_module_parameter_registration_hook(count)
    hooks.register_module_buffer_registration_hook(count)
    hooks.register_module_module_registration_hook(count)
