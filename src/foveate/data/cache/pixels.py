"""Decoded images that are read when they are indexed; in a file, and checked by CRC-32.

They are not memory-mapped: cutting a mapped file short ends the process that reads it (SIGBUS).
Each block is checked when it is first read, and once more after any change to the file, which
shows in its status: bytes that are not those that were written never reach a network.
"""

from __future__ import annotations

import math
import os
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from foveate.data.dataset import Image
from foveate.errors import DataError

Pixels = NDArray[np.uint8]
Shape = tuple[int, int, int, int]

_BLOCK_BYTES = 1 << 18  # a window of a large image costs the blocks that it touches
_BATCH_BYTES = 1 << 22  # in memory at a time while all images are checked
_seeking = Lock()  # Windows has no reads at an offset


class CachedPixels(ABC):
    """Square images: an array that is read when it is indexed.

    Args:
        shape: (N, S, S, C).
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, shape: Shape):
        self.shape = shape

    @property
    def nbytes(self) -> int:
        """Bytes of all pixels."""
        return math.prod(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Image]:
        return (self[row] for row in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:].astype(dtype or self.dtype, copy=False)

    def __getitem__(self, index: int | slice | NDArray[np.int64]) -> Pixels:
        """Read one image, (S, S, C), or several, (M, S, S, C); the result is a new array.

        Raises:
            DataError: If the file is damaged.
            IndexError: If there is no such image.
        """
        if isinstance(index, int | np.integer):
            image: Image = self._read([range(len(self))[index]])[0]
            return image
        if isinstance(index, slice):
            return self._read(range(len(self))[index])
        rows = np.asarray(index, np.int64)
        if rows.size and not -len(self) <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"one of {len(self)} images is expected, got {rows.tolist()}")
        return self._read(np.where(rows < 0, rows + len(self), rows).tolist())

    def window(self, row: int, top: int, bottom: int, left: int, right: int) -> Image:
        """Read a part of an image, (h, w, C).

        Args:
            row: The image.
            top: The first line.
            bottom: The line after the last; what lies beyond the image is left out.
            left: The first column.
            right: The column after the last, likewise.

        Raises:
            DataError: If the file is damaged.
            IndexError: If there is no such image.
        """
        window: Image = self[row][top:bottom, left:right]
        return window

    @abstractmethod
    def _read(self, rows: Sequence[int]) -> Pixels:
        """Read some images: (M, S, S, C)."""


class PixelsInFile(CachedPixels):
    """Images in a file.

    Args:
        path: The file. It is removed when it is found to be damaged.
        descriptor: Of the file; it is closed with this object.
        shape: (N, S, S, C).
    """

    def __init__(self, path: Path, descriptor: int, shape: Shape):
        super().__init__(shape)
        self.path, self._descriptor = path, descriptor
        weakref.finalize(self, os.close, descriptor)

    @abstractmethod
    def check(self) -> None:
        """Read all images.

        Raises:
            DataError: If the file is damaged.
        """

    def _damaged(self, row: int) -> DataError:
        """Remove the file, so that it is made again, and return the error that says so."""
        remedy = "The file is removed. Give the same command again, which decodes the images anew."
        try:
            if os.path.samestat(self.path.stat(), os.fstat(self._descriptor)):
                self.path.unlink()
        except FileNotFoundError:
            pass
        except OSError:  # the folder is read-only; Windows keeps files that are open
            remedy = "Remove the file, and give the same command again."
        return DataError(
            f"the decoded images in this file have been changed or damaged (image {row + 1:,})",
            where=self.path,
            remedy=remedy,
        )


class RawPixels(PixelsInFile):
    """Images in a file as they are.

    Args:
        path: The file. It is removed when it is found to be damaged.
        descriptor: Of the file; it is closed with this object.
        begin: Offset of the first image in bytes.
        shape: (N, S, S, C).
        sums: (N, B) uint32 of `checksums`.
    """

    def __init__(
        self, path: Path, descriptor: int, begin: int, shape: Shape, sums: NDArray[np.uint32]
    ):
        super().__init__(path, descriptor, shape)
        self._begin, self._sums = begin, sums
        self._image_bytes = shape[1] * shape[2] * shape[3]
        self._block_lines, blocks = _blocks_of(shape)
        self._intact = np.zeros((shape[0], blocks), bool)  # what has been checked
        self._status = _status(descriptor)

    def window(self, row: int, top: int, bottom: int, left: int, right: int) -> Image:
        """Read a part of an image, and no more of its lines than necessary."""
        first, stop = top // self._block_lines, -(-bottom // self._block_lines)
        begin = first * self._block_lines
        lines = self._read([range(len(self))[row]], begin, stop * self._block_lines)[0]
        window: Image = lines[top - begin : bottom - begin, left:right]
        return window

    def check(self) -> None:
        """Read all images."""
        step = max(1, _BATCH_BYTES // max(1, self._image_bytes))
        for start in range(0, len(self), step):
            self._read(range(len(self))[start : start + step])

    def _read(self, rows: Sequence[int], top: int = 0, bottom: int | None = None) -> Pixels:
        """Read some images, or their blocks between two lines: (M, h, S, C)."""
        height, width, channels = self.shape[1:]
        bottom = height if bottom is None else min(bottom, height)
        images = np.empty((len(rows), max(0, bottom - top), width, channels), np.uint8)
        if not images.size:
            return images
        begin, length = self._begin + top * width * channels, images.nbytes // len(rows)
        view, step, descriptor = images.data.cast("B"), self._image_bytes, self._descriptor
        for number, row in enumerate(rows):
            part = view[number * length : (number + 1) * length]
            if not read_into(descriptor, part, begin + row * step):
                raise self._damaged(row)
        # The status is read after the bytes: a change while they were read shows too.
        if (status := _status(self._descriptor)) != self._status:
            self._status = status
            self._intact[:] = False
        first, lines = top // self._block_lines, self._block_lines
        unchecked = ~self._intact[rows, first : -(-bottom // lines)]
        for number, block in np.argwhere(unchecked).tolist():
            place = rows[number], first + block
            part = images[number, block * lines : (block + 1) * lines].data
            if crc32(part) != self._sums[place]:
                raise self._damaged(rows[number])
            self._intact[place] = True
        return images


def checksums(pixels: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """CRC-32 of each block of lines of M images, (M, S, S, C) uint8 -> (M, B)."""
    lines, blocks = _blocks_of(pixels.shape)
    sums = [
        crc32(image[block * lines : (block + 1) * lines])
        for image in pixels
        for block in range(blocks)
    ]
    return np.array(sums, np.uint32).reshape(len(pixels), blocks)


def checksums_shape(shape: Shape) -> tuple[int, int]:
    """(N, B) of `checksums` of pixels of this shape."""
    return shape[0], _blocks_of(shape)[1]


def _blocks_of(shape: tuple[int, ...]) -> tuple[int, int]:
    """Lines of a block, and blocks of an image, of which the last may have fewer lines."""
    _, height, width, channels = shape
    lines = max(1, min(height, _BLOCK_BYTES // max(1, width * channels)))
    return lines, -(-height // lines)


def _status(descriptor: int) -> tuple[int, int, int]:
    status = os.fstat(descriptor)
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def read_at(descriptor: int, count: int, offset: int) -> bytearray:
    """Read bytes of a file.

    Raises:
        ValueError: If it is shorter, or cannot be read.
    """
    data = bytearray(count)
    if not read_into(descriptor, memoryview(data), offset):
        raise ValueError("it is cut short, or the disk cannot read it")
    return data


def read_into(descriptor: int, out: memoryview, offset: int) -> bool:
    """Fill `out` with bytes of a file; return whether that many could be read."""
    try:
        if not hasattr(os, "preadv"):
            with _seeking, open(descriptor, "rb", buffering=0, closefd=False) as file:
                file.seek(offset)
                return file.readinto(out) == len(out)
        while (count := os.preadv(descriptor, (out,), offset)) != len(out):
            if not count:
                return False
            out, offset = out[count:], offset + count
        return True
    except OSError:  # the disk cannot read a block
        return False
