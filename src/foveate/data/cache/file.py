"""The file of decoded images.

It holds, one after the other: a content hash of each image (16 bytes), the statistics of each
(IMAGE_STATS), the pixels from a page boundary on, checksums of statistics and pixels, a JSON
record, and a tail: the record's length, a digest of hashes, checksums and record, a magic word.
Where images are encoded (see `data.cache.encoded`), the length of each stands before its checksum.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from foveate.data.cache.encoded import TABLE, EncodedPixels, Encoding, encode_all
from foveate.data.cache.pixels import (
    CachedPixels,
    PixelsInFile,
    RawPixels,
    Shape,
    checksums,
    checksums_shape,
    read_at,
)
from foveate.data.image_stats import IMAGE_STATS
from foveate.regular_file import descriptor_of

FORMAT = 3
"""Version of the file and of everything computed from an image; any change raises it."""

HASH_BYTES = 16
"""Bytes of a content hash."""

MAX_CHECKED_BYTES = 1 << 26
"""Pixels that are checked at once when a file is opened, in 50 ms; those of a larger file are
checked as they are used."""

_PAGE_BYTES = 4096
_COPY_BYTES = 1 << 24  # bytes in memory at a time while grey pixels are widened
_MAGIC = b"foveate1"
_TAIL = struct.Struct("<Q16s8s")
_SUM = struct.Struct("<I")


@dataclass(frozen=True)
class CachedImages:
    """Decoded images; row i is the i-th readable sample.

    Attributes:
        pixels: (N, S, S, C) uint8, in memory or in a file.
        hashes: N times 16 bytes.
        image_stats: (N,) of IMAGE_STATS, or None if not computed.
        skipped: Index and reason of each unreadable sample.
        encoding: What the pixels went through.
    """

    pixels: NDArray[np.uint8] | CachedPixels
    hashes: bytes
    image_stats: NDArray[Any] | None
    skipped: dict[int, str]
    encoding: Encoding = "raw"


@dataclass(frozen=True)
class Record:
    """The JSON record of a file.

    Attributes:
        name: The file's stem.
        data: The name of the dataset.
        samples: Number of samples, readable or not.
        shape: (N, S, S, C) of the pixels.
        skipped: See `CachedImages`.
        encoding: How the pixels are stored.
        pixel_bytes: Bytes that they take.
    """

    name: str
    data: str
    samples: int
    shape: Shape
    skipped: dict[int, str]
    encoding: Encoding
    pixel_bytes: int

    @property
    def sums_bytes(self) -> int:
        """Bytes of the checksums of pixels, and of the lengths of encoded images."""
        if self.encoding == "jpeg":
            return TABLE.itemsize * self.shape[0]
        return 4 * math.prod(checksums_shape(self.shape))


# --- reading


def read(path: Path, *, check_pixels: bool = False) -> CachedImages:
    """Read hashes and statistics of a file that `Writer` wrote; pixels are read when indexed.

    Args:
        path: The file.
        check_pixels: Whether to check up to MAX_CHECKED_BYTES of pixels already now.

    Raises:
        ValueError: If it is damaged.
        DataError: If the pixels are; the file is removed then.
        OSError: If it cannot be read.
    """
    descriptor = descriptor_of(path)
    try:
        record, begin, digest = _record(descriptor)
        count, stats_begin, pixels_begin = record.shape[0], *_layout(record.samples)
        sums_begin, length = pixels_begin + record.pixel_bytes, _SUM.size + record.sums_bytes
        if record.name != path.stem or begin != sums_begin + length:
            raise ValueError("it holds other images, or some are missing")
        hashes = bytes(read_at(descriptor, HASH_BYTES * count, 0))
        end = read_at(
            descriptor, os.fstat(descriptor).st_size - _TAIL.size - sums_begin, sums_begin
        )
        if blake2b(hashes + end, digest_size=HASH_BYTES).digest() != digest:
            raise ValueError("its hashes or its record have been changed")
        stats = read_at(descriptor, IMAGE_STATS.itemsize * count, stats_begin)
        if (crc32(stats),) != _SUM.unpack_from(end):
            raise ValueError("its statistics have been changed")
    except BaseException:
        os.close(descriptor)
        raise
    pixels = _pixels(path, descriptor, pixels_begin, record, end[_SUM.size : length])
    if check_pixels and record.pixel_bytes <= MAX_CHECKED_BYTES:
        pixels.check()
    rows = np.frombuffer(stats, IMAGE_STATS)
    return CachedImages(pixels, hashes, rows, record.skipped, record.encoding)


def _pixels(
    path: Path, descriptor: int, begin: int, record: Record, sums: bytes | bytearray
) -> PixelsInFile:
    if record.encoding == "jpeg":
        table = np.frombuffer(sums, TABLE)
        return EncodedPixels(path, descriptor, begin, record.shape, table)
    blocks = np.frombuffer(sums, np.uint32).reshape(checksums_shape(record.shape))
    return RawPixels(path, descriptor, begin, record.shape, blocks)


def read_record(path: Path) -> Record:
    """Read the record alone, without the digest.

    Raises:
        ValueError: If it is damaged.
        OSError: If it cannot be read.
    """
    descriptor = descriptor_of(path)
    try:
        return _record(descriptor)[0]
    finally:
        os.close(descriptor)


def _record(descriptor: int) -> tuple[Record, int, bytes]:
    """Parse the record; return it with its offset and the digest."""
    end = os.fstat(descriptor).st_size - _TAIL.size
    if end < 0:
        raise ValueError("it is cut short")
    length, digest, magic = _TAIL.unpack(read_at(descriptor, _TAIL.size, end))
    if magic != _MAGIC or length > end:
        raise ValueError("it is cut short, or holds no decoded images")
    data = read_at(descriptor, length, end - length)
    try:
        fields = json.loads(data)
        count, size, _, channels = map(int, fields["shape"])
        skipped = {int(index): str(reason) for index, reason in fields["skipped"]}
        shape = (count, size, size, channels)
        encoded = fields.get("encoded_bytes")
        record = Record(
            fields["name"],
            str(fields["data"]),
            int(fields["samples"]),
            shape,
            skipped,
            "raw" if encoded is None else "jpeg",
            math.prod(shape) if encoded is None else int(encoded),
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"its record is damaged ({error})") from None
    if min(*shape, record.pixel_bytes) < 0 or count > record.samples:
        raise ValueError("its record is damaged")
    return record, end - length, digest


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
        encoding: How pixels are stored.
    """

    def __init__(
        self, descriptor: int, samples: int, size: int, channels: int, encoding: Encoding = "raw"
    ):
        self.descriptor, self.samples = descriptor, samples
        self.size, self.channels, self.encoding = size, channels, encoding
        self.count, self._hashes = 0, blake2b(digest_size=HASH_BYTES)
        self._pixel_bytes = 0
        self._stats_sum, self._sums = 0, bytearray()
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
        stats = image_stats.tobytes()
        self._write(stats, self._stats_begin + self.count * IMAGE_STATS.itemsize)
        if self.encoding == "jpeg":
            blobs = encode_all(pixels, image_stats["deep"])
            data = b"".join(blobs)
            sums = np.array([(len(blob), crc32(blob)) for blob in blobs], TABLE).tobytes()
        else:
            data, sums = pixels.tobytes(), checksums(pixels).tobytes()
        self._write(data, self._end)
        self._hashes.update(hashes)
        self._stats_sum = crc32(stats, self._stats_sum)
        self._sums += sums
        self._pixel_bytes += len(data)
        self.count += len(pixels)

    def widen(self, channels: int) -> None:
        """Repeat the grey pixels written so far over this number of channels.

        It works from the end, so that nothing is overwritten before it is read. Encoded grey images
        stay as they are; reading repeats them.
        """
        self.channels = channels
        if self.encoding == "jpeg":
            return
        image, sums = self.size * self.size, []
        for start, stop in _chunks_from_end(self.count, image):
            begin = self._pixels_begin + start * image
            grey = np.frombuffer(read_at(self.descriptor, (stop - start) * image, begin), np.uint8)
            wide = np.repeat(grey, channels).reshape(-1, self.size, self.size, channels)
            self._write(wide.tobytes(), self._pixels_begin + start * image * channels)
            sums.append(checksums(wide).tobytes())
        self._sums = bytearray(b"".join(reversed(sums)))
        self._pixel_bytes *= channels

    def close(self, name: str, data: str, skipped: dict[int, str]) -> None:
        """Write checksums and record, and flush the file to disk.

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
        if self.encoding == "jpeg":
            fields["encoded_bytes"] = self._pixel_bytes
        record = json.dumps(fields).encode()
        end = _SUM.pack(self._stats_sum) + self._sums + record
        self._hashes.update(end)
        end += _TAIL.pack(len(record), self._hashes.digest(), _MAGIC)
        self._write(end, self._end)
        os.ftruncate(self.descriptor, self._end + len(end))
        os.fsync(self.descriptor)

    @property
    def _end(self) -> int:
        return self._pixels_begin + self._pixel_bytes

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


def _chunks_from_end(count: int, image: int) -> Iterator[tuple[int, int]]:
    step = max(1, _COPY_BYTES // max(1, image))
    for start in reversed(range(0, count, step)):
        yield start, min(count, start + step)
