"""Image files decoded correctly: upright, 8 bits a channel; grey, RGB, or more bands."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import UnidentifiedImageError

from foveate.data import dicom, pillow_pixels, tiff_stack
from foveate.data.dataset import Image
from foveate.data.image_file import check_size, is_tiff, open_file, open_pillow, refusing
from foveate.data.image_reading import (
    DEFAULT_READING,
    POINTS_REMEDY,
    DeepPixels,
    ImageReading,
)
from foveate.errors import BadImage
from foveate.ops.orientation import SIDEWAYS, UPRIGHT, turn_pixels

T = TypeVar("T")
V = TypeVar("V", bound=np.generic)

_JPEG, _PNM = (".jpg", ".jpeg", ".jpe", ".jfif"), (".pbm", ".pgm", ".pnm", ".ppm")
IMAGE_SUFFIXES = frozenset(
    {".bmp", ".dib", ".gif", ".png", ".tif", ".tiff", ".webp", *_JPEG, *_PNM, *dicom.DICOM_SUFFIXES}
)
"""Lower-case file suffixes that are taken for images."""

_ORIENTATION = 0x0112  # a tag of EXIF and TIFF
_DARK_16 = 64  # levels of 8 bits below which 16-bit colour may hold 14 bits or fewer
_DRAWN = 4096  # values that suggest how many stored values become one level
_TAIL = 0.001  # share of pixels on each side that the range of an image leaves out


@dataclass(frozen=True, slots=True)
class FileSource:
    """An image file.

    Attributes:
        path: The file.
        reading: What is black and white in an image of more than 8 bits, and what its pages are.
    """

    path: Path
    reading: ImageReading = DEFAULT_READING

    def read(self) -> Image:
        """Decode the image, (H, W, C) uint8; see `examine`."""
        return examine(self.path, self.reading)[0]

    def examine(self) -> tuple[Image, FileInfo]:
        """Decode the image, and describe its file."""
        return examine(self.path, self.reading)

    def deep_pixels(self) -> DeepPixels | None:
        """Decode the image without scaling it to 8 bits; None if it has 8 bits."""
        with open_file(self.path) as file:
            return deep_pixels(file, self.path, self.reading)


@dataclass(frozen=True, slots=True)
class FileInfo:
    """The properties of an image file.

    Attributes:
        format: Pillow's name of the content's format, whatever the suffix says, e.g. "JPEG".
        mode: Pillow's name of the pixel format, e.g. "RGBA", "I;16".
        orientation: EXIF orientation, 1 (upright) to 8; other numbers mean nothing.
        pages: Number of pages of a TIFF, or frames of a DICOM file.
        deep: Whether it has more than 8 bits a channel.
        low: Of such an image, the level that 0.1% of its pixels are below, 0 to 255.
        high: And the level that 0.1% of them are above.
        merged: And the number of its stored values that become one level, on average.
        clipped: And the share of its values that lie outside of black and white.
    """

    format: str
    mode: str
    orientation: int = UPRIGHT
    pages: int = 1
    deep: bool = False
    low: int = 0
    high: int = 255
    merged: float = 1.0
    clipped: float = 0.0


def decode(path: Path | str, reading: ImageReading = DEFAULT_READING) -> Image:
    """Decode an image file, (H, W, C) uint8; see `examine`."""
    return examine(path, reading)[0]


def examine(path: Path | str, reading: ImageReading = DEFAULT_READING) -> tuple[Image, FileInfo]:
    """Decode an image file, and describe it.

    Animations give their first frame. Transparency is composited over white, as a page shows it:
    the colour stored under full transparency is arbitrary. CMYK becomes RGB without colour
    profiles.

    More than 8 bits a channel are scaled from black..white to 0..255. Where these are not given,
    16 bits are scaled from 0..65535 and floats from 0..1, as is what a medical image states; other
    values are refused: stretching each image by its range would make dark and bright ones look
    alike. `data.depth` measures black and white over all images of a dataset.

    Args:
        path: The file.
        reading: Black and white, and what is made of pages.

    Returns:
        (H, W, C) uint8, upright and writable, C = 1 (grey), 3 (RGB) or the number of bands; and
        the file's properties.

    Raises:
        BadImage: With the file and the reason, if it is not a readable image, or announces more
            pixels than allowed: a small file can unpack to that and fill the memory.
    """
    path = Path(path)
    with open_file(path) as file:
        return _examined(file, path, reading)


def examine_bytes(
    data: bytes, where: Path | str, reading: ImageReading = DEFAULT_READING
) -> tuple[Image, FileInfo]:
    """Decode an image file that lies within another file.

    Args:
        data: The bytes of the image file.
        where: The name that an error message gives.
        reading: As for `examine`.

    Raises:
        BadImage: As `examine` does.
    """
    return _examined(BytesIO(data), where, reading)


def examine_pillow(
    pillow_image: PIL.Image.Image, where: Path | str, reading: ImageReading = DEFAULT_READING
) -> tuple[Image, FileInfo]:
    """Convert an image that was opened with Pillow, as `examine` converts the same file.

    Once decoded, 16-bit colour has the 8 bits that Pillow keeps: pass the file instead.

    Args:
        pillow_image: Any image of any mode. It is not changed.
        where: The name that an error message gives.
        reading: As for `examine`.

    Raises:
        BadImage: As `examine` does.
    """
    with refusing(where, reading):
        check_size(pillow_image, reading)
        # 16-bit colour is read a second time, as long as Pillow has the file open.
        again = getattr(pillow_image, "fp", None)
        file = again if getattr(pillow_image, "tell", lambda: 0)() == 0 else None
        return _finished(*_pillow_pixels(pillow_image, file, reading, pages=1), reading)


def deep_pixels(file: BinaryIO, where: Path | str, reading: ImageReading) -> DeepPixels | None:
    """Decode an image without scaling it to 8 bits; None, without decoding it, if it has 8 bits.

    Raises:
        BadImage: As `examine` does.
    """
    with refusing(where, reading):
        known = replace(reading, black=0, white=1)  # any: colour is read at its full depth
        pixels, _ = _pixels(file, known, deep_only=True)
        return pixels if isinstance(pixels, DeepPixels) else None


def load_with(path: Path | str, convert: Callable[[PIL.Image.Image], T]) -> T:
    """Decode an image file with Pillow, and convert the result.

    Raises:
        BadImage: As `examine` does.
    """
    path, reading = Path(path), DEFAULT_READING
    with open_file(path) as file, refusing(path, reading):
        pillow_image = open_pillow(file, reading)
        pillow_image.load()
        return convert(pillow_image)


def size(path: Path | str, reading: ImageReading = DEFAULT_READING) -> tuple[int, int]:
    """Read height and width of an image file, upright. Usually only the header is read.

    Raises:
        BadImage: As `examine` does.
    """
    path = Path(path)
    with open_file(path) as file, refusing(path, reading):
        if dicom.is_dicom(file):
            return dicom.size(file, reading)
        shape = None
        # Pillow knows fewer TIFFs than tifffile does.
        with contextlib.suppress(*([UnidentifiedImageError] if is_tiff(file) else [])):
            pillow_image = open_pillow(file, reading)
            if not _may_turn_late(pillow_image, file):
                shape = _size(pillow_image)
        if shape is None:
            pixels, _ = _pixels(file, replace(reading, black=0, white=1))
            assert pixels is not None
            values = pixels.values if isinstance(pixels, DeepPixels) else pixels
            shape = values.shape[0], values.shape[1]
    return shape


def apply_orientation(values: NDArray[V], pillow_image: PIL.Image.Image) -> NDArray[V]:
    """Turn the (H, W, ...) values of an image's pixels upright, as its EXIF block says."""
    return turn_pixels(values, _orientation(pillow_image))


def _examined(file: BinaryIO, where: Path | str, reading: ImageReading) -> tuple[Image, FileInfo]:
    with refusing(where, reading):
        return _finished(*_pixels(file, reading), reading)


def _pixels(
    file: BinaryIO, reading: ImageReading, *, deep_only: bool = False
) -> tuple[Image | DeepPixels | None, FileInfo]:
    """The upright pixels of a file; with `deep_only` None for an image of 8 bits."""
    if dicom.is_dicom(file):
        pixels, mode, pages = dicom.read(file, reading)
        return pixels, FileInfo("DICOM", mode, pages=pages)
    try:
        pillow_image = open_pillow(file, reading)
    except UnidentifiedImageError:
        if not is_tiff(file):
            raise
    else:
        if pillow_image.format != "TIFF" or not tiff_stack.needed(pillow_image, reading):
            if deep_only and not pillow_pixels.is_deep(pillow_image):
                return None, FileInfo("", "")
            return _pillow_pixels(pillow_image, file, reading)
    pixels, mode, pages = tiff_stack.read(file, reading)
    return pixels, FileInfo("TIFF", mode, pages=pages)


def _pillow_pixels(
    pillow_image: PIL.Image.Image,
    file: BinaryIO | None,
    reading: ImageReading,
    pages: int | None = None,
) -> tuple[Image | DeepPixels, FileInfo]:
    """The upright pixels of an image that Pillow has opened; `file` gives it a second time."""
    format, mode = pillow_image.format or "", pillow_pixels.deep_mode(pillow_image)
    if pages is None:
        pages = tiff_stack.count_pages(pillow_image) if format == "TIFF" else 1
    deep = pillow_pixels.deep_pixels(pillow_image, file if reading.points else None)
    pillow_image.load()
    orientation = _orientation(pillow_image)
    info = FileInfo(format, mode, orientation, pages, deep=mode.endswith(";16"))
    if deep is None:
        image = pillow_pixels.eight_bits(pillow_image)
        if info.deep and 0 < image.max() < _DARK_16:
            raise BadImage(
                f"values up to 65,535 are expected of 16 bits, got less than {_DARK_16 * 256:,}: "
                "the image may hold 14 bits or fewer, or be dark "
                "(--set black=NUMBER --set white=NUMBER says which)",
                remedy=POINTS_REMEDY,
            )
        return turn_pixels(image, orientation), info
    return deep.turned(orientation), info


def _finished(
    pixels: Image | DeepPixels | None, info: FileInfo, reading: ImageReading
) -> tuple[Image, FileInfo]:
    """The pixels at 8 bits, and the properties with what the scaling did."""
    assert pixels is not None
    if not isinstance(pixels, DeepPixels):
        return pixels, info
    levels, points = pixels.levels(reading.points), reading.points
    share = np.bincount(levels.ravel(), minlength=256).cumsum() / max(1, levels.size)
    low, high = np.searchsorted(share, [_TAIL, 1 - _TAIL], side="right").clip(0, 255).tolist()
    clipped = 0.0
    if points is not None:
        outside = (pixels.known < points[0]) | (pixels.known > points[1])
        clipped = float(outside.mean()) if outside.size else 0.0
    step = levels.size // _DRAWN | 1  # an odd step meets all columns
    stored, kept = (np.unique(one.ravel()[::step]).size for one in (pixels.values, levels))
    merged = stored / max(1, kept)
    return levels, replace(info, deep=True, low=low, high=high, merged=merged, clipped=clipped)


def _orientation(pillow_image: PIL.Image.Image) -> int:
    """EXIF orientation as the file says, also if it is none of 1 to 8; 1 if it is damaged."""
    try:
        # Not PNG's method, which would decode the image in search of the block.
        value: Any = PIL.Image.Image.getexif(pillow_image).get(_ORIENTATION, UPRIGHT)
        number = 0 if isinstance(value, str | bytes) else int(value)
        return number if number == value and 0 <= number < 1 << 16 else UPRIGHT
    except Exception:
        return UPRIGHT


def _size(pillow_image: PIL.Image.Image) -> tuple[int, int]:
    """Height and width, upright. Pillow applies the orientation of a TIFF before decoding."""
    width, height = pillow_image.size
    turned = pillow_image.format != "TIFF" and _orientation(pillow_image) in SIDEWAYS
    return (width, height) if turned else (height, width)


def _may_turn_late(pillow_image: PIL.Image.Image, file: BinaryIO) -> bool:
    """Whether a PNG has a block after its pixels that can hold an orientation; few have."""
    if pillow_image.format != "PNG":
        return False
    pixels = False
    file.seek(8)
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        start = file.read(min(length, 21))
        if pixels and (
            kind == b"eXIf" or start.startswith((b"Raw profile type exif", b"XML:com.adobe.xmp"))
        ):
            return True
        pixels = pixels or kind == b"IDAT"
        file.seek(length - len(start) + 4, 1)
    return False
