"""Masks as run lengths, as COCO writes them: down each column, columns from left to right, beginning with a run of 0.

The format is that of the COCO API (Lin et al., "Microsoft COCO: Common Objects in Context", 2014). What comes from a file
is checked before any memory is set aside: the runs must fill the picture exactly.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]
"""(height, width) in pixels."""


def encode(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(H, W) bool -> the run lengths, (R,) int64."""
    flat = np.asarray(mask, bool).ravel(order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate(([0], edges, [flat.size])))
    return np.concatenate(([0], runs)) if flat.size and flat[0] else runs


def of_places(places: NDArray[np.int64], size: Size) -> NDArray[np.int64]:
    """The same of a mask that is told by the places of its pixels, (M,) row * W + column in any order: so the picture need not be gone
    through for each of its many small things.
    """
    height, width = size
    down = np.sort(places % max(1, width) * height + places // max(1, width))
    ends = np.flatnonzero(np.diff(down, append=-1) != 1)
    starts = np.concatenate(([0], ends[:-1] + 1))[: len(ends)]
    edges = np.stack([down[starts], down[ends] + 1], 1).ravel()
    runs = np.diff(np.concatenate(([0], edges, [height * width])))
    return runs[:-1] if len(edges) and edges[-1] == height * width else runs


def places(counts: NDArray[np.int64], size: Size) -> NDArray[np.int64]:
    """The inverse: (M,) row * W + column of the pixels inside, column by column."""
    lengths, height = counts[1::2], size[0]
    starts = np.cumsum(counts)[1::2] - lengths
    down = np.arange(lengths.sum()) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
    return down % max(1, height) * size[1] + down // max(1, height)


def decode(counts: NDArray[np.int64], size: Size) -> NDArray[np.bool_]:
    """The run lengths, as checked by `checked` -> (H, W) bool."""
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape(size, order="F")


def area(counts: NDArray[np.int64]) -> int:
    """The pixels inside."""
    return int(counts[1::2].sum())


def bounds(counts: NDArray[np.int64], size: Size) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of the pixels inside; all zero where there are none. Nothing is unpacked."""
    ends = np.cumsum(counts)[1::2]
    starts = ends - counts[1::2]
    starts, ends = starts[ends > starts], ends[ends > starts]
    if not len(ends):
        return 0.0, 0.0, 0.0, 0.0
    height = size[0]
    first, last = starts // height, (ends - 1) // height
    left, right = int(first[0]), int(last[-1]) + 1
    if (
        first != last
    ).any():  # a run that goes on in the next column touches the bottom and the top
        return float(left), 0.0, float(right), float(height)
    top, bottom = int((starts % height).min()), int(((ends - 1) % height).max()) + 1
    return float(left), float(top), float(right), float(bottom)


def checked(counts: Sequence[int] | NDArray[np.int64], size: Size) -> NDArray[np.int64]:
    """The runs as an array. Raises ValueError, in words, if they do not fill a picture of this size."""
    height, width = size
    runs = np.array(counts)
    if runs.ndim != 1 or (len(runs) and runs.dtype.kind not in "iu"):
        raise ValueError("run lengths are expected to be a list of whole numbers")
    runs = runs.astype(np.int64)
    if height < 0 or width < 0 or height * width >= 2**40:
        raise ValueError(f"a picture's height and width are expected, got {height} and {width}")
    # Summed as floats, since what is too much could come round to the right sum in 64 bits.
    if (runs < 0).any() or runs.sum(dtype=np.float64) != height * width:
        raise ValueError(
            f"run lengths of 0 or more that sum to {height} x {width} pixels are expected"
        )
    return runs


def from_text(text: str | bytes, size: Size) -> NDArray[np.int64]:
    """COCO's compressed runs: 5 bits a character from code 48 on, the sixth says that more follow; from the fourth run
    on, the difference to the run before last. Raises ValueError for what is none.
    """
    data = text.encode("ascii", "replace") if isinstance(text, str) else text
    codes = np.frombuffer(data, np.uint8).astype(np.int64) - 48
    if len(codes) and (codes.min() < 0 or codes.max() > 63):
        raise ValueError("compressed run lengths are expected, got other characters")
    if not len(codes):
        return checked([], size)
    last = codes & 32 == 0
    if not last[-1]:
        raise ValueError("compressed run lengths are expected, they are cut short")
    ends = np.flatnonzero(last)
    starts = np.concatenate(([0], ends[:-1] + 1))
    shifts = 5 * (np.arange(len(codes)) - np.repeat(starts, ends - starts + 1))
    if shifts.max() > 55:
        raise ValueError("compressed run lengths are expected, one is too long")
    runs = np.add.reduceat((codes & 31) << shifts, starts)
    runs -= np.where(
        codes[ends] & 16 != 0, np.int64(1) << (shifts[ends] + 5), 0
    )  # the highest bit is the sign
    runs[1::2], runs[2::2] = np.cumsum(runs[1::2]), np.cumsum(runs[2::2])
    return checked(runs, size)


def to_text(counts: NDArray[np.int64]) -> str:
    """The inverse of `from_text`."""
    runs = counts.tolist()
    out = bytearray()
    for index, run in enumerate(runs):
        value = run - runs[index - 2] if index > 2 else run
        more = True
        while more:
            code = value & 31
            value >>= 5
            more = value != (-1 if code & 16 else 0)
            out.append(48 + (code | 32 if more else code))
    return out.decode("ascii")
