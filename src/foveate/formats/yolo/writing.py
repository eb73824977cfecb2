"""Write samples as lines of YOLO text files, and list what these cannot store."""

from __future__ import annotations

from typing import Any

import numpy as np

from foveate.annotations import boxes_of
from foveate.data.dataset import Dataset, Sample
from foveate.formats._shared.instances import box_problems, image_size, shapes_of
from foveate.formats._shared.layout import MAX_COORDINATE
from foveate.formats._shared.writing import count_problem, partial_splits, unsupported_fields
from foveate.formats.yolo.lines import in_pixels

_BOUNDS_TOLERANCE = 1e-5  # pixels

Coordinates = list[list[float]]
"""The numbers of each line, without the class."""


def unsupported_content(dataset: Dataset[Any]) -> list[str]:
    """List what the format cannot store, except for what depends on the images' sizes."""
    samples = list(dataset)
    problems = box_problems(dataset) + [
        f"the class name {name!r}" for name in dataset.classes if not name
    ]
    problems += unsupported_fields(dataset, "group", "time")
    problems += partial_splits(dataset)
    problems += count_problem(
        "with a crowd", [sample for sample in samples if boxes_of(sample.target).crowd.any()]
    )
    problems += count_problem(
        "with a difficult box",
        [sample for sample in samples if boxes_of(sample.target).difficult.any()],
    )
    masks = [
        s for s in samples if any(shape and not shape.outlines for shape in shapes_of(s.target))
    ]
    problems += count_problem("with a pixel mask", masks)
    polygons = [
        [shape for shape in shapes_of(s.target) if shape and shape.outlines] for s in samples
    ]
    several = [
        s
        for s, shapes in zip(samples, polygons, strict=True)
        if any(len(shape.outlines) > 1 for shape in shapes)
    ]
    problems += count_problem("with a polygon of several outlines", several)
    return problems + count_problem(
        "with a box that is not the bounds of its polygon", list(filter(_box_differs, samples))
    )


def normalized_coordinates(samples: list[Sample[Any]]) -> tuple[list[Coordinates], list[str]]:
    """Return the coordinates of each sample as fractions of its image's size.

    Returns:
        The numbers of each line without the class, by sample, and what keeps them from being read
        again.

    Raises:
        BadImage: If the size of an image cannot be read.
    """
    coordinates = [_coordinates(sample, image_size(sample)) for sample in samples]
    paired = list(zip(samples, coordinates, strict=True))
    far = [
        s
        for s, lines in paired
        if any(not abs(value) <= MAX_COORDINATE for line in lines for value in line)
    ]
    problems = count_problem(
        f"with a coordinate beyond {MAX_COORDINATE:g} widths of the image", far
    )
    outside = [sample for sample, lines in paired if in_pixels(lines)]
    return coordinates, problems + count_problem(
        "with objects mostly outside the image, which would be read as pixels", outside
    )


def _coordinates(sample: Sample[Any], size: tuple[int, int]) -> Coordinates:
    sides = np.array([size[1], size[0]], float)
    lines = []
    for corners, shape in zip(
        boxes_of(sample.target).corners, shapes_of(sample.target), strict=True
    ):
        if shape and shape.outlines:
            points = shape.outlines[0]
        else:
            points = np.array([(corners[:2] + corners[2:]) / 2, corners[2:] - corners[:2]])
        lines.append((points / sides).ravel().tolist())
    return lines


def _box_differs(sample: Sample[Any]) -> bool:
    return any(
        shape
        and shape.outlines
        and np.abs(np.subtract(shape.bounds(), corners)).max() > _BOUNDS_TOLERANCE
        for shape, corners in zip(
            shapes_of(sample.target), boxes_of(sample.target).corners, strict=True
        )
    )
