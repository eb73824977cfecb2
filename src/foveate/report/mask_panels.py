"""Report panels on semantic masks: results by class, the confusion matrix and the worst images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import IGNORE, Mask
from foveate.metrics.semantic import Scorer
from foveate.report import drawing
from foveate.report.overlays import class_map_layer, error_layer
from foveate.report.panels import (
    Bars,
    ConfusionMatrix,
    Gallery,
    GalleryItem,
    Panel,
    Table,
    share_bars,
)
from foveate.wording import percent

MAX_WORST_IMAGES = 6
MAX_MATRIX_CLASSES = 30
"""Classes in the confusion matrix: those with the most pixels."""
MAX_CELLS = 12
"""Cells of the confusion matrix that an image belongs to."""
ERROR_COLOUR: drawing.Colour = (255, 0, 200)


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
    worst = worst_images(scorer, ids, read_image, read_pair, classes, colours)
    return [
        _iou_bars(scorer, classes),
        _class_table(scorer, classes),
        _confusion_matrix(scorer, classes),
        *([worst] if worst.items else []),
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
    counts = pixels[np.ix_(frequent, frequent)]
    indices = frequent.tolist()
    return ConfusionMatrix("Confusion matrix", text, counts, names, indices, "pixel")


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
        rows.append([name, *(percent(value) for value in values)])
    return Table(
        "Metrics by class",
        "Recall is the share of the class's pixels that are predicted as the class. Precision is "
        "the share of the pixels predicted as the class that belong to it. Boundary F1 compares "
        "the edges alone, with a tolerance of 0.75% of the image diagonal.",
        ["class", "share of pixels", "IoU", "precision", "recall", "boundary F1"],
        rows,
    )


def worst_images(
    scorer: Scorer,
    ids: Sequence[str],
    read_image: Callable[[int], NDArray[np.uint8] | None],
    read_pair: Callable[[int], tuple[Mask, Mask]],
    classes: Sequence[str],
    colours: Sequence[drawing.Colour],
    of_class: int | None = None,
) -> Gallery:
    """The images with the lowest mean IoU, or IoU of one class; see `mask_panels`."""
    name = "mean IoU" if of_class is None else f"IoU of {classes[of_class]}"
    items = []
    for iou, row in _lowest(scorer, len(ids), of_class):
        image = read_image(row)
        if image is None:
            continue
        prediction, target = (mask.pixels.read() for mask in read_pair(row))
        image = image[: target.shape[0], : target.shape[1]]
        labelled = target != IGNORE
        wrong = (prediction != target) & labelled
        share = wrong.sum() / max(1, labelled.sum())
        predicted = class_map_layer("prediction", prediction, colours, filled=True)
        cells = _confused(target[wrong], prediction[wrong], len(classes))
        items.append(
            GalleryItem(
                image,
                f"{name} {percent(iou)}, {percent(share)} of pixels wrong",
                ids[row],
                "bad",
                [
                    error_layer(wrong, ERROR_COLOUR),
                    class_map_layer("target", target, colours, filled=False),
                    replace(predicted, shown=False),  # with both, lines would hide the image
                ],
                classes=[classes[k] for k in sorted({k for cell in cells for k in cell})],
                cells=cells,
            )
        )
    text = (
        "The images with the lowest mean IoU. Outlined in magenta: pixels whose prediction differs "
        "from the target. The regions of predictions and targets have switches."
    )
    legend = [("wrong", ERROR_COLOUR), *zip(classes, colours, strict=False)]
    legend = legend[: MAX_MATRIX_CLASSES + 1]
    return Gallery("Images with the lowest IoU", text, items, large=True, legend=legend)


def _lowest(scorer: Scorer, images: int, of_class: int | None) -> list[tuple[float, int]]:
    """The lowest IoU of some images with a wrong pixel, and the row of each."""
    found = []
    for row in range(images):
        rows = np.array([row])
        if of_class is None:
            iou = scorer.metrics(rows)["miou"]
        else:
            iou = scorer.per_class(rows)[of_class].iou
        if not np.isnan(iou) and (of_class is None or iou < 1):
            found.append((float(iou), row))
    return sorted(found)[:MAX_WORST_IMAGES]


def _confused(
    targets: NDArray[np.integer], predictions: NDArray[np.integer], classes: int
) -> list[tuple[int, int]]:
    """Pairs of target and predicted class, those with the most wrong pixels first."""
    counts = np.bincount(targets.astype(np.int64) * classes + predictions, minlength=classes**2)
    order = np.argsort(-counts, kind="stable")[:MAX_CELLS]
    return [(int(cell) // classes, int(cell) % classes) for cell in order if counts[cell]]
