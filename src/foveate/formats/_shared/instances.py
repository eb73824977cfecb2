"""What writers of boxes and outlines share: the parts of a sample's truth, and what no file of theirs could hold."""

from __future__ import annotations

from typing import Any

import numpy as np

from foveate.annotations import Instances, Polygon, Shape, boxes_of
from foveate.data.dataset import Dataset, Sample
from foveate.formats._shared.beside import LARGEST_NUMBER, size_of
from foveate.formats._shared.layout import is_utf8
from foveate.formats._shared.writing import count


def shapes_of(target: Any) -> tuple[Shape | None, ...]:
    """The shapes, one a box; None for each where the truth is boxes alone."""
    return target.shapes if isinstance(target, Instances) else (None,) * len(boxes_of(target))


def picture_size(sample: Sample[Any]) -> tuple[int, int]:
    """Height and width as the boxes know it, or else of the picture. Raises BadImage if it cannot be read."""
    return boxes_of(sample.target).size or size_of(sample)


def told_of(sample: Sample[Any]) -> dict[str, str]:
    """What JSON says of a sample beyond what its format knows: its group and its time, where it has them."""
    told = {"group": sample.group, "time": sample.time}
    return {key: value for key, value in told.items() if value is not None}


def unwritable(dataset: Dataset[Any]) -> list[str]:
    """What keeps boxes and outlines from being written as JSON and read again."""
    samples = list(dataset)
    problems = ["the colours of the classes"] if dataset.colours else []
    problems += [] if dataset.classes else ["data without classes"]
    problems += [
        f"the class name {name!r}, which is not UTF-8"
        for name in dataset.classes
        if not is_utf8(name)
    ]
    twice = {name for name in dataset.classes if dataset.classes.count(name) > 1}
    problems += [f"two classes of the name {name!r}" for name in sorted(twice)]
    if dataset.task == "instance" and not any(
        shape is not None for s in samples for shape in shapes_of(s.target)
    ):
        problems.append("things of which none has a shape (they would be read as boxes)")
    problems += count("with scores", [s for s in samples if boxes_of(s.target).scores is not None])
    problems += count("with numbers beyond 1,000,000,000", [s for s in samples if not _within(s)])
    odd = [s for s in samples if not all(map(is_utf8, (s.id, *told_of(s).values())))]
    return problems + count("with an id, a group or a time that is not UTF-8", odd)


def _within(sample: Sample[Any]) -> bool:
    corners = boxes_of(sample.target).corners
    numbers = [corners, corners[:, 2:] - corners[:, :2]]
    numbers += [
        outline
        for shape in shapes_of(sample.target)
        if isinstance(shape, Polygon)
        for outline in shape.outlines
    ]
    return all((np.abs(each) <= LARGEST_NUMBER).all() for each in numbers)
