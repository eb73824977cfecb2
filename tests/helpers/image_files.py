"""Pictures that tests share, one made by hand, and how one is refused."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from foveate.data.images import decode
from foveate.errors import BadImage

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (5, 7), np.uint8)
RGB = RNG.integers(0, 256, (5, 7, 3), np.uint8)
RGBA = RNG.integers(0, 256, (5, 7, 4), np.uint8)
DEEP = RNG.integers(0, 65536, (5, 7), np.uint16)
DEEP[0, :4] = 0, 65535, 128, 129  # the ends, and both sides of the first rounding


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    """A PNG of the kinds that Pillow cannot write (W3C, PNG specification, section 11.2)."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def refused(path: Path) -> str:
    with pytest.raises(BadImage) as caught:
        decode(path)
    assert str(path) in str(caught.value)
    assert (
        str(path) not in caught.value.message
    )  # the message alone is the reason in a list of skipped files
    return caught.value.message
