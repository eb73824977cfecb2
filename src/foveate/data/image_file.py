"""Image files opened for decoding: of known formats, and of no more pixels than allowed."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import BinaryIO

import PIL.Image
from PIL import TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin

from foveate.data.image_reading import MAX_PIXELS, ImageReading
from foveate.errors import BadImage
from foveate.regular_file import open_regular

# Only formats that are pure data: Pillow would start Ghostscript for a file that begins like EPS.
# Two of them are named through their plugins, which Pillow does not load by itself.
_PLUGINS = (TiffImagePlugin.TiffImageFile.format, WebPImagePlugin.WebPImageFile.format)
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "DIB", "PPM", *_PLUGINS)

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # TIFF and BigTIFF

# pydicom's warnings are attributed to its caller.
_NOISY = r"(PIL|pydicom|tifffile)\.|foveate\.data\.dicom"

_quiet_lock = Lock()
_quiet_depth = 0
_quiet_filters = warnings.catch_warnings()
_quiet_limit = PIL.Image.MAX_IMAGE_PIXELS


def open_file(path: Path) -> BinaryIO:
    """Open a file that is not empty.

    Raises:
        BadImage: There is no such file, or it cannot be opened.
    """
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


def open_pillow(file: BinaryIO, reading: ImageReading) -> PIL.Image.Image:
    """Open an image with Pillow, without decoding it; to be called within `refusing`."""
    pillow_image = PIL.Image.open(file, formats=_FORMATS)
    check_size(pillow_image, reading)
    return pillow_image


def check_size(pillow_image: PIL.Image.Image, reading: ImageReading) -> None:
    """Refuse an image of more pixels than allowed; to be called within `refusing`."""
    if pillow_image.width * pillow_image.height > reading.max_pixels:
        raise PIL.Image.DecompressionBombError


def is_tiff(file: BinaryIO) -> bool:
    """Whether a file begins like a TIFF."""
    file.seek(0)
    found = file.read(4) in _TIFF
    file.seek(0)
    return found


@contextmanager
def refusing(where: Path | str, reading: ImageReading) -> Iterator[None]:
    """Turn whatever a decoder raises into BadImage, and silence its warnings.

    Args:
        where: The name that the error gives.
        reading: How many pixels are allowed.

    Raises:
        BadImage: The image cannot be read.
    """
    with _quiet(lift_limit=reading.max_pixels > MAX_PIXELS):
        try:
            yield
            return
        except BadImage as error:
            raise BadImage(error.message, where=where, remedy=error.remedy) from None
        except PIL.Image.DecompressionBombError:
            raise BadImage(
                f"an image of at most {reading.max_pixels:,} pixels is expected, this one "
                "announces more (--set max_pixels=NUMBER allows it)",
                where=where,
                remedy="If you trust the file, allow more pixels: --set max_pixels=NUMBER.",
            ) from None
        except UnidentifiedImageError:
            reason = (
                "an image (PNG, JPEG, GIF, BMP, TIFF, WebP, PPM or DICOM) is expected, "
                "this is none or is damaged"
            )
        except Exception as error:  # on damaged files the parsers raise anything at all
            reason = f"the image is damaged or cut short ({str(error) or type(error).__name__})"
        raise BadImage(reason, where=where)


@contextmanager
def _quiet(*, lift_limit: bool) -> Iterator[None]:
    """Silence Pillow's warnings while any thread decodes, and lift its limit of pixels if asked to.

    Warnings are harmless (a malformed tag) or raised as errors here; `check_size` has the limit.
    Python's filters and Pillow's limit are shared by all threads, so the first one in sets them and
    the last one out resets them.
    """
    global _quiet_depth, _quiet_filters, _quiet_limit
    with _quiet_lock:
        if _quiet_depth == 0:
            _quiet_filters = warnings.catch_warnings()
            _quiet_filters.__enter__()
            warnings.filterwarnings("ignore", module=_NOISY)
            _quiet_limit = PIL.Image.MAX_IMAGE_PIXELS
        if lift_limit:
            PIL.Image.MAX_IMAGE_PIXELS = None
        _quiet_depth += 1
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_depth -= 1
            if _quiet_depth == 0:
                _quiet_filters.__exit__(None, None, None)
                PIL.Image.MAX_IMAGE_PIXELS = _quiet_limit
