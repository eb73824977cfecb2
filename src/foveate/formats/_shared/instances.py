"""Helpers for boxes and instances: their columns, sizes of images, and what cannot be written."""

from __future__ import annotations

from typing import Any

import numpy as np

from foveate.annotations import Instances, Shape, boxes_of
from foveate.data.dataset import Dataset, Sample
from foveate.data.images import FileSource, size
from foveate.formats._shared.layout import MAX_COORDINATE, is_utf8
from foveate.formats._shared.writing import count_problem


def shapes_of(target: Any) -> tuple[Shape | None, ...]:
    """Return the shape of each object, None where it has only a box."""
    shapes: tuple[Shape | None, ...] = target.shapes
    return shapes


def annotated_size(sample: Sample[Any]) -> tuple[int, int]:
    """Return the height and width that the boxes record, or else the image's, in pixels.

    Raises:
        BadImage: If the image has to be read and cannot be.
    """
    return boxes_of(sample.target).size or image_size(sample)


def image_size(sample: Sample[Any]) -> tuple[int, int]:
    """Return the height and width of a sample's image in pixels.

    Raises:
        BadImage: If the image cannot be read.
    """
    if isinstance(sample.source, FileSource):
        return size(sample.source.path)
    height, width = sample.source.read().shape[:2]
    return height, width


def extra_fields(sample: Sample[Any]) -> dict[str, str]:
    """Return the group and the time of a sample, where it has them, as keys of a JSON object."""
    fields = {"group": sample.group, "time": sample.time}
    return {key: value for key, value in fields.items() if value is not None}


def box_problems(dataset: Dataset[Any]) -> list[str]:
    """List what keeps boxes and instances from being written as text and read again."""
    samples = list(dataset)
    problems = ["the colours of the classes"] if dataset.colours else []
    problems += [] if dataset.classes else ["a dataset without classes"]
    problems += [
        f"the class name {name!r}, which is not UTF-8"
        for name in dataset.classes
        if not is_utf8(name)
    ]
    repeated = {name for name in dataset.classes if dataset.classes.count(name) > 1}
    problems += [f"two classes with the name {name!r}" for name in sorted(repeated)]
    if dataset.task == Instances.task and not any(
        shape is not None for s in samples for shape in shapes_of(s.target)
    ):
        problems.append("instances without any shape (they would be read as boxes)")
    problems += count_problem(
        "with scores", [s for s in samples if boxes_of(s.target).scores is not None]
    )
    problems += count_problem(
        "with numbers beyond 1,000,000,000", [s for s in samples if not _in_range(s)]
    )
    invalid = [s for s in samples if not all(map(is_utf8, (s.id, *extra_fields(s).values())))]
    return problems + count_problem("with an id, a group or a time that is not UTF-8", invalid)


def _in_range(sample: Sample[Any]) -> bool:
    """Return whether readers accept all coordinates."""
    corners = boxes_of(sample.target).corners
    coordinates = [corners, corners[:, 2:] - corners[:, :2]]
    coordinates += [
        outline for shape in shapes_of(sample.target) if shape for outline in shape.outlines
    ]
    return all((np.abs(values) <= MAX_COORDINATE).all() for values in coordinates)
