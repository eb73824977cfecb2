"""Large TIFFs that are read by windows: memory never holds the whole image.

A TIFF is stored as tiles or strips. A window needs those that it touches: each is decoded as a
small TIFF of its own, by the same code as whole images, so that its pixels are the same.
"""

from __future__ import annotations

import math
import struct
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import PIL.Image
from PIL import TiffImagePlugin, TiffTags, UnidentifiedImageError

from foveate.data import pillow_pixels, resizing, tiff_stack
from foveate.data.dataset import Image
from foveate.data.image_file import is_tiff, open_file, refusing
from foveate.data.image_reading import ImageReading
from foveate.data.images import examine_bytes
from foveate.errors import BadImage

MIN_PIXELS = 2**24
"""Pixels of an image that is worth it: smaller ones are read whole, which is faster."""
MAX_WINDOWED = 16
"""Pixels that an image may have that is read by windows, as a multiple of those of others: its
prediction may need some bytes for each."""

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _ORIENTATION = 256, 257, 258, 259, 274
_STRIP_OFFSETS, _SAMPLES, _ROWS_PER_STRIP, _STRIP_COUNTS, _PLANAR = 273, 277, 278, 279, 284
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_COUNTS = 322, 323, 324, 325
# What tells how the values are stored: photometric interpretation, fill order, fax options, the
# predictor, a palette, inks, extra samples, kinds of numbers, JPEG's tables, luma and its range.
_KEPT = (_BITS, _COMPRESSION, 262, 266, _SAMPLES, _PLANAR, 280, 281, 292, 293, 317, 320, 332, 338,
         339, 340, 341, 347, 529, 530, 531, 532)  # fmt: skip
_UNCOMPRESSED, _OLD_JPEG = 1, 6
_MAX_PART_BYTES = 2**27  # of a tile or strip once it is decoded
_CACHED_BYTES = 2**27  # of decoded parts: a row of windows touches the same ones again and again
_RAW_STRIP_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class _Parts:
    """The tiles of an image, or its strips, which are tiles of its full width.

    Attributes:
        height: Of each part, in pixels; the last strip has fewer.
        width: Of each part, in pixels.
        across: Parts side by side.
        offsets: Where each lies in the file, row by row.
        counts: Bytes of each in the file.
    """

    height: int
    width: int
    across: int
    offsets: Sequence[int]
    counts: Sequence[int]


class TiffWindows:
    """An image in a TIFF that is read by windows.

    It answers `shape` and slices of rows and columns as an array (H, W, C) of uint8 does, so tiles
    can be cut from it like from any image.

    Attributes:
        path: The file.
        shape: (H, W, C).
        nbytes: Bytes that it holds in memory between reads, at most.
    """

    nbytes = _CACHED_BYTES
    ndim = 3
    dtype = np.dtype(np.uint8)

    def __init__(
        self, path: Path, reading: ImageReading, pillow_image: PIL.Image.Image, parts: _Parts
    ):
        tags: Any = pillow_image.tag_v2  # type: ignore[attr-defined]
        self.path = path
        self._reading = replace(reading, pages=None, max_pixels=_MAX_PART_BYTES)
        self._parts = parts
        self._prefix: bytes = tags.prefix
        self._tags = {tag: (tags.tagtype[tag], tags[tag]) for tag in _KEPT if tag in tags}
        self._cache: OrderedDict[int, Image] = OrderedDict()
        self._size = pillow_image.height, pillow_image.width
        with open_file(path) as file:
            channels = self._part(file, 0).shape[2]
        self.shape: tuple[int, int, int] = (*self._size, channels)

    def __getitem__(self, window: tuple[slice, slice]) -> Image:
        """The pixels of a window: `image[top:bottom, left:right]`."""
        (top, bottom, _), (left, right, _) = (
            one.indices(length) for one, length in zip(window, self._size, strict=True)
        )
        return self.read(top, left, bottom - top, right - left)

    def read(self, top: int, left: int, height: int, width: int) -> Image:
        """Decode a window that lies within the image.

        Args:
            top: First row.
            left: First column.
            height: Number of rows.
            width: Number of columns.

        Returns:
            (height, width, C) uint8.

        Raises:
            BadImage: The file is damaged there, or was changed since it was opened.
        """
        window = np.empty((height, width, self.shape[2]), np.uint8)
        parts = self._parts
        with open_file(self.path) as file:
            for down in range(top // parts.height, -(-(top + height) // parts.height)):
                for across in range(left // parts.width, -(-(left + width) // parts.width)):
                    part = self._part(file, down * parts.across + across)
                    above, before = down * parts.height - top, across * parts.width - left
                    rows, columns = part.shape[:2]
                    place = window[max(0, above) : above + rows, max(0, before) : before + columns]
                    place[:] = part[max(0, -above) :, max(0, -before) :][
                        : place.shape[0], : place.shape[1]
                    ]
        return window

    def fit_within(self, size: int, channels: int) -> Image:
        """Resize the whole image as `resizing.fit_within` does, to the same pixels.

        Pillow resizes across, then down. So does this, but each band of rows when it is read.
        """
        height, width = self._size
        shape = resizing.letterbox_size(height, width, size)
        narrow = [
            resizing.resize(resizing.convertible(band, channels), (len(band), shape[1]))
            for band in self._bands()
        ]
        return resizing.of_channels(resizing.resize(np.concatenate(narrow), shape), channels)

    def _bands(self) -> Iterator[Image]:
        height, width = self._size
        for top in range(0, height, self._parts.height):
            yield self.read(top, 0, min(self._parts.height, height - top), width)

    def _part(self, file: BinaryIO, number: int) -> Image:
        """A decoded tile or strip, at its full size even where it reaches beyond the image."""
        if number in self._cache:
            self._cache.move_to_end(number)
            return self._cache[number]
        parts = self._parts
        file.seek(parts.offsets[number])
        data = file.read(parts.counts[number])
        rows = parts.height
        if parts.across == 1 and parts.width == self._size[1]:
            rows = min(rows, self._size[0] - number * rows)
        part, _ = examine_bytes(self._as_file(data, rows), self.path, self._reading)
        self._cache[number] = part
        while len(self._cache) > 1 and len(self._cache) * part.nbytes > _CACHED_BYTES:
            self._cache.popitem(last=False)
        return part

    def _as_file(self, data: bytes, rows: int) -> bytes:
        """A TIFF whose only strip is this tile or strip."""
        ifd: Any = TiffImagePlugin.ImageFileDirectory_v2(prefix=self._prefix)
        own = {
            _WIDTH: self._parts.width,
            _HEIGHT: rows,
            _ROWS_PER_STRIP: rows,
            _STRIP_OFFSETS: 0,  # Pillow counts it from the end of the directory
            _STRIP_COUNTS: len(data),
        }
        for tag, (kind, value) in self._tags.items():
            ifd.tagtype[tag] = kind
            ifd[tag] = value
        for tag, number in own.items():
            ifd.tagtype[tag] = TiffTags.LONG
            ifd[tag] = number
        order = "<" if self._prefix == b"II" else ">"
        head = self._prefix + struct.pack(f"{order}HL", 42, 8)
        directory: bytes = ifd.tobytes(len(head))
        return head + directory + data


def open_windows(path: Path, reading: ImageReading) -> TiffWindows | None:
    """Open a large TIFF to read it by windows.

    Args:
        path: A file of any kind.
        reading: How image files are read.

    Returns:
        None for a file that has to be read whole: one that is small or no TIFF, one strip or tile
        of it holds too much, several bands or pages are asked for, or it lies on its side.

    Raises:
        BadImage: It cannot be read, or has more pixels than can be predicted.
    """
    limits = replace(reading, max_pixels=reading.max_pixels * MAX_WINDOWED)
    with open_file(path) as file, refusing(path, limits):
        pillow_image = _opened(file)
        if pillow_image is None or not _is_plain(pillow_image, reading):
            return None
        pixels = pillow_image.width * pillow_image.height
        parts = _find_parts(pillow_image)
        if pixels < MIN_PIXELS or parts is None:
            return None
        if pixels > limits.max_pixels:
            raise PIL.Image.DecompressionBombError
        return TiffWindows(path, reading, pillow_image, parts)


def is_windowed(path: Path, reading: ImageReading) -> bool:
    """Whether `open_windows` can read a file."""
    try:
        return open_windows(path, reading) is not None
    except BadImage:
        return False


def _opened(file: BinaryIO) -> PIL.Image.Image | None:
    """A TIFF, not decoded; None for other files."""
    if not is_tiff(file):
        return None
    try:
        return PIL.Image.open(file, formats=("TIFF",))
    except UnidentifiedImageError:  # tifffile may know it
        return None


def _is_plain(pillow_image: PIL.Image.Image, reading: ImageReading) -> bool:
    """Whether each part of the image is decoded like the whole."""
    tags: Any = pillow_image.tag_v2  # type: ignore[attr-defined]
    return (
        not tiff_stack.needed(pillow_image, reading)
        and tags.get(_ORIENTATION, 1) == 1
        and tags.get(_COMPRESSION, _UNCOMPRESSED) != _OLD_JPEG
        and (tags.get(_SAMPLES, 1) == 1 or tags.get(_PLANAR, 1) == 1)
        # Without black and white the values of the whole image decide how they are read.
        and (reading.points is not None or not pillow_pixels.is_deep(pillow_image))
    )


def _find_parts(pillow_image: PIL.Image.Image) -> _Parts | None:
    """The tiles or strips; None if they are too large, or not as many as expected."""
    tags: Any = pillow_image.tag_v2  # type: ignore[attr-defined]
    image_height, image_width = pillow_image.height, pillow_image.width
    tiled = _TILE_OFFSETS in tags
    if tiled:
        height, width = int(tags[_TILE_HEIGHT]), int(tags[_TILE_WIDTH])
    else:
        height = min(int(tags.get(_ROWS_PER_STRIP, image_height)), image_height)
        width = image_width
    names = (_TILE_OFFSETS, _TILE_COUNTS) if tiled else (_STRIP_OFFSETS, _STRIP_COUNTS)
    offsets, counts = (_as_tuple(tags.get(name, ())) for name in names)
    if not tiled and tags.get(_COMPRESSION, _UNCOMPRESSED) == _UNCOMPRESSED:
        height, offsets, counts = _raw_strips(tags, (image_height, width), height, offsets, counts)
    across = math.ceil(image_width / width)
    expected = math.ceil(image_height / height) * across
    if not len(offsets) == len(counts) == expected:
        return None
    if height * width * _bits(tags) // 8 > _MAX_PART_BYTES:
        return None
    return _Parts(height, width, across, offsets, counts)


def _raw_strips(
    tags: Any,
    size: tuple[int, int],
    height: int,
    offsets: tuple[int, ...],
    counts: tuple[int, ...],
) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    """Uncompressed strips that follow each other, cut into strips of a good size."""
    ends = tuple(offset + count for offset, count in zip(offsets, counts, strict=False))
    row_bytes = math.ceil(size[1] * _bits(tags) / 8)
    if not offsets or ends[:-1] != offsets[1:] or ends[-1] - offsets[0] < size[0] * row_bytes:
        return height, offsets, counts
    height = min(size[0], max(1, _RAW_STRIP_BYTES // row_bytes))
    tops = range(0, size[0], height)
    return (
        height,
        tuple(offsets[0] + top * row_bytes for top in tops),
        tuple(min(height, size[0] - top) * row_bytes for top in tops),
    )


def _bits(tags: Any) -> int:
    """Bits of a pixel."""
    bits = _as_tuple(tags.get(_BITS, 1))
    samples = int(tags.get(_SAMPLES, 1))
    return sum(bits) if len(bits) == samples else bits[0] * samples


def _as_tuple(value: Any) -> tuple[int, ...]:
    return tuple(map(int, value)) if isinstance(value, tuple) else (int(value),)
