"""Kinds of errors of the predicted boxes, and targets that were missed.

The kinds are those of Bolya et al., "TIDE: A general toolbox for identifying object detection
errors", 2020, with their two thresholds. A box at the right place with the wrong class explains
the target there, which then does not count as missed as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Boxes
from foveate.ops.boxes import iou

MATCH_IOU = 0.5
"""IoU from which a box is at the right place."""
BACKGROUND_IOU = 0.1
"""IoU below which a box has nothing to do with a target."""
ERROR_TYPES = {
    "missed": "a target box that no prediction matches",
    "wrong class": "at the right place, with another class",
    "badly placed": "the right class, but too little overlap",
    "duplicate": "the target already has a prediction with a higher score",
    "background": "nothing is annotated there: a false positive, or a missing annotation",
}


@dataclass(frozen=True)
class BoxError:
    """One error.

    Attributes:
        kind: A key of ERROR_TYPES.
        prediction: Row of the predicted box; None if there is none.
        target: Row of the true box; None if there is none.
    """

    kind: str
    prediction: int | None
    target: int | None


def find_errors(
    predictions: Boxes, targets: Boxes, overlap: NDArray[np.float64] | None = None
) -> list[BoxError]:
    """All errors in one image.

    Args:
        predictions: The boxes above the display threshold, with scores.
        targets: The true boxes. Predictions on ignored ones are no errors.
        overlap: (D, T) their IoU, where it is that of masks; by default that of the boxes.
    """
    assert predictions.scores is not None
    ignored = targets.ignored
    if overlap is None:
        overlap = iou(predictions.corners, targets.corners, targets.crowd)
    order = np.argsort(-predictions.scores, kind="stable")
    hits = _hits(overlap, predictions.classes, targets.classes, order, ignored)
    errors: list[BoxError] = []
    explained = np.zeros(len(targets), bool)
    explained[hits[hits >= 0]] = True
    for row in order.tolist():
        same_class = predictions.classes[row] == targets.classes
        on_ignored = (same_class & ignored & (overlap[row] >= MATCH_IOU)).any()
        if hits[row] >= 0 or on_ignored:
            continue
        same = _best(overlap[row], same_class & ~ignored)
        other = _best(overlap[row], ~same_class & ~ignored)
        if same is not None and overlap[row, same] >= MATCH_IOU:
            errors.append(BoxError("duplicate", row, same))
        elif other is not None and overlap[row, other] >= MATCH_IOU:
            errors.append(BoxError("wrong class", row, other))
            explained[other] = True
        elif same is not None and overlap[row, same] >= BACKGROUND_IOU:
            errors.append(BoxError("badly placed", row, same))
            explained[same] = True
        else:
            errors.append(BoxError("background", row, None))
    missed = np.flatnonzero(~explained & ~ignored).tolist()
    return errors + [BoxError("missed", None, row) for row in missed]


def _hits(
    overlap: NDArray[np.float64],
    classes: NDArray[np.int64],
    true: NDArray[np.int64],
    order: NDArray[np.int64],
    ignored: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """(D,) the target that each prediction hits, or -1; higher scores choose first."""
    hits = np.full(len(classes), -1, np.int64)
    free = ~ignored
    for row in order.tolist():
        best = _best(overlap[row], free & (true == classes[row]))
        if best is not None and overlap[row, best] >= MATCH_IOU:
            hits[row], free[best] = best, False
    return hits


def _best(overlaps: NDArray[np.float64], allowed: NDArray[np.bool_]) -> int | None:
    return int(np.argmax(np.where(allowed, overlaps, -1.0))) if allowed.any() else None
