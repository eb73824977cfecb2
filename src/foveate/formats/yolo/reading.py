"""Decide what the numbers in the lines of a YOLO dataset mean, where several readings are possible.

A line does not say what it is. Ten numbers are a polygon of five corners, or a box with two
keypoints; four are a box's centre and size, or its corners. Evidence from all lines together
decides, and it is printed as a note; what it does not decide is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Boxes, Instances
from foveate.errors import DataError
from foveate.formats.yolo.box_order import centred, other_orders
from foveate.formats.yolo.description import Description
from foveate.formats.yolo.keypoints import Lines, keypoints_or_polygons
from foveate.formats.yolo.lines import BOX, YoloLabels, has_flags
from foveate.wording import count_noun

_OBB = 8  # numbers of an oriented box: its corners
_TASKS = ("detect", "segment", "pose", "obb")  # Ultralytics' words
_LINES_OF_TASK: dict[str, Lines] = {Instances.task: "polygons", Boxes.task: "keypoints"}
"""How lines that can be either are read for a task."""

Numbers = NDArray[np.float64]


class _Line(NamedTuple):
    """A line with more numbers than a box has: its image, its number, and the coordinates."""

    id: str
    line: int
    numbers: list[float]


def keypoint_numbers(config: Description | None) -> int | None:
    """Return how many numbers a box with its keypoints has, by `kpt_shape: [17, 3]`.

    Raises:
        DataError: If kpt_shape is not the number of keypoints and 2 or 3.
    """
    shape = config.values.get("kpt_shape") if config else None
    if config is None or shape is None:
        return None
    if not (
        isinstance(shape, list)
        and [type(value) for value in shape] == [int, int]
        and 0 < shape[0] < 10_000
        and shape[1] in (2, 3)
    ):
        raise config.error(
            "kpt_shape",
            "the number of key points and 2 or 3 are expected, such as `kpt_shape: [17, 3]`, "
            f"got {repr(shape)[:100]}",
        )
    return BOX + int(shape[0] * shape[1])


def interpret(
    labels: Mapping[str, YoloLabels],
    sizes: Mapping[str, tuple[int, int]],
    places: Mapping[str, Path],
    config: Description | None,
    wanted: str | None = None,
) -> tuple[dict[str, YoloLabels], list[str]]:
    """Return the objects as boxes (`cx cy w h`) and polygons, and what was decided.

    Args:
        labels: The lines of each image.
        sizes: The height and width of each image.
        places: The text file of each image, for messages.
        config: The description of the dataset, or None.
        wanted: The task that the data is for, which decides what the lines do not tell.

    Raises:
        DataError: If the lines can be read in two ways.
    """
    longer = [
        _Line(id, line, numbers)
        for id, one in labels.items()
        for line, numbers in zip(one.lines, one.coordinates, strict=True)
        if len(numbers) > BOX
    ]
    if not longer:
        return _boxes(labels)
    described = config.values.get("task") if config else None
    task = described if described in _TASKS else None
    if config and keypoint_numbers(config):
        return _without_keypoints(labels, longer, f"kpt_shape in {config.path.name} says")
    if len({len(one.numbers) for one in longer}) == 1:
        table = np.array([one.numbers for one in longer])
        if table.shape[1] == _OBB and task != "pose":
            corners = are_rectangles(table, np.array([sizes[one.id] for one in longer]))
            if corners.all() or task == "obb":
                return dict(labels), [_rectangle_note(int(corners.sum()), len(table))]
        if task not in ("segment", "obb"):
            verdict, evidence = keypoints_or_polygons(table, pose=task == "pose")
            if verdict == "either":
                if wanted not in _LINES_OF_TASK:
                    raise _either(longer[0], places)
                verdict = _LINES_OF_TASK[wanted]
            if verdict == "keypoints":
                return _without_keypoints(labels, longer, evidence)
    _require_pairs(longer, places)
    return dict(labels), []


def are_rectangles(corners: Numbers, sizes: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return which quadrilaterals are rectangles in pixels, turned by any angle.

    Args:
        corners: (N, 8): x1 y1 ... x4 y4 as fractions.
        sizes: (N, 2): height and width of the image of each.

    Returns:
        (N,) bool.
    """
    points = corners.reshape(-1, 4, 2) * sizes[:, None, ::-1]
    diagonals = points[:, 2:] - points[:, :2]
    lengths = np.linalg.norm(diagonals, axis=2)
    middles = np.linalg.norm(points[:, 0] + points[:, 2] - points[:, 1] - points[:, 3], axis=1)
    tolerance = np.maximum(1.5, 0.02 * lengths.max(1))
    equal = np.abs(lengths[:, 0] - lengths[:, 1]) <= tolerance
    return np.asarray((middles <= 2 * tolerance) & equal, bool)


def _without_keypoints(
    labels: Mapping[str, YoloLabels], longer: Sequence[_Line], evidence: str
) -> tuple[dict[str, YoloLabels], list[str]]:
    boxes = {
        id: replace(one, coordinates=[numbers[:BOX] for numbers in one.coordinates])
        for id, one in labels.items()
    }
    return boxes, [
        f"{count_noun(len(longer), 'object')} with keypoints read as boxes, as {evidence}; "
        "the keypoints are not read"
    ]


def _require_pairs(longer: Sequence[_Line], places: Mapping[str, Path]) -> None:
    """Raise DataError if a line is no polygon, since its numbers are not x and y in turn."""
    for id, line, numbers in longer:
        if len(numbers) % 2:
            raise DataError(
                "`class cx cy w h` or `class x1 y1 x2 y2 x3 y3 ...` is expected, "
                f"got {count_noun(1 + len(numbers), 'number')}",
                where=places[id],
                line=line,
                remedy="If these are boxes with keypoints, say so in data.yaml, such as "
                "`kpt_shape: [17, 3]`.",
            )


def _rectangle_note(rectangles: int, count: int) -> str:
    return (
        f"{count_noun(count, 'object')} with four corners each, {rectangles:,} of them rotated "
        "rectangles: these oriented boxes are read as polygons"
    )


def _either(line: _Line, places: Mapping[str, Path]) -> DataError:
    id, number, numbers = line
    dimensions = 3 if has_flags(numbers) else 2
    count = (len(numbers) - BOX) // dimensions
    return DataError(
        f"this can be a polygon of {len(numbers) // 2} corners, or a box with "
        f"{count_noun(count, 'keypoint')}; the lines do not tell which",
        where=places[id],
        line=number,
        remedy="Give --task instance for polygons, or --task detection for the boxes; or say which "
        f"in data.yaml: `task: segment`, or `kpt_shape: [{count}, {dimensions}]`.",
    )


def _boxes(labels: Mapping[str, YoloLabels]) -> tuple[dict[str, YoloLabels], list[str]]:
    """Return boxes as `cx cy w h`, also where they are written in another order."""
    orders, evidence = other_orders(one.coordinates for one in labels.values())
    if not orders:
        return dict(labels), []
    if len(orders) > 1:
        raise DataError(
            f"the boxes can be `{orders[0]}` or `{orders[1]}`: {evidence}",
            remedy="Write the boxes as YOLO does: `class cx cy w h`, centre and size.",
        )
    changed = {
        id: replace(one, coordinates=[centred(row, orders[0]) for row in one.coordinates])
        for id, one in labels.items()
    }
    return changed, [f"boxes are read as `{orders[0]}`: {evidence}"]
