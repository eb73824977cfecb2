"""Near duplicates among thumbnails, found in four searches that compare no image with all others.

Each image becomes a point of few numbers, the lowest frequencies of its grey values, free of
brightness and contrast; its nearest neighbours are the candidates. The four searches differ in what
they describe: the whole image; its frequencies without their signs, which are the same for mirrored
and turned images and negatives; windows of it, which look like crops of it; and windows that look
like the centre of a shifted copy. Candidates are aligned coarsely, those that fit finely, and the
residual is measured.

How small the residual of a copy is depends on the dataset. Two handwritten ones, or two clear
skies, are alike although nobody copied them; but then each has many neighbours as near. So a pair
is a copy only if its residual is small, and far smaller than that between either image and its
other neighbours (the idea of the ratio test, Lowe, "Distinctive image features from scale-invariant
keypoints", 2004).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from foveate.audit.duplicates import alignment, signatures, windows
from foveate.audit.duplicates.chunks import in_chunks
from foveate.audit.duplicates.neighbours import Index

MAX_RESIDUAL = 0.08
"""Largest residual of a copy: the fraction of its variance that the other image leaves."""
_NEIGHBOURS = 12
_CELLS = 10  # that the neighbours of whole images are looked for in
_TURN_WAVES = 6  # frequencies a side by which turned images are found
_COARSE = 8  # pixels a side at which whole images are aligned coarsely
_SLIGHT_CROPS: signatures.Intervals = [(0.95, 0.0), (0.95, 0.025), (0.95, 0.05)]
_MIN_STRUCTURE = 4.0  # standard deviation of grey levels that a comparison needs
_CHUNK = 5_000

Rows = NDArray[np.int64]
Residuals = NDArray[np.float32]


@dataclass(frozen=True)
class Limits:
    """What a search calls a copy.

    Attributes:
        ratio: Largest ratio of a copy's residual to the usual residual of its neighbours.
        usual: Quantile of the neighbours' residuals that is the usual one. An image with several
            copies needs a higher one than the median.
        slack: Factor by which coarse alignment may exceed either limit.
    """

    ratio: float
    usual: float
    slack: float


SIMILAR = Limits(0.1, 0.5, 2)
TURNED = Limits(0.065, 0.75, 3)  # all eight orientations of an image may be there
WINDOWED = Limits(0.08, 0.5, 3)


@dataclass(frozen=True)
class NearPairs:
    """Near duplicates.

    Attributes:
        rows: (M, 2) int64, the lower first.
        changes: How the images of each pair differ, in words; may be empty.
        turned: Whether one of a pair is mirrored or turned.
    """

    rows: Rows
    changes: tuple[str, ...]
    turned: tuple[bool, ...]


Found = Iterator[tuple[int, int, str, bool]]
"""Pairs of rows with the change, and whether one is mirrored or turned."""


@dataclass(frozen=True)
class Candidates:
    """Pairs of neighbours, of which some may be copies.

    Attributes:
        ones: (P,) one row of each pair.
        twos: (P,) the other.
        coarse: (P,) the residual of coarse alignment.
        align: Aligns the pairs of some numbers finely, and returns their residuals.
    """

    ones: Rows
    twos: Rows
    coarse: Residuals
    align: Callable[[Rows], Residuals]

    def usual(self, quantile: float) -> Rows:
        """For each row, the number of the pair whose residual is at a quantile of the row's."""
        count = int(max(self.ones.max(), self.twos.max())) + 1
        ends = np.concatenate([self.ones, self.twos])
        # Residuals are positive, so the bits of floats rank as the floats do. Sorting whole
        # numbers of row and rank is several times as fast as sorting by one after the other.
        keys = ends.astype(np.uint64) << np.uint64(32) | np.tile(self.coarse, 2).view(np.uint32)
        order = np.argsort(keys)
        starts = np.searchsorted(ends[order], np.arange(count + 1))
        place = starts[:-1] + (np.diff(starts) * quantile).astype(np.int64)
        return order[np.minimum(place, len(order) - 1)] % len(self.ones)


def near_pairs(
    thumbs: NDArray[np.uint8], on_progress: Callable[[int, int], None] = lambda done, total: None
) -> NearPairs:
    """Find near duplicates.

    Args:
        thumbs: (N, 32, 32) uint8 thumbnails of distinct images.
        on_progress: Called with (searches done, searches in all).
    """
    structured = np.flatnonzero(_deviation(thumbs) >= _MIN_STRUCTURE)
    if len(structured) < len(thumbs):
        thumbs = thumbs[structured]
    if len(thumbs) < 2:
        return NearPairs(np.zeros((0, 2), np.int64), (), ())
    pairs: dict[tuple[int, int], tuple[str, bool]] = {}
    # The threads work on small matrices, which a BLAS with threads of its own only delays.
    with threadpool_limits(1, "blas"):
        similar = _similar(thumbs)
        searches: list[Callable[[], Found]] = [
            lambda: _copies_of(similar),
            lambda: _turned(thumbs, similar),
            lambda: _windowed(thumbs, windows.CROPS, similar),
            lambda: _windowed(thumbs, windows.SHIFTS, similar),
        ]
        for number, search in enumerate(searches):
            on_progress(number, len(searches))
            for one, two, change, turned in search():
                pairs.setdefault((min(one, two), max(one, two)), (change, turned))
    rows = structured[np.array(sorted(pairs), np.int64).reshape(-1, 2)]
    ordered = [pairs[key] for key in sorted(pairs)]
    return NearPairs(rows, tuple(c for c, _ in ordered), tuple(t for _, t in ordered))


def _deviation(thumbs: NDArray[np.uint8]) -> NDArray[np.float32]:
    result = np.empty(len(thumbs), np.float32)

    def measure(chunk: slice) -> None:
        result[chunk] = thumbs[chunk].std((1, 2), dtype=np.float32)

    in_chunks(measure, len(thumbs), _CHUNK)
    return result


def _similar(thumbs: NDArray[np.uint8]) -> Candidates:
    """Copies that are resized, re-encoded, brighter or slightly cropped."""
    points = np.ascontiguousarray(signatures.spectra(thumbs, [signatures.WHOLE])[:, 0, 1:])
    ones, twos = _neighbours(points)

    def align(which: Rows) -> Residuals:
        return alignment.align_both_ways(thumbs[ones[which]], thumbs[twos[which]])

    return Candidates(ones, twos, _align_coarsely(thumbs, ones, twos), align)


def _copies_of(similar: Candidates) -> Found:
    copies = _copies(similar, SIMILAR)
    return ((int(similar.ones[k]), int(similar.twos[k]), "", False) for k in copies)


def _turned(thumbs: NDArray[np.uint8], similar: Candidates) -> Found:
    """Copies that are mirrored, turned by quarters, or negatives."""
    spectrum = signatures.spectra(thumbs, [signatures.WHOLE], _TURN_WAVES)[:, 0]
    ones, twos = _neighbours(signatures.magnitudes(spectrum))
    orientation, cosine = np.empty(len(ones), np.int64), np.empty(len(ones), np.float32)

    def orient(chunk: slice) -> None:
        orientation[chunk], cosine[chunk] = signatures.orient(
            spectrum[ones[chunk]], spectrum[twos[chunk]]
        )

    in_chunks(orient, len(ones), _CHUNK)
    inverted = cosine < 0

    def align(which: Rows) -> Residuals:
        turned = signatures.turn(thumbs[twos[which]], orientation[which])
        turned[inverted[which]] = 255 - turned[inverted[which]]
        return alignment.align_both_ways(thumbs[ones[which]], turned)

    found = Candidates(ones, twos, alignment.residual(np.abs(cosine)), align)
    for k in _copies(found, TURNED, similar):
        words = signatures.ORIENTATIONS[orientation[k]], "inverted" if inverted[k] else ""
        if change := " and ".join(filter(None, words)):  # the others are the first search's
            yield int(ones[k]), int(twos[k]), change, bool(orientation[k])


def _windowed(thumbs: NDArray[np.uint8], search: windows.Search, similar: Candidates) -> Found:
    """Copies that are cropped, or shifted."""
    fits = windows.candidates(thumbs, search)

    def align(which: Rows) -> Residuals:
        starts = [search.moves.nearest(side[which], search.target) for side in fits.intervals]
        ones, twos = thumbs[fits.ones[which]], thumbs[fits.twos[which]]
        return alignment.align(ones, twos, search.moves, np.array(starts))

    found = Candidates(fits.ones, fits.twos, alignment.residual(fits.cosines), align)
    copies = _copies(found, WINDOWED, similar)
    return ((int(fits.ones[k]), int(fits.twos[k]), search.change, False) for k in copies)


def _neighbours(points: NDArray[np.float32]) -> tuple[Rows, Rows]:
    """Pair each point with its nearest neighbours, each pair once, the lower row first."""
    count = min(_NEIGHBOURS, len(points) - 1)
    found, cosines = Index(points).nearest(points, np.arange(len(points)), count, _CELLS)
    rows, columns = np.nonzero(cosines >= -1)
    others = found[rows, columns]
    key = np.unique(np.minimum(rows, others) * len(points) + np.maximum(rows, others))
    return key // len(points), key % len(points)


def _align_coarsely(thumbs: NDArray[np.uint8], rows: Rows, others: Rows) -> Residuals:
    """Residual of each pair if one shows all of the other or one of nine crops."""
    weights = signatures.averages([signatures.WHOLE, *_SLIGHT_CROPS], _COARSE)
    flat, sides = weights.reshape(-1, thumbs.shape[1]), len(weights)
    shown = np.empty((len(thumbs), 1 + (sides - 1) ** 2, _COARSE**2), np.float16)
    residuals = np.empty(len(rows), np.float32)

    def show(chunk: slice) -> None:
        seen = flat @ thumbs[chunk].astype(np.float32) @ flat.T
        seen = seen.reshape(-1, sides, _COARSE, sides, _COARSE).swapaxes(2, 3)
        crops = seen[:, 1:, 1:].reshape(len(seen), -1, _COARSE**2)
        seen = np.concatenate([seen[:, 0, 0].reshape(len(seen), 1, -1), crops], 1)
        seen -= seen.mean(2, keepdims=True)
        norm = np.sqrt(np.einsum("nwk,nwk->nw", seen, seen))
        shown[chunk] = seen / np.maximum(norm, 1e-6)[..., None]

    def compare(chunk: slice) -> None:
        ones, twos = shown[rows[chunk]].astype(np.float32), shown[others[chunk]].astype(np.float32)
        r = [(ones @ twos[:, 0, :, None]).max((1, 2)), (twos @ ones[:, 0, :, None]).max((1, 2))]
        residuals[chunk] = alignment.residual(np.maximum(*r))

    in_chunks(show, len(thumbs), _CHUNK)
    in_chunks(compare, len(rows), _CHUNK)
    return residuals


def _copies(found: Candidates, limits: Limits, similar: Candidates | None = None) -> Rows:
    """Numbers of the pairs that are copies.

    Args:
        found: The pairs.
        limits: What a copy is.
        similar: Pairs of images that look alike as they are. One image of a copy at least must
            have no neighbours as near among these; both, and all shifted copies would be lost if
            their borders are alike.
    """
    ones, twos = found.ones, found.twos
    if not len(ones):
        return np.zeros(0, np.int64)
    usual_pair = found.usual(limits.usual)
    usual = found.coarse[usual_pair]
    least = np.minimum(usual[ones], usual[twos])
    near = np.flatnonzero(
        (found.coarse <= limits.slack * MAX_RESIDUAL)
        & (found.coarse <= limits.slack * limits.ratio * least)
    )
    residuals = found.align(near)
    near, residuals = near[residuals <= MAX_RESIDUAL], residuals[residuals <= MAX_RESIDUAL]
    # The usual residual, just as finely, for these alone.
    involved = np.unique(np.concatenate([ones[near], twos[near]]))
    usual[involved] = found.align(usual_pair[involved])
    least = np.minimum(usual[ones[near]], usual[twos[near]])
    if similar is not None:
        usual[involved] = similar.align(similar.usual(SIMILAR.usual)[involved])
        least = np.minimum(least, np.maximum(usual[ones[near]], usual[twos[near]]))
    copies: Rows = near[residuals <= limits.ratio * least]
    return copies
