"""Decoded images in memory, for what need not or cannot be cached."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.data.cache.encoded import Encoding, decode_into, encode_all
from foveate.data.cache.file import CachedImages
from foveate.data.image_stats import IMAGE_STATS


class Memory:
    """Collects decoded images in memory, with the interface of `Writer`.

    Args:
        samples: Largest number of images.
        size: S, pixels a side.
        channels: C of the first images; see `Writer.widen`.
        encoding: "jpeg" for the pixels that a file of this encoding would give.
    """

    def __init__(self, samples: int, size: int, channels: int, encoding: Encoding = "raw"):
        self.size, self.channels, self.encoding = size, channels, encoding
        self.count = 0
        self._pixels = np.empty((samples, size, size, channels), np.uint8)
        self._hashes: list[bytes] = []
        self._stats: list[NDArray[Any]] = []

    def add(self, pixels: NDArray[np.uint8], hashes: bytes, image_stats: NDArray[Any]) -> None:
        """Append M images; see `Writer.add`. `image_stats` may be empty if they are not encoded."""
        rows = self._pixels[self.count : self.count + len(pixels)]
        if self.encoding == "jpeg":
            decode_into(encode_all(pixels, image_stats["deep"]), rows)
        else:
            rows[:] = pixels
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
            self.encoding,
        )
