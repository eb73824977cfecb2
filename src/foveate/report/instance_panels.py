"""Report panels on instance masks: results by class, precision and recall, and the worst images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Instances
from foveate.metrics import instance
from foveate.report.box_panels import class_table, precision_recall_chart
from foveate.report.drawing import TARGET_COLOUR, class_colour
from foveate.report.overlays import Layer, masks_layer
from foveate.report.panels import Gallery, GalleryItem, Panel, share_bars
from foveate.wording import count_noun

MAX_WORST_IMAGES = 6


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
        precision_recall_chart(rows, classes, "masks"),
        *_worst_images(stats, ids, read_image, read_pair, classes, thresholds),
    ]


def _worst_images(
    stats: Mapping[str, NDArray[Any]],
    ids: Sequence[str],
    read_image: Callable[[int], NDArray[np.uint8] | None],
    read_pair: Callable[[int], tuple[Instances, Instances]],
    classes: Sequence[str],
    thresholds: NDArray[np.float64],
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
        kinds = [kind for kind, count in (("missed", missed), ("false positive", false)) if count]
        labels = sorted(
            {int(k) for k, *_, false, missed in stats["quality"][row] if false + missed}
        )
        caption = f"{missed:,.0f} missed, {count_noun(round(false), 'false positive')}"
        items.append(
            GalleryItem(
                image,
                caption,
                ids[row],
                "bad",
                _layers(image, *read_pair(row), thresholds),
                kinds,
                [classes[k] for k in labels],
            )
        )
    text = (
        "The images with the most missed objects and false positives, at an IoU of 0.5. White: "
        "outlines of targets. Coloured: outlines of predictions."
    )
    return [Gallery("Images with the most errors", text, items, large=True)] if items else []


def _layers(
    image: NDArray[np.uint8],
    predictions: Instances,
    targets: Instances,
    thresholds: NDArray[np.float64],
) -> list[Layer]:
    """Outlines of targets and of confident predictions."""
    size = (image.shape[0], image.shape[1])
    some = predictions[instance.is_confident(predictions, thresholds)]
    assert some.boxes.scores is not None
    # Where two overlap, the more confident one is seen.
    some = some[np.argsort(some.boxes.scores, kind="stable")]
    return [
        masks_layer(
            "target", targets.label_map(size), targets.boxes, [TARGET_COLOUR] * len(targets)
        ),
        masks_layer(
            "prediction",
            some.label_map(size),
            some.boxes,
            [class_colour(int(k)) for k in some.boxes.classes],
        ),
    ]
