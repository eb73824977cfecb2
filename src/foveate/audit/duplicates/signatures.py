"""Short descriptions of thumbnails by which copies are searched: their lowest frequencies.

The discrete cosine transform (Ahmed et al., 1974) turns a mirrored image into the same numbers with
some signs changed. A quarter turn swaps rows and columns as well, and a negative changes all signs.
So the magnitudes are the same for all sixteen, and the signs tell which one it is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foveate.audit.duplicates.chunks import in_chunks
from foveate.data.image_stats import THUMB_SIDE

Intervals = list[tuple[float, float]]
"""(length, start) of intervals of a line, as fractions of it."""

WHOLE = (1.0, 0.0)
WAVES = 5
"""Lowest frequencies a side that describe a window: 24 numbers without the mean."""
SAMPLES = 16
"""Pixels a side that a window is averaged to."""
ORIENTATIONS = (
    "",
    "mirrored",
    "mirrored top to bottom",
    "turned by 180°",
    "mirrored along a diagonal",
    "turned by 90°",
    "turned by 90°",
    "mirrored along a diagonal",
)
"""In words. Of the number, bit 2 swaps rows and columns; then bit 1 mirrors top and bottom, and bit
0 left and right."""
_CHUNK = 1024  # thumbnails that are transformed at once


def averages(intervals: Intervals, side: int) -> NDArray[np.float32]:
    """Compute (intervals, side, 32) weights that average a line's pixels within each interval."""
    made = []
    for share, start in intervals:
        edges = THUMB_SIDE * (start + share * np.arange(side + 1) / side)
        low, high, pixels = edges[:-1, None], edges[1:, None], np.arange(THUMB_SIDE)[None, :]
        overlap = np.clip(np.minimum(high, pixels + 1) - np.maximum(low, pixels), 0, None)
        made.append(overlap / overlap.sum(1, keepdims=True))
    return np.array(made, np.float32)


def cosines(side: int, count: int) -> NDArray[np.float32]:
    """Compute the first (count, side) rows of the orthonormal discrete cosine transform."""
    wave, place = np.arange(count)[:, None], np.arange(side)[None, :]
    rows = np.cos(np.pi * wave * (place + 0.5) / side) * np.sqrt(np.where(wave == 0, 1, 2) / side)
    return rows.astype(np.float32)


def transforms(intervals: Intervals, waves: int = WAVES) -> NDArray[np.float32]:
    """Compute (intervals, waves, 32) rows that take a line to the frequencies of an interval."""
    result: NDArray[np.float32] = cosines(SAMPLES, waves) @ averages(intervals, SAMPLES)
    return result


def spectra(
    thumbs: NDArray[np.uint8], intervals: Intervals, waves: int = WAVES
) -> NDArray[np.float32]:
    """Compute the frequencies of all windows, each of an interval down and one across.

    Args:
        thumbs: (N, 32, 32) uint8.
        intervals: W of them.
        waves: Frequencies a side.

    Returns:
        (N, W * W, waves * waves) float32 unit vectors, whose first number, the mean, is 0.
    """
    rows = transforms(intervals, waves).reshape(-1, THUMB_SIDE)
    result = np.empty((len(thumbs), len(intervals) ** 2, waves**2), np.float32)

    def transform(chunk: slice) -> None:
        values = rows @ thumbs[chunk].astype(np.float32) @ rows.T
        values = values.reshape(-1, len(intervals), waves, len(intervals), waves)
        result[chunk] = values.swapaxes(2, 3).reshape(len(values), -1, waves**2)
        result[chunk, :, 0] = 0
        norm = np.sqrt(np.einsum("nwk,nwk->nw", result[chunk], result[chunk]))
        result[chunk] /= np.maximum(norm, 1e-6)[..., None]

    in_chunks(transform, len(thumbs), _CHUNK)
    return result


def magnitudes(spectrum: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute (N, waves * waves) unit vectors that no turning, mirroring or inverting changes.

    Args:
        spectrum: (N, waves * waves), see `spectra`.
    """
    waves = round(spectrum.shape[1] ** 0.5)
    values = np.abs(spectrum).reshape(-1, waves, waves)
    swapped = values.swapaxes(1, 2)
    upper = np.tri(waves, dtype=bool).T
    both = np.where(upper, np.maximum(values, swapped), np.minimum(values, swapped))
    return both.reshape(spectrum.shape)


def orient(
    ones: NDArray[np.float32], twos: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find how the second of each pair must be turned to look like the first.

    Args:
        ones: (P, waves * waves), see `spectra`.
        twos: (P, waves * waves).

    Returns:
        (P,) a number of ORIENTATIONS, and (P,) the cosine, which is negative for a negative.
    """
    waves = round(ones.shape[1] ** 0.5)
    odd = np.arange(waves) % 2
    signs = np.array(
        [
            np.outer(1 - 2 * odd * (turn >> 1), 1 - 2 * odd * (turn & 1)).ravel()
            for turn in range(4)
        ],
        np.float32,
    )
    swapped = twos.reshape(-1, waves, waves).swapaxes(1, 2).reshape(twos.shape)
    every = np.concatenate([(ones * twos) @ signs.T, (ones * swapped) @ signs.T], 1)
    # An image that is symmetrical is called by the plainest name that fits.
    best = (np.abs(every) - 1e-4 * np.arange(8, dtype=np.float32)).argmax(1)
    return best, np.take_along_axis(every, best[:, None], 1)[:, 0]


def turn(thumbs: NDArray[np.uint8], orientation: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Turn each of (P, 32, 32) thumbnails by its number of ORIENTATIONS."""
    result = thumbs.copy()
    for bit, turned in ((4, result.swapaxes(1, 2)), (2, result[:, ::-1]), (1, result[:, :, ::-1])):
        some = (orientation & bit) > 0
        result[some] = turned[some]
    return result
