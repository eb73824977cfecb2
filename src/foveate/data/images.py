"""Picture files as they are found in the wild, read right: upright, 8 bits a channel, grey or colour."""

from __future__ import annotations

import stat
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

T = TypeVar("T")
V = TypeVar("V", bound=np.generic)

_JPEG, _PNM = (".jpg", ".jpeg", ".jpe", ".jfif"), (".pbm", ".pgm", ".pnm", ".ppm")
PICTURE_SUFFIXES = frozenset(
    {".bmp", ".dib", ".gif", ".png", ".tif", ".tiff", ".webp", *_JPEG, *_PNM}
)
"""The endings, in lower case, of files that are taken for pictures."""

# Only formats that are pure data. Pillow would otherwise start Ghostscript for a file that begins like EPS.
# Two of them are named through their plugins, which Pillow does not load by itself.
_PLUGINS = (TiffImagePlugin.TiffImageFile.format, WebPImagePlugin.WebPImageFile.format)
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "DIB", "PPM", *_PLUGINS)

_MOST_PIXELS = (
    89_478_485  # Pillow's limit (a quarter of a gibibyte at 24 bits), of which it only warns
)

_ORIENTATION, _PHOTOMETRIC = 0x0112, 0x0106  # tags of EXIF and TIFF

_quiet_lock = Lock()
_quiet_depth = 0
_quiet_filters = warnings.catch_warnings()


@dataclass(frozen=True, slots=True)
class FileSource:
    """A picture file.

    path: where it lies
    white: the value of a 16-bit grey picture that is shown as white, e.g. 4095 for a 12-bit sensor
    """

    path: Path
    white: int = 65535

    def read(self) -> Image:
        return examine(self.path, self.white)[0]

    def examine(self) -> tuple[Image, FileInfo]:
        """The picture, and what its file says of itself."""
        return examine(self.path, self.white)


@dataclass(frozen=True, slots=True)
class FileInfo:
    """What a picture file says of itself.

    format: Pillow's name of what it is, whatever its ending says, e.g. "JPEG"
    mode: Pillow's name of how its pixels are stored, e.g. "RGBA", "I;16"
    orientation: EXIF's, 1 (upright) to 8
    """

    format: str
    mode: str
    orientation: int = 1


def decode(path: Path | str, white: int = 65535) -> Image:
    """`examine` without the facts."""
    return examine(path, white)[0]


def examine(path: Path | str, white: int = 65535) -> tuple[Image, FileInfo]:
    """The picture in a file, (H, W, C) uint8, upright, C = 1 (grey) or 3 (RGB), writable; and what the file says.

    Of an animation the first frame, of a document the first page. Transparent pictures are laid over white,
    as a page shows them; the colour that is stored under full transparency is arbitrary. CMYK becomes RGB
    without colour profiles. 16-bit grey is scaled from 0..white to 0..255, floats from 0..1 to 0..255.
    A float or 32-bit picture of another range is refused: stretching each by its own range would make dark
    and bright ones look alike.

    Raises BadImage, with the file and the reason, for whatever is not a readable picture, and for one that
    announces more than 89,478,485 pixels: a small file can unpack to that and fill the memory.
    """
    return loaded(path, lambda pillow_image: _examined(pillow_image, white))


def examine_bytes(data: bytes, where: Path | str) -> tuple[Image, FileInfo]:
    """The same of the bytes of a file that lies within another one. where: what an error names."""
    return _loaded(BytesIO(data), where, lambda pillow_image: _examined(pillow_image, 65535))


def loaded(path: Path | str, take: Callable[[PIL.Image.Image], T]) -> T:
    """What `take` makes of the picture in a file, as Pillow decodes it. Raises BadImage as `examine` does."""
    path = Path(path)
    with _open(path) as file:
        return _loaded(file, path, take)


def size(path: Path | str) -> tuple[int, int]:
    """Height and width of the picture in a file, upright. Only the header is read. Raises BadImage as `examine` does."""
    path = Path(path)
    with _open(path) as file:
        found = _opened(
            file,
            path,
            lambda pillow_image: (
                None if _may_turn_late(pillow_image, file) else _size(pillow_image)
            ),
        )
    if found is None:
        height, width = examine(path)[0].shape[:2]
        return height, width
    return found


def upright(values: NDArray[V], pillow_image: PIL.Image.Image) -> NDArray[V]:
    """(H, W, ...) values of a picture's pixels, turned as its EXIF block says."""
    return _turn(values, _orientation(pillow_image))


def _loaded(file: BinaryIO, where: Path | str, take: Callable[[PIL.Image.Image], T]) -> T:
    def decoded(pillow_image: PIL.Image.Image) -> T:
        pillow_image.load()
        return take(pillow_image)

    return _opened(file, where, decoded)


def _opened(file: BinaryIO, where: Path | str, take: Callable[[PIL.Image.Image], T]) -> T:
    """The same before anything is decoded."""
    with _quiet():
        try:
            pillow_image = PIL.Image.open(file, formats=_FORMATS)
            if pillow_image.width * pillow_image.height > _MOST_PIXELS:
                raise PIL.Image.DecompressionBombError
            return take(pillow_image)
        except BadImage as error:
            raise BadImage(error.message, where=where, remedy=error.remedy) from None
        except PIL.Image.DecompressionBombError:
            reason = (
                f"a picture of at most {_MOST_PIXELS:,} pixels is expected, this one announces more"
            )
        except UnidentifiedImageError:
            reason = "a picture (PNG, JPEG, GIF, BMP, TIFF, WebP or PPM) is expected, this is none or is damaged"
        except Exception as error:  # on damaged files Pillow's parsers raise anything at all
            reason = f"the picture is damaged or cut short ({str(error) or type(error).__name__})"
        raise BadImage(reason, where=where)


def _examined(pillow_image: PIL.Image.Image, white: int) -> tuple[Image, FileInfo]:
    facts = FileInfo(pillow_image.format or "", pillow_image.mode, _orientation(pillow_image))
    return _turn(_levels(pillow_image, white), facts.orientation), facts


PADDING = 114
"""Grey of what a letterboxed picture does not fill: near the mean of most pictures, so that it makes no strong edge."""


def inside(height: int, width: int, size: int) -> tuple[int, int]:
    """Height and width that a picture has in a letterbox: its longer side is `size` pixels at most, its aspect is kept, and
    what is smaller stays as it is, since enlarging tells nothing new and costs time.
    """
    longer = max(height, width, size)
    return max(1, round(height * size / longer)), max(1, round(width * size / longer))


def fit(image: Image, size: int, channels: int, *, letterbox: bool = False) -> Image:
    """The whole picture resized to (size, size, channels) uint8, never cut: stretched; or, as a letterbox, with its aspect
    kept and never enlarged, at the top left, on grey.

    Bilinear, antialiased when shrinking (Pillow's). Grey is repeated over the channels; colour becomes grey
    by ITU-R BT.601, 0.299 R + 0.587 G + 0.114 B. A picture that fits already is returned without a copy.
    Raises BadImage for other changes of the number of channels, and for a picture without pixels.
    """
    if image.shape == (size, size, channels):
        return image
    if not letterbox:
        return _of_channels(resize(_convertible(image, channels), (size, size)), channels)
    return padded(reduced(image, size, channels), size, size)


def reduced(image: Image, size: int, channels: int) -> Image:
    """What a letterbox of that size shows, without the padding. Raises as `fit` does."""
    image = _convertible(image, channels)
    return _of_channels(resize(image, inside(image.shape[0], image.shape[1], size)), channels)


def _convertible(image: Image, channels: int) -> Image:
    """With as many channels, or with one."""
    if image.size == 0:
        raise BadImage(f"a picture with pixels is expected, got the shape {image.shape}")
    if image.shape[2] in (channels, 1):
        return image
    if (image.shape[2], channels) != (3, 1):
        raise BadImage(f"a picture of {channels} channels is expected, got {image.shape[2]}")
    return np.array(PIL.Image.fromarray(image).convert("L"))[..., None]


def _of_channels(image: Image, channels: int) -> Image:
    return image if image.shape[2] == channels else np.repeat(image, channels, axis=2)


def padded(image: Image, height: int, width: int) -> Image:
    """The picture at the top left of (height, width, C), on grey."""
    if image.shape[:2] == (height, width):
        return image
    canvas = np.full((height, width, image.shape[2]), PADDING, np.uint8)
    canvas[: image.shape[0], : image.shape[1]] = image
    return canvas


def resize(image: Image, shape: tuple[int, int]) -> Image:
    """(H, W, C) uint8 -> (*shape, C). Bilinear, antialiased when shrinking (Pillow's)."""
    if image.shape[:2] == shape:
        return image
    if image.shape[2] == 3:
        return _resized(image, shape)
    return np.stack([_resized(image[..., band], shape) for band in range(image.shape[2])], axis=2)


def _resized(image: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    pillow_image = PIL.Image.fromarray(np.ascontiguousarray(image))
    return np.array(pillow_image.resize((shape[1], shape[0]), PIL.Image.Resampling.BILINEAR))


def _open(path: Path) -> BinaryIO:
    """The file, if it is one and not empty. A pipe or a device would make the reader wait forever."""
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise BadImage("a picture is expected, this is a folder", where=path)
        if not stat.S_ISREG(found.st_mode):
            raise BadImage("a picture is expected, this is not a regular file", where=path)
        if found.st_size == 0:
            raise BadImage("a picture is expected, this file is empty (0 bytes)", where=path)
        return path.open("rb")
    except FileNotFoundError:
        reason = "a picture is expected, but there is no such file"
    except PermissionError:
        reason = "the file may not be read (permission denied)"
    except (
        OSError,
        ValueError,
    ) as error:  # a loop of links, a name too long, a failing disk, a NUL in the name
        reason = f"the file cannot be opened ({getattr(error, 'strerror', None) or error})"
    raise BadImage(reason, where=path)


@contextmanager
def _quiet() -> Iterator[None]:
    """Pillow's warnings are off while any thread decodes: what they tell is harmless (a malformed tag) or is
    raised as an error here. Python's filters are shared by all threads, so the first one in sets them and the
    last one out resets them.
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
    """Any of Pillow's modes as (H, W, 1 or 3) uint8."""
    if pillow_image.mode == "F":
        return _scaled(np.asarray(pillow_image), 1)
    if pillow_image.mode.startswith("I"):
        values = np.asarray(pillow_image)
        # Pillow turns such TIFFs over at 8 bits, but not at 16.
        upside_down = getattr(pillow_image, "tag_v2", {}).get(_PHOTOMETRIC) == 0
        return _scaled(white - values.astype(np.int64) if upside_down else values, white)
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
    if not (low >= 0 and high <= white):  # so written, NaN is refused too
        raise BadImage(
            f"grey values from 0 to {white} are expected, got {low:g} to {high:g}",
            remedy="Export the picture with 8 or 16 bits a channel, scaled alike for the whole set.",
        )
    return np.rint(values * np.float32(255 / white)).astype(np.uint8)[..., None]


def _orientation(pillow_image: PIL.Image.Image) -> int:
    """EXIF's orientation, 1 (upright) to 8; upright too where the block is damaged, as viewers have it."""
    try:
        # Not PNG's own, which would decode the picture in search of the block.
        return int(PIL.Image.Image.getexif(pillow_image).get(_ORIENTATION, 1))
    except Exception:
        return 1


def _size(pillow_image: PIL.Image.Image) -> tuple[int, int]:
    """Height and width, upright. Of a TIFF Pillow knows that before it is decoded."""
    width, height = pillow_image.size
    return (
        (width, height)
        if pillow_image.format != "TIFF" and _orientation(pillow_image) in (5, 6, 7, 8)
        else (height, width)
    )


def _may_turn_late(pillow_image: PIL.Image.Image, file: BinaryIO) -> bool:
    """Whether a PNG has a block after its pixels that can say how it is turned. Hardly any has."""
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
    """(H, W, ...) as a person is meant to see it; EXIF 2.3, tag 0x0112."""
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
