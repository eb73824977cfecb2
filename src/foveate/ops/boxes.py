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
