"""Turn pixels and points of an image upright, as its EXIF orientation says (EXIF 2.3, 0x0112)."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

V = TypeVar("V", bound=np.generic)

UPRIGHT = 1
"""The orientation of an image that is stored as it is shown."""
SIDEWAYS = (5, 6, 7, 8)
"""The orientations that swap height and width."""


def turn_pixels(image: NDArray[V], orientation: int) -> NDArray[V]:
    """Turn the pixels of an image upright.

    Args:
        image: (H, W, ...) values as stored.
        orientation: EXIF orientation; other values than 2 to 8 change nothing.

    Returns:
        (H, W, ...) contiguous values as shown; (W, H, ...) for sideways orientations.
    """
    match orientation:
        case 2:
            image = image[:, ::-1]
        case 3:
            image = image[::-1, ::-1]
        case 4:
            image = image[::-1]
        case 5:
            image = image.swapaxes(0, 1)
        case 6:
            image = np.rot90(image, -1)
        case 7:
            image = image[::-1, ::-1].swapaxes(0, 1)
        case 8:
            image = np.rot90(image, 1)
    return np.ascontiguousarray(image)


def turn_points(
    points: NDArray[np.float64], orientation: int, size: tuple[int, int]
) -> NDArray[np.float64]:
    """Turn points of an image upright, as `turn_pixels` turns its pixels.

    Args:
        points: (N, 2) x and y in pixels of the image as stored, 0 at the left and top edge.
        orientation: EXIF orientation; other values than 2 to 8 change nothing.
        size: (height, width) of the image as stored.

    Returns:
        (N, 2) x and y in pixels of the image as shown.
    """
    height, width = size
    x, y = points.T
    turned = {
        2: (width - x, y),
        3: (width - x, height - y),
        4: (x, height - y),
        5: (y, x),
        6: (height - y, x),
        7: (height - y, width - x),
        8: (y, width - x),
    }.get(orientation, (x, y))
    return np.stack(turned, 1)
