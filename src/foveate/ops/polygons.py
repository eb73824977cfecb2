"""Outlines: their area, whether they cross themselves, and the pixels inside.

An outline is (M, 2) float64, x and y in pixels; the last point is joined to the first.

Filling gives pycocotools' pixels to the bit (the tests compare them) but does not call it.
pycocotools stores every step of an outline's boundary, so its time and memory grow with the
coordinates, which a damaged or hostile file can make huge. Here they depend on the image alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foveate.ops import rle

Outline = NDArray[np.float64]

_FINE = 5  # COCO walks the boundary on a grid five times finer than the pixels
_MAX_COORDINATE = 1e6  # larger ones are clipped, so that steps and slopes stay exact
_CHUNK = 1000  # sides at a time, so that an outline of many needs little memory


def area(outline: Outline) -> float:
    """Compute the area in square pixels, by the shoelace formula."""
    x, y = (outline - outline.mean(0)).T  # centred, so that distant outlines lose no digits
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def bounds(outlines: tuple[Outline, ...]) -> tuple[float, float, float, float]:
    """Compute left, top, right and bottom of all outlines together."""
    points = np.concatenate(outlines)
    (left, top), (right, bottom) = points.min(0), points.max(0)
    return float(left), float(top), float(right), float(bottom)


def is_self_intersecting(outline: Outline) -> bool:
    """Whether two sides that are not neighbours properly cross; touching is no crossing.

    Quadratic in the number of sides, with one array operation for each side.
    """
    start, end = outline, np.roll(outline, -1, 0)
    count = len(outline)

    def turns(
        p: NDArray[np.float64], q: NDArray[np.float64], r: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        return np.sign(
            (q[..., 0] - p[..., 0]) * (r[..., 1] - p[..., 1])
            - (q[..., 1] - p[..., 1]) * (r[..., 0] - p[..., 0])
        )

    for i in range(count - 2):
        rest = slice(i + 2, count - (i == 0))
        a, b, c, d = start[i], end[i], start[rest], end[rest]
        if ((turns(a, b, c) * turns(a, b, d) < 0) & (turns(c, d, a) * turns(c, d, b) < 0)).any():
            return True
    return False


def fill(outlines: tuple[Outline, ...], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Fill outlines, exactly as COCO does.

    Each outline is filled by the even-odd rule, as pycocotools' maskApi does: the boundary is
    walked on a grid of a fifth of a pixel; each crossing of a column's centre line toggles the run
    down that column.

    Args:
        outlines: The outlines.
        size: (height, width) of the image.

    Returns:
        (H, W) bool: the pixels inside any of the outlines.
    """
    height, width = size
    inside = np.zeros(size, bool)
    for outline in outlines:
        indices, counts = np.unique(_crossings(outline, height, width), return_counts=True)
        edges = indices[counts % 2 == 1]
        inside |= rle.decode(np.diff(edges, prepend=0, append=height * width), size)
    return inside


def _crossings(outline: Outline, height: int, width: int) -> NDArray[np.int64]:
    """Column-major pixel indices at which the inside begins or ends."""
    clipped = np.clip(outline, -_MAX_COORDINATE, _MAX_COORDINATE)
    corners = np.trunc(_FINE * clipped + 0.5).astype(np.int64)
    ends = np.roll(corners, -1, 0)
    chunks = [slice(first, first + _CHUNK) for first in range(0, len(corners), _CHUNK)]
    return np.concatenate(
        [_side_crossings(corners[chunk], ends[chunk], height, width) for chunk in chunks]
    )


def _side_crossings(
    start: NDArray[np.int64], end: NDArray[np.int64], height: int, width: int
) -> NDArray[np.int64]:
    """The crossings of sides with (M, 2) start and end on the fine grid.

    Only the steps at a column's centre line are computed, not the whole walk. They equal the
    walk's, to the rounding of each product.
    """
    dx, dy = np.abs(end - start).T
    # A side is walked along its longer axis, from the smaller value on.
    wide = dx >= dy
    back = np.where(wide, start[:, 0] > end[:, 0], start[:, 1] > end[:, 1])[:, None]
    (xs, ys), (xe, ye) = np.where(back, end, start).T, np.where(back, start, end).T
    slopes = np.where(wide, ye - ys, xe - xs) / np.maximum(np.maximum(dx, dy), 1)

    # The centre line of column c lies between 5 c + 2 and 5 c + 3 on the fine grid.
    first = np.maximum(0, -((2 - np.minimum(xs, xe)) // _FINE))
    last = np.minimum(width - 1, (np.maximum(xs, xe) - 3) // _FINE)
    counts = np.maximum(0, last - first + 1)
    side = np.repeat(np.arange(len(counts)), counts)
    column = np.arange(len(side)) - np.repeat(np.cumsum(counts) - counts - first, counts)
    line = _FINE * column + 2
    x, y, slope, rising = xs[side], ys[side], slopes[side], (xe > xs)[side]

    # Along x, the step goes from `line` to the next; the upper of its two ends counts.
    along = line - x
    above = np.minimum(np.trunc(y + slope * along + 0.5), np.trunc(y + slope * (along + 1) + 0.5))

    # Along y, it is the first step beyond the line: the exact one, or its neighbour by rounding.
    guess = np.ceil((line + 0.5 - x) / np.where(wide[side], 1, slope))

    def passed(step: NDArray[np.float64]) -> NDArray[np.bool_]:
        result: NDArray[np.bool_] = (x + slope * step + 0.5 >= line + 1) == rising
        return result

    early = ~passed(guess - 1)
    step = guess - 1 + early + (early & ~passed(guess))

    row = (np.where(wide[side], above, y + step - 1) + 0.5) / _FINE - 0.5
    result: NDArray[np.int64] = column * height + np.ceil(np.clip(row, 0, height)).astype(np.int64)
    return result
