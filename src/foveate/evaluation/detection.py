"""Metrics of object detection as COCO defines them, over tallies: one row a picture, so that any resample can be scored.

Lin et al., "Microsoft COCO: Common Objects in Context", 2014; equal to pycocotools (tests hold it to 1e-9). A box that was
found is a hit at a threshold if its IoU with a true box of its class, not yet taken by a surer one, reaches it. Matching
happens within a picture, so it is done once; a resample only sorts the boxes anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Boxes
from foveate.ops import boxes as ops

Tally = Mapping[str, NDArray[Any]]

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
MOST = 100
"""Boxes of a class that count in a picture, the surest first."""
SIZES: dict[str, tuple[float, float]] = {
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
"""Square pixels of a true box, from and to."""
_BITS = 1 << np.arange(len(THRESHOLDS))


def tally(predicted: Sequence[Boxes], truth: Sequence[Boxes]) -> dict[str, NDArray[Any]]:
    """Matches answers with truths. Each column has a list a picture, of its D boxes found or its T true ones.

    scores, classes: (D,); hits, ignored: (D, 4) for each of SIZES a bit for each of THRESHOLDS
    truths: (T,) classes; counted: (T, 4) whether it is demanded, for each of SIZES
    """
    rows: dict[str, list[Any]] = {name: [] for name in ("scores", "classes", "hits", "ignored", "truths", "counted")}
    for found, true in zip(predicted, truth, strict=True):
        for name, values in _matched(found, true).items():
            rows[name].append(values.tolist())
    return {name: column(values) for name, values in rows.items()}


def column(lists: Sequence[Any]) -> NDArray[Any]:
    """(N,) of objects: lists of unequal lengths as one column of a tally."""
    made = np.empty(len(lists), object)
    made[:] = lists
    return made


def _matched(found: Boxes, true: Boxes) -> dict[str, NDArray[Any]]:
    scores = np.ones(len(found)) if found.scores is None else found.scores
    kept = _surest(scores, found.classes)
    corners, scores, classes = found.corners[kept], scores[kept], found.classes[kept]
    spared = true.crowd | true.difficult
    areas, found_areas = ops.area(true.corners), ops.area(corners)
    hits = np.zeros((len(kept), len(SIZES)), np.int64)
    ignored = np.zeros_like(hits)
    counted = np.zeros((len(true), len(SIZES)), bool)
    for size, (least, most) in enumerate(SIZES.values()):
        counted[:, size] = ~spared & (areas >= least) & (areas <= most)
        outside = (found_areas < least) | (found_areas > most)
        for k in np.unique(classes):
            mine = np.flatnonzero(classes == k)
            # Those that are demanded first: only if none fits may a box be put down to one that is spared.
            theirs = np.flatnonzero(true.classes == k)
            theirs = theirs[np.argsort(~counted[theirs, size], kind="stable")]
            overlap = ops.iou(corners[mine], true.corners[theirs], true.crowd[theirs])
            taken = _assigned(overlap, ~counted[theirs, size], true.crowd[theirs])
            hit = taken >= 0
            unasked = np.zeros_like(hit)
            if len(theirs):
                unasked = hit & ~counted[theirs, size][taken]
            unasked |= ~hit & outside[mine][:, None]
            hits[mine, size] = (hit & ~unasked) @ _BITS
            ignored[mine, size] = unasked @ _BITS
    return {
        "scores": scores, "classes": classes, "hits": hits, "ignored": ignored, "truths": true.classes, "counted": counted,
    }  # fmt: skip


def _surest(scores: NDArray[np.float64], classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows of at most MOST boxes of each class, surest first."""
    order = np.argsort(-scores, kind="stable")
    rank = np.zeros(len(order), np.int64)
    for k in np.unique(classes):
        of_class = classes[order] == k
        rank[of_class] = np.arange(of_class.sum())
    return order[rank < MOST]


def _assigned(overlap: NDArray[np.float64], spared: NDArray[np.bool_], crowd: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(D, T) IoU, the T in order of being demanded -> (D, thresholds): which true box each is put down to, or -1.

    In the order of the boxes found, each takes the best of those left; a crowd is never used up.
    """
    taken = np.full((len(overlap), len(THRESHOLDS)), -1, np.int64)
    for column, threshold in enumerate(THRESHOLDS):
        free = np.ones(overlap.shape[1], bool)
        for row, overlaps in enumerate(overlap):
            fits = (free | crowd) & (overlaps >= min(threshold, 1 - 1e-10))
            if (fits & ~spared).any():
                fits &= ~spared
            candidates = np.flatnonzero(fits)
            if len(candidates):
                best = candidates[len(candidates) - 1 - np.argmax(overlaps[candidates][::-1])]  # the last of equals
                taken[row, column] = best
                free[best] = False
    return taken


# --- figures ------------------------------------------------------------------------------------------------------------


def figures(tally: Tally, classes: int) -> dict[str, float]:
    """map: mean average precision over classes and THRESHOLDS; map50 and map75: at one of these; map_small, map_medium,
    map_large: of true boxes of that size; recall: the mean over classes and thresholds of the share that was found. NaN
    where there is no true box.
    """
    precision, recall = average_precision(tally, classes)
    return {
        "map": _mean(precision[:, 0]),
        "map50": _mean(precision[:, 0, 0]),
        "map75": _mean(precision[:, 0, 5]),
        "map_small": _mean(precision[:, 1]),
        "map_medium": _mean(precision[:, 2]),
        "map_large": _mean(precision[:, 3]),
        "recall": _mean(recall[:, 0]),
    }


def average_precision(tally: Tally, classes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(K, sizes, thresholds) of average precision, and of the recall with all boxes; NaN for a class without a true box."""
    scores, found, hits, ignored = (_flat(tally[name]) for name in ("scores", "classes", "hits", "ignored"))
    truths, counted = _flat(tally["truths"]).astype(np.int64), _flat(tally["counted"], len(SIZES))
    shape = (classes, len(SIZES), len(THRESHOLDS))
    precision, recall = np.full(shape, np.nan), np.full(shape, np.nan)
    order = np.argsort(-scores, kind="stable")
    found = found[order].astype(np.int64)
    hits, ignored = (np.reshape(bits, (-1, len(SIZES)))[order].astype(np.int64) for bits in (hits, ignored))
    for k in range(classes):
        demanded = counted[truths == k].sum(0)
        mine = found == k
        for size in np.flatnonzero(demanded):
            hit = (hits[mine, size, None] & _BITS) > 0
            wrong = ~hit & ((ignored[mine, size, None] & _BITS) == 0)
            precision[k, size], recall[k, size] = _curve(hit, wrong, int(demanded[size]))
    return precision, recall


def _curve(
    hit: NDArray[np.bool_], wrong: NDArray[np.bool_], demanded: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(D, thresholds) by falling score -> average precision at RECALLS, and the recall at the end, (thresholds,) each."""
    right, wrongs = hit.cumsum(0), wrong.cumsum(0)
    recall = right / demanded
    precision = right / np.maximum(right + wrongs, np.finfo(float).eps)
    # Each precision is the best at its recall or beyond, so that the curve falls.
    best = np.maximum.accumulate(precision[::-1], 0)[::-1]
    averages = np.zeros(hit.shape[1])
    for column in range(hit.shape[1]):
        places = np.searchsorted(recall[:, column], RECALLS, side="left")
        reached = places < len(best)
        averages[column] = best[places[reached], column].sum() / len(RECALLS)
    return averages, recall[-1] if len(recall) else np.zeros(hit.shape[1])


def _flat(lists: NDArray[Any], width: int = 0) -> NDArray[Any]:
    joined = [one for each in lists for one in each]
    return np.array(joined) if joined else np.zeros((0, width) if width else 0)


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
