"""Overlapping tiles of a large image, and the boxes that their edges cut."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Tile = tuple[int, int, int, int]
"""Left, top, right, bottom, in pixels of the image."""
MIN_OVERLAP = 0.25
"""Overlap of neighbouring tiles, as a fraction of their side: an object up to that size lies whole
in one of them."""


def tiles(height: int, width: int, side: int, overlap: float = MIN_OVERLAP) -> list[Tile]:
    """Cover an image with evenly spread tiles.

    Args:
        height: Of the image, in pixels.
        width: Of the image, in pixels.
        side: Of the tiles, in pixels; smaller where the image is smaller.
        overlap: Smallest overlap of neighbouring tiles, as a fraction of their side.
    """
    return [
        (left, top, min(width, left + side), min(height, top + side))
        for top in _starts(height, side, overlap)
        for left in _starts(width, side, overlap)
    ]


def touches_cut(
    corners: NDArray[np.float64], tile: Tile, size: tuple[int, int], margin: float
) -> NDArray[np.bool_]:
    """Find boxes that the edge of a tile may have cut.

    Args:
        corners: (N, 4) boxes predicted in the tile, in pixels of the image.
        tile: The tile.
        size: (height, width) of the image.
        margin: Distance in pixels below which a box touches an edge. The image's edges do not cut.

    Returns:
        (N,) bool.
    """
    edges, image_edges = np.array(tile), np.array([0, 0, size[1], size[0]])
    result: NDArray[np.bool_] = ((np.abs(corners - edges) < margin) & (edges != image_edges)).any(1)
    return result


def _starts(length: int, side: int, overlap: float) -> list[int]:
    if length <= side:
        return [0]
    count = math.ceil((length - side) / max(1, math.floor(side * (1 - overlap)))) + 1
    return [int(start) for start in np.linspace(0, length - side, count).round()]
