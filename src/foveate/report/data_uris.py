"""Images as data URIs: small ones exact, large ones scaled down to keep the page small."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_SIDE = 256
"""Pixels of the longer side; larger images are scaled down."""
MAX_LARGE_SIDE = 800
"""The same for images that the page shows large."""
MAX_EXACT_SIDE = 64
"""Pixels of the longer side up to which an image is lossless and shown pixel by pixel."""


def is_exact(image: NDArray[np.uint8]) -> bool:
    """Whether an image is small enough to be embedded losslessly and shown pixel by pixel."""
    longer_side: int = max(image.shape[:2])
    return longer_side <= MAX_EXACT_SIDE


def image_data_uri(image: NDArray[np.uint8], large: bool = False) -> str:
    """Encode an image as a data URI: PNG for small images, JPEG for larger ones.

    Args:
        image: Shape (H, W, C), uint8. Of 2 channels the first is shown, of more than 3 the first 3.
        large: Whether the page shows the image large.
    """
    import PIL.Image

    shown = image[..., 0] if image.shape[2] in (1, 2) else image[..., :3]
    pillow_image = PIL.Image.fromarray(np.ascontiguousarray(shown))
    max_side = MAX_LARGE_SIDE if large else MAX_SIDE
    pillow_image.thumbnail((max_side, max_side), PIL.Image.Resampling.LANCZOS)
    if is_exact(image):
        return pillow_data_uri(pillow_image, "PNG")
    return pillow_data_uri(pillow_image, "JPEG", quality=80)


def pixels_data_uri(pixels: NDArray[np.uint8]) -> str:
    """Encode pixels with opacity, (H, W, 4) uint8, as a PNG of few colours, without any loss."""
    import PIL.Image

    codes = np.ascontiguousarray(pixels).view(np.uint32)[..., 0]
    colours, indices = np.unique(codes, return_inverse=True)
    if len(colours) > 256:
        return pillow_data_uri(PIL.Image.fromarray(pixels), "PNG")
    palette = colours.view(np.uint8).reshape(-1, 4)
    image = PIL.Image.fromarray(indices.reshape(codes.shape).astype(np.uint8))
    image.putpalette(palette[:, :3].tobytes())
    return pillow_data_uri(image, "PNG", transparency=palette[:, 3].tobytes())


def pillow_data_uri(pillow_image: Image, format: str, **options: Any) -> str:
    """Encode a Pillow image as a data URI; the options go to Pillow's `save`."""
    buffer = io.BytesIO()
    pillow_image.save(buffer, format, optimize=True, **options)
    return f"data:image/{format.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
