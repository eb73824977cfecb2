"""Report panels on instance masks: results by class, precision and recall, and the errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Boxes, Instances
from foveate.metrics import instance
from foveate.metrics.box_errors import BoxError, find_errors
from foveate.report.box_panels import (
    MIN_DRAWN_SCORE,
    class_table,
    precision_recall_charts,
    threshold_panel,
)
from foveate.report.drawing import TARGET_COLOUR, class_colour
from foveate.report.error_gallery import (
    MAX_WORST_IMAGES,
    ImageErrors,
    ReadImage,
    Window,
    close_ups,
    worst_images,
)
from foveate.report.overlays import Layer, masks_layer
from foveate.report.panels import Gallery, Panel, share_bars
from foveate.wording import count_noun

ReadPair = Callable[[int], tuple[Instances, Instances]]

_COLOURS = "White: outlines of targets. Coloured: outlines of predictions."


def instance_panels(
    stats: Mapping[str, NDArray[Any]],
    ids: Sequence[str],
    read_image: ReadImage,
    read_pair: ReadPair,
    classes: Sequence[str],
    thresholds: NDArray[np.float64],
) -> list[Panel]:
    """Make the panels of an instance segmentation run.

    Args:
        stats: Per-image statistics from `metrics.instance`.
        ids: The id of each image.
        read_image: Returns the image of a row, (H, W, C) uint8, or None if it cannot be read.
        read_pair: Returns the predictions, with scores, and the targets of a row.
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
        *precision_recall_charts(rows, classes, "masks"),
        threshold_panel(stats, classes, thresholds, "masks"),
        *_galleries(stats, ids, read_image, read_pair, classes, thresholds),
    ]


def mistakes(
    stats: Mapping[str, NDArray[Any]],
    ids: Sequence[str],
    read_image: ReadImage,
    read_pair: ReadPair,
    classes: Sequence[str],
    thresholds: NDArray[np.float64],
    of_class: int | None = None,
) -> Gallery:
    """Close-ups of errors of all classes or of one; further arguments: see `instance_panels`."""
    worst = _worst(stats, ids, read_image, read_pair, thresholds, of_class)
    return _close_ups([errors for errors, _ in worst], read_image, classes, of_class)


def _galleries(
    stats: Mapping[str, NDArray[Any]],
    ids: Sequence[str],
    read_image: ReadImage,
    read_pair: ReadPair,
    classes: Sequence[str],
    thresholds: NDArray[np.float64],
) -> list[Panel]:
    """Close-ups of errors, and the images with the most of them."""
    worst = _worst(stats, ids, read_image, read_pair, thresholds)
    if not worst:
        return []
    images = [errors for errors, _ in worst]
    masks = {errors.row: pair for errors, pair in worst}
    return [
        _close_ups(images, read_image, classes),
        worst_images(
            images,
            read_image,
            classes,
            f"The images with the most errors, at an IoU of 0.5. {_COLOURS}",
            lambda one, image: masks[one.row].layers(thresholds),
        ),
    ]


def _close_ups(
    images: Sequence[ImageErrors],
    read_image: ReadImage,
    classes: Sequence[str],
    of_class: int | None = None,
) -> Gallery:
    text = (
        "Close-ups of each type of error in the "
        f"{count_noun(len(images), 'image')} with the most errors. {_COLOURS}"
    )
    return close_ups(images, read_image, classes, text, of_class)


@dataclass(frozen=True)
class _Masks:
    """The masks of one image, by the numbers in a label map.

    Attributes:
        predictions: All predictions, with scores.
        targets: The targets.
        predicted: (H, W) the number of the predicted shape at each pixel, from 1 on; 0 for none.
        true: (H, W) the number of the target at each pixel, likewise.
    """

    predictions: Instances
    targets: Instances
    predicted: NDArray[np.integer]
    true: NDArray[np.integer]

    @classmethod
    def of(cls, predictions: Instances, targets: Instances, size: tuple[int, int]) -> _Masks:
        """The masks of an image of this height and width."""
        first, _ = predictions.unique_shapes()
        return cls(
            predictions, targets, predictions[first].label_map(size), targets.label_map(size)
        )

    def layers(self, thresholds: NDArray[np.float64]) -> list[Layer]:
        """Outlines of targets and predictions; those below their threshold are not shown."""
        shown = instance.is_confident(self.predictions, thresholds)
        scores = self.predictions.boxes.scores
        assert scores is not None
        rows = np.flatnonzero(shown | (scores >= MIN_DRAWN_SCORE))
        boxes = self.targets.boxes
        return [
            masks_layer("target", self.true, boxes, [TARGET_COLOUR] * len(boxes)),
            self._predicted(rows, self.predicted, shown[rows]),
        ]

    def draw(self, rows: NDArray[np.int64], error: BoxError, window: Window) -> list[Layer]:
        """The outlines of an error in a window; `rows` are those of the confident predictions."""
        left, top, right, bottom = window
        part = slice(top, bottom), slice(left, right)
        one = np.array([] if error.target is None else [error.target], np.int64)
        target, colours = self.targets.boxes[one], [TARGET_COLOUR] * len(one)
        layers = [masks_layer("target", self.true[part], target, colours, numbers=one + 1)]
        if error.prediction is not None:
            row = rows[[error.prediction]]
            layers.append(self._predicted(row, self.predicted[part], np.ones(1, bool)))
        return layers

    def _predicted(
        self, rows: NDArray[np.int64], label_map: NDArray[np.integer], shown: NDArray[np.bool_]
    ) -> Layer:
        boxes: Boxes = self.predictions.boxes[rows]
        colours = [class_colour(int(k)) for k in boxes.classes]
        numbers = self.predictions.unique_shapes()[1][rows] + 1
        return masks_layer("prediction", label_map, boxes, colours, numbers=numbers, shown=shown)


def _worst(
    stats: Mapping[str, NDArray[Any]],
    ids: Sequence[str],
    read_image: ReadImage,
    read_pair: ReadPair,
    thresholds: NDArray[np.float64],
    of_class: int | None = None,
) -> list[tuple[ImageErrors, _Masks]]:
    """The images with the most missed objects and false positives: masks are predicted again."""
    wrong = [
        sum(
            false + missed
            for k, *_, false, missed in quality
            if of_class is None or int(k) == of_class
        )
        for quality in stats["quality"]
    ]
    found = []
    for row in sorted(range(len(ids)), key=lambda row: -wrong[row])[:MAX_WORST_IMAGES]:
        image = read_image(row) if wrong[row] else None
        if image is None:
            continue
        predictions, targets = read_pair(row)
        size = (image.shape[0], image.shape[1])
        masks = _Masks.of(predictions, targets, size)
        rows = np.flatnonzero(instance.is_confident(predictions, thresholds))
        some = predictions[rows]
        overlap = instance.mask_overlaps(some, targets, size).iou
        errors = find_errors(some.boxes, targets.boxes, overlap)
        draw = partial(masks.draw, rows)
        found.append((ImageErrors(row, ids[row], some.boxes, targets.boxes, errors, draw), masks))
    return found
