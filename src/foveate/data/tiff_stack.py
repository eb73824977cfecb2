"""TIFFs that Pillow cannot read whole: several bands, stacks of pages, microscopes' axes."""

from __future__ import annotations

import logging
import re
from importlib import import_module
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from foveate.data.dataset import Image
from foveate.data.image_reading import DeepPixels, ImageReading, where_empty
from foveate.data.pillow_pixels import NODATA, drops_bands, inverted
from foveate.data.planes import as_image, check_size
from foveate.errors import BadImage

_DESCRIPTION, _ORIENTATION, _SUBFILE = 270, 274, 254
_REDUCED_OR_MASK = 0b101  # of NewSubfileType: a thumbnail, a level of a pyramid, a mask
_WHITE_IS_ZERO, _PALETTE, _CMYK = 0, 3, 5
_ALPHA = (1, 2)  # of ExtraSamples
_BAND_AXES = "CS"
_MAX_PAGES = 65_535


def needed(pillow_image: PIL.Image.Image, reading: ImageReading) -> bool:
    """Whether Pillow would drop a part of a TIFF that the reading asks for."""
    if drops_bands(pillow_image):
        return True
    description = str(_tag(pillow_image, _DESCRIPTION, ""))
    if not getattr(pillow_image, "is_animated", False) and _image_j_pages(description) == 1:
        return False
    return reading.pages in ("max", "bands") or _channels(description) > 1


def count_pages(pillow_image: PIL.Image.Image) -> int:
    """Number of pages of a TIFF that is not decoded yet, without thumbnails and masks."""
    if not getattr(pillow_image, "is_animated", False):
        return _image_j_pages(str(_tag(pillow_image, _DESCRIPTION, "")))
    pages = 0
    for index in range(_MAX_PAGES):
        try:
            pillow_image.seek(index)
        except EOFError:
            break
        pages += not int(_tag(pillow_image, _SUBFILE, 0)) & _REDUCED_OR_MASK
    pillow_image.seek(0)
    return max(1, pages)


def read(file: BinaryIO, reading: ImageReading) -> tuple[Image | DeepPixels, str, int]:
    """Read a TIFF with the library tifffile.

    The axes C (channels) and S (samples) become bands. Z, T and all others are pages.

    Args:
        file: The TIFF.
        reading: What is made of pages, and how many pixels are allowed.

    Returns:
        The pixels, upright; their type in words, e.g. "uint16 x5"; the number of pages.

    Raises:
        BadImage: The library is missing, or the file holds something else than such an image.
    """
    library = _library()
    file.seek(0)
    # Other files that a file names are not opened.
    with library.TiffFile(file, name="image.tif", _multifile=False) as tiff:
        series = [one for one in tiff.series if not one.keyframe.is_reduced]
        if not series:
            raise BadImage("an image with pixels is expected, this TIFF has none")
        planes, alpha = _planes(series[0], reading)
        nodata = series[0].keyframe.tags.valueof(NODATA)
        orientation = int(series[0].keyframe.tags.valueof(_ORIENTATION, 1))
        others = sum(len(one.pages) for one in series[1:])
    if others and reading.pages in ("max", "bands"):
        raise BadImage(
            f"pages of one size and type are expected for pages={reading.pages}, this file has "
            "others too",
            remedy="Use --set pages=first, or save the pages that matter in files of their own.",
        )
    values = as_image(planes, reading.pages)
    mode = f"{values.dtype} x{values.shape[2]}"
    deep = DeepPixels(values, alpha=alpha, empty=where_empty(values, nodata)).turned(orientation)
    pixels = deep.levels((0, 255)) if values.dtype == np.uint8 else deep
    return pixels, mode, len(planes) + others


def missing() -> BadImage:
    """The error for a TIFF that only the library can read."""
    return BadImage(
        "this TIFF has several bands, channels or pages, or a type of pixels that needs the "
        "library tifffile, which is not installed",
        remedy="Install it: pip install 'foveate[microscopy]'",
    )


def _library() -> ModuleType:
    try:
        library = import_module("tifffile")
    except ImportError:
        raise missing() from None
    # What is wrong with a file is raised; what is odd in it would be printed.
    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    return library


def _planes(series: Any, reading: ImageReading) -> tuple[NDArray[Any], NDArray[np.uint8] | None]:
    """(P, H, W, C) values of the pages, larger is brighter; and (H, W) opacity or None."""
    axes, shape, page = series.axes, series.shape, series.keyframe
    if "Y" not in axes or "X" not in axes:
        raise BadImage(f"an image with height and width is expected, got the axes {axes}")
    height, width = shape[axes.index("Y")], shape[axes.index("X")]
    check_size(height * width, int(np.prod(shape, dtype=np.int64)), reading)
    photometric = int(page.photometric)
    if photometric in (_PALETTE, _CMYK):
        raise BadImage(
            "grey, colour or several bands are expected in such a TIFF, got "
            + ("a palette" if photometric == _PALETTE else "CMYK"),
            remedy="Save it as RGB.",
        )
    values = _numbers(series.asarray())
    bands = [axis for axis, name in enumerate(axes) if name in _BAND_AXES]
    spatial = [axes.index("Y"), axes.index("X")]
    pages = [axis for axis in range(len(axes)) if axis not in (*bands, *spatial)]
    order = (*pages, *spatial, *bands)
    count = int(np.prod([shape[axis] for axis in pages], dtype=np.int64))
    planes = values.transpose(order).reshape(count, height, width, -1)
    if photometric == _WHITE_IS_ZERO:
        planes = inverted(planes)
    extra = tuple(getattr(page, "extrasamples", ()))
    if "S" in axes and extra and int(extra[-1]) in _ALPHA and planes.shape[3] in (2, 4):
        return planes[..., :-1], _opacity(planes[0, ..., -1])
    return planes, None


def _opacity(alpha: NDArray[Any]) -> NDArray[np.uint8] | None:
    if alpha.dtype.kind != "u":
        return None
    return (alpha >> 8 * (alpha.dtype.itemsize - 1)).astype(np.uint8)


def _numbers(values: NDArray[Any]) -> NDArray[Any]:
    """The values in a type that the levels can be computed from."""
    kind = values.dtype
    if kind == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if kind == np.float16:
        return values.astype(np.float32)
    if kind.kind not in "uif" or kind.itemsize > 8:
        raise BadImage(f"whole numbers or floats are expected as pixels, got {kind}")
    return values.astype(kind.newbyteorder("="), copy=False)


def _tag(pillow_image: PIL.Image.Image, tag: int, default: Any) -> Any:
    tags: Any = getattr(pillow_image, "tag_v2", {})
    return tags.get(tag, default)


def _channels(description: str) -> int:
    """The channels of an ImageJ or an OME-TIFF; 1 for others."""
    if description.startswith("ImageJ="):
        return _number("channels=", description)
    return _number('SizeC="', description)


def _image_j_pages(description: str) -> int:
    """The pages of an ImageJ TIFF, which may have a directory of the first one only."""
    if not description.startswith("ImageJ="):
        return 1
    return max(1, _number("images=", description) // _channels(description))


def _number(key: str, text: str) -> int:
    """The number after a key in a description; 1 if there is none."""
    found = re.search(re.escape(key) + r"(\d{1,9})", text)
    return int(found[1]) if found else 1
