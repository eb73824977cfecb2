"""Tell boxes with keypoints from polygons, by all lines of one length together.

`class cx cy w h x1 y1 v1 ...` gives each keypoint a flag: 0, 1 or 2. Without flags the numbers are
as many as those of a polygon, whose first corner then is the box's centre, and whose second corner
is its size.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from foveate.formats.yolo.lines import BOX, has_flags
from foveate.ops import polygons
from foveate.wording import count_noun

SLACK = 0.02
"""Boxes and points may lie beyond the image or the box by this fraction, from rounding."""

_MIN_LINES = 3  # that few lines can look like either by chance
_MAX_TESTED = 500  # outlines tested for crossing sides
_FEW, _MOST = 0.1, 0.8

Numbers = NDArray[np.float64]
Lines = Literal["keypoints", "polygons", "either"]
"""What lines with more numbers than a box are: boxes with keypoints, polygons, or either."""


def keypoints_or_polygons(table: Numbers, pose: bool = False) -> tuple[Lines, str]:
    """Return what lines of one length are, and the evidence, as the end of a sentence.

    They are boxes with keypoints only if all points lie inside their boxes, and the boxes inside
    their images. Small polygons in the middle of their images do so too. But their second corner
    lies near the others, and their sides do not cross.

    Args:
        table: (N, M): the numbers of each line, M > 4.
        pose: Whether the description says that there are keypoints.
    """
    count, length = table.shape
    flagged = all(has_flags(numbers) for numbers in table.tolist())
    if not flagged and length % 2:
        return "polygons", ""
    if flagged:
        points, visible = table[:, BOX:].reshape(count, -1, 3)[..., :2], table[:, BOX + 2 :: 3] > 0
    else:
        points = table[:, BOX:].reshape(count, -1, 2)
        visible = (points != 0).any(2)
    number = count_noun(points.shape[1], "keypoint")
    evidence = f"all {count:,} have a box and {number}"
    evidence += " with x, y and a flag 0, 1 or 2" if flagged else " inside it"
    if pose or length % 2:
        return "keypoints", evidence
    if not _inside(table, points, visible):
        return "polygons", ""
    if flagged and count >= _MIN_LINES:
        return "keypoints", evidence
    corners = table.reshape(count, -1, 2)
    near = float(_second_is_near(corners).mean())
    crossing = float(np.mean(list(map(polygons.is_self_intersecting, corners[:_MAX_TESTED]))))
    if not flagged and near >= _MOST and crossing <= _FEW:
        return "polygons", ""
    if count >= _MIN_LINES and (near <= _FEW or crossing >= 0.5):
        return "keypoints", evidence
    return "either", evidence


def may_be_keypoints(samples: Iterable[Iterable[Sequence[float]]]) -> bool:
    """Return whether polygons could be read as boxes with keypoints."""
    rows = [list(row) for sample in samples for row in sample if len(row) > BOX]
    if len(set(map(len, rows))) != 1:
        return False
    return keypoints_or_polygons(np.array(rows, float))[0] != "polygons"


def stay_in(start: Numbers, size: Numbers) -> NDArray[np.bool_]:
    """Return which boxes lie in their images.

    Args:
        start: (N, 2): left and top.
        size: (N, 2): width and height.

    Returns:
        (N,) bool.
    """
    return np.asarray(((start >= -SLACK) & (start + size <= 1 + SLACK)).all(1), bool)


def _inside(table: Numbers, points: Numbers, visible: NDArray[np.bool_]) -> bool:
    """Return whether all points lie in their boxes, and all boxes in their images."""
    centre, size = table[:, None, :2], table[:, None, 2:BOX]
    inside = (np.abs(points - centre) <= size / 2 + SLACK).all(2) | ~visible
    return bool(inside.all() and stay_in(table[:, :2] - table[:, 2:BOX] / 2, size[:, 0]).all())


def _second_is_near(corners: Numbers) -> NDArray[np.bool_]:
    """Return whether the second corner is no further from the others than they are apart.

    Args:
        corners: (N, K, 2).

    Returns:
        (N,) bool.
    """
    others = np.delete(corners, 1, axis=1)
    low, high = others.min(1), others.max(1)
    reach = high - low + SLACK
    second = corners[:, 1]
    return np.asarray(((second >= low - reach) & (second <= high + reach)).all(1), bool)
