"""The images that `predict` and `set_image` take: files, bytes, Pillow images, arrays, tensors.

One image gives the same pixels in whatever form it comes. A form that could be read in two ways
is refused.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from io import IOBase
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from foveate.data.dataset import Image
from foveate.data.image_reading import (
    DEFAULT_READING,
    DeepPixels,
    ImageReading,
    to_levels,
)
from foveate.data.images import decode, examine_bytes, examine_pillow
from foveate.errors import BadImage

if TYPE_CHECKING:
    import torch

ImageInput: TypeAlias = (
    "str | PathLike[str] | bytes | PIL.Image.Image | NDArray[Any] | torch.Tensor"
)
"""A path, the bytes of an image file, a Pillow image, an array (H, W, C) or a tensor (C, H, W)."""

T = TypeVar("T")

_GREY, _RGB, _RGBA = 1, 3, 4
_BATCH_SIZE, _BATCH_BYTES = 64, 1 << 28


def is_single(images: Any) -> bool:
    """Whether this is one image, and no sequence of images."""
    return isinstance(
        images, str | PathLike | bytes | bytearray | memoryview | PIL.Image.Image | IOBase
    ) or hasattr(images, "__array__")


def to_image(
    value: Any,
    channels: int | None = None,
    where: str = "image",
    reading: ImageReading = DEFAULT_READING,
) -> Image:
    """Convert an image in any form to pixels.

    - Paths, the bytes of an image file, and Pillow images are decoded as by `images.examine`:
      upright, 8 bits a channel, transparency over white.
    - Arrays are (H, W) or (H, W, C), tensors (H, W) or (C, H, W), on any device. C is 1 (grey),
      3 (RGB), 4 (RGBA, over white), or what the model takes.
    - Values are uint8, bool, uint16 from 0 to 65535, or floats from 0 to 1. All others are refused,
      and so is uint16 that ends at 16383 or below: it could be dark, or hold fewer bits.
    - If the model knows a black and a white, it was trained on images with more than 8 bits: then
      all whole numbers but uint8, and floats, are values of that kind.

    Args:
        value: The image.
        channels: Channels of the images that the model takes, if they are known.
        where: The name of the image in an error message.
        reading: How the images were read that the model was trained on.

    Returns:
        (H, W, C) uint8, contiguous and writable.

    Raises:
        BadImage: This is no image, or one that could be read in two ways.
    """
    if isinstance(value, str | PathLike):
        return decode(os.fsdecode(value), reading)
    if isinstance(value, bytes | bytearray | memoryview):
        return examine_bytes(bytes(value), where, reading)[0]
    if isinstance(value, PIL.Image.Image):
        return examine_pillow(value, where, reading)[0]
    if not hasattr(value, "__array__"):
        raise BadImage(
            "a path, the bytes of an image file, a Pillow image, an array or a tensor is expected, "
            f"got a {type(value).__name__}",
            where=where,
        )
    torch = sys.modules.get("torch")  # without it there are no tensors
    is_tensor = torch is not None and isinstance(value, torch.Tensor)
    values = _tensor_values(value, where) if is_tensor else np.asarray(value)
    _check_shape(values.shape, is_tensor, channels, where)
    if values.ndim == 2:
        values = values[..., None]
    elif is_tensor:
        values = values.transpose(1, 2, 0)
    image = _to_uint8(values, where, reading.points)
    if image.shape[2] == _RGBA != channels:
        return examine_pillow(PIL.Image.fromarray(image), where)[0]
    return np.require(image, requirements=["C", "W"])


def _check_shape(shape: tuple[int, ...], is_tensor: bool, channels: int | None, where: str) -> None:
    layout = "(C, H, W)" if is_tensor else "(H, W, C)"
    got = f"got the shape {shape}"
    if len(shape) == 4:
        raise BadImage(
            f"one image is expected, {got}, which is a batch",
            where=where,
            remedy="Pass a list of images: list(batch).",
        )
    if len(shape) not in (2, 3) or 0 in shape:
        raise BadImage(f"an image (H, W) or {layout} with pixels is expected, {got}", where=where)
    if len(shape) == 2:
        return
    possible = sorted({_GREY, _RGB, _RGBA, channels or _RGB})
    last, first = (shape[0], shape[2]) if is_tensor else (shape[2], shape[0])
    if last not in possible:
        turn = "image.permute(2, 0, 1)" if is_tensor else "image.transpose(1, 2, 0)"
        raise BadImage(
            f"an image {layout} with {', '.join(map(str, possible[:-1]))} or {possible[-1]} "
            f"channels is expected, {got}",
            where=where,
            remedy=f"If its channels lie elsewhere, pass {turn}." if first in possible else None,
        )


def _tensor_values(tensor: torch.Tensor, where: str) -> NDArray[Any]:
    if tensor.is_floating_point():
        tensor = tensor.float()  # NumPy has no bfloat16
    try:
        return tensor.numpy(force=True)
    except (RuntimeError, TypeError) as error:  # sparse, quantized
        raise BadImage(f"a dense tensor is expected ({error})", where=where) from None


def _to_uint8(
    values: NDArray[Any], where: str, points: tuple[float, float] | None
) -> NDArray[np.uint8]:
    """Convert (H, W, C) values of any type."""
    levels: NDArray[Any]
    kind = values.dtype.newbyteorder("=")
    values = values.astype(kind, copy=False)
    if kind == np.uint8:
        return values
    if kind == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if points is not None and kind.kind in "iuf" and kind.itemsize <= 8:
        return _by_points(values, where, points)
    if kind == np.uint16:
        if 0 < values.max() <= 255:
            raise BadImage(
                f"uint16 from 0 to 65535 is expected, got at most {values.max()}",
                where=where,
                remedy="If the values are from 0 to 255, pass them as uint8.",
            )
        try:
            levels = DeepPixels(values).levels(None)
        except BadImage as error:
            raise BadImage(error.message, where=where, remedy=error.remedy) from None
        # As Pillow decodes such files: grey is rounded, colour is cut to its upper 8 bits.
        return levels if values.shape[2] == _GREY else (values >> 8).astype(np.uint8)
    if kind.kind != "f":
        raise BadImage(
            f"values of the type uint8, uint16, bool or float are expected, got {kind}",
            where=where,
            remedy="If they are from 0 to 255, pass them as uint8.",
        )
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 1):  # written so that NaN is refused too
        raise BadImage(
            f"floats from 0 (black) to 1 (white) are expected, got {low:g} to {high:g}",
            where=where,
            remedy=_float_remedy(low, high),
        )
    levels = np.rint(values.astype(np.float32, copy=False) * np.float32(255))
    return levels.astype(np.uint8)


def _by_points(values: NDArray[Any], where: str, points: tuple[float, float]) -> NDArray[np.uint8]:
    """Scale values of the kind that the model was trained on."""
    black, white = points
    if values.dtype.kind == "f" and white > 255 and 0 < values.max() <= 1 and values.min() >= 0:
        raise BadImage(
            f"values from {black:g} (black) to {white:g} (white) are expected, as in the images "
            f"that the model was trained on; got floats up to {values.max():g}",
            where=where,
            remedy="Pass the values as they were, before they were scaled to 1.",
        )
    try:
        return to_levels(values, black, white)
    except BadImage as error:
        raise BadImage(error.message, where=where, remedy=error.remedy) from None


def _float_remedy(low: float, high: float) -> str:
    if low >= 0 and 2 < high <= 255:
        return "If they are from 0 to 255, round them and pass them as uint8."
    if low >= -0.1 and high <= 1.1:
        return "Clip them to 0 and 1."
    return "Pass the image as it was before it was normalised: the model normalises it."


def batches(images: Iterable[tuple[T, Image]]) -> Iterator[list[tuple[T, Image]]]:
    """Group images into batches that fit into memory: 64 images, or 256 MiB and one image.

    Args:
        images: (key, image) pairs.
    """
    batch: list[tuple[T, Image]] = []
    for one in images:
        batch.append(one)
        if len(batch) == _BATCH_SIZE or sum(image.nbytes for _, image in batch) > _BATCH_BYTES:
            yield batch
            batch = []
    if batch:
        yield batch
