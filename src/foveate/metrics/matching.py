"""Which thing that was found is put down to which true one, within a picture, as COCO does it.

A thing that was found is a hit at a threshold if its IoU with a true one of its class, not yet taken by a surer one, reaches it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Boxes
from foveate.ops import boxes as ops

THRESHOLDS = np.linspace(0.5, 0.95, 10)
MOST = 100
"""Boxes of a class that count in a picture, the surest first."""
SIZES: dict[str, tuple[float, float]] = {
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
"""Square pixels of a true box, from and to."""
BITS = 1 << np.arange(len(THRESHOLDS))
"""One for each of THRESHOLDS: a number tells at which of them something is so."""


@dataclass(frozen=True)
class PairwiseOverlaps:
    """The things of one picture: D that were found, T that are true, how far they overlap, and how large they are.

    overlap: (D, T) IoU; areas: (T,) and found_areas: (D,) square pixels
    """

    found: Boxes
    true: Boxes
    overlap: NDArray[np.float64]
    found_areas: NDArray[np.float64]
    areas: NDArray[np.float64]

    @classmethod
    def boxes(cls, found: Boxes, true: Boxes) -> PairwiseOverlaps:
        """Of boxes."""
        overlap = ops.iou(found.corners, true.corners, true.crowd)
        return cls(found, true, overlap, ops.area(found.corners), ops.area(true.corners))


def match(one: PairwiseOverlaps, most: int) -> dict[str, NDArray[Any]]:
    """One picture's row of each column of `detection.matched`."""
    found, true, areas = one.found, one.true, one.areas
    scores = np.ones(len(found)) if found.scores is None else found.scores
    kept = _surest(scores, found.classes, most)
    corners, scores, classes = found.corners[kept], scores[kept], found.classes[kept]
    found_areas, overlaps = one.found_areas[kept], one.overlap[kept]
    hits = np.zeros((len(kept), len(SIZES)), np.int64)
    ignored = np.zeros_like(hits)
    counted = np.zeros((len(true), len(SIZES)), bool)
    for size, (smallest, largest) in enumerate(SIZES.values()):
        counted[:, size] = ~true.ignored & (areas >= smallest) & (areas <= largest)
        outside = (found_areas < smallest) | (found_areas > largest)
        for k in np.unique(classes):
            mine = np.flatnonzero(classes == k)
            # Those that are demanded first: only if none fits may a box be put down to one that is spared.
            theirs = np.flatnonzero(true.classes == k)
            theirs = theirs[np.argsort(~counted[theirs, size], kind="stable")]
            taken = _assigned(
                overlaps[np.ix_(mine, theirs)], ~counted[theirs, size], true.crowd[theirs]
            )
            hit = taken >= 0
            unasked = np.zeros_like(hit)
            if len(theirs):
                unasked = hit & ~counted[theirs, size][taken]
            unasked |= ~hit & outside[mine][:, None]
            hits[mine, size] = (hit & ~unasked) @ BITS
            ignored[mine, size] = unasked @ BITS
    return {
        "scores": scores, "classes": classes, "hits": hits, "ignored": ignored, "truths": true.classes, "counted": counted,
        "corners": corners.round(2), "true_corners": true.corners.round(2), "crowds": true.crowd,
    }  # fmt: skip


def _surest(
    scores: NDArray[np.float64], classes: NDArray[np.int64], most: int
) -> NDArray[np.int64]:
    """Rows of at most so many boxes of each class, surest first."""
    order = np.argsort(-scores, kind="stable")
    rank = np.zeros(len(order), np.int64)
    for k in np.unique(classes):
        of_class = classes[order] == k
        rank[of_class] = np.arange(of_class.sum())
    return order[rank < most]


def _assigned(
    overlap: NDArray[np.float64], ignored: NDArray[np.bool_], crowd: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """(D, T) IoU, the T in order of being demanded -> (D, thresholds): which true box each is put down to, or -1.

    In the order of the boxes found, each takes the best of those left; a crowd is never used up.
    """
    taken = np.full((len(overlap), len(THRESHOLDS)), -1, np.int64)
    free = np.ones((len(THRESHOLDS), overlap.shape[1]), bool)
    for row in np.flatnonzero(
        (overlap >= THRESHOLDS[0]).any(1)
    ):  # most boxes found fit nothing at all
        near = np.flatnonzero(overlap[row] >= THRESHOLDS[0])  # few of thousands
        fits = (free[:, near] | crowd[near]) & (
            overlap[row, near] >= np.minimum(THRESHOLDS, 1 - 1e-10)[:, None]
        )
        demanded = fits & ~ignored[near]
        fits = np.where(demanded.any(1)[:, None], demanded, fits)
        backwards = np.where(fits, overlap[row, near], -1.0)[
            :, ::-1
        ]  # so that of equals the last is taken
        best = near[len(near) - 1 - backwards.argmax(1)]
        some = fits.any(1)
        taken[row, some] = best[some]
        free[some, best[some]] = False
    return taken
