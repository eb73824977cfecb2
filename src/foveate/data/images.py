"""Image files decoded correctly: upright, 8 bits a channel, grey or RGB."""

from __future__ import annotations

import os
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, TypeVar

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin

from foveate.data.dataset import Image
from foveate.errors import BadImage
from foveate.regular_file import open_regular

T = TypeVar("T")
V = TypeVar("V", bound=np.generic)

_JPEG, _PNM = (".jpg", ".jpeg", ".jpe", ".jfif"), (".pbm", ".pgm", ".pnm", ".ppm")
IMAGE_SUFFIXES = frozenset(
    {".bmp", ".dib", ".gif", ".png", ".tif", ".tiff", ".webp", *_JPEG, *_PNM}
)
"""Lower-case file suffixes that are taken for images."""

# Only formats that are pure data: Pillow would start Ghostscript for a file that begins like EPS.
# Two of them are named through their plugins, which Pillow does not load by itself.
_PLUGINS = (TiffImagePlugin.TiffImageFile.format, WebPImagePlugin.WebPImageFile.format)
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "DIB", "PPM", *_PLUGINS)

# Pillow's limit, a quarter of a gibibyte at 24 bits; Pillow only warns of it.
_MAX_PIXELS = 89_478_485

_ORIENTATION, _PHOTOMETRIC = 0x0112, 0x0106  # tags of EXIF and TIFF

_quiet_lock = Lock()
_quiet_depth = 0
_quiet_filters = warnings.catch_warnings()


@dataclass(frozen=True, slots=True)
class FileSource:
    """An image file.

    Attributes:
        path: The file.
        white: The value that is white in a 16-bit grey image, e.g. 4095 for a 12-bit sensor.
    """

    path: Path
    white: int = 65535

    def read(self) -> Image:
        """Decode the image, (H, W, C) uint8; see `examine`."""
        return examine(self.path, self.white)[0]

    def examine(self) -> tuple[Image, FileInfo]:
        """Decode the image, and describe its file."""
        return examine(self.path, self.white)


@dataclass(frozen=True, slots=True)
class FileInfo:
    """The properties of an image file.

    Attributes:
        format: Pillow's name of the content's format, whatever the suffix says, e.g. "JPEG".
        mode: Pillow's name of the pixel format, e.g. "RGBA", "I;16".
        orientation: EXIF orientation, 1 (upright) to 8.
    """

    format: str
    mode: str
    orientation: int = 1


def decode(path: Path | str, white: int = 65535) -> Image:
    """Decode an image file, (H, W, C) uint8; see `examine`."""
    return examine(path, white)[0]


def examine(path: Path | str, white: int = 65535) -> tuple[Image, FileInfo]:
    """Decode an image file, and describe it.

    Animations give their first frame, documents their first page. Transparency is composited over
    white, as a page shows it: the colour stored under full transparency is arbitrary. CMYK becomes
    RGB without colour profiles. 16-bit grey is scaled from 0..white to 0..255, floats from 0..1 to
    0..255. Float and 32-bit images of another range are refused: stretching each by its range would
    make dark and bright ones look alike.

    Args:
        path: The file.
        white: The value that is white in a 16-bit grey image.

    Returns:
        (H, W, C) uint8, upright and writable, C = 1 (grey) or 3 (RGB); and the file's properties.

    Raises:
        BadImage: With the file and the reason, if it is not a readable image, or announces more
            than 89,478,485 pixels: a small file can unpack to that and fill the memory.
    """
    return load_with(path, lambda pillow_image: _examined(pillow_image, white))


def examine_bytes(data: bytes, where: Path | str) -> tuple[Image, FileInfo]:
    """Decode an image file that lies within another file.

    Args:
        data: The bytes of the image file.
        where: The name that an error message gives.

    Raises:
        BadImage: As `examine` does.
    """
    return _loaded(BytesIO(data), where, lambda pillow_image: _examined(pillow_image, 65535))


def examine_pillow(pillow_image: PIL.Image.Image, where: Path | str) -> tuple[Image, FileInfo]:
    """Convert an image that was opened with Pillow, as `examine` converts the same file.

    Args:
        pillow_image: Any image of any mode. It is not changed.
        where: The name that an error message gives.

    Raises:
        BadImage: As `examine` does.
    """
    return _loaded(pillow_image, where, lambda loaded: _examined(loaded, 65535))


def load_with(path: Path | str, convert: Callable[[PIL.Image.Image], T]) -> T:
    """Decode an image file with Pillow, and convert the result.

    Raises:
        BadImage: As `examine` does.
    """
    path = Path(path)
    with _open(path) as file:
        return _loaded(file, path, convert)


def size(path: Path | str) -> tuple[int, int]:
    """Read height and width of an image file, upright. Usually only the header is read.

    Raises:
        BadImage: As `examine` does.
    """
    path = Path(path)
    with _open(path) as file:
        shape = _opened(
            file,
            path,
            lambda pillow_image: (
                None if _may_turn_late(pillow_image, file) else _size(pillow_image)
            ),
        )
    if shape is None:
        height, width = examine(path)[0].shape[:2]
        return height, width
    return shape


def apply_orientation(values: NDArray[V], pillow_image: PIL.Image.Image) -> NDArray[V]:
    """Turn the (H, W, ...) values of an image's pixels upright, as its EXIF block says."""
    return _turn(values, _orientation(pillow_image))


def _loaded(
    file: BinaryIO | PIL.Image.Image, where: Path | str, convert: Callable[[PIL.Image.Image], T]
) -> T:
    def decoded(pillow_image: PIL.Image.Image) -> T:
        pillow_image.load()
        return convert(pillow_image)

    return _opened(file, where, decoded)


def _opened(
    file: BinaryIO | PIL.Image.Image, where: Path | str, convert: Callable[[PIL.Image.Image], T]
) -> T:
    """Open an image without decoding it, and convert it."""
    with _quiet():
        try:
            pillow_image = (
                file
                if isinstance(file, PIL.Image.Image)
                else PIL.Image.open(file, formats=_FORMATS)
            )
            if pillow_image.width * pillow_image.height > _MAX_PIXELS:
                raise PIL.Image.DecompressionBombError
            return convert(pillow_image)
        except BadImage as error:
            raise BadImage(error.message, where=where, remedy=error.remedy) from None
        except PIL.Image.DecompressionBombError:
            reason = (
                f"an image of at most {_MAX_PIXELS:,} pixels is expected, this one announces more"
            )
        except UnidentifiedImageError:
            reason = (
                "an image (PNG, JPEG, GIF, BMP, TIFF, WebP or PPM) is expected, "
                "this is none or is damaged"
            )
        except Exception as error:  # on damaged files Pillow's parsers raise anything at all
            reason = f"the image is damaged or cut short ({str(error) or type(error).__name__})"
        raise BadImage(reason, where=where)


def _examined(pillow_image: PIL.Image.Image, white: int) -> tuple[Image, FileInfo]:
    info = FileInfo(pillow_image.format or "", pillow_image.mode, _orientation(pillow_image))
    return _turn(_levels(pillow_image, white), info.orientation), info


def _open(path: Path) -> BinaryIO:
    """Open a file that is not empty."""
    try:
        file = open_regular(path)
    except FileNotFoundError:
        reason = "an image is expected, but there is no such file"
    except PermissionError:
        reason = "the file may not be read (permission denied)"
    except OSError as error:  # e.g. a pipe, a loop of links, a NUL in the name
        reason = f"the file cannot be opened ({error.strerror or error})"
    else:
        if os.fstat(file.fileno()).st_size:
            return file
        file.close()
        reason = "an image is expected, this file is empty (0 bytes)"
    raise BadImage(reason, where=path)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Pillow's warnings while any thread decodes.

    They are harmless (a malformed tag) or raised as errors here. Python's filters are shared by all
    threads, so the first one in sets them and the last one out resets them.
    """
    global _quiet_depth, _quiet_filters
    with _quiet_lock:
        if _quiet_depth == 0:
            _quiet_filters = warnings.catch_warnings()
            _quiet_filters.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\.")
        _quiet_depth += 1
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_depth -= 1
            if _quiet_depth == 0:
                _quiet_filters.__exit__(None, None, None)


def _levels(pillow_image: PIL.Image.Image, white: int) -> Image:
    """Convert any of Pillow's modes to (H, W, 1 or 3) uint8."""
    if pillow_image.mode == "F":
        return _scaled(np.asarray(pillow_image), 1)
    if pillow_image.mode.startswith("I"):
        values = np.asarray(pillow_image)
        # Pillow inverts such TIFFs at 8 bits, but not at 16.
        inverted = getattr(pillow_image, "tag_v2", {}).get(_PHOTOMETRIC) == 0
        return _scaled(white - values.astype(np.int64) if inverted else values, white)
    if pillow_image.has_transparency_data:
        grey = pillow_image.mode in ("1", "L", "LA", "La")
        paper = PIL.Image.new("RGBA", pillow_image.size, "white")
        pillow_image = PIL.Image.alpha_composite(paper, pillow_image.convert("RGBA")).convert(
            "L" if grey else "RGB"
        )
    elif pillow_image.mode != "L" and pillow_image.mode != "RGB":
        pillow_image = pillow_image.convert("L" if pillow_image.mode == "1" else "RGB")
    image = np.array(pillow_image)
    return image[..., None] if image.ndim == 2 else image


def _scaled(values: NDArray[Any], white: int) -> Image:
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= white):  # written so that NaN is refused too
        raise BadImage(
            f"grey values from 0 to {white} are expected, got {low:g} to {high:g}",
            remedy="Export the images with 8 or 16 bits a channel, all scaled alike.",
        )
    return np.rint(values * np.float32(255 / white)).astype(np.uint8)[..., None]


def _orientation(pillow_image: PIL.Image.Image) -> int:
    """EXIF orientation, 1 (upright) to 8; 1 if it is none of them or damaged, as viewers do."""
    try:
        # Not PNG's method, which would decode the image in search of the block.
        value: Any = PIL.Image.Image.getexif(pillow_image).get(_ORIENTATION)
        return int(value) if value in range(1, 9) else 1
    except Exception:
        return 1


def _size(pillow_image: PIL.Image.Image) -> tuple[int, int]:
    """Height and width, upright. Pillow applies the orientation of a TIFF before decoding."""
    width, height = pillow_image.size
    turned = pillow_image.format != "TIFF" and _orientation(pillow_image) in (5, 6, 7, 8)
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


def _turn(image: NDArray[V], orientation: int) -> NDArray[V]:
    """Turn (H, W, ...) values upright; EXIF 2.3, tag 0x0112."""
    match orientation:
        case 2:
            image = image[:, ::-1]
        case 3:
            image = image[::-1, ::-1]
        case 4:
            image = image[::-1]
        case 5:
            image = image.swapaxes(0, 1)
        case 6:
            image = np.rot90(image, -1)
        case 7:
            image = image[::-1, ::-1].swapaxes(0, 1)
        case 8:
            image = np.rot90(image, 1)
    return np.ascontiguousarray(image)
