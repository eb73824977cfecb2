"""Report panels on boxes: results by class, precision and recall, and the errors by their type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Boxes
from foveate.metrics import detection as metrics
from foveate.metrics.box_errors import ERROR_TYPES, BoxError, find_errors
from foveate.report import charts
from foveate.report.error_gallery import (
    ImageErrors,
    ReadImage,
    Window,
    close_ups,
    worst_images,
)
from foveate.report.overlays import Layer, predicted_boxes, target_boxes
from foveate.report.panels import (
    Chart,
    Gallery,
    Panel,
    Table,
    ThresholdCounts,
    Thresholds,
)
from foveate.wording import MAX_LISTED, count_noun, list_some, percent

MAX_CURVES = 6
"""Classes with a precision-recall curve: those with the most objects."""
MIN_DRAWN_SCORE = 0.05
"""Confidence below which a prediction is not on the page, unless it reaches its threshold."""
_CLOSE_UPS = (
    "Close-ups of each type of error: the most confident predictions, and the largest boxes that "
    "were missed. White: target boxes. Coloured: predicted boxes."
)


def box_panels(
    stats: Mapping[str, NDArray[Any]],
    ids: Sequence[str],
    read_image: ReadImage,
    classes: Sequence[str],
    thresholds: NDArray[np.float64],
) -> list[Panel]:
    """Make the panels of a detection run.

    Args:
        stats: Per-image statistics from `metrics.detection`.
        ids: The id of each image.
        read_image: Returns the image of a row, (H, W, C) uint8, or None if it cannot be read.
        classes: The K class names.
        thresholds: The score from which on a box of each class counts, shape (K,).
    """
    rows = metrics.per_class(stats, len(classes), thresholds)
    images = _errors_of_images(stats, ids, classes, thresholds)

    def draw(one: ImageErrors, image: NDArray[np.uint8]) -> tuple[Layer, Layer]:
        return _layers(image, *metrics.boxes_of_row(stats, one.row), classes, thresholds)

    return [
        class_table(rows, classes, thresholds, "boxes"),
        *precision_recall_charts(rows, classes, "boxes"),
        threshold_panel(stats, classes, thresholds, "boxes"),
        _error_table(images),
        close_ups(images, read_image, classes, _CLOSE_UPS),
        worst_images(
            images,
            read_image,
            classes,
            "White: target boxes. Coloured: predicted boxes.",
            draw,
        ),
    ]


def _is_confident(boxes: Boxes, thresholds: NDArray[np.float64]) -> NDArray[np.bool_]:
    assert boxes.scores is not None
    return boxes.scores >= thresholds[boxes.classes]


def class_table(
    rows: Sequence[metrics.ClassMetrics],
    classes: Sequence[str],
    thresholds: NDArray[np.float64],
    noun: str,
) -> Table:
    """Make the table of each class's metrics.

    Args:
        rows: The metrics of each class.
        classes: The class names.
        thresholds: The score from which on a prediction of each class counts.
        noun: The plural of what is predicted: "boxes" or "masks".
    """
    cells = [
        [
            name,
            f"{row.n:,}",
            *(percent(value) for value in (row.ap50, row.ap, row.precision, row.recall)),
            f"{threshold:.2f}",
        ]
        for name, row, threshold in zip(classes, rows, thresholds, strict=True)
    ]
    return Table(
        "Metrics by class",
        "AP50 is the average precision at an IoU of 0.5; AP is its mean over IoUs from 0.5 to "
        f"0.95. Precision and recall count the {noun} whose score reaches the threshold, which "
        "was chosen on the validation split.",
        ["class", "objects", "AP50", "AP", "precision", "recall", "threshold"],
        cells,
    )


def precision_recall_charts(
    rows: Sequence[metrics.ClassMetrics], classes: Sequence[str], noun: str
) -> list[Chart]:
    """Make the precision-recall curves of the most frequent classes; see `class_table`.

    A class without a correct prediction has no curve: it would be a line on the axis.
    """
    occurring = [k for k, row in enumerate(rows) if row.n]
    detected = [k for k in occurring if rows[k].curve[0].any()]
    if not detected:
        return []
    frequent = sorted(detected, key=lambda k: -rows[k].n)[:MAX_CURVES]
    rest = ""
    if len(frequent) < len(detected):
        rest = f" Shown are the {len(frequent)} classes with the most objects."
    if none := [classes[k] for k in occurring if k not in detected]:
        few = f": {list_some(none)}" if len(none) <= MAX_LISTED else ""
        without = count_noun(len(none), "class has", "classes have")
        rest += f" {without} no correct prediction{few}."
    return [
        Chart(
            "Precision and recall",
            f"Each curve runs from the most confident {noun} on the left to the least confident on "
            "the right. Recall is the share of objects that are detected, precision the share of "
            f"{noun} that are correct. The closer to the top right, the better.{rest}",
            charts.precision_recall({classes[k]: rows[k].curve for k in frequent}),
        )
    ]


def threshold_panel(
    stats: Mapping[str, NDArray[Any]],
    classes: Sequence[str],
    thresholds: NDArray[np.float64],
    noun: str,
) -> Thresholds:
    """Make the slider of the confidence threshold; see `class_table`."""
    counts = [
        ThresholdCounts(classes[k], k, objects, float(thresholds[k]), predicted, correct)
        for k, (objects, predicted, correct) in enumerate(
            metrics.counts_by_threshold(stats, len(classes), thresholds)
        )
    ]
    counts = [one for one in counts if one.objects or one.predicted[0]]
    return Thresholds(
        "Confidence threshold",
        f"Precision and recall of the {noun} with at least this confidence, all classes together. "
        "A higher threshold gives fewer false positives and more missed objects. The model uses "
        "the threshold of the best F1 of each class on the validation split.",
        counts,
    )


def _error_table(images: Sequence[ImageErrors]) -> Table:
    counts = Counter(error.kind for one in images for error in one.errors)
    image_counts = Counter(kind for one in images for kind in one.counts())
    boxes = count_noun(sum(len(one.boxes) for one in images), "predicted box", "predicted boxes")
    return Table(
        "Types of error",
        f"Each error among the {boxes} and the target boxes, by its type (after Bolya et al., "
        "TIDE, 2020).",
        ["type", "meaning", "count", "images"],
        [
            [kind, meaning, f"{counts[kind]:,}", f"{image_counts[kind]:,}"]
            for kind, meaning in ERROR_TYPES.items()
        ],
        2,
    )


def mistakes(
    stats: Mapping[str, NDArray[Any]],
    ids: Sequence[str],
    read_image: ReadImage,
    classes: Sequence[str],
    thresholds: NDArray[np.float64],
    of_class: int | None = None,
) -> Gallery:
    """Close-ups of the errors of all classes or of one; the arguments are those of `box_panels`."""
    images = _errors_of_images(stats, ids, classes, thresholds)
    return close_ups(images, read_image, classes, _CLOSE_UPS, of_class)


def _errors_of_images(
    stats: Mapping[str, NDArray[Any]],
    ids: Sequence[str],
    classes: Sequence[str],
    thresholds: NDArray[np.float64],
) -> list[ImageErrors]:
    images = []
    for row, id in enumerate(ids):
        boxes, targets = metrics.boxes_of_row(stats, row)
        boxes = boxes[_is_confident(boxes, thresholds)]
        draw = partial(_draw_error, boxes, targets, classes)
        errors = find_errors(boxes, targets)
        images.append(ImageErrors(row, id, boxes, targets, errors, draw))
    return images


def _draw_error(
    boxes: Boxes, targets: Boxes, classes: Sequence[str], error: BoxError, window: Window
) -> list[Layer]:
    """The boxes of an error in a window of its image."""
    left, top, right, bottom = window
    size = (bottom - top, right - left)
    box, target = _moved(boxes, error.prediction, window), _moved(targets, error.target, window)
    layers = [target_boxes(target, size)]
    if len(box):
        layers.append(predicted_boxes(box, size, classes, np.ones(len(box), bool)))
    return layers


def _moved(boxes: Boxes, row: int | None, window: Window) -> Boxes:
    """The box of a row, from the top left corner of a window; no box without a row."""
    some = boxes[np.array([] if row is None else [row], np.int64)]
    return Boxes(some.corners - (window[:2] * 2), some.classes, some.scores)


def _layers(
    image: NDArray[np.uint8],
    boxes: Boxes,
    targets: Boxes,
    classes: Sequence[str],
    thresholds: NDArray[np.float64],
) -> tuple[Layer, Layer]:
    size = (image.shape[0], image.shape[1])
    assert boxes.scores is not None
    boxes = boxes[_is_confident(boxes, thresholds) | (boxes.scores >= MIN_DRAWN_SCORE)]
    shown = _is_confident(boxes, thresholds)
    return target_boxes(targets, size), predicted_boxes(boxes, size, classes, shown)
