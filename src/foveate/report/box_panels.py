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
from foveate.report import charts, drawing
from foveate.report.panels import Chart, Gallery, GalleryItem, Panel, Table
from foveate.wording import count_noun

ReadImage = Callable[[int], NDArray[np.uint8] | None]

MAX_CURVES = 6
"""Classes with a precision-recall curve: those with the most objects."""
MAX_PER_ERROR_TYPE = 6
"""Close-ups of each type of error."""
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
    pairs = [(boxes[_is_confident(boxes, thresholds)], targets) for boxes, targets in pairs]
    errors = [find_errors(boxes, targets) for boxes, targets in pairs]
    return [
        class_table(rows, classes, thresholds, "boxes"),
        precision_recall_chart(rows, classes, "boxes"),
        _error_table(errors, sum(len(boxes) for boxes, _ in pairs)),
        _worst_images(pairs, errors, ids, read_image, classes),
        *_error_galleries(pairs, errors, ids, read_image, classes),
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
            *(_percent(value) for value in (row.ap50, row.ap, row.precision, row.recall)),
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


def _percent(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.1%}"


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
) -> Gallery:
    order = sorted(range(len(ids)), key=lambda row: -len(errors[row]))[:MAX_WORST_IMAGES]
    items = []
    for row in order:
        image = read_image(row)
        if image is None or not errors[row]:
            continue
        counts = Counter(error.kind for error in errors[row])
        caption = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
        drawn = _draw_pair(image, *pairs[row], classes)
        items.append(GalleryItem(drawn, caption, ids[row], "bad"))
    return Gallery(
        "Images with the most errors",
        "White: target boxes. Coloured: predicted boxes.",
        items,
        large=True,
    )


def _error_galleries(
    pairs: Sequence[tuple[Boxes, Boxes]],
    errors: Sequence[Sequence[BoxError]],
    ids: Sequence[str],
    read_image: ReadImage,
    classes: Sequence[str],
) -> list[Gallery]:
    """Close-ups of each type of error, the most confident predictions and largest misses first."""
    galleries = []
    for kind, meaning in ERROR_TYPES.items():
        rows = [
            (row, error)
            for row, row_errors in enumerate(errors)
            for error in row_errors
            if error.kind == kind
        ]
        rows.sort(key=lambda item: _sort_key(pairs[item[0]], item[1]))
        items = []
        for row, error in rows[:MAX_PER_ERROR_TYPE]:
            if (image := read_image(row)) is not None:
                items.append(_close_up(image, *pairs[row], error, ids[row], classes))
        if items:
            text = f"{meaning[:1].upper()}{meaning[1:]}."
            if len(rows) > len(items):
                order = "largest" if kind == "missed" else "most confident"
                text += f" Of {len(rows):,}, the {len(items)} {order} are shown."
            galleries.append(Gallery(f"Errors: {kind}", text, items))
    return galleries


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
    drawn = _draw_pair(image[top:bottom, left:right], box, target, classes)
    caption = classes[(target if error.prediction is None else box).classes[0]]
    if error.kind == "wrong class":
        caption = f"{classes[target.classes[0]]}, predicted as {caption}"
    if box.scores is not None and len(box):
        id = f"confidence {box.scores[0]:.0%} · {id}"
    return GalleryItem(drawn, caption, id, "bad")


def _pick(boxes: Boxes, row: int | None) -> Boxes:
    return boxes[np.zeros(0, np.int64) if row is None else np.array([row])]


def _draw_pair(
    image: NDArray[np.uint8], boxes: Boxes, targets: Boxes, classes: Sequence[str]
) -> NDArray[np.uint8]:
    corners = np.concatenate([targets.corners, boxes.corners])
    colours = [drawing.TARGET_COLOUR] * len(targets)
    colours += [drawing.class_colour(int(k)) for k in boxes.classes]
    captions = [""] * len(targets) + [classes[k] for k in boxes.classes]
    return drawing.draw_boxes(image, corners, colours, captions)
