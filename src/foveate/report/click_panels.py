"""The report's sections about what was pointed at: how masks grow right with clicks, class by class, and the worst things."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Instances
from foveate.metrics.interactive import CLICKS, ENOUGH, InteractiveResult, needed
from foveate.report import drawing
from foveate.report.panels import Gallery, Item, Panel, shares

WORST = 6
"""Things that are shown."""


def point_panels(
    stats: Mapping[str, NDArray[Any]],
    ids: Sequence[str],
    read_image: Callable[[int], NDArray[np.uint8] | None],
    read_pair: Callable[[int], tuple[Any, Any]],
    classes: Sequence[str],
) -> list[Panel]:
    """From a tally of `evaluation.pointing`; pair: a picture's answer, and what is true."""
    each = [
        (row, place, *instance)
        for row, instances in enumerate(stats["things"])
        for place, instance in enumerate(instances)
    ]
    if not each:
        return []
    ious = np.array([instance[3:] for instance in each], float)
    named = np.array([instance[2] for instance in each], np.int64)
    clicks = needed(ious)
    growth = [
        (f"{count} click{'s' if count > 1 else ''}", float(ious[:, count - 1].mean()))
        for count in range(1, CLICKS + 1)
    ]
    by_class = [
        (name, float(ious[named == k, 0].mean()))
        for k, name in enumerate(classes)
        if (named == k).any()
    ]
    enough = [
        (f"{count} clicks" if count > 1 else "1 click", float((clicks <= count).mean()))
        for count in range(1, CLICKS + 1)
    ]
    panels: list[Panel] = [
        shares(
            "What a click is worth",
            "Mean IoU of mask and truth. Each click falls where the last mask was most wrong.",
            growth,
        ),
        shares(
            "How soon a mask is good",
            f"The share of things at an IoU of {ENOUGH:.0%} or more.",
            enough,
        ),
    ]
    if len(by_class) > 1:
        panels.append(
            shares(
                "After one click, by class",
                "Mean IoU. Classes are not learnt: this tells which things are hard.",
                sorted(by_class, key=lambda one: one[1]),
            )
        )
    return [*panels, *_worst(each, ious, ids, read_image, read_pair, classes)]


def _worst(
    each: Sequence[tuple[Any, ...]],
    ious: NDArray[np.float64],
    ids: Sequence[str],
    read_image: Callable[[int], NDArray[np.uint8] | None],
    read_pair: Callable[[int], tuple[Any, Any]],
    classes: Sequence[str],
) -> list[Panel]:
    """Picture, truth, and the answers after one click and after all of them."""
    items = []
    for place in np.argsort(ious[:, 0], kind="stable")[:WORST]:
        row, instance, k, *_ = each[place]
        image = read_image(row)
        if image is None:
            continue
        prediction, true = read_pair(row)
        assert isinstance(prediction, InteractiveResult)
        one = np.array([instance])
        shown = [true[prediction.rows[one]], prediction.after[0][one], prediction.after[-1][one]]
        views = [drawing.legible(drawing.rgb(image)), *(_drawn(image, own) for own in shown)]
        told = f"{classes[k]}: IoU {ious[place, 0]:.0%} after one click, {ious[place, -1]:.0%} after {CLICKS}"
        items.append(Item(drawing.squared(views), told, ids[row], "bad"))
    words = (
        "Those whose mask was least right after one click. In each square: the picture and the true mask above; the mask after one click "
        f"and after {CLICKS} below."
    )
    return [Gallery("The hardest things", words, items, large=True)] if items else []


def _drawn(image: NDArray[np.uint8], instance: Instances) -> NDArray[np.uint8]:
    mask = instance.masks((image.shape[0], image.shape[1]))[0]
    return drawing.instances(image, mask.astype(np.int32), np.zeros(1, np.int64))
