"""Images resized to the training size: stretched, or letterboxed with their aspect kept."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from foveate.data.dataset import Image
from foveate.errors import BadImage

PADDING = 114
"""Grey level of letterbox padding: near the mean of most images, so it makes no strong edge."""


def letterbox_size(height: int, width: int, size: int) -> tuple[int, int]:
    """Compute the height and width of an image in a letterbox.

    The longer side is at most `size` pixels and the aspect is kept. Smaller images are not
    enlarged: that adds no information and costs time.
    """
    longer = max(height, width, size)
    return max(1, round(height * size / longer)), max(1, round(width * size / longer))


def fit(image: Image, size: int, channels: int, *, letterbox: bool = False) -> Image:
    """Resize a whole image to a square, without cropping.

    Resizing is Pillow's bilinear, antialiased when shrinking. Grey is repeated over the channels;
    RGB becomes grey by ITU-R BT.601, 0.299 R + 0.587 G + 0.114 B.

    Args:
        image: (H, W, C) uint8.
        size: Pixels a side of the result.
        channels: Channels of the result.
        letterbox: Keep the aspect, never enlarge, and pad with grey to the right and below;
            otherwise the image is stretched.

    Returns:
        (size, size, channels) uint8; the image itself if it fits already.

    Raises:
        BadImage: For other changes of the number of channels, and for an image without pixels.
    """
    if image.shape == (size, size, channels):
        return image
    if not letterbox:
        return of_channels(resize(convertible(image, channels), (size, size)), channels)
    return pad(fit_within(image, size, channels), size, size)


class ReadByWindows(Protocol):
    """An image that is not in memory, see `data.windows`."""

    def fit_within(self, size: int, channels: int) -> Image:
        """The image resized, with the same pixels as if it were in memory."""


def fit_within(image: Image | ReadByWindows, size: int, channels: int) -> Image:
    """Resize an image as a letterbox does, without the padding.

    Raises:
        BadImage: As `fit` does.
    """
    if not isinstance(image, np.ndarray):
        return image.fit_within(size, channels)
    image = convertible(image, channels)
    shape = letterbox_size(image.shape[0], image.shape[1], size)
    return of_channels(resize(image, shape), channels)


def convertible(image: Image, channels: int) -> Image:
    """Convert the image to `channels` channels or to one; `of_channels` does the rest."""
    if image.size == 0:
        raise BadImage(f"an image with pixels is expected, got the shape {image.shape}")
    if image.shape[2] in (channels, 1):
        return image
    if (image.shape[2], channels) != (3, 1):
        raise BadImage(f"an image of {channels} channels is expected, got {image.shape[2]}")
    return np.array(PIL.Image.fromarray(image).convert("L"))[..., None]


def of_channels(image: Image, channels: int) -> Image:
    """Repeat grey over `channels` channels."""
    return image if image.shape[2] == channels else np.repeat(image, channels, axis=2)


def pad(image: Image, height: int, width: int) -> Image:
    """Place an (H, W, C) uint8 image at the top left of (height, width, C), on grey."""
    if image.shape[:2] == (height, width):
        return image
    canvas = np.full((height, width, image.shape[2]), PADDING, np.uint8)
    canvas[: image.shape[0], : image.shape[1]] = image
    return canvas


def resize(image: Image, shape: tuple[int, int]) -> Image:
    """Resize an (H, W, C) uint8 image to (*shape, C).

    Pillow's bilinear, antialiased when shrinking.
    """
    if image.shape[:2] == shape:
        return image
    if image.shape[2] == 3:
        return _resized(image, shape)
    return np.stack([_resized(image[..., band], shape) for band in range(image.shape[2])], axis=2)


def _resized(image: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    pillow_image = PIL.Image.fromarray(np.ascontiguousarray(image))
    return np.array(pillow_image.resize((shape[1], shape[0]), PIL.Image.Resampling.BILINEAR))
