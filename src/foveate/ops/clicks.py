"""Where a person would point next: into the middle of what is most wrong."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Click = tuple[float, float, bool]
"""x and y in pixels, and whether the thing is there."""


def next_click(true: NDArray[np.bool_], found: NDArray[np.bool_]) -> Click | None:
    """(H, W) each -> the pixel farthest from the edge of the largest connected region that differs, as interactive segmentation is
    scored (Xu et al., "Deep interactive object selection", 2016); None where nothing differs. The middle of a pixel is at .5.
    """
    from scipy.ndimage import distance_transform_edt, label

    regions, count = label(true != found)
    if not count:
        return None
    sizes = np.bincount(regions.ravel())
    sizes[0] = 0
    inner = distance_transform_edt(np.pad(regions == sizes.argmax(), 1))[1:-1, 1:-1]
    row, column = np.unravel_index(inner.argmax(), inner.shape)
    return float(column) + 0.5, float(row) + 0.5, bool(true[row, column])
