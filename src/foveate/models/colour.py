"""Conversion to the three-channel images that foundation models take."""

from __future__ import annotations

import numpy as np

from foveate.data.dataset import Image
from foveate.errors import BadImage


def to_rgb(image: Image) -> Image:
    """Convert a grey image to colour; a colour image is returned unchanged.

    Args:
        image: (H, W, 1 or 3) uint8.

    Returns:
        (H, W, 3) uint8.

    Raises:
        BadImage: The image has another number of channels.
    """
    if image.shape[2] not in (1, 3):
        raise BadImage(f"a grey or colour image is expected, got {image.shape[2]} channels")
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
