"""Masks as COCO run lengths: down each column, columns from left to right, starting with a 0-run.

The format is that of the COCO API (Lin et al., "Microsoft COCO: Common Objects in Context", 2014).
The tests compare every function with pycocotools, which is not called: it trusts its input and
counts in 32 bits. Here runs from a file are checked before any memory is allocated.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]
"""(height, width) in pixels."""


def encode(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Encode an (H, W) bool mask as (R,) int64 run lengths."""
    flat = np.asarray(mask, bool).ravel(order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate(([0], edges, [flat.size])))
    return np.concatenate(([0], runs)) if flat.size and flat[0] else runs


def from_indices(indices: NDArray[np.int64], size: Size) -> NDArray[np.int64]:
    """Encode a mask given by the indices of its pixels.

    An image with many small objects need not be scanned for each.

    Args:
        indices: (M,) row * W + column, in any order.
        size: (height, width) of the image.

    Returns:
        (R,) int64 run lengths.
    """
    height, width = size
    down = np.sort(indices % max(1, width) * height + indices // max(1, width))
    ends = np.flatnonzero(np.diff(down, append=-1) != 1)
    starts = np.concatenate(([0], ends[:-1] + 1))[: len(ends)]
    edges = np.stack([down[starts], down[ends] + 1], 1).ravel()
    runs = np.diff(np.concatenate(([0], edges, [height * width])))
    return runs[:-1] if len(edges) and edges[-1] == height * width else runs


def to_indices(counts: NDArray[np.int64], size: Size) -> NDArray[np.int64]:
    """Return (M,) row * W + column of the pixels inside, column by column."""
    lengths, height = counts[1::2], size[0]
    starts = np.cumsum(counts)[1::2] - lengths
    down = np.arange(lengths.sum()) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
    result: NDArray[np.int64] = down % max(1, height) * size[1] + down // max(1, height)
    return result


def decode(counts: NDArray[np.int64], size: Size) -> NDArray[np.bool_]:
    """Decode valid run lengths to an (H, W) bool mask."""
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape(size, order="F")


def area(counts: NDArray[np.int64]) -> int:
    """Count the pixels inside."""
    return int(counts[1::2].sum())


def bounds(counts: NDArray[np.int64], size: Size) -> tuple[float, float, float, float]:
    """Compute left, top, right and bottom without decoding; all zero for an empty mask."""
    ends = np.cumsum(counts)[1::2]
    starts = ends - counts[1::2]
    starts, ends = starts[ends > starts], ends[ends > starts]
    if not len(ends):
        return 0.0, 0.0, 0.0, 0.0
    height = size[0]
    first, last = starts // height, (ends - 1) // height
    left, right = int(first[0]), int(last[-1]) + 1
    if (first != last).any():  # a run into the next column touches the bottom and the top
        return float(left), 0.0, float(right), float(height)
    top, bottom = int((starts % height).min()), int(((ends - 1) % height).max()) + 1
    return float(left), float(top), float(right), float(bottom)


def validated(counts: Sequence[int] | NDArray[np.int64], size: Size) -> NDArray[np.int64]:
    """Return run lengths as (R,) int64.

    Raises:
        ValueError: If they do not fill an image of this size exactly.
    """
    height, width = size
    runs = np.array(counts)
    if runs.ndim != 1 or (len(runs) and runs.dtype.kind not in "iu"):
        raise ValueError("run lengths are expected to be a list of whole numbers")
    runs = runs.astype(np.int64)
    if height < 0 or width < 0 or height * width >= 2**40:
        raise ValueError(f"an image's height and width are expected, got {height} and {width}")
    # Summed as floats: a sum of int64 could overflow to the right value.
    if (runs < 0).any() or runs.sum(dtype=np.float64) != height * width:
        raise ValueError(
            f"run lengths of 0 or more that sum to {height} x {width} pixels are expected"
        )
    return runs


def from_coco_string(text: str | bytes, size: Size) -> NDArray[np.int64]:
    """Decode COCO's compressed run lengths.

    Each character holds 5 bits from code 48 on; the sixth bit says that more follow. From the
    fourth run on, the difference to the run before last is stored.

    Returns:
        (R,) int64 run lengths that fill the image.

    Raises:
        ValueError: If the text is invalid, or its runs do not fill the image.
    """
    data = text.encode("ascii", "replace") if isinstance(text, str) else text
    codes = np.frombuffer(data, np.uint8).astype(np.int64) - 48
    if len(codes) and (codes.min() < 0 or codes.max() > 63):
        raise ValueError("compressed run lengths are expected, got other characters")
    if not len(codes):
        return validated([], size)
    last = codes & 32 == 0
    if not last[-1]:
        raise ValueError("compressed run lengths are expected, they are cut short")
    ends = np.flatnonzero(last)
    starts = np.concatenate(([0], ends[:-1] + 1))
    shifts = 5 * (np.arange(len(codes)) - np.repeat(starts, ends - starts + 1))
    if shifts.max() > 55:
        raise ValueError("compressed run lengths are expected, one is too long")
    runs = np.add.reduceat((codes & 31) << shifts, starts)
    negative = codes[ends] & 16 != 0  # the highest bit is the sign
    runs -= np.where(negative, np.int64(1) << (shifts[ends] + 5), 0)
    runs[1::2], runs[2::2] = np.cumsum(runs[1::2]), np.cumsum(runs[2::2])
    return validated(runs, size)


def to_coco_string(counts: NDArray[np.int64]) -> str:
    """Encode run lengths as COCO's compressed text; the inverse of `from_coco_string`."""
    runs = np.asarray(counts, np.int64)
    values = runs.copy()
    values[3:] -= runs[1:-2]
    groups = np.ones(len(runs), np.int64)  # of five bits, with the sign in the highest one
    while (long := ((values >> (5 * groups - 1)) + 1) >> 1 != 0).any():
        groups += long
    place = np.arange(groups.max(initial=1))
    codes = (values[:, None] >> (5 * place)) & 31
    codes += np.where(place < groups[:, None] - 1, 48 + 32, 48)
    text: str = codes[place < groups[:, None]].astype(np.uint8).tobytes().decode("ascii")
    return text
