"""Report panels on semantic masks: results by class, the confusion matrix and the worst images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import IGNORE, Mask
from foveate.metrics.semantic import Scorer
from foveate.report import drawing
from foveate.report.panels import (
    Bars,
    ConfusionMatrix,
    Gallery,
    GalleryItem,
    Panel,
    Table,
    share_bars,
)

MAX_WORST_IMAGES = 5
MAX_MATRIX_CLASSES = 30
"""Classes in the confusion matrix: those with the most pixels."""
ERROR_COLOUR: drawing.Colour = (214, 40, 40)


def mask_panels(
    scorer: Scorer,
    ids: Sequence[str],
    read_image: Callable[[int], NDArray[np.uint8] | None],
    read_pair: Callable[[int], tuple[Mask, Mask]],
    classes: Sequence[str],
    colours: Sequence[drawing.Colour],
) -> list[Panel]:
    """Make the panels of a semantic segmentation run.

    Args:
        scorer: Holds the per-image statistics.
        ids: The id of each image.
        read_image: Returns the image of a row, (H, W, C) uint8, or None if it cannot be read.
        read_pair: Returns the prediction and the target of a row.
        classes: The class names.
        colours: The colour of each class.
    """
    return [
        _iou_bars(scorer, classes),
        _class_table(scorer, classes),
        _confusion_matrix(scorer, classes),
        *_worst_images(scorer, ids, read_image, read_pair, classes, colours),
    ]


def _confusion_matrix(scorer: Scorer, classes: Sequence[str]) -> ConfusionMatrix:
    pixels = scorer.confusion()
    frequent = np.sort(np.argsort(-pixels.sum(1), kind="stable")[:MAX_MATRIX_CLASSES])
    text = "Numbers of pixels. Rows are target classes, columns are predicted classes."
    if len(frequent) < len(classes):
        text += (
            f" Of {len(classes)} classes, the {len(frequent)} with the most pixels are included."
        )
    names = [classes[k] for k in frequent]
    return ConfusionMatrix("Confusion matrix", text, pixels[np.ix_(frequent, frequent)], names)


def _iou_bars(scorer: Scorer, classes: Sequence[str]) -> Bars:
    rows = [
        (name, metrics.iou)
        for name, metrics in zip(classes, scorer.per_class(), strict=True)
        if not np.isnan(metrics.iou)
    ]
    rows.sort(key=lambda row: row[1])
    return share_bars(
        "IoU by class",
        "Intersection over union: of the pixels that belong to a class or are predicted as it, "
        "the share for which both are true.",
        rows,
    )


def _class_table(scorer: Scorer, classes: Sequence[str]) -> Table:
    rows = []
    for name, row in zip(classes, scorer.per_class(), strict=True):
        values = (row.share, row.iou, row.precision, row.recall, row.boundary_f1)
        rows.append([name, *("–" if np.isnan(value) else f"{value:.1%}" for value in values)])
    return Table(
        "Metrics by class",
        "Recall is the share of the class's pixels that are predicted as the class. Precision is "
        "the share of the pixels predicted as the class that belong to it. Boundary F1 compares "
        "the edges alone, with a tolerance of 0.75% of the image diagonal.",
        ["class", "share of pixels", "IoU", "precision", "recall", "boundary F1"],
        rows,
    )


def _worst_images(
    scorer: Scorer,
    ids: Sequence[str],
    read_image: Callable[[int], NDArray[np.uint8] | None],
    read_pair: Callable[[int], tuple[Mask, Mask]],
    classes: Sequence[str],
    colours: Sequence[drawing.Colour],
) -> list[Panel]:
    """The images with the lowest mean IoU."""
    mious = [(scorer.metrics(np.array([row]))["miou"], row) for row in range(len(ids))]
    items = []
    for miou, row in sorted(pair for pair in mious if not np.isnan(pair[0]))[:MAX_WORST_IMAGES]:
        image = read_image(row)
        if image is None:
            continue
        prediction, target = (mask.pixels.read() for mask in read_pair(row))
        labelled = target != IGNORE
        wrong = (prediction != target) & labelled
        red = np.broadcast_to(np.array(ERROR_COLOUR, np.uint8), (*wrong.shape, 3))
        grid = drawing.grid_2x2(
            [
                drawing.enlarge_small(drawing.to_rgb(image)),
                drawing.draw_class_map(image, target, colours),
                drawing.draw_class_map(image, prediction, colours),
                drawing.enlarge_small(drawing.tint(image, red, wrong)),
            ]
        )
        legend = drawing.draw_legend(classes[:MAX_MATRIX_CLASSES], colours, grid.shape[1])
        share = wrong.sum() / max(1, labelled.sum())
        caption = f"mean IoU {miou:.1%}, {share:.1%} of pixels wrong"
        items.append(GalleryItem(np.concatenate([grid, legend]), caption, ids[row], "bad"))
    text = (
        "The images with the lowest mean IoU. Top: image and target. Bottom: prediction, and in "
        "red the pixels where it differs from the target."
    )
    return [Gallery("Images with the lowest IoU", text, items, large=True)] if items else []
