"""Metrics of instance segmentation: COCO's average precision with masks in place of boxes, panoptic quality, and counts.

Kirillov et al., "Panoptic segmentation", 2019. Average precision is that of `evaluation.detection`: a thing that was found is a
hit if the pixels that it shares with a true one, by those that either has, are enough of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Instances
from foveate.metrics import detection
from foveate.metrics.matching import PairwiseOverlaps

PerImageStats = Mapping[str, NDArray[Any]]

MOST = 100_000
"""Things of a class that count in a picture. COCO's 100 is for photographs: a slide can show thousands of cells."""


def compared(found: Instances, true: Instances, size: tuple[int, int]) -> PairwiseOverlaps:
    """How far the masks of one picture overlap."""
    first, shape_of = found.unique_shapes()
    one, other = _flat(found[first], size), _flat(true, size)
    common = (one @ other.T).toarray().astype(np.float64)[shape_of]
    own, areas = (masks.sum(1).astype(np.float64).reshape(-1) for masks in (one, other))
    own = own[shape_of]
    union = np.where(true.boxes.crowd[None], own[:, None], own[:, None] + areas[None] - common)
    overlap = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    return PairwiseOverlaps(found.boxes, true.boxes, overlap, own, areas)


def _flat(instances: Instances, size: tuple[int, int]) -> Any:
    """(N, H * W) sparse, of 0 and 1: so that all overlaps are one product."""
    from scipy.sparse import csr_array

    places = instances.pixel_indices(size)
    ends = np.cumsum([0, *map(len, places)])
    joined = np.concatenate([*places, np.zeros(0, np.int64)])
    return csr_array(
        (np.ones(len(joined), np.int32), joined, ends), (len(instances), size[0] * size[1])
    )


def shown(found: Instances, thresholds: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,) whether a thing's score reaches the threshold of its class, and it is the surest of one shape that does. Of truths all."""
    kept, boxes = np.ones(len(found), bool), found.boxes
    if boxes.scores is not None:
        kept = boxes.scores >= thresholds[boxes.classes]
        kept[kept] = found[kept].best_per_shape()
    return kept


def per_image_stats(
    pairs: Sequence[PairwiseOverlaps], shown: Sequence[NDArray[np.bool_]]
) -> dict[str, NDArray[Any]]:
    """The columns of `detection.matched`, and of those things of each picture that are shown:

    quality: of each class that occurs: itself, hits, the sum of their IoU, false alarms, misses
    counts: how many things are shown, and how many there are
    """
    columns = detection.matched(pairs, MOST)
    rows = [_quality(*one) for one in zip(pairs, shown, strict=True)]
    columns["quality"] = detection.column([quality for quality, _ in rows])
    columns["counts"] = detection.column([list(counts) for _, counts in rows])
    return columns


def _quality(
    pair: PairwiseOverlaps, shown: NDArray[np.bool_]
) -> tuple[list[list[float]], tuple[int, int]]:
    scores = np.ones(len(pair.found)) if pair.found.scores is None else pair.found.scores
    order = np.argsort(-scores, kind="stable")
    order = order[shown[order]]
    found, overlap = pair.found.classes[order], pair.overlap[order]
    true, ignored = pair.true.classes, pair.true.ignored
    fits = np.where(found[:, None] == true[None], overlap, 0.0)
    taken = np.zeros(len(true), bool)
    hit = np.zeros(len(order))
    for row in np.flatnonzero((fits > 0.5).any(1)) if fits.size else []:
        free = np.where(taken | ignored, 0.0, fits[row])
        best = int(free.argmax())
        if free[best] > 0.5:
            taken[best], hit[row] = True, free[best]
    # What lies on something that is spared is no false alarm.
    excused = (hit == 0) & (
        (fits[:, ignored] > 0.5).any(1) if ignored.any() else np.zeros(len(order), bool)
    )
    quality = []
    for k in np.union1d(found, true[~ignored]).astype(int).tolist():
        mine = hit[(found == k) & ~excused]
        right = int((mine > 0).sum())
        missed = int(((true == k) & ~ignored & ~taken).sum())
        quality.append([k, right, round(float(mine.sum()), 6), len(mine) - right, missed])
    return quality, (int((~excused).sum()), int((~ignored).sum()))


class Scorer:
    """A tally, so that any choice of its pictures is scored quickly."""

    def __init__(self, stats: PerImageStats, classes: int):
        self.average = detection.Scorer(stats, classes)
        self.quality = np.zeros((len(stats["quality"]), classes, 4))
        for row, each in enumerate(stats["quality"]):
            for k, *values in each:
                self.quality[row, int(k)] = values
        self.counts = np.array([list(one) for one in stats["counts"]], np.int64).reshape(-1, 2)

    def metrics(self, rows: NDArray[np.int64] | None = None) -> dict[str, float]:
        """Those of `detection.figures`, and pq: panoptic quality, the mean over classes; count_error: by how many things the
        number shown is off, in the mean, as a share of the mean number of true ones.
        """
        chosen = slice(None) if rows is None else rows
        right, overlap, false, missed = self.quality[chosen].sum(0).T
        whole = right + (false + missed) / 2
        quality = np.divide(overlap, whole, out=np.full(len(whole), np.nan), where=whole > 0)
        shown, true = self.counts[chosen].T
        known = quality[~np.isnan(quality)]
        return {
            **self.average.metrics(rows),
            "pq": float(known.mean()) if len(known) else float("nan"),
            "count_error": float(np.abs(shown - true).sum() / true.sum())
            if true.sum()
            else float("nan"),
        }


def per_class(
    stats: PerImageStats, classes: int, thresholds: NDArray[np.float64]
) -> list[detection.ClassMetrics]:
    """Those of `detection.per_class`; precision and recall are of what is shown, where a thing is one class alone."""
    right, _, false, missed = Scorer(stats, classes).quality.sum(0).T
    precision, recall = (
        np.divide(right, whole, out=np.full(classes, np.nan), where=whole > 0)
        for whole in (right + false, right + missed)
    )
    return [
        replace(row, precision=float(precision[k]), recall=float(recall[k]))
        for k, row in enumerate(detection.per_class(stats, classes, thresholds))
    ]
