"""The file of decoded images. It is memory-mapped, so only the pages in use take memory.

It holds, one after the other: a content hash of each image (16 bytes), the statistics of each
(IMAGE_STATS), the pixels from a page boundary on, a JSON record, and a tail with the record's
length, a checksum of hashes and record, and a magic word. It is written, not mapped, while it is
made: a full disk is then an error, where a map would end the process.
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
"""Version of the file and of everything computed from an image; any change raises it."""

HASH_BYTES = 16
"""Bytes of a content hash."""

_PAGE_BYTES = 4096
_COPY_BYTES = 1 << 24  # bytes in memory at a time while grey pixels are widened
_MAGIC = b"foveate1"
_TAIL = struct.Struct("<Q16s8s")


@dataclass(frozen=True)
class CachedImages:
    """Decoded images; row i is the i-th readable sample.

    Attributes:
        pixels: (N, S, S, C) uint8, read-only if mapped.
        hashes: N times 16 bytes.
        image_stats: (N,) of IMAGE_STATS, or None if not computed.
        skipped: Index and reason of each unreadable sample.
    """

    pixels: NDArray[np.uint8]
    hashes: bytes
    image_stats: NDArray[Any] | None
    skipped: dict[int, str]


@dataclass(frozen=True)
class Record:
    """The JSON record of a file.

    Attributes:
        name: The file's stem.
        data: The name of the dataset.
        samples: Number of samples, readable or not.
        shape: (N, S, S, C) of the pixels.
        skipped: See `CachedImages`.
    """

    name: str
    data: str
    samples: int
    shape: tuple[int, int, int, int]
    skipped: dict[int, str]


# --- reading


def read(path: Path) -> CachedImages:
    """Map a file that `Writer` wrote.

    Raises:
        ValueError: If it is damaged. Hashes and record are checked by a checksum, the pixels only
            for completeness.
        OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        return _mapped(file.fileno(), path.stem)


def read_record(path: Path) -> Record:
    """Read the record alone, without the checksum.

    Raises:
        ValueError: If it is damaged.
        OSError: If it cannot be read.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return _record(data)[0]


def _mapped(descriptor: int, name: str) -> CachedImages:
    data = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    record, begin, checksum = _record(data)
    hashes = data[: HASH_BYTES * record.shape[0]]
    if blake2b(hashes + data[begin : -_TAIL.size], digest_size=HASH_BYTES).digest() != checksum:
        raise ValueError("hashes or record were changed")
    stats_begin, pixels_begin = _layout(record.samples)
    if record.name != name or begin != pixels_begin + int(np.prod(record.shape)):
        raise ValueError("this is another file, or pixels are missing")
    return CachedImages(
        np.ndarray(record.shape, np.uint8, data, pixels_begin),
        hashes,
        np.ndarray(record.shape[:1], IMAGE_STATS, data, stats_begin),
        record.skipped,
    )


def _record(data: mmap.mmap) -> tuple[Record, int, bytes]:
    """Parse the record; return it with its offset and the checksum."""
    try:
        length, checksum, magic = _TAIL.unpack(data[-_TAIL.size :])
        begin = len(data) - _TAIL.size - length
        if magic != _MAGIC or begin < 0:
            raise ValueError("not a file of decoded images")
        fields = json.loads(data[begin : -_TAIL.size])
        count, size, _, channels = map(int, fields["shape"])
        skipped = {int(index): str(reason) for index, reason in fields["skipped"]}
        shape = (count, size, size, channels)
        record = Record(fields["name"], str(fields["data"]), int(fields["samples"]), shape, skipped)
        return record, begin, checksum
    except (struct.error, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(str(error)) from None


def _layout(samples: int) -> tuple[int, int]:
    """Offsets of the statistics and of the pixels in a file for this number of samples."""
    stats_begin = _round_up(samples * HASH_BYTES, 64)
    return stats_begin, _round_up(stats_begin + samples * IMAGE_STATS.itemsize, _PAGE_BYTES)


def _round_up(count: int, step: int) -> int:
    return -(-count // step) * step


# --- writing


class Writer:
    """Writes a file of decoded images.

    Args:
        descriptor: Of an empty file.
        samples: Largest number of images.
        size: S, pixels a side.
        channels: C of the first images; see `widen`.
    """

    def __init__(self, descriptor: int, samples: int, size: int, channels: int):
        self.descriptor, self.samples = descriptor, samples
        self.size, self.channels = size, channels
        self.count, self._checksum = 0, blake2b(digest_size=HASH_BYTES)
        self._stats_begin, self._pixels_begin = _layout(samples)

    def add(self, pixels: NDArray[np.uint8], hashes: bytes, image_stats: NDArray[Any]) -> None:
        """Append M images.

        Args:
            pixels: (M, S, S, C) uint8.
            hashes: M times 16 bytes.
            image_stats: (M,) of IMAGE_STATS.

        Raises:
            OSError: If they cannot be written, for instance on a full disk.
        """
        self._write(hashes, self.count * HASH_BYTES)
        self._write(image_stats.tobytes(), self._stats_begin + self.count * IMAGE_STATS.itemsize)
        self._write(pixels.tobytes(), self._end)
        self._checksum.update(hashes)
        self.count += len(pixels)

    def widen(self, channels: int) -> None:
        """Repeat the grey pixels written so far over this number of channels.

        It works from the end, so that nothing is overwritten before it is read.
        """
        image = self.size * self.size
        for start, stop in _chunks_from_end(self.count, image):
            begin = self._pixels_begin + start * image
            grey = np.frombuffer(_read_at(self.descriptor, (stop - start) * image, begin), np.uint8)
            wide = np.repeat(grey, channels).tobytes()
            self._write(wide, self._pixels_begin + start * image * channels)
        self.channels = channels

    def close(self, name: str, data: str, skipped: dict[int, str]) -> CachedImages:
        """Write the record, flush the file to disk, and map it.

        Args:
            name: The file's stem.
            data: The name of the dataset.
            skipped: Index and reason of each unreadable sample.
        """
        fields = {
            "name": name,
            "data": data,
            "samples": self.samples,
            "shape": [self.count, self.size, self.size, self.channels],
            "skipped": list(skipped.items()),
        }
        record = json.dumps(fields).encode()
        self._checksum.update(record)
        tail = _TAIL.pack(len(record), self._checksum.digest(), _MAGIC)
        self._write(record + tail, self._end)
        os.ftruncate(self.descriptor, self._end + len(record) + _TAIL.size)
        os.fsync(self.descriptor)
        return _mapped(self.descriptor, name)

    @property
    def _end(self) -> int:
        return self._pixels_begin + self.count * self.size * self.size * self.channels

    def _write(self, data: bytes, offset: int) -> None:
        view = memoryview(data)
        while view:
            written = _write_at(self.descriptor, view, offset)
            view, offset = view[written:], offset + written


def _write_at(descriptor: int, data: memoryview, offset: int) -> int:
    if hasattr(os, "pwrite"):
        return os.pwrite(descriptor, data, offset)
    os.lseek(descriptor, offset, os.SEEK_SET)  # Windows
    return os.write(descriptor, data)


def _read_at(descriptor: int, count: int, offset: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(descriptor, count, offset)
    os.lseek(descriptor, offset, os.SEEK_SET)  # Windows
    return os.read(descriptor, count)


def _chunks_from_end(count: int, image: int) -> Iterator[tuple[int, int]]:
    step = max(1, _COPY_BYTES // max(1, image))
    for start in reversed(range(0, count, step)):
        yield start, min(count, start + step)


class Memory:
    """Collects decoded images in memory, with the interface of `Writer`.

    Args:
        samples: Largest number of images.
        size: S, pixels a side.
        channels: C of the first images; see `Writer.widen`.
    """

    def __init__(self, samples: int, size: int, channels: int):
        self.size, self.channels = size, channels
        self.count = 0
        self._pixels = np.empty((samples, size, size, channels), np.uint8)
        self._hashes: list[bytes] = []
        self._stats: list[NDArray[Any]] = []

    def add(self, pixels: NDArray[np.uint8], hashes: bytes, image_stats: NDArray[Any]) -> None:
        """Append M images; see `Writer.add`. `image_stats` may be empty."""
        self._pixels[self.count : self.count + len(pixels)] = pixels
        self._hashes.append(hashes)
        self._stats.append(image_stats)
        self.count += len(pixels)

    def widen(self, channels: int) -> None:
        """Repeat the grey pixels over this number of channels."""
        self._pixels, self.channels = np.repeat(self._pixels, channels, 3), channels

    def close(self, skipped: dict[int, str]) -> CachedImages:
        """Return the images."""
        image_stats = np.concatenate([np.empty(0, IMAGE_STATS), *self._stats])
        complete = len(image_stats) == self.count
        return CachedImages(
            self._pixels[: self.count],
            b"".join(self._hashes),
            image_stats if complete else None,
            skipped,
        )
