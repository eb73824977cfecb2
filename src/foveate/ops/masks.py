"""Masks and label maps as arrays: resizing, compact storage, bounding boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def resize_nearest(values: NDArray[np.integer], size: tuple[int, int]) -> NDArray[np.integer]:
    """Resize a label map by nearest neighbour: each pixel takes the value under its centre.

    Args:
        values: (H, W) integers.
        size: (height, width) of the result.

    Returns:
        (height, width) integers of the same dtype; `values` itself if the size does not change.
    """
    if values.shape == size:
        return values
    rows, columns = (
        ((np.arange(new) + 0.5) * (old / new)).astype(np.int64)
        for new, old in zip(size, values.shape, strict=True)
    )
    resized: NDArray[np.integer] = values[rows[:, None], columns]
    return resized


def resize_bilinear(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Resize maps by bilinear interpolation between the centres of pixels, without antialiasing.

    Args:
        values: (N, H, W).
        size: (height, width) of the result.

    Returns:
        (N, height, width), as torch's `interpolate` gives it but for rounding.
    """
    for axis, new in ((1, size[0]), (2, size[1])):
        old = values.shape[axis]
        places = np.maximum((np.arange(new) + 0.5) * (old / new) - 0.5, 0).astype(np.float32)
        first = np.minimum(places.astype(np.int64), old - 1)
        second = np.minimum(first + 1, old - 1)
        share = (places - first).reshape((1, -1, 1) if axis == 1 else (1, 1, -1))
        low, high = np.take(values, first, axis), np.take(values, second, axis)
        values = low + (high - low) * share
    return values


def smallest_dtype(values: NDArray[np.integer]) -> NDArray[np.integer]:
    """Store integers of -1 or more in as few bytes as hold them: training holds them in memory."""
    largest = int(values.max(initial=0))
    return values.astype(np.int8 if largest < 2**7 else np.int16 if largest < 2**15 else np.int32)


def mask_bounds(mask: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the smallest box around the pixels of an (H, W) bool mask.

    All zero for a mask without a pixel.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return 0.0, 0.0, 0.0, 0.0
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
