"""The same dataset with less in it: what a task does not need, or a format cannot hold."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from typing import Any

from foveate.annotations import CONVERSIONS, Annotation, Conversion
from foveate.data.dataset import Dataset
from foveate.errors import DataError, SettingError


def infer_task(dataset: Dataset[Any], tasks: Container[str]) -> str:
    """The first of these tasks that the annotations are for or can serve.

    Raises:
        SettingError: If they serve none of the tasks.
    """
    served = (one.target for one in CONVERSIONS if one.source == dataset.task)
    for task in (dataset.task, *served):
        if task in tasks:
            return task
    raise SettingError(
        f"these annotations are for the task {dataset.task!r}, which cannot be trained yet",
        where=str(dataset.origin or dataset.name),
        remedy="They can be audited, split and converted.",
    )


def for_task(dataset: Dataset[Any], task: str) -> Dataset[Any]:
    """The dataset with annotations for this task.

    Instances serve detection by their boxes and semantic segmentation by their classes; they serve
    prompts as they are; class names serve as captions.

    Raises:
        SettingError: If the annotations cannot serve the task.
    """
    conversion = check_task(dataset, task)
    return _convert(dataset, conversion) if conversion else dataset


def check_task(dataset: Dataset[Any], task: str) -> Conversion | None:
    """Return how the annotations become those for a task, None if they are for it.

    Raises:
        SettingError: If the annotations cannot serve the task.
    """
    if dataset.task == task:
        return None
    for one in CONVERSIONS:
        if (one.source, one.target) == (dataset.task, task):
            return one
    raise SettingError(
        f"these annotations are for the task {dataset.task!r}, not {task!r}",
        where=str(dataset.origin or dataset.name),
        remedy=f"Use --task {dataset.task} if `foveate tasks` lists it; "
        "until then these data can be audited, split and converted.",
    )


def drop(dataset: Dataset[Any], names: Sequence[str]) -> Dataset[Any]:
    """The dataset without some of its contents: see DROPPABLE.

    Raises:
        SettingError: For a name that is not in DROPPABLE.
        DataError: If the size of an image is needed and the annotations do not hold it.
    """
    for name in names:
        if name not in DROPPABLE:
            raise SettingError(
                f"there is nothing called {name!r} to leave out",
                where="without",
                remedy=f"It can be: {', '.join(DROPPABLE)}.",
            )
        dataset = DROPPABLE[name](dataset)
    return dataset


Change = Callable[[Dataset[Any]], Dataset[Any]]


def _convert(dataset: Dataset[Any], conversion: Conversion) -> Dataset[Any]:
    converted = _map_targets(dataset, lambda target: conversion.convert(target, dataset.classes))
    colours = dataset.colours and conversion.colours(dataset.colours)
    classes = conversion.classes(dataset.classes)
    return replace(converted, task=conversion.target, classes=classes, colours=colours)


def _conversion(name: str) -> Change:
    def change(dataset: Dataset[Any]) -> Dataset[Any]:
        for one in CONVERSIONS:
            if one.drops == name and one.source == dataset.task:
                return _convert(dataset, one)
        return dataset

    return change


def _map_targets(dataset: Dataset[Any], change: Callable[[Any], Annotation]) -> Dataset[Any]:
    try:
        samples = [s if s.target is None else replace(s, target=change(s.target)) for s in dataset]
    except DataError as error:
        raise DataError(error.message, where=str(dataset.origin or dataset.name)) from None
    return replace(dataset, samples=samples)


def _each_target(change: Callable[[Any], Annotation]) -> Change:
    return lambda dataset: _map_targets(dataset, change)


def _clear(field: str) -> Change:
    cleared: dict[str, Any] = {field: None}
    return lambda dataset: replace(
        dataset, samples=[replace(sample, **cleared) for sample in dataset]
    )


DROPPABLE: dict[str, Change] = {
    "splits": _clear("split"),
    "groups": _clear("group"),
    "times": _clear("time"),
    "crowds": _each_target(lambda target: target.without_flagged("crowd")),
    "difficult": _each_target(lambda target: target.without_flagged("difficult")),
    "labels": _conversion("labels"),
    "outlines": _conversion("outlines"),
    "instances": _conversion("instances"),
    "polygons": _each_target(lambda target: target.rasterised()),
    "boxes": _each_target(lambda target: target.with_tight_boxes()),
    "colours": lambda dataset: replace(dataset, colours=None),
}
"""What a user can leave out, by its name.

splits, groups, times: of the samples; crowds, difficult: objects with that flag; labels: their
names become captions; outlines: their boxes remain; instances: the class of each pixel remains;
polygons: their pixels remain; boxes: those of the shapes are used; colours: of the classes.
"""
