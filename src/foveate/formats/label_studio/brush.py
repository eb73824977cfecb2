"""Decode the brush masks of Label Studio.

The format is that of thi.ng/rle-pack: a stream of bits, the highest of each byte first. 32 bits for
the number of values; 5 for the bits of a value, less one; four times 4 for the bits of a length,
less one. Then runs: 1 bit that says whether one value is repeated, 2 that say which of the four
lengths follows, the length less one, and the value, or as many values. The values are those of an
image of four bands, of which the last, the opacity, is the mask.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BANDS = 4
_MAX_PIXELS = 1 << 28


def decode(data: bytes, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Decode a mask.

    Args:
        data: The stream.
        size: (height, width) of the image.

    Returns:
        (H, W) bool.

    Raises:
        ValueError: If it is not a mask of this size.
    """
    bits = _Bits(data)
    count, bits_of_value = bits.read(32), bits.read(5) + 1
    if count != size[0] * size[1] * _BANDS or size[0] * size[1] > _MAX_PIXELS:
        raise ValueError(f"{count:,} values do not make {size[1]} x {size[0]} pixels of four bands")
    lengths = [bits.read(4) + 1 for _ in range(4)]
    values: list[int] = []
    runs: list[int] = []
    total = 0
    while total < count:
        is_repeated = bits.read(1)
        length = bits.read(lengths[bits.read(2)]) + 1
        total += length
        if is_repeated:
            values.append(bits.read(bits_of_value))
            runs.append(length)
        else:
            values += [bits.read(bits_of_value) for _ in range(length)]
            runs += [1] * length
    if total > count:
        raise ValueError(f"{total:,} values are in it, {count:,} are announced")
    opaque = np.repeat(np.array(values, np.int64) > 0, runs)
    mask: NDArray[np.bool_] = opaque.reshape(*size, _BANDS)[..., -1]
    return mask


class _Bits:
    """A stream of bits, read from the first on."""

    def __init__(self, data: bytes):
        self._data = data
        self._at = 0

    def read(self, count: int) -> int:
        """Return the next bits as a number; raise ValueError beyond the end."""
        end = self._at + count
        if end > 8 * len(self._data):
            raise ValueError("it is cut short")
        first, last = self._at // 8, (end + 7) // 8
        number = int.from_bytes(self._data[first:last], "big")
        self._at = end
        return (number >> (8 * last - end)) & ((1 << count) - 1)
