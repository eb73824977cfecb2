"""Outlines: their area, whether they cross themselves, and the pixels inside. An outline is (M, 2) float64, x and y in
pixels; the last point is joined to the first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foveate.ops import rle

Outline = NDArray[np.float64]

_FINE = 5  # COCO's boundary is walked on a grid five times finer than the pixels
_REACH = 1e6  # pixels; what lies beyond is drawn in to here, so that steps and slopes stay exact
_AT_ONCE = 1000  # sides, so that an outline of very many needs little memory


def area(outline: Outline) -> float:
    """In square pixels, by the shoelace formula."""
    x, y = (outline - outline.mean(0)).T  # near the origin, so that far outlines lose no digits
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def bounds(outlines: tuple[Outline, ...]) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of all together."""
    points = np.concatenate(outlines)
    (left, top), (right, bottom) = points.min(0), points.max(0)
    return float(left), float(top), float(right), float(bottom)


def crosses_itself(outline: Outline) -> bool:
    """Whether two sides that are no neighbours properly cross (touching is no crossing). Quadratic in the sides, in
    one array operation a side.
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
    """(H, W) bool: the pixels inside any of the outlines, exactly as COCO counts them.

    Each outline is filled by the even-odd rule, as pycocotools' maskApi does: the boundary is walked on a grid of a fifth
    of a pixel; where it passes the centre line of a column, the run down that column changes.
    """
    height, width = size
    inside = np.zeros(size, bool)
    for outline in outlines:
        places, times = np.unique(_crossings(outline, height, width), return_counts=True)
        edges = places[times % 2 == 1]
        inside |= rle.decode(np.diff(edges, prepend=0, append=height * width), size)
    return inside


def _crossings(outline: Outline, height: int, width: int) -> NDArray[np.int64]:
    """Where, counted down the columns, the inside begins or ends."""
    corners = np.trunc(_FINE * np.clip(outline, -_REACH, _REACH) + 0.5).astype(np.int64)
    ends = np.roll(corners, -1, 0)
    parts = [slice(first, first + _AT_ONCE) for first in range(0, len(corners), _AT_ONCE)]
    return np.concatenate(
        [_crossings_of(corners[part], ends[part], height, width) for part in parts]
    )


def _crossings_of(
    start: NDArray[np.int64], end: NDArray[np.int64], height: int, width: int
) -> NDArray[np.int64]:
    """The same of some sides, (M, 2) on the fine grid. Only the steps at a column's centre line are computed, not the
    whole walk; they come out as the walk would have them, to the rounding of each product.
    """
    dx, dy = np.abs(end - start).T
    wide = dx >= dy  # such a side is walked along x, others along y, both from the smaller value on
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

    # Along x, the step goes from `line` to the next; the upper of the two places counts.
    along = line - x
    above = np.minimum(np.trunc(y + slope * along + 0.5), np.trunc(y + slope * (along + 1) + 0.5))

    # Along y, it is the first step that comes to the line's other side: the exact place, or its neighbour by rounding.
    guess = np.ceil((line + 0.5 - x) / np.where(wide[side], 1, slope))

    def passed(step: NDArray[np.float64]) -> NDArray[np.bool_]:
        return (x + slope * step + 0.5 >= line + 1) == rising

    early = ~passed(guess - 1)
    step = guess - 1 + early + (early & ~passed(guess))

    row = (np.where(wide[side], above, y + step - 1) + 0.5) / _FINE - 0.5
    return column * height + np.ceil(np.clip(row, 0, height)).astype(np.int64)
