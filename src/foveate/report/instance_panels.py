"""Report panels on instance masks: results by class, precision and recall, and the worst images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Instances
from foveate.metrics import instance
from foveate.report import drawing
from foveate.report.box_panels import class_table, precision_recall_chart
from foveate.report.panels import Gallery, GalleryItem, Panel, share_bars
from foveate.wording import count_noun

MAX_WORST_IMAGES = 5
TARGET_COLOUR: drawing.Colour = (214, 40, 40)
PREDICTION_COLOUR: drawing.Colour = (0, 120, 215)


def instance_panels(
    stats: Mapping[str, NDArray[Any]],
    ids: Sequence[str],
    read_image: Callable[[int], NDArray[np.uint8] | None],
    read_pair: Callable[[int], tuple[Instances, Instances]],
    classes: Sequence[str],
    thresholds: NDArray[np.float64],
) -> list[Panel]:
    """Make the panels of an instance segmentation run.

    Args:
        stats: Per-image statistics from `metrics.instance`.
        ids: The id of each image.
        read_image: Returns the image of a row, (H, W, C) uint8, or None if it cannot be read.
        read_pair: Returns the confident predictions and the targets of a row.
        classes: The K class names.
        thresholds: The score from which on a mask of each class counts, shape (K,).
    """
    rows = instance.per_class(stats, len(classes), thresholds)
    ap50 = [(name, row.ap50) for name, row in zip(classes, rows, strict=True) if row.n]
    return [
        share_bars(
            "AP50 by class",
            "Average precision, where a mask is correct if its IoU with a target is 0.5 or more.",
            sorted(ap50, key=lambda row: row[1]),
        ),
        class_table(rows, classes, thresholds, "masks"),
        precision_recall_chart(rows, classes, "masks"),
        *_worst_images(stats, ids, read_image, read_pair, len(classes)),
    ]


def _worst_images(
    stats: Mapping[str, NDArray[Any]],
    ids: Sequence[str],
    read_image: Callable[[int], NDArray[np.uint8] | None],
    read_pair: Callable[[int], tuple[Instances, Instances]],
    classes: int,
) -> list[Panel]:
    errors = [
        (sum(false for *_, false, _ in quality), sum(missed for *_, missed in quality))
        for quality in stats["quality"]
    ]
    items = []
    for row in sorted(range(len(ids)), key=lambda row: -sum(errors[row]))[:MAX_WORST_IMAGES]:
        false, missed = errors[row]
        image = read_image(row)
        if image is None or not false + missed:
            continue
        grid = _draw_comparison(image, *read_pair(row), classes)
        caption = f"{missed:,.0f} missed, {count_noun(round(false), 'false positive')}"
        items.append(GalleryItem(grid, caption, ids[row], "bad"))
    text = (
        "The images with the most missed objects and false positives, at an IoU of 0.5. Top: image "
        "and targets. Bottom: predictions, and outlines of targets (red) and predictions (blue)."
    )
    return [Gallery("Images with the most errors", text, items, large=True)] if items else []


def _draw_comparison(
    image: NDArray[np.uint8], predictions: Instances, targets: Instances, classes: int
) -> NDArray[np.uint8]:
    """Image, targets, predictions and both outlines in a grid."""
    plain = drawing.enlarge_small(drawing.to_rgb(image))
    views, outlines = [plain], []
    size = (image.shape[0], image.shape[1])
    for instances, colour in ((targets, TARGET_COLOUR), (predictions, PREDICTION_COLOUR)):
        label_map = instances.label_map(size)
        labels = instances.boxes.classes
        # Objects of the only class are told apart by colour.
        indices = labels if classes > 1 else np.arange(len(instances))
        views.append(drawing.draw_instances(image, label_map, indices))
        outlines.append(drawing.draw_instances(image, label_map, labels, edge_colour=colour))
    under, over = outlines
    views.append(np.where((over != plain).any(2, keepdims=True), over, under))
    return drawing.grid_2x2(views)
