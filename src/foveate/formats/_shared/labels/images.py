"""Read label images: images whose pixel values are class labels or numbers of objects.

They are read as stored, neither scaled nor blended with a background.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from foveate.data.images import apply_orientation, load_with
from foveate.errors import BadImage
from foveate.formats._shared.labels.arrays import read_npy, read_wide_tiff, whole_numbers
from foveate.regular_file import open_regular

Band = Literal["red", "alpha"]
"""The band that holds the labels, if it is not the colour or the grey value."""

ARRAY_SUFFIX = ".npy"
_TIFF = (".tif", ".tiff")
_MAX_WEBP_HEADER = 4096


@dataclass(frozen=True, slots=True, eq=False)
class LabelImage:
    """The pixels of a label image as its file stores them.

    Attributes:
        values: (H, W) int32; for an RGB image 65536 R + 256 G + B.
        in_colour: Whether the values are colours.
        palette: (M, 3) uint8, 0 to 255, where the values index a palette, else None.
        alpha: (H, W) uint8, 0 where it is transparent, else None.
        lossy: Whether the file's compression changes values, as JPEG does.
    """

    values: NDArray[np.int32]
    in_colour: bool = False
    palette: NDArray[np.uint8] | None = None
    alpha: NDArray[np.uint8] | None = None
    lossy: bool = False

    def in_band(self, band: Band | None) -> LabelImage:
        """Return the image that one band is; the image itself if it has no such band."""
        if band == "alpha" and self.alpha is not None:
            return replace(self, values=self.alpha.astype(np.int32), in_colour=False, alpha=None)
        if band == "red" and self.in_colour:
            return replace(self, values=self.values >> 16, in_colour=False)
        return self


def read_label_image(path: Path) -> LabelImage:
    """Read a label image: grey, palette indices, RGB, or a NumPy array; turned upright.

    Grey values are whole numbers of up to 31 bits, also where they are stored as floats. Pixels of
    one bit become 0 and 255, as in the same image at 8 bits.

    Raises:
        BadImage: If the file cannot be read as such an image; the error names the file.
    """
    if path.suffix.lower() == ARRAY_SUFFIX:
        return LabelImage(read_npy(path))
    try:
        image = load_with(path, _from_pillow)
    except BadImage:
        wide = read_wide_tiff(path) if path.suffix.lower() in _TIFF else None
        if wide is None:
            raise
        return LabelImage(wide)
    return replace(image, lossy=image.lossy or _is_lossy_webp(path))


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


def is_grey(codes: NDArray[np.int32]) -> bool:
    """Return whether colours as numbers, see `LabelImage`, are all shades of grey."""
    return bool(((codes >> 16) * 0x10101 == codes).all())


def _from_pillow(image: PIL.Image.Image) -> LabelImage:
    mode = image.mode
    lossy = image.format == "JPEG" or image.info.get("compression") == "jpeg"
    if image.format == "TIFF" and (pages := getattr(image, "n_frames", 1)) > 1:
        raise BadImage(
            f"a label image of one page is expected, this one has {pages:,}",
            remedy="Save each page as a file, and its image likewise.",
        )
    if mode in ("RGB", "RGBA"):
        bands = np.asarray(image).astype(np.int32)
        codes = bands[..., 0] << 16 | bands[..., 1] << 8 | bands[..., 2]
        alpha = apply_orientation(bands[..., 3].astype(np.uint8), image) if mode == "RGBA" else None
        return LabelImage(apply_orientation(codes, image), in_colour=True, alpha=alpha, lossy=lossy)
    if mode not in ("1", "L", "LA", "P", "PA", "F") and not mode.startswith("I"):
        raise BadImage(
            f"a label image in grey, with a palette or in RGB is expected, got mode {mode}"
        )
    values = np.asarray(
        image.convert("L")
        if mode == "1"
        else image.getchannel(0)
        if mode in ("LA", "PA")
        else image
    )
    return LabelImage(
        apply_orientation(whole_numbers(values), image),
        palette=_palette(image) if mode in ("P", "PA") else None,
        alpha=apply_orientation(np.asarray(image.getchannel(1)), image) if mode == "LA" else None,
        lossy=lossy,
    )


def _palette(image: PIL.Image.Image) -> NDArray[np.uint8]:
    return np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)


def _is_lossy_webp(path: Path) -> bool:
    """Return whether a file is WebP with lossy compression, which Pillow does not tell."""
    if path.suffix.lower() != ".webp":
        return False
    with open_regular(path) as file:
        head = file.read(_MAX_WEBP_HEADER)
    return head[8:12] == b"WEBP" and b"VP8L" not in head
