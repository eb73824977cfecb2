"""Stacks of planes, the pages of a TIFF or the frames of a DICOM file, as one image."""

from __future__ import annotations

from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from foveate.data.image_reading import ImageReading, Pages
from foveate.errors import BadImage

_MAX_STACK = 4  # values of all planes together, as a multiple of the largest number of pixels


def as_image(planes: NDArray[Any], pages: Pages | None) -> NDArray[Any]:
    """Make one image of a stack.

    Args:
        planes: (P, H, W, C).
        pages: The first plane, the maximum of all, or P times C bands.

    Returns:
        (H, W, C), or (H, W, P * C) of bands.
    """
    if pages == "max":
        highest: NDArray[Any] = planes.max(0)
        return highest
    if pages == "bands":
        height, width = planes.shape[1:3]
        return np.ascontiguousarray(planes.transpose(1, 2, 0, 3)).reshape(height, width, -1)
    return np.ascontiguousarray(planes[0])


def check_size(pixels: int, values: int, reading: ImageReading) -> None:
    """Check what a file announces, before it is decoded.

    Args:
        pixels: Height times width.
        values: Of all planes and bands together.
        reading: How many pixels are allowed.

    Raises:
        DecompressionBombError: One plane is too large, as Pillow says it of other images.
        BadImage: All of them together are.
    """
    if pixels > reading.max_pixels:
        raise PIL.Image.DecompressionBombError
    most = _MAX_STACK * reading.max_pixels
    if values > most:
        raise BadImage(
            f"at most {most:,} values are expected in all pages and bands together, this file "
            f"announces {values:,}",
            remedy=f"Allow more with --set max_pixels={-(-values // _MAX_STACK)}, or save the "
            "pages that matter in files of their own.",
        )
