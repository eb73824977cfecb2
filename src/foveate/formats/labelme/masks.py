"""Read the mask of a LabelMe shape: a PNG in base64 at its box, as LabelMe's AI tools draw it."""

from __future__ import annotations

import binascii
from base64 import b64decode
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Polygon, RunLengths
from foveate.data.images import examine_bytes
from foveate.errors import BadImage, DataError
from foveate.ops import rle

_MAX_PIXELS = 500_000_000  # of an image with masks; a forged size is larger
_SLACK = 1  # pixels that the sides of a mask and of its box may differ by, from rounding


def mask_pixels(
    encoded: object, points: NDArray[np.float64], size: tuple[int, int], what: str, where: Path
) -> NDArray[np.int64]:
    """Return the pixels of a mask: every pixel of its image that is not 0.

    Args:
        encoded: The image in base64.
        points: (2, 2) float64: x and y of the mask's first and last pixel in the image.
        size: Height and width of the image.
        what: What the shape is called in messages.
        where: The file.

    Returns:
        (M,) int64, row * width + column; pixels outside the image are left out.

    Raises:
        DataError: If there is no image of the size of the box, or if the image is too large.
    """
    if size[0] * size[1] > _MAX_PIXELS:
        raise DataError(
            f"an image of at most {_MAX_PIXELS:,} pixels is expected, got {size[1]:,} x "
            f"{size[0]:,}",
            where=where,
        )
    if len(points) != 2:
        raise DataError(
            f"two opposite corners are expected as points of {what}, a mask", where=where
        )
    try:
        if not isinstance(encoded, str):
            raise TypeError("there is none")
        pixels = examine_bytes(b64decode(encoded), where)[0]
    except (BadImage, TypeError, ValueError, binascii.Error) as error:
        reason = getattr(error, "message", error)
        raise DataError(
            f"an image in base64 is expected as mask of {what} ({reason})", where=where
        ) from None
    (left, top), (right, bottom) = points.astype(np.int64).tolist()
    height, width = pixels.shape[:2]
    if max(abs(right - left + 1 - width), abs(bottom - top + 1 - height)) > _SLACK:
        raise DataError(
            f"a mask of {right - left + 1} x {bottom - top + 1} pixels is expected, as the points "
            f"of {what} say, got {width} x {height}",
            where=where,
        )
    rows, columns = np.nonzero(pixels.any(2))
    rows, columns = rows + top, columns + left
    inside = (rows >= 0) & (rows < size[0]) & (columns >= 0) & (columns < size[1])
    indices: NDArray[np.int64] = rows[inside] * size[1] + columns[inside]
    return indices


def join(
    masks: list[NDArray[np.int64]],
    outlines: list[NDArray[np.float64]],
    size: tuple[int, int],
) -> RunLengths:
    """Return the mask of an object that is drawn as masks, and maybe as polygons too.

    Args:
        masks: The pixels of each mask, see `mask_pixels`.
        outlines: The polygons, (M, 2) float64 each.
        size: Height and width of the image.
    """
    if outlines:
        masks = [*masks, Polygon(tuple(outlines)).pixel_indices(size)]
    return RunLengths(rle.from_indices(np.unique(np.concatenate(masks)), size), size)
