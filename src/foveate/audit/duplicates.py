"""Search for duplicates: equal images, and images resized, re-encoded, cropped or brightened.

Comparing all pairs would be quadratic. Each image therefore becomes a point in few dimensions (the
lowest frequencies of its grey values, free of brightness and contrast), and a tree finds its
nearest neighbours. These are aligned coarsely at some slight crops; pairs that fit are aligned
finely, and the residual is measured.

How small the residual of a copy is depends on the dataset. Two handwritten ones, or two clear
skies, are alike although nobody copied them; but then each has many neighbours as near. So a pair
is a copy only if its residual is small, and far smaller than that between either image and its
other neighbours (the idea of the ratio test, Lowe, "Distinctive image features from scale-invariant
keypoints", 2004).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.data.image_stats import THUMB_SIDE

NEIGHBOURS = 12
COARSE, FINE = 8, 16
"""Pixels a side at which images are aligned."""
MAX_RESIDUAL = 0.08
"""Largest residual of a copy: the fraction of its variance that the other image leaves."""
MAX_RESIDUAL_RATIO = 0.1
"""Largest ratio of a copy's residual to the median residual of its neighbours."""
COARSE_SLACK = 2.0
"""Factor by which coarse alignment may exceed either limit."""
# A neighbour may be replaced by one up to twice as far: six times as fast, and no copy was lost.
_EPSILON = 1.0
_WAVES = 5  # lowest cosine frequencies a side, without the mean: 24 numbers
_MIN_STRUCTURE = 4.0  # standard deviation of grey levels that a comparison needs
_CHUNK = 20_000  # pairs that are compared at once

Windows = list[tuple[float, float]]
"""(length, start) of intervals of a line, as fractions of it."""
_CROPPED: Windows = [(0.95, 0.0), (0.95, 0.025), (0.95, 0.05)]
_INTERVALS: Windows = [(1 - n / 80, start / 80) for n in range(0, 10) for start in range(n + 1)]
"""All intervals of 89% or more of a line, in steps of an eightieth."""


@dataclass(frozen=True)
class DuplicateClusters:
    """Which images are copies of one another.

    Attributes:
        clusters: (N,) int64, equal for copies of one image.
        pairs: (M, 2) int64, rows that are copies.
    """

    clusters: NDArray[np.int64]
    pairs: NDArray[np.int64]


def find(
    hashes: Sequence[str],
    image_stats: NDArray[Any],
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> DuplicateClusters:
    """Find duplicates and near duplicates.

    Args:
        hashes: The content hash of each image.
        image_stats: (N,) of IMAGE_STATS.
        on_progress: Called with (pairs compared, pairs in all).
    """
    first: dict[str, int] = {}
    exact = np.array([first.setdefault(digest, row) for row, digest in enumerate(hashes)], np.int64)
    unique = np.flatnonzero(exact == np.arange(len(exact)))
    near = (
        unique[near_pairs(image_stats["thumb"][unique], on_progress)]
        if len(unique) > 1
        else np.zeros((0, 2), np.int64)
    )
    same = np.flatnonzero(exact != np.arange(len(exact)))
    pairs = np.concatenate([np.stack([exact[same], same], 1), near]).astype(np.int64)
    return DuplicateClusters(components(len(exact), pairs), pairs)


def components(count: int, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Compute the connected component of each of `count` rows, from (M, 2) pairs."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    result: NDArray[np.int64] = connected_components(graph, directed=False)[1].astype(np.int64)
    return result


def near_pairs(
    thumbs: NDArray[np.uint8], on_progress: Callable[[int, int], None] = lambda done, total: None
) -> NDArray[np.int64]:
    """Find near duplicates.

    Args:
        thumbs: (N, 32, 32) uint8 thumbnails of distinct images.
        on_progress: Called with (pairs compared, pairs in all).

    Returns:
        (M, 2) rows, the lower first.
    """
    chunks = [thumbs[start : start + _CHUNK] for start in range(0, len(thumbs), _CHUNK)]
    structured = np.flatnonzero(
        np.concatenate([[], *(some.std((1, 2), dtype=np.float32) for some in chunks)])
        >= _MIN_STRUCTURE
    )
    if len(structured) < 2:
        return np.zeros((0, 2), np.int64)
    thumbs = thumbs[structured]
    rows, others = _candidates(low_frequencies(thumbs))
    residuals = np.concatenate(list(_align_coarsely(thumbs, rows, others, on_progress)))
    typical, middle = _median_neighbour(rows, others, residuals, len(thumbs))
    candidates = (residuals <= COARSE_SLACK * MAX_RESIDUAL) & (
        residuals <= COARSE_SLACK * MAX_RESIDUAL_RATIO * np.minimum(typical[rows], typical[others])
    )
    rows, others = rows[candidates], others[candidates]
    residual = align_finely(thumbs, rows, others)
    # The median residual, just as finely, for the candidates alone.
    involved = np.unique(np.concatenate([rows, others]))
    typical[involved] = align_finely(thumbs, involved, middle[involved])
    copies = (residual <= MAX_RESIDUAL) & (
        residual <= MAX_RESIDUAL_RATIO * np.minimum(typical[rows], typical[others])
    )
    return structured[np.stack([rows[copies], others[copies]], 1)]


def low_frequencies(thumbs: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Compute (N, 24) float32 unit vectors of low frequencies; a slight crop moves them little."""
    waves = cosines(THUMB_SIDE, _WAVES)
    spectrum = np.einsum("ay,nyx,bx->nab", waves, thumbs.astype(np.float32), waves, optimize=True)
    flat = spectrum.reshape(len(thumbs), -1)[:, 1:]
    result: NDArray[np.float32] = flat / np.maximum(
        np.linalg.norm(flat, axis=1, keepdims=True), 1e-6
    )
    return result


def cosines(side: int, count: int) -> NDArray[np.float32]:
    """Compute the first (count, side) rows of the orthonormal discrete cosine transform."""
    wave, place = np.arange(count)[:, None], np.arange(side)[None, :]
    rows = np.cos(np.pi * wave * (place + 0.5) / side) * np.sqrt(np.where(wave == 0, 1, 2) / side)
    return rows.astype(np.float32)


def _candidates(points: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pair each point with its nearest neighbours, each pair once, the lower row first."""
    from scipy.spatial import cKDTree

    count = min(NEIGHBOURS + 1, len(points))
    _, found = cKDTree(points).query(points, k=count, eps=_EPSILON, workers=-1)
    rows = np.repeat(np.arange(len(points)), count)
    pairs = np.unique(np.sort(np.stack([rows, found.ravel()], 1), 1), axis=0)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    return pairs[:, 0], pairs[:, 1]


def _align_coarsely(
    thumbs: NDArray[np.uint8],
    rows: NDArray[np.int64],
    others: NDArray[np.int64],
    on_progress: Callable[[int, int], None],
) -> Iterator[NDArray[np.float32]]:
    """Residual of each pair if one shows all of the other or one of nine crops."""
    windows = [(1.0, 0.0, 1.0, 0.0), *((*y, *x) for y in _CROPPED for x in _CROPPED)]
    shown = np.empty((len(thumbs), len(windows), COARSE**2), np.float16)
    for start in range(0, len(thumbs), _CHUNK):
        some = thumbs[start : start + _CHUNK].astype(np.float32)
        for w, (height, top, width, left) in enumerate(windows):
            seen = (
                averages([(height, top)], COARSE)[0] @ some @ averages([(width, left)], COARSE)[0].T
            )
            shown[start : start + _CHUNK, w] = _normalise(seen).reshape(len(some), -1)
    for start in range(0, len(rows), _CHUNK):
        on_progress(start, len(rows))
        ones, twos = shown[rows[start : start + _CHUNK]], shown[others[start : start + _CHUNK]]
        ones, twos = ones.astype(np.float32), twos.astype(np.float32)
        r = np.maximum(
            np.einsum("pwk,pk->pw", ones, twos[:, 0]).max(1),
            np.einsum("pwk,pk->pw", twos, ones[:, 0]).max(1),
        )
        yield _residual(r)


def align_finely(
    thumbs: NDArray[np.uint8], rows: NDArray[np.int64], others: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Compute the residual of each pair of thumbnails where they align best.

    Each is tried as the whole of which the other shows a part. The intervals of height and width
    are searched in turn, over all of 89% or more of the side. Brightness and contrast are free, so
    the residual is 1 - r^2 of the correlation r, and 1 where r is not positive.

    Args:
        thumbs: (N, 32, 32) uint8.
        rows: (P,) one of each pair.
        others: (P,) the other.

    Returns:
        (P,) float32, from 0 to 1.
    """
    best = np.ones(len(rows), np.float32)
    intervals = averages(_INTERVALS, FINE)
    for start in range(0, len(rows), _CHUNK // 20):
        chunk = slice(start, start + _CHUNK // 20)
        for whole, part in ((rows[chunk], others[chunk]), (others[chunk], rows[chunk])):
            ones, twos = thumbs[whole].astype(np.float32), thumbs[part].astype(np.float32)
            shown = _normalise(intervals[0] @ twos @ intervals[0].T)
            at = np.zeros((2, len(ones)), np.int64)
            for axis in (0, 1, 0, 1):
                # The other axis, as it fitted best so far, (P, 16, 32).
                fixed = intervals[at[1 - axis]]
                lines = ones @ fixed.transpose(0, 2, 1) if axis == 0 else fixed @ ones
                r = np.empty((len(intervals), len(ones)), np.float32)
                for s, interval in enumerate(intervals):
                    seen = interval @ lines if axis == 0 else lines @ interval.T
                    r[s] = (_normalise(seen) * shown).sum((1, 2))
                at[axis] = r.argmax(0)
            best[chunk] = np.minimum(best[chunk], _residual(r.max(0)))
    return best


def averages(windows: Windows, side: int) -> NDArray[np.float32]:
    """Compute (windows, side, 32) weights that average a line's pixels within each window."""
    made = []
    for share, start in windows:
        edges = THUMB_SIDE * (start + share * np.arange(side + 1) / side)
        low, high, pixels = edges[:-1, None], edges[1:, None], np.arange(THUMB_SIDE)[None, :]
        overlap = np.clip(np.minimum(high, pixels + 1) - np.maximum(low, pixels), 0, None)
        made.append(overlap / overlap.sum(1, keepdims=True))
    return np.array(made, np.float32)


def _residual(r: NDArray[np.float32]) -> NDArray[np.float32]:
    return 1 - np.clip(r, 0, 1) ** 2


def _normalise(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Normalise each of (P, H, W) to mean 0 and norm 1."""
    centred = images - images.mean((1, 2), keepdims=True)
    result: NDArray[np.float32] = centred / np.maximum(
        np.sqrt((centred**2).sum((1, 2), keepdims=True)), 1e-6
    )
    return result


def _median_neighbour(
    rows: NDArray[np.int64], others: NDArray[np.int64], residuals: NDArray[np.float32], count: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(count,) residual between each image and its median neighbour, and that neighbour."""
    ends, far = np.concatenate([rows, others]), np.concatenate([others, rows])
    values = np.concatenate([residuals, residuals])
    order = np.lexsort((values, ends))
    ends, far, values = ends[order], far[order], values[order]
    starts = np.searchsorted(ends, np.arange(count))
    counts = np.searchsorted(ends, np.arange(count), "right") - starts
    middle = np.minimum(starts + counts // 2, len(values) - 1)
    return values[middle], far[middle]
