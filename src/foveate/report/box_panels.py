"""Report panels on boxes: results by class, precision and recall, and the errors by their type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Boxes
from foveate.metrics import detection as metrics
from foveate.metrics.box_errors import ERROR_TYPES, BoxError, find_errors
from foveate.report import charts
from foveate.report.overlays import Layer, predicted_boxes, target_boxes
from foveate.report.panels import (
    Chart,
    Gallery,
    GalleryItem,
    Panel,
    Table,
    ThresholdCounts,
    Thresholds,
)
from foveate.wording import count_noun, percent

ReadImage = Callable[[int], NDArray[np.uint8] | None]

MAX_CURVES = 6
"""Classes with a precision-recall curve: those with the most objects."""
MAX_PER_ERROR_TYPE = 8
"""Close-ups of each type of error."""
MAX_WITH_CLASSES = 24
"""The same with one for each class, where classes are not among the first."""
MIN_DRAWN_SCORE = 0.05
"""Confidence below which a box is not on the page, unless it reaches its threshold."""
MAX_WORST_IMAGES = 6
"""Whole images, those with the most errors."""
_MARGIN = 0.6
"""The margin around a box in a close-up, as a share of its longer side."""


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
    pairs = [metrics.boxes_of_row(stats, row) for row in range(len(ids))]
    confident = [pairs_of_errors(pair, thresholds) for pair in pairs]
    errors = [find_errors(boxes, targets) for boxes, targets in confident]
    return [
        class_table(rows, classes, thresholds, "boxes"),
        precision_recall_chart(rows, classes, "boxes"),
        _threshold_panel(stats, classes, thresholds),
        _error_table(errors, sum(len(boxes) for boxes, _ in confident)),
        _mistakes(confident, errors, ids, read_image, classes),
        _worst_images(pairs, errors, ids, read_image, classes, thresholds),
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


def precision_recall_chart(
    rows: Sequence[metrics.ClassMetrics], classes: Sequence[str], noun: str
) -> Chart:
    """Make the precision-recall curves of the most frequent classes; see `class_table`."""
    occurring = [k for k, row in enumerate(rows) if row.n]
    frequent = sorted(occurring, key=lambda k: -rows[k].n)[:MAX_CURVES]
    rest = ""
    if len(frequent) < len(occurring):
        rest = f" Shown are the {len(frequent)} classes with the most objects."
    return Chart(
        "Precision and recall",
        f"Each curve runs from the most confident {noun} on the left to the least confident on "
        "the right. Recall is the share of objects that are detected, precision the share of "
        f"{noun} that are correct. The closer to the top right, the better.{rest}",
        charts.precision_recall({classes[k]: rows[k].curve for k in frequent}),
    )


def _threshold_panel(
    stats: Mapping[str, NDArray[Any]], classes: Sequence[str], thresholds: NDArray[np.float64]
) -> Thresholds:
    counts = [
        ThresholdCounts(classes[k], k, objects, float(thresholds[k]), predicted, correct)
        for k, (objects, predicted, correct) in enumerate(
            metrics.counts_by_threshold(stats, len(classes), thresholds)
        )
    ]
    counts = [one for one in counts if one.objects or one.predicted[0]]
    return Thresholds(
        "Confidence threshold",
        "Precision and recall of the boxes with at least this confidence, all classes together. "
        "A higher threshold gives fewer false positives and more missed objects. The model uses "
        "the threshold of the best F1 of each class on the validation split.",
        counts,
    )


def _error_table(errors: Sequence[Sequence[BoxError]], box_count: int) -> Table:
    counts = Counter(error.kind for row in errors for error in row)
    image_counts = Counter(kind for row in errors for kind in {error.kind for error in row})
    return Table(
        "Types of error",
        f"Each error among the {count_noun(box_count, 'predicted box', 'predicted boxes')} and "
        "the target boxes, by its type (after Bolya et al., TIDE, 2020).",
        ["type", "meaning", "count", "images"],
        [
            [kind, meaning, f"{counts[kind]:,}", f"{image_counts[kind]:,}"]
            for kind, meaning in ERROR_TYPES.items()
        ],
        2,
    )


def _worst_images(
    pairs: Sequence[tuple[Boxes, Boxes]],
    errors: Sequence[Sequence[BoxError]],
    ids: Sequence[str],
    read_image: ReadImage,
    classes: Sequence[str],
    thresholds: NDArray[np.float64],
) -> Gallery:
    order = sorted(range(len(ids)), key=lambda row: -len(errors[row]))[:MAX_WORST_IMAGES]
    items = []
    for row in order:
        image = read_image(row)
        if image is None or not errors[row]:
            continue
        counts = Counter(error.kind for error in errors[row])
        caption = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
        confident, targets = pairs_of_errors(pairs[row], thresholds)
        labels = {k for error in errors[row] for k in _labels(confident, targets, error)}
        items.append(
            GalleryItem(
                image,
                caption,
                ids[row],
                "bad",
                _layers(image, *pairs[row], classes, thresholds),
                tuple(counts),
                tuple(classes[k] for k in sorted(labels)),
            )
        )
    return Gallery(
        "Images with the most errors",
        "White: target boxes. Coloured: predicted boxes.",
        items,
        large=True,
    )


def pairs_of_errors(
    pair: tuple[Boxes, Boxes], thresholds: NDArray[np.float64]
) -> tuple[Boxes, Boxes]:
    """The confident predictions and the targets: those that errors are found among."""
    boxes, targets = pair
    return boxes[_is_confident(boxes, thresholds)], targets


def _labels(boxes: Boxes, targets: Boxes, error: BoxError) -> tuple[int, ...]:
    """The classes of an error: of its target and of its prediction."""
    rows = ((targets, error.target), (boxes, error.prediction))
    return tuple(int(one.classes[row]) for one, row in rows if row is not None)


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


def _mistakes(
    pairs: Sequence[tuple[Boxes, Boxes]],
    errors: Sequence[Sequence[BoxError]],
    ids: Sequence[str],
    read_image: ReadImage,
    classes: Sequence[str],
) -> Gallery:
    """Close-ups of each type of error, the most confident predictions and largest misses first."""
    items = []
    for kind in ERROR_TYPES:
        rows = [
            (row, error)
            for row, row_errors in enumerate(errors)
            for error in row_errors
            if error.kind == kind
        ]
        rows.sort(key=lambda item: _sort_key(pairs[item[0]], item[1]))
        for row, error in _some_of_each_class(rows, pairs):
            if (image := read_image(row)) is not None:
                items.append(_close_up(image, *pairs[row], error, ids[row], classes))
    count = sum(map(len, errors))
    some = f" Of {count:,} errors, {len(items)} are shown." if len(items) < count else ""
    return Gallery(
        "Mistakes",
        "Close-ups of each type of error: the most confident predictions, and the largest boxes "
        f"that were missed. White: target boxes. Coloured: predicted boxes.{some}",
        items,
        first=40,
    )


def _some_of_each_class(
    rows: Sequence[tuple[int, BoxError]], pairs: Sequence[tuple[Boxes, Boxes]]
) -> list[tuple[int, BoxError]]:
    """The first MAX_PER_ERROR_TYPE, and the first of each class that is not among them."""
    chosen, seen = list(rows[:MAX_PER_ERROR_TYPE]), set[int]()
    for row, error in rows:
        labels = set(_labels(*pairs[row], error))
        if (row, error) not in chosen and not labels <= seen and len(chosen) < MAX_WITH_CLASSES:
            chosen.append((row, error))
        seen |= labels
    return chosen


def _sort_key(pair: tuple[Boxes, Boxes], error: BoxError) -> float:
    """Minus the area of a missed box; minus the score of a predicted one."""
    boxes, targets = pair
    if error.prediction is None:
        corners = targets.corners[error.target]
        return -float((corners[2:] - corners[:2]).prod())
    assert boxes.scores is not None
    return -float(boxes.scores[error.prediction])


def _close_up(
    image: NDArray[np.uint8],
    boxes: Boxes,
    targets: Boxes,
    error: BoxError,
    id: str,
    classes: Sequence[str],
) -> GalleryItem:
    """The boxes of one error and their surroundings."""
    labels = _labels(boxes, targets, error)
    box, target = _pick(boxes, error.prediction), _pick(targets, error.target)
    corners = np.concatenate([box.corners, target.corners])
    low, high = corners[:, :2].min(0), corners[:, 2:].max(0)
    margin = _MARGIN * max(*(high - low), 8)
    size = np.array(image.shape[1::-1])
    # A target box may lie beyond its image.
    left, top = (low - margin).clip(0, size - 1).astype(int)
    right, bottom = np.ceil(high + margin).clip([left + 1, top + 1], size).astype(int)
    shift = [left, top, left, top]
    box, target = (Boxes(each.corners - shift, each.classes, each.scores) for each in (box, target))
    crop = image[top:bottom, left:right]
    extent = (int(bottom - top), int(right - left))
    layers = [target_boxes(target, extent)]
    caption = classes[labels[0]]
    if error.kind == "wrong class":
        caption += f", predicted as {classes[labels[1]]}"
    detail = f"{error.kind} · {id}"
    if box.scores is not None and len(box):
        layers.append(predicted_boxes(box, extent, classes, np.ones(len(box), bool)))
        detail = f"{error.kind} · confidence {box.scores[0]:.0%} · {id}"
    names = tuple(classes[k] for k in dict.fromkeys(labels))
    return GalleryItem(crop, caption, detail, "bad", layers, (error.kind,), names)


def _pick(boxes: Boxes, row: int | None) -> Boxes:
    return boxes[np.zeros(0, np.int64) if row is None else np.array([row])]
