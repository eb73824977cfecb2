"""The report's sections about outlined things: class by class, how precision falls with recall, and the worst pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Instances
from foveate.data import label_maps
from foveate.metrics import instance
from foveate.report import drawing
from foveate.report.box_panels import by_class, curves
from foveate.report.panels import Gallery, Item, Panel, shares

WORST = 5
"""Pictures that are shown, those with most things that are wrong."""
MISSED: drawing.Colour = (214, 40, 40)
FALSE: drawing.Colour = (0, 120, 215)


def thing_panels(
    stats: Mapping[str, NDArray[Any]],
    ids: Sequence[str],
    read_image: Callable[[int], NDArray[np.uint8] | None],
    read_pair: Callable[[int], tuple[Instances, Instances]],
    classes: Sequence[str],
    thresholds: NDArray[np.float64],
) -> list[Panel]:
    """From a tally of `evaluation.instance`; pair: what is shown of a picture's answer, and what is true."""
    rows = instance.per_class(stats, len(classes), thresholds)
    scored = sorted(
        ((name, row.ap50) for name, row in zip(classes, rows, strict=True) if row.n),
        key=lambda one: one[1],
    )
    return [
        shares(
            "How well each class is found",
            "Average precision where a mask counts that overlaps a true one by half.",
            scored,
        ),
        by_class(rows, classes, thresholds, "mask"),
        curves(rows, classes, "mask"),
        *_worst(stats, ids, read_image, read_pair, len(classes)),
    ]


def _worst(
    stats: Mapping[str, NDArray[Any]],
    ids: Sequence[str],
    read_image: Callable[[int], NDArray[np.uint8] | None],
    read_pair: Callable[[int], tuple[Instances, Instances]],
    classes: int,
) -> list[Panel]:
    """Picture, truth, answer and difference."""
    wrong = [
        (sum(false for *_, false, _ in each), sum(missed for *_, missed in each))
        for each in stats["quality"]
    ]
    items = []
    for row in sorted(range(len(ids)), key=lambda row: -sum(wrong[row]))[:WORST]:
        false, missed = wrong[row]
        image = read_image(row)
        if image is None or not false + missed:
            continue
        found, true = read_pair(row)
        views = [drawing.legible(drawing.rgb(image))]
        size = (image.shape[0], image.shape[1])
        for instances in (true, found):
            own = instances.boxes.classes if classes > 1 else np.arange(len(instances))
            views.append(drawing.instances(image, label_maps.numbered(instances, size), own))
        edges = drawing.instances(
            image, label_maps.numbered(true, size), true.boxes.classes, ink=MISSED
        )
        theirs = drawing.instances(
            image, label_maps.numbered(found, size), found.boxes.classes, ink=FALSE
        )
        plain = views[0]
        views.append(np.where((theirs != plain).any(2, keepdims=True), theirs, edges))
        items.append(
            Item(
                drawing.squared(views), f"{missed:,.0f} missed, {false:,.0f} false", ids[row], "bad"
            )
        )
    words = (
        "Those with most things missed or false: nothing true overlaps by half. In each square: the picture and the true things "
        "above; what was found, and both outlines, below: red the true ones, blue those that were found."
    )
    return [Gallery("The worst pictures", words, items, large=True)] if items else []
