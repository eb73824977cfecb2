"""Tell where the four numbers of boxes are their corners, or begin with the left top corner.

YOLO's are the centre and the size. Other orders are read only by evidence of all boxes together:
most leave their images in YOLO's order and none does in another, or all that lie in one image
overlap in YOLO's order and few do in another.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from foveate.formats.yolo.keypoints import stay_in
from foveate.formats.yolo.lines import BOX

CORNERS, LEFT_TOP = "x1 y1 x2 y2", "left top width height"

_MIN_BOXES = _MIN_PAIRS = 10  # fewer are no evidence
_MAX_BOXES_OF_IMAGE = 30  # of which pairs are looked at
_SOME, _HALF, _MOST = 0.1, 0.5, 0.9

Numbers = NDArray[np.float64]
Rows = Sequence[Sequence[float]]


def other_orders(samples: Iterable[Rows]) -> tuple[list[str], str]:
    """Return the orders other than `cx cy w h` that boxes have by evidence, and the evidence.

    Args:
        samples: The numbers of each object in each image; anything but boxes is no evidence.
    """
    images = [list(rows) for rows in samples]
    if any(len(row) != BOX for rows in images for row in rows):
        return [], ""
    table = np.array([row for rows in images for row in rows], float).reshape(-1, BOX)
    if len(table) < _MIN_BOXES:
        return [], ""
    first, second = table[:, :2], table[:, 2:]
    outside = int((~stay_in(first - second / 2, second)).sum())
    # Boxes in YOLO's order are all ordered like corners only if all are huge.
    may_be_corners = bool((second > first).all()) and bool(stay_in(first, second - first).all())
    orders = [CORNERS] if may_be_corners and outside >= _SOME * len(table) else []
    if stay_in(first, second).all() and outside >= _HALF * len(table):
        orders.append(LEFT_TOP)
    if orders:
        return orders, (
            f"{outside:,} of {len(table):,} boxes would leave their images as `cx cy w h`, and "
            "none does as that"
        )
    if may_be_corners:
        pairs, centred, cornered = _overlaps(images)
        if pairs >= _MIN_PAIRS and centred >= _MOST * pairs and cornered <= _HALF * pairs:
            return [CORNERS], (
                f"{centred:,} of {pairs:,} pairs of boxes in one image would overlap as "
                f"`cx cy w h`, and {cornered:,} do as that"
            )
    return [], ""


def centred(row: Sequence[float], order: str) -> list[float]:
    """Return a box as `cx cy w h`.

    Args:
        row: Its four numbers.
        order: `CORNERS` or `LEFT_TOP`.
    """
    left, top, a, b = row
    width, height = (a - left, b - top) if order == CORNERS else (a, b)
    return [left + width / 2, top + height / 2, width, height]


def _overlaps(images: Iterable[Rows]) -> tuple[int, int, int]:
    """Count the pairs of boxes in one image, and which overlap in YOLO's order and as corners."""
    counts = [0, 0, 0]
    for rows in images:
        table = np.array(rows[:_MAX_BOXES_OF_IMAGE], float).reshape(-1, BOX)
        half = table[:, 2:] / 2
        as_yolo = np.concatenate([table[:, :2] - half, table[:, :2] + half], axis=1)
        for one, other in combinations(range(len(table)), 2):
            counts[0] += 1
            counts[1] += _overlap(as_yolo[one], as_yolo[other])
            counts[2] += _overlap(table[one], table[other])
    return counts[0], counts[1], counts[2]


def _overlap(one: Numbers, other: Numbers) -> bool:
    return bool((np.maximum(one[:2], other[:2]) < np.minimum(one[2:], other[2:])).all())
