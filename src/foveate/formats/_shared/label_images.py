"""Read label images: images whose pixel values are class labels.

They are read as stored, neither scaled nor blended with a background.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from foveate.data.images import apply_orientation, load_with
from foveate.errors import BadImage


@dataclass(frozen=True, slots=True, eq=False)
class LabelImage:
    """The pixels of a label image as its file stores them.

    Attributes:
        values: (H, W) int32; for an RGB image 65536 R + 256 G + B.
        in_colour: Whether the values are colours.
        palette: (M, 3) uint8, 0 to 255, where the values index a palette, else None.
    """

    values: NDArray[np.int32]
    in_colour: bool = False
    palette: NDArray[np.uint8] | None = None


def read_label_image(path: Path) -> LabelImage:
    """Read a label image: grey of 8 or 16 bits, palette indices, or RGB; turned upright.

    Pixels of one bit become 0 and 255, as in the same image at 8 bits. Transparency is ignored.

    Raises:
        BadImage: If the file cannot be read as such an image; the error names the file.
    """
    return load_with(path, _from_pillow)


@dataclass(frozen=True, slots=True)
class LabelImagePixels:
    """The stored pixel values of a label image, read on demand (a `MaskSource`).

    Attributes:
        path: The image file.
    """

    path: Path

    def read(self) -> NDArray[np.int32]:
        """Return the values: (H, W) int32, see `LabelImage`.

        Raises:
            BadImage: If the image cannot be read.
        """
        return read_label_image(self.path).values


def distinct_values(values: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the values that occur, each once, in ascending order.

    Args:
        values: (H, W) int32.

    Returns:
        (M,) int32.
    """
    flat = values.ravel()
    # Label images consist of runs; keeping one pixel of each leaves less to sort.
    return np.unique(flat[np.append(flat[1:] != flat[:-1], True)]) if flat.size else flat


def colour_code(red: int, green: int, blue: int) -> int:
    """Return a colour as one number, see `LabelImage`."""
    return red << 16 | green << 8 | blue


def rgb(code: int) -> tuple[int, int, int]:
    """Return the colour of a number; the inverse of `colour_code`."""
    return code >> 16, code >> 8 & 255, code & 255


def _from_pillow(image: PIL.Image.Image) -> LabelImage:
    mode = image.mode
    if mode in ("RGB", "RGBA"):
        bands = np.asarray(image).astype(np.int32)
        codes = bands[..., 0] << 16 | bands[..., 1] << 8 | bands[..., 2]
        return LabelImage(apply_orientation(codes, image), in_colour=True)
    if mode not in ("1", "L", "LA", "P", "PA") and not mode.startswith("I"):
        raise BadImage(
            f"a label image in grey, with a palette or in RGB is expected, got mode {mode}"
        )
    one_band = (
        image.convert("L")
        if mode == "1"
        else image.getchannel(0)
        if mode in ("LA", "PA")
        else image
    )
    values = np.asarray(one_band)
    if (
        values.dtype.itemsize > 2
        and values.size
        and not (values.min() >= 0 and values.max() <= 65535)
    ):
        raise BadImage(f"values from 0 to 65535 are expected, got {values.min()} to {values.max()}")
    palette = (
        np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3) if mode in ("P", "PA") else None
    )
    return LabelImage(apply_orientation(values.astype(np.int32), image), palette=palette)
