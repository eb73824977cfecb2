"""What a column of per-image statistics may hold, so that statistics read from a file are checked.

Statistics index arrays and size them: a class of 10^12 in a damaged file would fill the memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

MANY = 1e15
"""Larger than any count of pixels or objects."""


@dataclass(frozen=True)
class Column:
    """The values of one column, one an image.

    Attributes:
        shape: Shape of a value. A small letter is a length that the columns of one image share, a
            capital letter one that all images share.
        low: Smallest number; a sequence has one for each place of the last axis.
        high: Largest number, likewise.
        whole: Whether the numbers are integers (or true and false).
        nan: Whether a number may be missing.
    """

    shape: tuple[str | int, ...] = ()
    low: float | Sequence[float] = 0.0
    high: float | Sequence[float] = MANY
    whole: bool = True
    nan: bool = False


def check_row(
    row: Mapping[str, Any], columns: Mapping[str, Column], shared: dict[str, int]
) -> None:
    """Check the statistics of one image.

    Args:
        row: A value of each column, as JSON has it.
        columns: The columns.
        shared: Lengths that all images share; those of the first image are added.

    Raises:
        ValueError: With the column and what is wrong with it.
    """
    lengths: dict[str, int] = {}
    for name, column in columns.items():
        try:
            values = np.array(row[name])
        except (ValueError, OverflowError):
            raise ValueError(f"{name}: lists of equal lengths are expected") from None
        if values.size == 0 and values.shape == (0,) and len(column.shape) > 1:
            values = values.reshape(0, *(1 if isinstance(n, str) else n for n in column.shape[1:]))
        if values.ndim != len(column.shape):
            raise ValueError(f"{name}: {len(column.shape)} axes are expected, got {values.ndim}")
        for expected, length in zip(column.shape, values.shape, strict=True):
            if isinstance(expected, str):
                known = shared if expected.isupper() else lengths
                expected = known.setdefault(expected, length)
            if expected != length:
                raise ValueError(f"{name}: {expected} values are expected, got {length}")
        if not values.size:
            continue
        if values.dtype.kind not in ("biu" if column.whole else "biuf"):
            raise ValueError(f"{name}: {'whole ' if column.whole else ''}numbers are expected")
        outside = ~((values >= np.array(column.low)) & (values <= np.array(column.high)))
        if column.nan and values.dtype.kind == "f":
            outside &= ~np.isnan(values)
        if outside.any():
            raise ValueError(f"{name}: {values[outside].flat[0]} is out of range")
