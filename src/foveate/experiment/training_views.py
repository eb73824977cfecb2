"""What training sees: some train images as they are, and as three epochs changed them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Boxes
from foveate.data.dataset import Image
from foveate.data.resizing import resize
from foveate.data.rng import SampleRNG, sample_keys
from foveate.experiment.predicted_split import reduced
from foveate.experiment.prepared_data import PreparedData
from foveate.experiment.run_folder import RunFolder
from foveate.experiment.train import augmentation
from foveate.ops.masks import resize_nearest
from foveate.report.drawing import Colour, class_colour, to_rgb
from foveate.report.overlays import Layer, class_map_layer, masks_layer, named_boxes
from foveate.report.panels import Gallery, GalleryItem
from foveate.tasks.task import Task

EPOCHS = 3
MAX_LEGEND = 30
"""Classes in the legend: the first."""
CHANGES = {
    "shift": "shifted",
    "flip": "mirrored",
    "rot90": "turned by quarters",
    "rotation": "turned a little",
    "scale_jitter": "scaled and cropped",
    "aspect_jitter": "stretched",
    "elastic_sigma": "bent",
    "colour": "changed in colour",
    "erase": "partly covered",
    "mosaic": "joined with other images",
}
"""What each setting of an augmentation does to an image."""
HOW_OFTEN = frozenset({"crop", "crops_per_image", "mosaic_until"})
"""Settings of how much of an image is used, and until when."""

View = tuple[Image, Any]
"""An image and its annotation."""
T = TypeVar("T")


def training_views(run: RunFolder, prepared: PreparedData | None) -> list[Gallery]:
    """The gallery; none without the images."""
    if prepared is None:
        return []
    pixels, targets, ids = prepared.of("train")
    policy, task = augmentation(run.settings, prepared), prepared.task
    rows = np.unique(np.linspace(0, len(ids) - 1, 4 if task.letterbox else 8).astype(int))
    chosen = [targets[row] for row in rows]
    alone = [pixels[int(row)] for row in rows]  # without padding, as large as their targets
    images = alone if policy.crops_per_image > 1 else pixels[rows]
    versions = [list(zip(alone, chosen, strict=True))]
    for epoch in range(EPOCHS):
        rng = SampleRNG(sample_keys([ids[row] for row in rows]), run.settings.seed, epoch)
        augmented, moved = policy.batch(images, chosen, rng, 0.0)
        versions.append(list(zip(augmented.numpy(), moved, strict=False)))
    items = []
    for place, row in enumerate(rows):
        image, layers = _square(task, [version[place] for version in versions])
        items.append(GalleryItem(image, task.summary(targets[row]), layers=layers))
    outlined = any(item.layers for item in items)
    colours = _colours(task)
    legend = list(zip(task.classes, colours, strict=False))[:MAX_LEGEND] if outlined else []
    text = describe(policy.to_dict())
    return [Gallery("What training sees", text, items, task.letterbox, legend)]


def _colours(task: Task[Any]) -> Sequence[Colour]:
    """The colour of each class."""
    return task.colours or [class_colour(k) for k in range(len(task.classes))]


def describe(settings: Mapping[str, Any]) -> str:
    """What an augmentation does, in words."""
    used = [name for name, value in settings.items() if value and name not in HOW_OFTEN]
    if not used:
        return "Images were not augmented."
    changes = ", ".join(CHANGES.get(name, name.replace("_", " ")) for name in used)
    return (
        f"Training sees each image changed at random ({changes}), in ways that keep its target. "
        "Each square shows the original at the top left, then the same image in three epochs."
    )


def _square(task: Task[Any], views: Sequence[View]) -> tuple[Image, list[Layer]]:
    """Four versions of an image in a square, and the outlines of their targets."""
    views = [reduced(task, *view) for view in views]
    images = [to_rgb(image) for image, _ in views]
    if not task.letterbox:
        return _join(images, 128), []
    sizes = [(image.shape[0], image.shape[1]) for image in images]
    annotations = [annotation for _, annotation in views]
    if class_maps := _known([one.class_map() for one in annotations]):
        colours = _colours(task)
        class_maps = [np.where(one < len(colours), one, -1) for one in class_maps]
        layer = class_map_layer("target", _join(class_maps, -1), colours, filled=True)
        return _join(images, 128), [layer]
    boxes = _known([one.as_boxes() for one in annotations])
    object_maps = _known(
        [one.object_map(size) for one, size in zip(annotations, sizes, strict=True)]
    )
    if boxes and object_maps:
        numbers, begin = [], 0
        for one, objects in zip(boxes, object_maps, strict=True):
            objects = objects.astype(np.int64)  # int8 where an image has few objects
            numbers.append(np.where(objects > 0, objects + begin, 0))
            begin += len(one)
        labels = np.concatenate([one.classes for one in boxes])
        every = Boxes(np.zeros((len(labels), 4)), labels)
        colours = [class_colour(int(k)) for k in labels]
        layer = masks_layer("target", _join(numbers, 0), every, colours)
        return _join(images, 128), [layer]
    if boxes:
        square = _join(images, 128)
        corners = [_moved(*one, sizes) for one in zip(boxes, range(len(boxes)), strict=True)]
        every = Boxes(np.concatenate(corners), np.concatenate([one.classes for one in boxes]))
        return square, [named_boxes(every, (square.shape[0], square.shape[1]), ())]
    return _join([task.draw(*view) for view in views], 128), []


def _known(values: Sequence[T | None]) -> list[T] | None:
    """The values, if all are known."""
    known = [one for one in values if one is not None]
    return known if len(known) == len(values) else None


def _moved(boxes: Boxes, place: int, sizes: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    """Corners of boxes of one of four images, in their square."""
    (height, width), (own_height, own_width) = _cell(sizes), sizes[place]
    scale = np.array([width / own_width, height / own_height] * 2) if place else 1.0
    down, across = divmod(place, 2)
    corners: NDArray[np.float64] = boxes.corners * scale
    return corners + [across * (width + 1), down * (height + 1)] * 2


def _cell(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Height and width of each of four cells: of the versions if they contain the original."""
    (height, width), version = sizes[:2]
    return version if height <= version[0] and width <= version[1] else (height, width)


def _join(cells: Sequence[NDArray[Any]], line: int) -> NDArray[Any]:
    """Four images or maps in a square, with a line between them.

    The first is padded like the others, which are padded if they are larger. Smaller ones are
    crops of it, and scaled to its size.
    """
    first, *others = cells
    height, width = _cell([(one.shape[0], one.shape[1]) for one in cells])
    scale = resize if first.ndim == 3 else resize_nearest
    below, right = height - first.shape[0], width - first.shape[1]
    other = ((0, 0),) * (first.ndim - 2)
    scaled = [
        np.pad(first, ((0, below), (0, right), *other), constant_values=line),
        *(
            one if one.shape[:2] == (height, width) else scale(one, (height, width))
            for one in others
        ),
    ]
    padded = [np.pad(one, ((0, 1), (0, 1), *other), constant_values=line) for one in scaled]
    rows = [np.concatenate(padded[:2], axis=1), np.concatenate(padded[2:], axis=1)]
    return np.concatenate(rows)[:-1, :-1]
