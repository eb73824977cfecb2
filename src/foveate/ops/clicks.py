"""Simulated clicks: where a person would click next to correct a mask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Click = tuple[float, float, bool]
"""x and y in pixels, and whether the object is there."""


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
