"""Pictures as foundation models take them: in colour."""

from __future__ import annotations

import numpy as np

from foveate.data.dataset import Image
from foveate.errors import BadImage


def colour(image: Image) -> Image:
    """(H, W, 1 or 3) uint8 -> (H, W, 3). Raises BadImage for other channels."""
    if image.shape[2] not in (1, 3):
        raise BadImage(f"a grey or colour picture is expected, got {image.shape[2]} channels")
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
