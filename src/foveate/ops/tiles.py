"""A large picture cut into overlapping squares, and what their edges cut."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Tile = tuple[int, int, int, int]
"""Left, top, right, bottom, in pixels of the picture."""
OVERLAP = 0.25
"""Of neighbouring tiles, as a share of their side: a thing up to that size lies whole in one of them."""


def tiles(height: int, width: int, side: int, overlap: float = OVERLAP) -> list[Tile]:
    """Tiles of `side` pixels (less where the picture is smaller) that cover all of it, evenly
    spread and overlapping by at least `overlap`.
    """
    return [
        (left, top, min(width, left + side), min(height, top + side))
        for top in _starts(height, side, overlap)
        for left in _starts(width, side, overlap)
    ]


def cut(
    corners: NDArray[np.float64], tile: Tile, size: tuple[int, int], near: float
) -> NDArray[np.bool_]:
    """(N, 4) corners of what was found in a tile -> (N,) whether the tile's edge may have cut it: it comes nearer than `near`
    pixels to a side that is none of the picture's. corners: in pixels of the picture, as the tile; size: its (height, width)
    """
    edge, whole = np.array(tile), np.array([0, 0, size[1], size[0]])
    return ((np.abs(corners - edge) < near) & (edge != whole)).any(1)


def _starts(length: int, side: int, overlap: float) -> list[int]:
    if length <= side:
        return [0]
    count = math.ceil((length - side) / max(1, math.floor(side * (1 - overlap)))) + 1
    return [int(start) for start in np.linspace(0, length - side, count).round()]
