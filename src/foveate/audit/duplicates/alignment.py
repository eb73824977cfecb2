"""How well two thumbnails fit where they fit best: the residual of the pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.audit.duplicates.chunks import in_chunks
from foveate.audit.duplicates.signatures import SAMPLES, WHOLE, Intervals, averages

_STEPS = 80  # of a side, in which intervals are placed
_MARGIN = 2  # steps beside the border of a shifted image: a pixel of the thumbnail
_CHUNK = 500  # pairs that are aligned at once


Pair = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True)
class Moves:
    """What may have become of an image, along each of its sides.

    Attributes:
        ones: Intervals of the first image.
        twos: For each, the interval of the second image that shows the same.
    """

    ones: Intervals
    twos: Intervals

    def nearest(
        self, intervals: NDArray[np.float32], target: tuple[float, float]
    ) -> NDArray[np.int64]:
        """Find the move that is nearest to showing an interval of the first image at `target`.

        Args:
            intervals: (P, 2) length and start.
            target: Length and start of the interval of the second image.

        Returns:
            (P,) numbers of moves.
        """
        known = _scale_and_shift(np.array(self.ones), np.array(self.twos))
        wanted = _scale_and_shift(intervals, np.array([target]))
        result = np.empty(len(wanted), np.int64)

        def search(chunk: slice) -> None:
            result[chunk] = np.abs(wanted[chunk, None] - known[None]).sum(2).argmin(1)

        in_chunks(search, len(wanted), _CHUNK)
        return result


def _scale_and_shift(ones: NDArray[Any], twos: NDArray[Any]) -> NDArray[Any]:
    centres = ones.sum(1) - ones[:, 0] / 2 - (twos.sum(1) - twos[:, 0] / 2)
    return np.stack([ones[:, 0] / twos[:, 0] / 2, centres], 1)


def _cropped(shortest: int) -> Moves:
    """The second shows all of the first, or down to some steps of a side."""
    intervals = [
        (length / _STEPS, start / _STEPS)
        for length in range(_STEPS, shortest - 1, -1)
        for start in range(_STEPS - length + 1)
    ]
    return Moves(intervals, [WHOLE] * len(intervals))


def _shifted(most: int) -> Moves:
    """The second shows the first moved by some steps, and something else in the space left."""
    moves = sorted(range(-most, most + 1), key=abs)
    lengths = [(_STEPS - abs(by) - 2 * _MARGIN * (by != 0)) / _STEPS for by in moves]
    starts = [(max(by, 0) + _MARGIN * (by != 0)) / _STEPS for by in moves]
    mirrored = [(max(-by, 0) + _MARGIN * (by != 0)) / _STEPS for by in moves]
    return Moves(list(zip(lengths, starts, strict=True)), list(zip(lengths, mirrored, strict=True)))


SLIGHTLY_CROPPED = _cropped(71)
"""All of the first image, or 89% or more of a side."""
CROPPED = _cropped(62)
"""All of the first image, or 78% or more of a side."""
SHIFTED = _shifted(11)
"""By up to 14% of a side."""


def align(
    ones: NDArray[np.uint8],
    twos: NDArray[np.uint8],
    moves: Moves,
    at: NDArray[np.int64] | None = None,
) -> NDArray[np.float32]:
    """Compute the residual of each pair of thumbnails where they align best.

    The moves down and across are searched in turn. Brightness and contrast are free, so the
    residual is 1 - r^2 of the correlation r, and 1 where r is not positive.

    Args:
        ones: (P, 32, 32) uint8.
        twos: (P, 32, 32) uint8.
        moves: What may have become of the first to give the second.
        at: (2, P) the moves down and across that the search begins with; by default the first.

    Returns:
        (P,) float32, from 0 to 1.
    """
    result = np.ones(len(ones), np.float32)
    at = np.zeros((2, len(ones)), np.int64) if at is None else at
    sums = _Sums.of(moves)

    def search(chunk: slice) -> None:
        images = _centred(ones[chunk]), _centred(twos[chunk])
        result[chunk] = residual(_correlation(images, sums, at[:, chunk].copy()))

    in_chunks(search, len(ones), _CHUNK)
    return result


def align_both_ways(ones: NDArray[np.uint8], twos: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Compute the residual where either of two thumbnails is a slight crop of the other.

    Arguments and result are those of `align`.
    """
    return np.minimum(align(ones, twos, SLIGHTLY_CROPPED), align(twos, ones, SLIGHTLY_CROPPED))


def _centred(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Take the mean of each, lest the power of a window be a small difference of large sums."""
    result: NDArray[np.float32] = images - images.mean((1, 2), np.float32, keepdims=True)
    return result


def residual(r: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn correlations into the fractions of the variance that they leave unexplained."""
    result: NDArray[np.float32] = 1 - np.clip(r, 0, 1) ** 2
    return result


@dataclass(frozen=True)
class _Sums:
    """What the moves need of the products of all lines of pixels: weights of each product.

    The correlation at a move follows from sums over its windows, and each of these is a weighted
    sum of the products of the two images' lines. So one product of matrices gives all moves.

    Attributes:
        spans: Of the first and of the second image, (M, SAMPLES, 32) weights of pixels.
        of_pixels: For each image, (32, M), for the sum of a window.
        of_products: For each image, (32 * 32, M), for the sum of a window's squares.
        of_both: (32 * 32, M), for the sum of the products of both windows.
    """

    spans: Pair
    of_pixels: Pair
    of_products: Pair
    of_both: NDArray[np.float32]

    @classmethod
    def of(cls, moves: Moves) -> _Sums:
        one, two = averages(moves.ones, SAMPLES), averages(moves.twos, SAMPLES)

        def products(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
            return np.ascontiguousarray((a.swapaxes(1, 2) @ b).reshape(len(a), -1).T)

        return cls(
            (one, two),
            (one.sum(1).T, two.sum(1).T),
            (products(one, one), products(two, two)),
            products(one, two),
        )


def _correlation(images: Pair, sums: _Sums, at: NDArray[np.int64]) -> NDArray[np.float32]:
    """(P,) the correlation of each pair at its best moves, which are searched from `at`."""
    count = SAMPLES**2
    for axis in (0, 1, 0, 1):
        one, two = (_along(*seen, at, axis) for seen in zip(images, sums.spans, strict=True))
        mean_one = one.sum(2) @ sums.of_pixels[0] / count
        mean_two = two.sum(2) @ sums.of_pixels[1] / count
        power_one = _products(one, one) @ sums.of_products[0] - count * mean_one**2
        power_two = _products(two, two) @ sums.of_products[1] - count * mean_two**2
        together = _products(one, two) @ sums.of_both - count * mean_one * mean_two
        power = np.maximum(power_one, 1e-3) * np.maximum(power_two, 1e-3)
        r = together / np.sqrt(power)
        at[axis] = r.argmax(1)
    best: NDArray[np.float32] = r.max(1)
    return best


def _along(
    images: NDArray[np.float32], spans: NDArray[np.float32], at: NDArray[np.int64], axis: int
) -> NDArray[np.float32]:
    """(P, 32, SAMPLES) lines along an axis, averaged over the interval of the other that fits."""
    other = spans[at[1 - axis]].swapaxes(1, 2)
    result: NDArray[np.float32] = (images if axis == 0 else images.swapaxes(1, 2)) @ other
    return result


def _products(ones: NDArray[np.float32], twos: NDArray[np.float32]) -> NDArray[np.float32]:
    """(P, 32 * 32) the products of each line of the first with each of the second."""
    result: NDArray[np.float32] = (ones @ twos.swapaxes(1, 2)).reshape(len(ones), -1)
    return result
