"""Images that are stored encoded, in an eighth of the bytes, where pixels exceed the cache.

8-bit grey and RGB images are JPEG of quality 95 with colour at full resolution (4:4:4: at 32 px
4:2:0 doubles the error). What JPEG was not made for is PNG, without loss: other numbers of bands,
one below the other, and images that were scaled from more than 8 bits, whose faint structure may be
what matters. Label maps are never here: targets stay in their own files.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, TypeVar
from zlib import crc32

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from foveate.data.cache.pixels import Pixels, PixelsInFile, Shape, read_into
from foveate.data.dataset import Image

Encoding = Literal["raw", "jpeg"]
"""How a cache file stores pixels: as they are, or encoded as this module says."""

QUALITY = 95
"""Of JPEG, 1 to 100."""

TABLE = np.dtype([("bytes", np.uint32), ("sum", np.uint32)])
"""Length and CRC-32 of each encoded image."""

_MAX_THREADS = 8
_MIN_FOR_THREADS = 16  # images that take longer than threads to start
_CHECKED_AT_ONCE = 1024  # images

T = TypeVar("T")
R = TypeVar("R")


def encode(image: Image, *, lossless: bool) -> bytes:
    """Encode one (H, W, C) uint8 image; JPEG for 1 and 3 channels unless it must be lossless."""
    height, width, channels = image.shape
    file = io.BytesIO()
    if channels in (1, 3) and not lossless:
        pillow_image = PIL.Image.fromarray(image.squeeze(2) if channels == 1 else image)
        pillow_image.save(file, "JPEG", quality=QUALITY, subsampling=0)
    else:
        bands = image.transpose(2, 0, 1).reshape(channels * height, width)
        PIL.Image.fromarray(np.ascontiguousarray(bands)).save(file, "PNG", compress_level=1)
    return file.getvalue()


def encode_all(pixels: Pixels, lossless: NDArray[np.bool_]) -> list[bytes]:
    """Encode M images on all cores.

    Args:
        pixels: (M, S, S, C) uint8.
        lossless: (M,) which of them must keep their pixels.
    """
    return _map(
        lambda one: encode(one[0], lossless=bool(one[1])), list(zip(pixels, lossless, strict=True))
    )


def decode_into(blobs: Sequence[bytes | bytearray], out: Pixels) -> None:
    """Decode images on all cores; a grey one is repeated over the channels.

    With Pillow: torchvision's decoder is 1.4 times as fast at 128 px, but deprecated since 0.29.

    Args:
        blobs: M results of `encode`.
        out: (M, S, S, C) uint8, which is filled.

    Raises:
        ValueError: If one is no such image of this size.
    """
    _map(lambda one: _decode(*one), list(zip(blobs, out, strict=True)))


def _decode(blob: bytes | bytearray, out: Image) -> None:
    height, width, _ = out.shape
    with PIL.Image.open(io.BytesIO(blob), formats=["JPEG", "PNG"]) as file:
        image = np.asarray(file)
    if image.shape == out.shape:
        out[:] = image
    else:  # bands one below the other, of which one is repeated
        out[:] = image.reshape(-1, height, width).transpose(1, 2, 0)


def _map(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    if len(items) < _MIN_FOR_THREADS:
        return [work(item) for item in items]
    threads = min(cores(), _MAX_THREADS)
    parts = [items[start::threads] for start in range(threads)]
    results: list[Any] = [None] * len(items)
    with ThreadPoolExecutor(threads) as pool:
        for start, done in enumerate(pool.map(lambda part: [work(item) for item in part], parts)):
            results[start::threads] = done
    return results


def cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class EncodedPixels(PixelsInFile):
    """Encoded images in a file: an array of pixels, decoded when it is indexed.

    Args:
        path: The file. It is removed when it is found to be damaged.
        descriptor: Of the file; it is closed with this object.
        begin: Offset of the first image in bytes.
        shape: (N, S, S, C) of the decoded images.
        table: (N,) of TABLE.
    """

    def __init__(self, path: Path, descriptor: int, begin: int, shape: Shape, table: NDArray[Any]):
        super().__init__(path, descriptor, shape)
        ends = begin + np.cumsum(table["bytes"], dtype=np.int64)
        self._starts, self._table = ends - table["bytes"], table

    def check(self) -> None:
        """Read all images, without decoding them.

        Raises:
            DataError: If the file is damaged.
        """
        for start in range(0, len(self), _CHECKED_AT_ONCE):
            self._blobs(range(len(self))[start : start + _CHECKED_AT_ONCE])

    def _read(self, rows: Sequence[int]) -> Pixels:
        images = np.empty((len(rows), *self.shape[1:]), np.uint8)
        decode_into(self._blobs(rows), images)
        return images

    def _blobs(self, rows: Iterable[int]) -> list[bytearray]:
        """The bytes of some images, checked each time: that takes a fiftieth of decoding them."""
        blobs = []
        for row in rows:
            blob = bytearray(int(self._table["bytes"][row]))
            whole = read_into(self._descriptor, memoryview(blob), int(self._starts[row]))
            if not whole or crc32(blob) != self._table["sum"][row]:
                raise self._damaged(row)
            blobs.append(blob)
        return blobs
