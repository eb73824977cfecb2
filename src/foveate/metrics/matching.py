"""Matches predictions with targets within an image, as COCO does it.

By falling score, a prediction is a hit at a threshold if its IoU with a target of its class that no
earlier prediction has taken reaches the threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Boxes
from foveate.ops import boxes as ops

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""IoU thresholds."""
MAX_PER_CLASS = 100
"""Predictions of a class that count in an image, by falling score."""
SIZES: dict[str, tuple[float, float]] = {
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
"""Ranges of object sizes, in square pixels."""
BITS = 1 << np.arange(len(THRESHOLDS))
"""A bit for each of THRESHOLDS: one integer says at which of them something holds."""


@dataclass(frozen=True)
class PairwiseOverlaps:
    """How far the D predictions and T targets of one image overlap.

    Attributes:
        predictions: Boxes of the predictions.
        targets: Boxes of the targets.
        iou: (D, T) IoU of boxes or masks; with a crowd, the share of the prediction inside it.
        prediction_areas: (D,) square pixels.
        target_areas: (T,) square pixels.
    """

    predictions: Boxes
    targets: Boxes
    iou: NDArray[np.float64]
    prediction_areas: NDArray[np.float64]
    target_areas: NDArray[np.float64]

    @classmethod
    def of_boxes(cls, predictions: Boxes, targets: Boxes) -> PairwiseOverlaps:
        """The overlaps of boxes."""
        iou = ops.iou(predictions.corners, targets.corners, targets.crowd)
        areas = ops.area(predictions.corners), ops.area(targets.corners)
        return cls(predictions, targets, iou, *areas)


def match(overlaps: PairwiseOverlaps, max_per_class: int) -> dict[str, NDArray[Any]]:
    """One image's row of each column of `detection.match_all`."""
    predictions, targets = overlaps.predictions, overlaps.targets
    scores = np.ones(len(predictions)) if predictions.scores is None else predictions.scores
    rows = _best_of_each_class(scores, predictions.classes, max_per_class)
    corners, scores, classes = predictions.corners[rows], scores[rows], predictions.classes[rows]
    areas, ious = overlaps.prediction_areas[rows], overlaps.iou[rows]
    hits = np.zeros((len(rows), len(SIZES)), np.int64)
    ignored = np.zeros_like(hits)
    counted = np.zeros((len(targets), len(SIZES)), bool)
    for size, (smallest, largest) in enumerate(SIZES.values()):
        in_range = (overlaps.target_areas >= smallest) & (overlaps.target_areas <= largest)
        counted[:, size] = ~targets.ignored & in_range
        outside = (areas < smallest) | (areas > largest)
        for k in np.unique(classes):
            of_class = np.flatnonzero(classes == k)
            # Targets that count come first: a prediction takes an ignored one only if none fits.
            candidates = np.flatnonzero(targets.classes == k)
            order = np.argsort(~counted[candidates, size], kind="stable")
            candidates = candidates[order]
            taken = _assign(
                ious[np.ix_(of_class, candidates)],
                ~counted[candidates, size],
                targets.crowd[candidates],
            )
            hit = taken >= 0
            neutral = np.zeros_like(hit)
            if len(candidates):
                neutral = hit & ~counted[candidates, size][taken]
            neutral |= ~hit & outside[of_class][:, None]
            hits[of_class, size] = (hit & ~neutral) @ BITS
            ignored[of_class, size] = neutral @ BITS
    return {
        "scores": scores,
        "classes": classes,
        "hits": hits,
        "ignored": ignored,
        "target_classes": targets.classes,
        "counted": counted,
        "corners": corners.round(2),
        "target_corners": targets.corners.round(2),
        "crowds": targets.crowd,
    }


def _best_of_each_class(
    scores: NDArray[np.float64], classes: NDArray[np.int64], max_per_class: int
) -> NDArray[np.int64]:
    """Rows of at most `max_per_class` predictions of each class, by falling score."""
    order = np.argsort(-scores, kind="stable")
    rank = np.zeros(len(order), np.int64)
    for k in np.unique(classes):
        of_class = classes[order] == k
        rank[of_class] = np.arange(of_class.sum())
    return order[rank < max_per_class]


def _assign(
    iou: NDArray[np.float64], ignored: NDArray[np.bool_], crowd: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """(D, T) IoU -> (D, thresholds) the target that each prediction takes, or -1.

    Targets that count come first. Each prediction takes the best target that is left; a crowd can
    be taken any number of times.
    """
    taken = np.full((len(iou), len(THRESHOLDS)), -1, np.int64)
    free = np.ones((len(THRESHOLDS), iou.shape[1]), bool)
    for row in np.flatnonzero((iou >= THRESHOLDS[0]).any(1)):  # most predictions fit no target
        near = np.flatnonzero(iou[row] >= THRESHOLDS[0])  # few of thousands
        fits = (free[:, near] | crowd[near]) & (
            iou[row, near] >= np.minimum(THRESHOLDS, 1 - 1e-10)[:, None]
        )
        counts = fits & ~ignored[near]
        fits = np.where(counts.any(1)[:, None], counts, fits)
        # Reversed, so that of equals the last is taken.
        reverse = np.where(fits, iou[row, near], -1.0)[:, ::-1]
        best = near[len(near) - 1 - reverse.argmax(1)]
        some = fits.any(1)
        taken[row, some] = best[some]
        free[some, best[some]] = False
    return taken
