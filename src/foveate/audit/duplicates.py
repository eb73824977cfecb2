"""The same picture twice: byte for byte, or resized, re-encoded, cropped a little, brightened.

Comparing all pairs would be quadratic. So each picture is first placed at a point in few dimensions (the coarsest
waves of its grey values, free of brightness and contrast), where a tree finds its nearest neighbours. Each picture is laid over
these few at some slight crops, coarsely; the pairs that fit are laid over each other finely, and what remains is measured.

How little must remain depends on the set. Two handwritten ones, or two clear skies, are alike although nobody copied
them; but then each has many neighbours as near. So a pair is a copy only if what remains is small, and far smaller than
what remains between either and its other neighbours (the idea of the ratio test, Lowe, "Distinctive image features from
scale-invariant keypoints", 2004).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.data.image_stats import THUMB

NEIGHBOURS = 12
COARSE, FINE = 8, 16
"""Pixels a side at which pictures are laid over each other."""
MOST_REMAINING = 0.08
"""Of a copy: the share of the picture's variance that the other does not explain, at most."""
RATIO = 0.1
"""Of a copy: what remains, against what usually remains between it and its neighbours, at most."""
LOOSER = 2.0
"""By so much either may be exceeded where pictures are laid over each other coarsely."""
_EPSILON = 1.0  # a neighbour may be passed over for one up to twice as far: six times as fast, and no copy was lost by it
_WAVES = 5  # coarsest cosine waves a side, the mean left out: 24 numbers
_FLAT = 4.0  # grey levels of deviation below which a thumb has no structure to compare
_CHUNK = 20_000  # pairs that are compared at once

Windows = list[tuple[float, float]]
"""(side, start) of stretches of a line, as shares of it."""
_CROPPED: Windows = [(0.95, 0.0), (0.95, 0.025), (0.95, 0.05)]
_STRETCHES: Windows = [(1 - n / 80, start / 80) for n in range(0, 10) for start in range(n + 1)]
"""All that show 89% or more of a line, in steps of an eightieth."""


@dataclass(frozen=True)
class Alike:
    """clusters: (N,) a number for each picture, the same for copies of one; pairs: (M, 2) rows that are copies."""

    clusters: NDArray[np.int64]
    pairs: NDArray[np.int64]


def find(
    hashes: Sequence[str],
    image_stats: NDArray[Any],
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> Alike:
    """Which pictures are copies of one another. hashes: of the contents; looks: (N,) of LOOK."""
    first: dict[str, int] = {}
    exact = np.array([first.setdefault(digest, row) for row, digest in enumerate(hashes)], np.int64)
    unique = np.flatnonzero(exact == np.arange(len(exact)))
    near = (
        unique[near_pairs(image_stats["thumb"][unique], tick)]
        if len(unique) > 1
        else np.zeros((0, 2), np.int64)
    )
    same = np.flatnonzero(exact != np.arange(len(exact)))
    pairs = np.concatenate([np.stack([exact[same], same], 1), near]).astype(np.int64)
    return Alike(components(len(exact), pairs), pairs)


def components(count: int, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """(count,) the number of the connected part that each row is in."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def near_pairs(
    thumbs: NDArray[np.uint8], tick: Callable[[int, int], None] = lambda done, total: None
) -> NDArray[np.int64]:
    """(N, 32, 32) grey pictures, no two the same -> (M, 2) rows that are near-copies, the lower row first."""
    chunks = [thumbs[start : start + _CHUNK] for start in range(0, len(thumbs), _CHUNK)]
    structured = np.flatnonzero(
        np.concatenate([[], *(some.std((1, 2), dtype=np.float32) for some in chunks)]) >= _FLAT
    )
    if len(structured) < 2:
        return np.zeros((0, 2), np.int64)
    thumbs = thumbs[structured]
    rows, others = _candidates(places(thumbs))
    remaining = np.concatenate(list(_laid_coarsely(thumbs, rows, others, tick)))
    usual, middle = _usual(rows, others, remaining, len(thumbs))
    hopeful = (remaining <= LOOSER * MOST_REMAINING) & (
        remaining <= LOOSER * RATIO * np.minimum(usual[rows], usual[others])
    )
    rows, others = rows[hopeful], others[hopeful]
    fine = laid_finely(thumbs, rows, others)
    # What usually remains, just as finely, for the pictures that are in question alone.
    asked = np.unique(np.concatenate([rows, others]))
    usual[asked] = laid_finely(thumbs, asked, middle[asked])
    copies = (fine <= MOST_REMAINING) & (fine <= RATIO * np.minimum(usual[rows], usual[others]))
    return structured[np.stack([rows[copies], others[copies]], 1)]


def places(thumbs: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, 32, 32) -> (N, 24) float32 of length 1: the coarsest waves, so that a slight crop moves a picture little."""
    waves = cosines(THUMB, _WAVES)
    spectrum = np.einsum("ay,nyx,bx->nab", waves, thumbs.astype(np.float32), waves, optimize=True)
    flat = spectrum.reshape(len(thumbs), -1)[:, 1:]
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)


def cosines(side: int, count: int) -> NDArray[np.float32]:
    """(count, side) float32: the first rows of the orthonormal discrete cosine transform."""
    wave, place = np.arange(count)[:, None], np.arange(side)[None, :]
    rows = np.cos(np.pi * wave * (place + 0.5) / side) * np.sqrt(np.where(wave == 0, 1, 2) / side)
    return rows.astype(np.float32)


def _candidates(points: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each point with its nearest neighbours, each pair once, the lower row first."""
    from scipy.spatial import cKDTree

    count = min(NEIGHBOURS + 1, len(points))
    _, found = cKDTree(points).query(points, k=count, eps=_EPSILON, workers=-1)
    rows = np.repeat(np.arange(len(points)), count)
    pairs = np.unique(np.sort(np.stack([rows, found.ravel()], 1), 1), axis=0)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    return pairs[:, 0], pairs[:, 1]


def _laid_coarsely(
    thumbs: NDArray[np.uint8],
    rows: NDArray[np.int64],
    others: NDArray[np.int64],
    tick: Callable[[int, int], None],
) -> Iterator[NDArray[np.float32]]:
    """What remains of each pair where one is the whole and the other shows all of it or one of nine crops."""
    windows = [(1.0, 0.0, 1.0, 0.0), *((*y, *x) for y in _CROPPED for x in _CROPPED)]
    shown = np.empty((len(thumbs), len(windows), COARSE**2), np.float16)
    for start in range(0, len(thumbs), _CHUNK):
        some = thumbs[start : start + _CHUNK].astype(np.float32)
        for w, (height, top, width, left) in enumerate(windows):
            seen = (
                averages([(height, top)], COARSE)[0] @ some @ averages([(width, left)], COARSE)[0].T
            )
            shown[start : start + _CHUNK, w] = _standard(seen).reshape(len(some), -1)
    for start in range(0, len(rows), _CHUNK):
        tick(start, len(rows))
        ones, twos = shown[rows[start : start + _CHUNK]], shown[others[start : start + _CHUNK]]
        ones, twos = ones.astype(np.float32), twos.astype(np.float32)
        r = np.maximum(
            np.einsum("pwk,pk->pw", ones, twos[:, 0]).max(1),
            np.einsum("pwk,pk->pw", twos, ones[:, 0]).max(1),
        )
        yield _remaining(r)


def laid_finely(
    thumbs: NDArray[np.uint8], rows: NDArray[np.int64], others: NDArray[np.int64]
) -> NDArray[np.float32]:
    """(P,): the share of variance that remains where each pair, (32, 32) grey, fits best.

    Each is tried as the whole of which the other shows a part. The part's stretch of the height and of the width are searched in
    turn, over all that are 89% or more of the side. Brightness and contrast are free, so what remains is 1 - r^2 of the
    correlation r; where r is not above 0 nothing is explained.
    """
    best = np.ones(len(rows), np.float32)
    stretches = averages(_STRETCHES, FINE)
    for start in range(0, len(rows), _CHUNK // 20):
        chunk = slice(start, start + _CHUNK // 20)
        for whole, part in ((rows[chunk], others[chunk]), (others[chunk], rows[chunk])):
            ones, twos = thumbs[whole].astype(np.float32), thumbs[part].astype(np.float32)
            shown = _standard(stretches[0] @ twos @ stretches[0].T)
            at = np.zeros((2, len(ones)), np.int64)
            for axis in (0, 1, 0, 1):
                held = stretches[
                    at[1 - axis]
                ]  # (P, 16, 32) of the other axis, as it fitted best so far
                lines = ones @ held.transpose(0, 2, 1) if axis == 0 else held @ ones
                r = np.empty((len(stretches), len(ones)), np.float32)
                for s, stretch in enumerate(stretches):
                    seen = stretch @ lines if axis == 0 else lines @ stretch.T
                    r[s] = (_standard(seen) * shown).sum((1, 2))
                at[axis] = r.argmax(0)
            best[chunk] = np.minimum(best[chunk], _remaining(r.max(0)))
    return best


def averages(windows: Windows, side: int) -> NDArray[np.float32]:
    """(windows, side, 32): each row averages the stretch of a line that falls on one pixel of the window."""
    made = []
    for share, start in windows:
        edges = THUMB * (start + share * np.arange(side + 1) / side)
        low, high, pixels = edges[:-1, None], edges[1:, None], np.arange(THUMB)[None, :]
        overlap = np.clip(np.minimum(high, pixels + 1) - np.maximum(low, pixels), 0, None)
        made.append(overlap / overlap.sum(1, keepdims=True))
    return np.array(made, np.float32)


def _remaining(r: NDArray[np.float32]) -> NDArray[np.float32]:
    return 1 - np.clip(r, 0, 1) ** 2


def _standard(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each of (P, H, W) with a mean of 0 and a length of 1."""
    centred = images - images.mean((1, 2), keepdims=True)
    return centred / np.maximum(np.sqrt((centred**2).sum((1, 2), keepdims=True)), 1e-6)


def _usual(
    rows: NDArray[np.int64], others: NDArray[np.int64], remaining: NDArray[np.float32], count: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(count,): what remains between each picture and the middle one of its neighbours, and which that is."""
    ends, far = np.concatenate([rows, others]), np.concatenate([others, rows])
    values = np.concatenate([remaining, remaining])
    order = np.lexsort((values, ends))
    ends, far, values = ends[order], far[order], values[order]
    starts = np.searchsorted(ends, np.arange(count))
    counts = np.searchsorted(ends, np.arange(count), "right") - starts
    middle = np.minimum(starts + counts // 2, len(values) - 1)
    return values[middle], far[middle]
