"""What a text file of YOLO says for a sample, and what it cannot say."""

from __future__ import annotations

from typing import Any

import numpy as np

from foveate.annotations import Polygon, boxes_of
from foveate.data.dataset import Dataset, Sample
from foveate.formats._shared.beside import LARGEST_NUMBER, size_of
from foveate.formats._shared.instances import shapes_of, unwritable
from foveate.formats._shared.writing import count, part_for_some, told_besides
from foveate.formats.yolo.lines import in_pixels

_EQUAL = 1e-5  # pixels by which a box may miss the bounds of its outline

Places = list[list[float]]  # the numbers of each line, without the class


def problems_of(dataset: Dataset[Any]) -> list[str]:
    """What the format cannot hold, but for what depends on the pictures' sizes."""
    samples = list(dataset)
    problems = unwritable(dataset) + [
        f"the class name {name!r}" for name in dataset.classes if not name
    ]
    problems += told_besides(dataset, "group", "time")
    problems += part_for_some(dataset)
    problems += count(
        "with a crowd", [sample for sample in samples if boxes_of(sample.target).crowd.any()]
    )
    problems += count(
        "with a difficult box",
        [sample for sample in samples if boxes_of(sample.target).difficult.any()],
    )
    masks = [
        s
        for s in samples
        if any(not isinstance(shape, Polygon | None) for shape in shapes_of(s.target))
    ]
    problems += count("with a mask of pixels", masks)
    polygons = [
        [shape for shape in shapes_of(s.target) if isinstance(shape, Polygon)] for s in samples
    ]
    several = [
        s
        for s, each in zip(samples, polygons, strict=True)
        if any(len(shape.outlines) > 1 for shape in each)
    ]
    problems += count("with an outline of several pieces", several)
    return problems + count(
        "with a box that is not the bounds of its outline", list(filter(_has_own_box, samples))
    )


def places_in(samples: list[Sample[Any]]) -> tuple[list[Places], list[str]]:
    """The lines of each sample, as shares of its picture's sides; and what keeps them from being read again.

    Raises BadImage where a picture has no size.
    """
    places = [_places(sample, size_of(sample)) for sample in samples]
    paired = list(zip(samples, places, strict=True))
    far = [
        s
        for s, each in paired
        if any(not abs(value) <= LARGEST_NUMBER for place in each for value in place)
    ]
    problems = count(f"with a place beyond {LARGEST_NUMBER:g} sides of the picture", far)
    outside = [sample for sample, each in paired if in_pixels(each)]
    return places, problems + count(
        "mostly outside their picture, so that they would be read as pixels", outside
    )


def _places(sample: Sample[Any], size: tuple[int, int]) -> Places:
    sides = np.array([size[1], size[0]], float)
    places = []
    for corners, shape in zip(
        boxes_of(sample.target).corners, shapes_of(sample.target), strict=True
    ):
        if isinstance(shape, Polygon):
            points = shape.outlines[0]
        else:
            points = np.array([(corners[:2] + corners[2:]) / 2, corners[2:] - corners[:2]])
        places.append((points / sides).ravel().tolist())
    return places


def _has_own_box(sample: Sample[Any]) -> bool:
    return any(
        isinstance(shape, Polygon) and np.abs(np.subtract(shape.bounds(), corners)).max() > _EQUAL
        for shape, corners in zip(
            shapes_of(sample.target), boxes_of(sample.target).corners, strict=True
        )
    )
