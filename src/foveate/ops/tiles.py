"""A large picture cut into overlapping squares."""

from __future__ import annotations

import math

import numpy as np

OVERLAP = 0.25
"""Of neighbouring tiles, as a share of their side: a thing up to that size lies whole in one of them."""


def tiles(height: int, width: int, side: int, overlap: float = OVERLAP) -> list[tuple[int, int, int, int]]:
    """Left, top, right, bottom of tiles of `side` pixels (less where the picture is smaller) that cover all of it, evenly
    spread and overlapping by at least `overlap`."""
    return [
        (left, top, min(width, left + side), min(height, top + side))
        for top in _starts(height, side, overlap)
        for left in _starts(width, side, overlap)
    ]


def _starts(length: int, side: int, overlap: float) -> list[int]:
    if length <= side:
        return [0]
    count = math.ceil((length - side) / max(1, math.floor(side * (1 - overlap)))) + 1
    return [int(start) for start in np.linspace(0, length - side, count).round()]
