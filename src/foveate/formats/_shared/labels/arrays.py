"""Read label images that are arrays of numbers: NumPy files, and TIFFs of 64 bits."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.errors import BadImage
from foveate.regular_file import open_regular

MAX_NUMBER = 2**31 - 1
SEGMENTATION_SUFFIX = "_seg"
"""The names of the pickles in which Cellpose stores what it found end in this."""

_MAX_PIXELS = 89_478_485  # as for images
_BAD_FILE = (ValueError, OSError, EOFError, SyntaxError, OverflowError, MemoryError, TypeError)


def is_pickle(path: Path) -> bool:
    """Return whether a NumPy file holds Python objects, as those of Cellpose do."""
    try:
        read_npy(path)
    except BadImage as error:
        return "pickle" in error.message
    return False


def whole_numbers(values: NDArray[Any]) -> NDArray[np.int32]:
    """Return values as int32.

    Raises:
        BadImage: If they are not whole numbers from 0 to 2,147,483,647.
    """
    if not values.size or (values.dtype.itemsize <= 2 and values.dtype.kind in "bu"):
        return values.astype(np.int32)
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= MAX_NUMBER):  # written so that NaN is refused too
        raise BadImage(f"values from 0 to {MAX_NUMBER:,} are expected, got {low:g} to {high:g}")
    whole = values.astype(np.int32)
    if values.dtype.kind == "f" and (whole != values).any():
        raise BadImage(
            f"whole numbers are expected as labels, got {values[whole != values].flat[0]:g}"
        )
    return whole


def read_npy(path: Path) -> NDArray[np.int32]:
    """Read a NumPy file as (H, W) int32; one that holds Python objects is refused unread.

    Raises:
        BadImage: If it is not an array of labels with height and width.
    """
    problem = None
    try:
        with open_regular(path) as file:
            version = np.lib.format.read_magic(file)
            header = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = header(file)
            problem = _problem(shape, dtype)
            if problem is None:
                file.seek(0)
                array = np.load(file, allow_pickle=False)
    except _BAD_FILE as error:
        problem = f"a NumPy array is expected, this file is none or is damaged ({error})"
    if problem:
        raise BadImage(problem, where=path)
    try:
        return whole_numbers(_flat(array))
    except BadImage as error:
        raise BadImage(error.message, where=path) from None


def read_wide_tiff(path: Path) -> NDArray[np.int32] | None:
    """Read a TIFF of 64 bits, which Pillow cannot, as (H, W) int32.

    Returns:
        The values, or None if the file is no such TIFF.

    Raises:
        BadImage: If tifffile is not installed, or if the values are no labels.
    """
    try:
        import tifffile
    except ImportError:
        return None
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it logs what is raised here
    try:
        with (
            open_regular(path) as file,
            tifffile.TiffFile(file, name="labels.tif", _multifile=False) as tiff,
        ):
            page = tiff.pages[0]
            if len(tiff.pages) != 1 or page.dtype is None or page.dtype.itemsize != 8:
                return None
            if _problem(page.shape, page.dtype):
                return None
            array = page.asarray()
    except Exception:  # on damaged files its parsers raise anything at all
        return None
    return whole_numbers(_flat(array))


def _problem(shape: tuple[int, ...], dtype: np.dtype[Any]) -> str | None:
    """Return why an array cannot hold labels, or None."""
    if dtype.hasobject:
        return "an array of numbers is expected, this is a pickle, which is never loaded"
    sides = [side for side in shape if side != 1]
    if dtype.kind not in "biuf" or len(sides) > 2 or len(shape) < 2:
        return (
            f"an array of numbers with height and width is expected, got {dtype} of the shape "
            f"{shape}"
        )
    if np.prod(np.array(shape, np.float64)) > _MAX_PIXELS:
        return f"at most {_MAX_PIXELS:,} pixels are expected, this array has more"
    return None


def _flat(array: NDArray[Any]) -> NDArray[Any]:
    """Return (H, W) of an array whose other sides are 1, such as (1, H, W)."""
    while array.ndim > 2:
        array = array.squeeze(axis=array.shape.index(1))
    return array
