"""How well a thing is cut out that is pointed at: the IoU after each click, each click where the last mask was most wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Instances
from foveate.metrics.detection import column
from foveate.ops.clicks import Click, next_click

CLICKS = 5
"""Clicks that a thing gets."""
TOLD = (1, 3, 5)
"""Clicks after which the IoU is told."""
ENOUGH = 0.85
"""The IoU at which a person would stop."""
MOST = 20
"""Things of a picture that are pointed at; of more, evenly some: each takes five answers."""


@dataclass(frozen=True)
class InteractiveResult:
    """rows: (N,) the things of the truth that were pointed at; after: those things as answered after each of CLICKS clicks"""

    rows: NDArray[np.int64]
    after: tuple[Instances, ...]


def chosen(target: Instances) -> NDArray[np.int64]:
    """The rows that are pointed at, of those that are neither crowds nor difficult."""
    rows = np.flatnonzero(~target.boxes.ignored)
    return rows if len(rows) <= MOST else rows[np.linspace(0, len(rows) - 1, MOST).astype(int)]


def rounds(
    true: NDArray[np.bool_],
    cut: Callable[[Sequence[Sequence[Click]], Any], tuple[NDArray[np.bool_], Any]],
) -> Iterator[Instances]:
    """(N, H, W) true masks -> the N things after each of CLICKS clicks, each where the last mask is most wrong; one that is right gets no
    further click. cut: the clicks of each thing, and what it left the last time -> masks, and what it leaves
    """
    clicks: list[list[Click]] = [[] for _ in true]
    found, left = np.zeros_like(true), None
    for _ in range(CLICKS):
        for own, *masks in zip(clicks, true, found, strict=True):
            if click := next_click(*masks):
                own.append(click)
        if len(true):
            found, left = cut(clicks, left)
        yield Instances.from_masks(found)


def per_image_stats(
    predictions: Sequence[InteractiveResult],
    targets: Sequence[Instances],
    sizes: Sequence[tuple[int, int]],
) -> dict[str, Any]:
    """things: of each thing of a picture its class and its IoU after each click."""
    rows = []
    for prediction, target, size in zip(predictions, targets, sizes, strict=True):
        true = target[prediction.rows].masks(size)
        ious = np.stack([overlaps(one.masks(size), true) for one in prediction.after], 1)
        classes = target.boxes.classes[prediction.rows]
        rows.append(
            [[int(k), *values] for k, values in zip(classes, ious.round(6).tolist(), strict=True)]
        )
    return {"things": column(rows)}


def overlaps(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(N, H, W) each -> (N,) IoU of the i-th with the i-th; 1 where both are empty."""
    both, either = (pixels.sum((1, 2)) for pixels in (found & true, found | true))
    return np.where(either > 0, both / np.maximum(either, 1), 1.0)


class Scorer:
    """A tally, so that any choice of its pictures is scored quickly."""

    def __init__(self, stats: Mapping[str, NDArray[Any]]):
        each = [np.array(instances, float).reshape(-1, 1 + CLICKS) for instances in stats["things"]]
        self.counts = np.array([len(instances) for instances in each], float)
        self.sums = np.array([_sums(instances[:, 1:]) for instances in each]).reshape(
            len(each), len(TOLD) + 2
        )

    def metrics(self, rows: NDArray[np.int64] | None = None) -> dict[str, float]:
        """iou_1, iou_3, iou_5: mean over things after so many clicks; within_5_clicks: share of things that reach an IoU of 0.85 by
        then; mean_clicks: that this takes, 6 where five are not enough.
        """
        some = slice(None) if rows is None else rows
        total = self.counts[some].sum()
        names = [*(f"iou_{clicks}" for clicks in TOLD), f"within_{CLICKS}_clicks", "mean_clicks"]
        values = self.sums[some].sum(0) / total if total else np.full(len(names), np.nan)
        return dict(zip(names, values.tolist(), strict=True))


def needed(ious: NDArray[np.float64]) -> NDArray[np.int64]:
    """(N, CLICKS) -> (N,) clicks to ENOUGH, CLICKS + 1 where it is not reached."""
    reached = ious >= ENOUGH
    return np.where(reached.any(1), reached.argmax(1), CLICKS) + 1


def _sums(ious: NDArray[np.float64]) -> list[float]:
    clicks = needed(ious)
    return [
        *ious[:, np.array(TOLD) - 1].sum(0),
        float((clicks <= CLICKS).sum()),
        float(clicks.sum()),
    ]
