"""Pictures as data URIs: small ones exact, to be enlarged by the page; large ones scaled down, so that it stays small."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

LARGEST, LARGE = 192, 640
"""Pixels of the longer side; larger pictures are scaled down. The second is for those that are shown large."""
EXACT = 64
"""Pixels of the longer side; up to this they are kept as they are and shown pixel by pixel."""


def is_small(image: NDArray[np.uint8]) -> bool:
    """Whether its pixels are worth seeing one by one."""
    return max(image.shape[:2]) <= EXACT


def data_uri(image: NDArray[np.uint8], large: bool = False) -> str:
    """(H, W, C) uint8 as a data URI: PNG for small pictures, JPEG for larger ones. Bands beyond three are not shown."""
    import PIL.Image

    shown = image[..., 0] if image.shape[2] in (1, 2) else image[..., :3]
    pillow_image = PIL.Image.fromarray(np.ascontiguousarray(shown))
    most = LARGE if large else LARGEST
    pillow_image.thumbnail((most, most), PIL.Image.Resampling.LANCZOS)
    return (
        embedded(pillow_image, "PNG")
        if is_small(image)
        else embedded(pillow_image, "JPEG", quality=80)
    )


def embedded(pillow_image: Image, kind: str, **how: Any) -> str:
    """A picture of Pillow's as a data URI, saved as it says there."""
    out = io.BytesIO()
    pillow_image.save(out, kind, optimize=True, **how)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(out.getvalue()).decode()}"
