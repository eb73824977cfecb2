"""The report's sections about classes of pixels: class by class, what is taken for what, and where answers and truth differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import IGNORE, Mask
from foveate.metrics.semantic import Scorer
from foveate.report import drawing
from foveate.report.panels import Bars, Gallery, Item, Matrix, Panel, Table, shares

WORST = 5
"""Pictures that are shown."""
MOST_CLASSES = 30
"""That are set against each other: those with most pixels."""
WRONG: drawing.Colour = (214, 40, 40)


def mask_panels(
    scorer: Scorer,
    ids: Sequence[str],
    read_image: Callable[[int], NDArray[np.uint8] | None],
    read_pair: Callable[[int], tuple[Mask, Mask]],
    classes: Sequence[str],
    colours: Sequence[drawing.Colour],
) -> list[Panel]:
    """scorer: of the tally of these pictures."""
    pixels = scorer.confusion()
    frequent = np.sort(np.argsort(-pixels.sum(1), kind="stable")[:MOST_CLASSES])
    names = [classes[k] for k in frequent]
    rest = (
        ""
        if len(frequent) == len(classes)
        else f" Of {len(classes)} classes the {len(frequent)} with most pixels."
    )
    return [
        _bars(scorer, classes),
        _table(scorer, classes),
        Matrix(
            "What is taken for what",
            f"Pixels: each row is a true class, each column an answer.{rest}",
            pixels[np.ix_(frequent, frequent)],
            names,
        ),
        *_worst(scorer, ids, read_image, read_pair, classes, colours),
    ]


def _bars(scorer: Scorer, classes: Sequence[str]) -> Bars:
    rows = [
        (name, one.iou)
        for name, one in zip(classes, scorer.per_class(), strict=True)
        if one.iou == one.iou
    ]
    rows.sort(key=lambda row: row[1])
    return shares(
        "How well each class is found",
        "IoU: of the pixels that are of this class or are called so, the share that are both.",
        rows,
    )


def _table(scorer: Scorer, classes: Sequence[str]) -> Table:
    told = [
        [
            name,
            *(
                "–" if value != value else f"{value:.1%}"
                for value in (one.share, one.iou, one.precision, one.recall, one.boundary_f1)
            ),
        ]
        for name, one in zip(classes, scorer.per_class(), strict=True)
    ]
    return Table(
        "Class by class",
        "Recall: of this class's pixels, the share that was found. Precision: of the pixels called so, the share that are. "
        "Boundary F1: the same of its edges alone, which may be off by 0.75% of the picture's diagonal.",
        ["class", "of all", "IoU", "precision", "recall", "boundary F1"],
        told,
    )


def _worst(
    scorer: Scorer,
    ids: Sequence[str],
    read_image: Callable[[int], NDArray[np.uint8] | None],
    read_pair: Callable[[int], tuple[Mask, Mask]],
    classes: Sequence[str],
    colours: Sequence[drawing.Colour],
) -> list[Panel]:
    """Picture, truth, answer and difference of those with the lowest mean IoU."""
    each = [(scorer.metrics(np.array([row]))["miou"], row) for row in range(len(ids))]
    items = []
    for metric, row in sorted((metric, row) for metric, row in each if metric == metric)[:WORST]:
        image = read_image(row)
        if image is None:
            continue
        found, true = (mask.pixels.read() for mask in read_pair(row))
        wrong = (found != true) & (true != IGNORE)
        ink = np.broadcast_to(np.array(WRONG, np.uint8), (*wrong.shape, 3))
        views = (drawing.legible(drawing.rgb(image)), drawing.classes(image, true, colours), drawing.classes(image, found, colours),
                 drawing.legible(drawing.painted(image, ink, wrong)))  # fmt: skip
        grid = drawing.squared(views)
        grid = np.concatenate(
            [grid, drawing.legend(classes[:MOST_CLASSES], colours, grid.shape[1])]
        )
        items.append(
            Item(
                grid,
                f"{metric:.1%} mean IoU, {wrong.sum() / max(1, (true != IGNORE).sum()):.1%} of the pixels wrong",
                ids[row],
                "bad",
            )
        )
    words = (
        "Those with the lowest mean IoU. In each square: the picture and the truth above, the answer and, in red, where the two "
        "differ below."
    )
    return [Gallery("The worst pictures", words, items, large=True)] if items else []
