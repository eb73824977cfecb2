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
    spans = averages(moves.ones, SAMPLES), averages(moves.twos, SAMPLES)

    def search(chunk: slice) -> None:
        images = ones[chunk].astype(np.float32), twos[chunk].astype(np.float32)
        result[chunk] = residual(_correlation(images, spans, at[:, chunk].copy()))

    in_chunks(search, len(ones), _CHUNK)
    return result


def align_both_ways(ones: NDArray[np.uint8], twos: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Compute the residual where either of two thumbnails is a slight crop of the other.

    Arguments and result are those of `align`.
    """
    return np.minimum(align(ones, twos, SLIGHTLY_CROPPED), align(twos, ones, SLIGHTLY_CROPPED))


def residual(r: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn correlations into the fractions of the variance that they leave unexplained."""
    result: NDArray[np.float32] = 1 - np.clip(r, 0, 1) ** 2
    return result


Pair = tuple[NDArray[np.float32], NDArray[np.float32]]


def _correlation(images: Pair, spans: Pair, at: NDArray[np.int64]) -> NDArray[np.float32]:
    """(P,) the correlation of each pair at its best moves, which are searched from `at`."""
    whole = bool((spans[1] == spans[1][0]).all())  # the second image is always seen whole
    fixed = _normalise(spans[1][0] @ images[1] @ spans[1][0].T) if whole else None
    r = np.empty((len(spans[0]), len(images[0])), np.float32)
    for axis in (0, 1, 0, 1):
        lines = [_along(seen, span, at, axis) for seen, span in zip(images, spans, strict=True)]
        for move in range(len(r)):
            one = _normalise(_window(lines[0], spans[0][move], axis))
            two = _normalise(_window(lines[1], spans[1][move], axis)) if fixed is None else fixed
            r[move] = (one * two).sum((1, 2))
        at[axis] = r.argmax(0)
    best: NDArray[np.float32] = r.max(0)
    return best


def _along(
    images: NDArray[np.float32], spans: NDArray[np.float32], at: NDArray[np.int64], axis: int
) -> NDArray[np.float32]:
    """Average over the interval of the other axis that fitted best so far."""
    other = spans[at[1 - axis]]
    result: NDArray[np.float32] = images @ other.swapaxes(1, 2) if axis == 0 else other @ images
    return result


def _window(
    lines: NDArray[np.float32], span: NDArray[np.float32], axis: int
) -> NDArray[np.float32]:
    result: NDArray[np.float32] = span @ lines if axis == 0 else lines @ span.T
    return result


def _normalise(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Normalise each of (P, H, W) to mean 0 and norm 1."""
    centred = images - images.mean((1, 2), keepdims=True)
    norm = np.sqrt(np.einsum("pij,pij->p", centred, centred))
    result: NDArray[np.float32] = centred / np.maximum(norm, 1e-6)[:, None, None]
    return result
