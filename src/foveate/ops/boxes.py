"""Boxes as (N, 4) arrays of left, top, right, bottom, in continuous pixel coordinates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def area(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the (N,) areas of (N, 4) boxes, in square pixels; 0 for empty or inverted boxes."""
    result: NDArray[np.float64] = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(1)
    return result


def iou(
    boxes: NDArray[np.float64], others: NDArray[np.float64], crowd: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Compute the intersection over union of all pairs of boxes; 0 where both are empty.

    Args:
        boxes: (N, 4).
        others: (M, 4).
        crowd: (M,), which of the others are regions of many objects. There the union is the first
            box alone, so that a box within such a region matches it, as COCO has it.

    Returns:
        (N, M), from 0 to 1.
    """
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    intersection = np.clip(high - low, 0, None).prod(2)
    areas = np.broadcast_to(area(boxes)[:, None], intersection.shape)
    union = areas + area(others)[None] - intersection
    if crowd is not None:
        union = np.where(crowd[None], areas, union)
    result: NDArray[np.float64] = np.divide(
        intersection, union, out=np.zeros_like(intersection), where=union > 0
    )
    return result


def suppress(
    boxes: NDArray[np.float64],
    scores: NDArray[np.floating],
    classes: NDArray[np.int64],
    max_iou: float,
) -> NDArray[np.int64]:
    """Non-maximum suppression within each class.

    Boxes with an IoU above t overlap along x by more than t times the wider one. So a box from l to
    l + w is compared with those alone that begin between l - w (1 - t) / t and l + w (1 - t).

    Args:
        boxes: (N, 4) left, top, right and bottom, in pixels.
        scores: (N,).
        classes: (N,).
        max_iou: Above 0. Of two boxes of one class with a larger IoU, the one with the higher score
            remains; of equal scores, the first.

    Returns:
        The rows that remain, by falling score.
    """
    remains = np.zeros(len(boxes), bool)
    for one in np.unique(classes):
        rows = np.flatnonzero(classes == one)
        rows = rows[np.argsort(boxes[rows, 0], kind="stable")]
        own, alive = boxes[rows], np.ones(len(rows), bool)
        left, reach = own[:, 0], (1 - max_iou) * (own[:, 2] - own[:, 0]) + 1e-6
        first = np.searchsorted(left, left - reach / max_iou, side="left")
        last = np.searchsorted(left, left + reach, side="right")
        for place in np.lexsort((rows, -scores[rows])):
            if alive[place]:
                remains[rows[place]] = True
                near = slice(first[place], last[place])
                alive[near] &= iou(own[[place]], own[near])[0] <= max_iou
    left_over = np.flatnonzero(remains)
    result: NDArray[np.int64] = left_over[np.argsort(-scores[left_over], kind="stable")]
    return result
