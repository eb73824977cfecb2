"""The same data with less in it: what a task does not ask for, or a format cannot hold, left out on purpose."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import IGNORE, Boxes, Captions, Instances, Label, Mask, RunLengths
from foveate.data import label_maps, vocabulary
from foveate.data.dataset import Dataset
from foveate.errors import DataError, SettingError
from foveate.ops import rle

Change = Callable[[Any], Any]


COMPATIBLE: dict[tuple[str, str], list[str]] = {
    ("instance", "detection"): ["outlines"],
    ("instance", "semantic"): ["things"],
    ("instance", "promptable"): [],
    ("classification", "text_to_image"): ["labels"],
}
"""What is left out so that annotations for one task serve another."""


def suited(dataset: Dataset[Any], tasks: Container[str]) -> str:
    """Of these tasks the one that the annotations are for, or that they can serve. Raises SettingError if there is none."""
    for task in (dataset.task, *(other for own, other in COMPATIBLE if own == dataset.task)):
        if task in tasks:
            return task
    raise SettingError(
        f"these annotations are for the task {dataset.task!r}, which cannot be trained yet",
        where=str(dataset.origin or dataset.name),
        remedy="They can be audited, split and converted.",
    )


def for_task(dataset: Dataset[Any], task: str) -> Dataset[Any]:
    """The data as this task wants its truths: outlined things serve detection by their boxes,
    semantic segmentation by their classes, and prompts as they are; names of classes are captions. Raises SettingError if
    the annotations cannot serve it.
    """
    if dataset.task == task:
        return dataset
    if (dataset.task, task) in COMPATIBLE:
        return replace(without(dataset, COMPATIBLE[dataset.task, task]), task=task)
    raise SettingError(
        f"these annotations are for the task {dataset.task!r}, not {task!r}",
        where=str(dataset.origin or dataset.name),
        remedy=f"Use --task {dataset.task} if `foveate tasks` lists it; until then these data can be audited, split and converted.",
    )


def without(dataset: Dataset[Any], what: Sequence[str]) -> Dataset[Any]:
    """The data without some of what they hold: see LEAVES. Raises SettingError for another word."""
    for word in what:
        if word not in DROPPABLE:
            raise SettingError(
                f"nothing is called {word!r}",
                where="without",
                remedy=f"It can be: {', '.join(DROPPABLE)}.",
            )
        dataset = DROPPABLE[word](dataset)
    return dataset


def _outlines(dataset: Dataset[Any]) -> Dataset[Any]:
    if dataset.task != "instance":
        return dataset
    return replace(_truths(dataset, lambda target: target.boxes), task="detection")


def _things(dataset: Dataset[Any]) -> Dataset[Any]:
    if dataset.task != "instance":
        return dataset
    named = ("background" if number == 1 else f"background {number}" for number in count(1))
    ground = next(name for name in named if name not in dataset.classes)
    colours = dataset.colours and ((0, 0, 0), *dataset.colours)
    classes = (ground, *dataset.classes)
    painted = _truths(
        dataset, lambda target: Mask(PaintedPixels(target, _size_of(target, dataset)), None)
    )
    return replace(painted, task="semantic", classes=classes, colours=colours)


def _labels(dataset: Dataset[Any]) -> Dataset[Any]:
    """A class by its name in words, in several wordings."""
    if dataset.task != "classification":
        return dataset
    captions = [Captions(vocabulary.wordings(name)) for name in dataset.classes]

    def change(target: Any) -> Any:  # a class that does not exist stays, for the audit to find
        return (
            captions[target.index]
            if isinstance(target, Label) and target.index < len(captions)
            else target
        )

    return replace(_truths(dataset, change), task="text_to_image", classes=())


@dataclass(frozen=True, slots=True, eq=False)
class PaintedPixels:
    """1 + the class of the thing at each pixel, 0 where nothing is, IGNORE in crowds and where it is difficult to say."""

    instances: Instances
    size: tuple[int, int]

    def read(self) -> NDArray[np.int32]:
        boxes = self.instances.boxes
        classes = np.where(boxes.ignored, IGNORE, boxes.classes + 1).astype(np.int32)
        return np.concatenate([np.zeros(1, np.int32), classes])[
            label_maps.numbered(self.instances, self.size)
        ]


def _size_of(target: Instances, dataset: Dataset[Any]) -> tuple[int, int]:
    if target.boxes.size is None:
        raise DataError(
            "the picture's size is expected with each annotation, to turn outlines into pixels; it is not told",
            where=str(dataset.origin or dataset.name),
        )
    return target.boxes.size


def _flag(name: str) -> Callable[[Dataset[Any]], Dataset[Any]]:
    """Without the boxes that are flagged so."""

    def change(target: Any) -> Any:
        if not isinstance(target, Boxes | Instances):
            return target
        return target[~getattr(target.boxes if isinstance(target, Instances) else target, name)]

    return lambda dataset: _truths(dataset, change)


def _own_boxes(target: Any) -> Any:
    """Each thing in the box that its shape just fills."""
    if not isinstance(target, Instances):
        return target
    corners = target.boxes.corners.copy()
    for row, shape in enumerate(target.shapes):
        if shape is not None:
            corners[row] = shape.bounds()
    return Instances(replace(target.boxes, corners=corners), target.shapes)


def _polygons(dataset: Dataset[Any]) -> Dataset[Any]:
    """Outlines as the pixels inside them."""

    def change(target: Any) -> Any:
        if not isinstance(target, Instances):
            return target
        size = _size_of(target, dataset)
        masks = [RunLengths(rle.encode(mask), size) for mask in target.masks(size)]
        return _own_boxes(Instances(target.boxes, tuple(masks)))

    return _truths(dataset, change)


def _truths(dataset: Dataset[Any], change: Change) -> Dataset[Any]:
    samples = [s if s.target is None else replace(s, target=change(s.target)) for s in dataset]
    return replace(dataset, samples=samples)


def _fields(**given: Any) -> Callable[[Dataset[Any]], Dataset[Any]]:
    return lambda dataset: replace(
        dataset, samples=[replace(sample, **given) for sample in dataset]
    )


DROPPABLE: dict[str, Callable[[Dataset[Any]], Dataset[Any]]] = {
    "parts": _fields(split=None),
    "groups": _fields(group=None),
    "times": _fields(time=None),
    "crowds": _flag("crowd"),
    "difficult": _flag("difficult"),
    "labels": _labels,
    "outlines": _outlines,
    "things": _things,
    "polygons": _polygons,
    "boxes": lambda dataset: _truths(dataset, _own_boxes),
    "colours": lambda dataset: replace(dataset, colours=None),
}
"""What can be left out: parts, groups and times; crowds and difficult boxes; labels (captions from their names
stay); outlines (their boxes stay); things (the class of
each pixel stays); polygons (their pixels stay); boxes that differ from their outline (the outline's own are taken); colours of classes."""
