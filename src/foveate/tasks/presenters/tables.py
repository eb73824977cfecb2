"""Predictions as rows of a table, and what is counted of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from foveate.annotations import Boxes, Instances
from foveate.csv_file import Cell

OBJECT_COLUMNS = (
    "object", "class", "score", "left_px", "top_px", "right_px", "bottom_px", "area_px",
    "equivalent_diameter_px",
)  # fmt: skip
"""The columns of `object_rows`."""
_LENGTH, _AREA = "_px", "area_px"


def object_rows(boxes: Boxes, names: Sequence[str], areas: Sequence[float]) -> list[list[Cell]]:
    """A row for each of N objects, with its number from 1 on.

    Args:
        boxes: The objects.
        names: (N,) the class of each.
        areas: (N,) pixels. The equivalent diameter is that of a circle of this area.
    """
    scores = [None] * len(boxes) if boxes.scores is None else boxes.scores.tolist()
    return [
        [
            number,
            name,
            None if score is None else round(score, 6),
            *(round(value, 2) for value in corners),
            round(area, 2),
            round(2 * math.sqrt(area / math.pi), 2),
        ]
        for number, (name, score, corners, area) in enumerate(
            zip(names, scores, boxes.corners.tolist(), areas, strict=True), 1
        )
    ]


def box_areas(boxes: Boxes) -> list[float]:
    """(N,) pixels of each box."""
    areas: list[float] = np.prod(boxes.corners[:, 2:] - boxes.corners[:, :2], axis=1).tolist()
    return areas


def mask_areas(instances: Instances) -> list[float]:
    """(N,) pixels of each object."""
    return [float(len(one)) for one in instances.pixel_indices(instances.image_size)]


def class_amounts(boxes: Boxes, classes: Sequence[str]) -> dict[str, float]:
    """The number of objects of each class that occurs."""
    counts = np.bincount(boxes.classes, minlength=len(classes)).tolist()
    return {name: float(count) for name, count in zip(classes, counts, strict=True) if count}


def is_measured(columns: Sequence[str]) -> bool:
    """Whether a table has lengths or areas."""
    return any(name.endswith(_LENGTH) for name in columns)


def micrometre_columns(columns: Sequence[str]) -> list[str]:
    """The names of `micrometre_cells`: "left_px" gives "left_um", "area_px" "area_um2"."""
    return [
        f"{name.removesuffix(_LENGTH)}_um{'2' * (name == _AREA)}"
        for name in columns
        if name.endswith(_LENGTH)
    ]


def micrometre_cells(columns: Sequence[str], row: Sequence[Cell], pixel_size: float) -> list[Cell]:
    """The lengths and areas of a row in micrometres.

    Args:
        columns: The columns of the table, in pixels.
        row: A row of it.
        pixel_size: Side of a pixel in micrometres.
    """
    return [
        float(f"{float(cell) * pixel_size ** (1 + (name == _AREA)):.6g}")
        for name, cell in zip(columns, row, strict=True)
        if name.endswith(_LENGTH) and cell is not None
    ]
