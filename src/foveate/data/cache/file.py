"""The file that decoded pictures are kept in. It is read as it lies, mapped, so that only what is used is in memory.

It holds, one after the other: a content hash of each picture (16 bytes), a look at each (`looks.LOOK`), from a full page on
the pixels, then a record as JSON, and a tail with the record's length, a checksum of hashes and record, and a magic word.
It is written, not mapped, while it is made: a disk that is full is then an error, where a map would end the process.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.data.image_stats import IMAGE_STATS

FORMAT = 2
"""Raised whenever the file, or what is computed of a picture, comes out otherwise than before."""

HASH = 16
"""Bytes of a content hash."""

_PAGE = 4096
_STEP = 1 << 24  # bytes that are held at a time
_MAGIC = b"foveate1"
_TAIL = struct.Struct("<Q16s8s")


@dataclass(frozen=True)
class CachedImages:
    """Decoded pictures. Rows are the samples that could be read, in order.

    pixels: (N, S, S, C) uint8; hashes: N times 16 bytes; looks: (N,) of LOOK, None if they were not wanted
    skipped: the other samples, place in the set and reason
    """

    pixels: NDArray[np.uint8]
    hashes: bytes
    image_stats: NDArray[Any] | None
    skipped: dict[int, str]


@dataclass(frozen=True)
class Record:
    """What a file says of itself.

    name: its own, without the ending; data: the name of the set; samples: of the set, readable or not
    shape: (N, S, S, C) of the pixels; skipped: as in Kept
    """

    name: str
    data: str
    samples: int
    shape: tuple[int, int, int, int]
    skipped: dict[int, str]


# --- reading


def read(path: Path) -> CachedImages:
    """What `Writer` left at `path`, not to be written to.

    Raises ValueError if it is damaged: hashes and record are checked by their sum, of the pixels only that all are there.
    Raises OSError if it cannot be read.
    """
    with path.open("rb") as file:
        return _mapped(file.fileno(), path.stem)


def read_record(path: Path) -> Record:
    """The record alone, unchecked. Raises ValueError and OSError as `read` does."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return _record(data)[0]


def _mapped(descriptor: int, name: str) -> CachedImages:
    data = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    record, begin, checksum = _record(data)
    hashes = data[: HASH * record.shape[0]]
    if blake2b(hashes + data[begin : -_TAIL.size], digest_size=HASH).digest() != checksum:
        raise ValueError("hashes or record were changed")
    looks_begin, pixels_begin = _layout(record.samples)
    if record.name != name or begin != pixels_begin + int(np.prod(record.shape)):
        raise ValueError("this is another file, or a part is missing")
    return CachedImages(
        np.ndarray(record.shape, np.uint8, data, pixels_begin),
        hashes,
        np.ndarray(record.shape[:1], IMAGE_STATS, data, looks_begin),
        record.skipped,
    )


def _record(data: mmap.mmap) -> tuple[Record, int, bytes]:
    """The record, where in the file it begins, and the checksum."""
    try:
        length, checksum, magic = _TAIL.unpack(data[-_TAIL.size :])
        begin = len(data) - _TAIL.size - length
        if magic != _MAGIC or begin < 0:
            raise ValueError("no file of pictures")
        told = json.loads(data[begin : -_TAIL.size])
        count, size, _, channels = map(int, told["shape"])
        skipped = {int(place): str(reason) for place, reason in told["skipped"]}
        shape = (count, size, size, channels)
        return (
            Record(told["name"], str(told["data"]), int(told["samples"]), shape, skipped),
            begin,
            checksum,
        )
    except (struct.error, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(str(error)) from None


def _layout(samples: int) -> tuple[int, int]:
    """Where the looks and where the pixels begin, in a file for so many samples."""
    looks_begin = _up(samples * HASH, 64)
    return looks_begin, _up(looks_begin + samples * IMAGE_STATS.itemsize, _PAGE)


def _up(count: int, step: int) -> int:
    return -(-count // step) * step


# --- writing


class Writer:
    """A file of pictures in the making.

    descriptor: of an empty file; samples: that may come at most; size: S, of the pictures
    channels: of all that is written so far
    """

    def __init__(self, descriptor: int, samples: int, size: int, channels: int):
        self.descriptor, self.samples, self.size, self.channels = (
            descriptor,
            samples,
            size,
            channels,
        )
        self.count, self._sum = 0, blake2b(digest_size=HASH)
        self._looks, self._pixels = _layout(samples)

    def add(self, pixels: NDArray[np.uint8], hashes: bytes, image_stats: NDArray[Any]) -> None:
        """Some pictures more, (M, S, S, C) uint8. Raises OSError, for instance on a full disk."""
        self._write(hashes, self.count * HASH)
        self._write(image_stats.tobytes(), self._looks + self.count * IMAGE_STATS.itemsize)
        self._write(pixels.tobytes(), self._end)
        self._sum.update(hashes)
        self.count += len(pixels)

    def widen(self, channels: int) -> None:
        """All so far are grey: repeat that over so many channels, from the end on, so that nothing is lost on the way."""
        each = self.size * self.size
        for start, stop in _steps_back(self.count, each):
            begin = self._pixels + start * each
            grey = np.frombuffer(os.pread(self.descriptor, (stop - start) * each, begin), np.uint8)
            self._write(np.repeat(grey, channels).tobytes(), self._pixels + start * each * channels)
        self.channels = channels

    def close(self, name: str, data: str, skipped: dict[int, str]) -> CachedImages:
        """Add the record, see that everything is on the disk, and map it. name: of the file; data: of the set."""
        shape = [self.count, self.size, self.size, self.channels]
        told = {
            "name": name,
            "data": data,
            "samples": self.samples,
            "shape": shape,
            "skipped": list(skipped.items()),
        }
        written = json.dumps(told).encode()
        self._sum.update(written)
        self._write(written + _TAIL.pack(len(written), self._sum.digest(), _MAGIC), self._end)
        os.ftruncate(self.descriptor, self._end + len(written) + _TAIL.size)
        os.fsync(self.descriptor)
        return _mapped(self.descriptor, name)

    @property
    def _end(self) -> int:
        return self._pixels + self.count * self.size * self.size * self.channels

    def _write(self, data: bytes, offset: int) -> None:
        view = memoryview(data)
        while view:
            done = os.pwrite(self.descriptor, view, offset)
            view, offset = view[done:], offset + done


def _steps_back(count: int, each: int) -> Iterator[tuple[int, int]]:
    step = max(1, _STEP // max(1, each))
    for start in reversed(range(0, count, step)):
        yield start, min(count, start + step)


class Memory:
    """The same in memory."""

    def __init__(self, samples: int, size: int, channels: int):
        self.size, self.channels = size, channels
        self.count = 0
        self._pixels = np.empty((samples, size, size, channels), np.uint8)
        self._hashes: list[bytes] = []
        self._looks: list[NDArray[Any]] = []

    def add(self, pixels: NDArray[np.uint8], hashes: bytes, image_stats: NDArray[Any]) -> None:
        self._pixels[self.count : self.count + len(pixels)] = pixels
        self._hashes.append(hashes)
        self._looks.append(image_stats)
        self.count += len(pixels)

    def widen(self, channels: int) -> None:
        self._pixels, self.channels = np.repeat(self._pixels, channels, 3), channels

    def close(self, skipped: dict[int, str]) -> CachedImages:
        image_stats = np.concatenate([np.empty(0, IMAGE_STATS), *self._looks])
        hashes = b"".join(self._hashes)
        return CachedImages(
            self._pixels[: self.count],
            hashes,
            image_stats if len(image_stats) == self.count else None,
            skipped,
        )
