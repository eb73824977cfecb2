"""Boxes as arithmetic: (N, 4) arrays of left, top, right, bottom in pixels, counted between pixels. Nothing here knows classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def area(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 4) -> (N,) in square pixels; 0 where a box is empty or turned inside out."""
    return np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(1)


def iou(
    boxes: NDArray[np.float64], others: NDArray[np.float64], crowd: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """(N, 4) and (M, 4) -> (N, M): intersection over union; 0 where both are empty.

    crowd: (M,) which of the others are regions of many things: there the union is taken as the first box alone, so that
        a box within such a region fits it (as COCO has it)
    """
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(2)
    own = np.broadcast_to(area(boxes)[:, None], common.shape)
    union = own + area(others)[None] - common
    if crowd is not None:
        union = np.where(crowd[None], own, union)
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)
