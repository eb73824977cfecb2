"""Report panels on interactive segmentation: IoU after each click, and the hardest objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Instances
from foveate.metrics.interactive import MAX_CLICKS, SUFFICIENT_IOU, InteractiveResult, clicks_needed
from foveate.report import drawing
from foveate.report.panels import Gallery, GalleryItem, Panel, share_bars
from foveate.wording import count_noun

MAX_WORST_OBJECTS = 6


def click_panels(
    stats: Mapping[str, NDArray[Any]],
    ids: Sequence[str],
    read_image: Callable[[int], NDArray[np.uint8] | None],
    read_pair: Callable[[int], tuple[Any, Any]],
    classes: Sequence[str],
) -> list[Panel]:
    """Make the panels of a promptable segmentation run.

    Args:
        stats: Per-image statistics from `metrics.interactive`.
        ids: The id of each image.
        read_image: Returns the image of a row, (H, W, C) uint8, or None if it cannot be read.
        read_pair: Returns the prediction and the target of a row.
        classes: The class names.
    """
    objects = _objects(stats)
    if not objects:
        return []
    ious = np.array([instance[3:] for instance in objects], float)
    labels = np.array([instance[2] for instance in objects], np.int64)
    clicks = clicks_needed(ious)
    names = [count_noun(number, "click") for number in range(1, MAX_CLICKS + 1)]
    mean_ious = [float(ious[:, i].mean()) for i in range(MAX_CLICKS)]
    reached = [float((clicks <= number).mean()) for number in range(1, MAX_CLICKS + 1)]
    by_class = [
        (name, float(ious[labels == k, 0].mean()))
        for k, name in enumerate(classes)
        if (labels == k).any()
    ]
    panels: list[Panel] = [
        share_bars(
            "IoU after each click",
            "Mean IoU of the predicted and target masks. Each click is placed where the previous "
            "mask is most wrong.",
            list(zip(names, mean_ious, strict=True)),
        ),
        share_bars(
            "Objects with a good mask",
            f"The share of objects whose mask has reached an IoU of {SUFFICIENT_IOU:.0%}.",
            list(zip(names, reached, strict=True)),
        ),
    ]
    if len(by_class) > 1:
        panels.append(
            share_bars(
                "IoU after one click, by class",
                "The mean IoU of each class. The model does not learn classes; this shows which "
                "objects are hard to segment.",
                sorted(by_class, key=lambda row: row[1]),
            )
        )
    hardest = hardest_objects(stats, ids, read_image, read_pair, classes)
    return [*panels, hardest] if hardest.items else panels


def _objects(stats: Mapping[str, NDArray[Any]]) -> list[tuple[Any, ...]]:
    """The row of its image, its index there, its class and its IoU after each click."""
    return [
        (row, index, *instance)
        for row, instances in enumerate(stats["objects"])
        for index, instance in enumerate(instances)
    ]


def hardest_objects(
    stats: Mapping[str, NDArray[Any]],
    ids: Sequence[str],
    read_image: Callable[[int], NDArray[np.uint8] | None],
    read_pair: Callable[[int], tuple[Any, Any]],
    classes: Sequence[str],
    of_class: int | None = None,
) -> Gallery:
    """The objects of all classes or of one with the lowest IoU; see `click_panels`."""
    objects = [one for one in _objects(stats) if of_class is None or one[2] == of_class]
    items = []
    for row, instance, k, *ious in sorted(objects, key=lambda one: one[3])[:MAX_WORST_OBJECTS]:
        image = read_image(row)
        if image is None:
            continue
        prediction, targets = read_pair(row)
        assert isinstance(prediction, InteractiveResult)
        one = np.array([instance])
        target = targets[prediction.rows[one]]
        masks = [target, prediction.after[0][one], prediction.after[-1][one]]
        views = [drawing.enlarge_small(drawing.to_rgb(image))]
        views += [_draw_object(image, mask) for mask in masks]
        caption = (
            f"{classes[k]}: IoU {ious[0]:.0%} after 1 click, "
            f"{ious[-1]:.0%} after {count_noun(MAX_CLICKS, 'click')}"
        )
        items.append(
            GalleryItem(drawing.grid_2x2(views), caption, ids[row], "bad", classes=[classes[k]])
        )
    text = (
        "The objects with the lowest IoU after one click. Top: image and target mask. Bottom: "
        f"predicted mask after 1 click and after {count_noun(MAX_CLICKS, 'click')}."
    )
    return Gallery("Hardest objects", text, items, large=True)


def _draw_object(image: NDArray[np.uint8], instance: Instances) -> NDArray[np.uint8]:
    mask = instance.masks((image.shape[0], image.shape[1]))[0]
    return drawing.draw_instances(image, mask.astype(np.int32), np.zeros(1, np.int64))
