"""Clicks: as arrays, and where a person would click next to correct a mask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Click = tuple[float, float, bool]
"""x and y in pixels, and whether the object is there."""
NO_CLICK = -1.0
"""Label of a padding click; real clicks have 1 (inside) or 0 (outside)."""


def padded_prompts(
    clicks: Sequence[Sequence[Click]],
    boxes: Sequence[Sequence[float] | None],
    down: float,
    along: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Prompts for N objects as arrays.

    Args:
        clicks: (x, y, inside) for each object.
        boxes: Left, top, right, bottom, or None, for each object.
        down: Factor on rows.
        along: Factor on columns.

    Returns:
        (N, P, 3) x, y, and 1 for inside, 0 for outside or NO_CLICK; (N, 4) boxes, all 0 for none.
    """
    count, most = len(clicks), max(1, *map(len, clicks)) if clicks else 1
    padded = np.full((count, most, 3), NO_CLICK, np.float32)
    for row, object_clicks in enumerate(clicks):
        for column, (x, y, label) in enumerate(object_clicks):
            padded[row, column] = x * along, y * down, label
    scale = np.array([along, down] * 2, np.float32)
    corners = np.array([box or (0, 0, 0, 0) for box in boxes], np.float32)
    return padded, corners.reshape(count, 4) * scale


def next_click(target: NDArray[np.bool_], prediction: NDArray[np.bool_]) -> Click | None:
    """Click into the middle of the largest wrong region.

    The click is the pixel farthest from the edge of the largest connected region that differs, as
    interactive segmentation is evaluated (Xu et al., "Deep interactive object selection", 2016).

    Args:
        target: (H, W).
        prediction: (H, W).

    Returns:
        The click at the pixel's centre (at .5), or None if nothing differs.
    """
    from scipy.ndimage import distance_transform_edt, label

    regions, count = label(target != prediction)
    if not count:
        return None
    sizes = np.bincount(regions.ravel())
    sizes[0] = 0
    depth = distance_transform_edt(np.pad(regions == sizes.argmax(), 1))[1:-1, 1:-1]
    row, column = np.unravel_index(depth.argmax(), depth.shape)
    return float(column) + 0.5, float(row) + 0.5, bool(target[row, column])
