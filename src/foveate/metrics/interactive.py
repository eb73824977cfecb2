"""Metrics of promptable segmentation: the IoU after each click on an object.

Every click falls where the last mask is most wrong, as a person would click.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Annotation, Instances
from foveate.data.dataset import SplitName
from foveate.errors import DataError
from foveate.metrics.columns import MANY, Column
from foveate.metrics.intervals import Range
from foveate.metrics.metric import Metric, PerImageStats, empty_split_message, ragged_column
from foveate.metrics.resampling import BatchScorer, Score
from foveate.ops.clicks import Click, next_click
from foveate.ops.masks import resize_nearest

MAX_CLICKS = 5
"""Clicks that an object gets."""
REPORTED_CLICKS = (1, 3, 5)
"""Clicks after which the IoU is a metric."""
SUFFICIENT_IOU = 0.85
"""IoU at which a person would stop clicking."""
MAX_OBJECTS = 20
"""Objects of an image that are evaluated; of more, an even selection: each takes five clicks."""


@dataclass(frozen=True, slots=True, eq=False)
class InteractiveResult(Annotation):
    """Predictions for some objects of one image.

    Attributes:
        rows: (N,) rows of the target that were clicked on.
        after: These objects as predicted after each of MAX_CLICKS clicks.
    """

    task: ClassVar[str] = Instances.task

    rows: NDArray[np.int64]
    after: tuple[Instances, ...]

    def present(self) -> tuple[int, ...]:
        """Clicks predict no classes."""
        return ()

    def resize(self, before: tuple[int, int], after: tuple[int, int]) -> InteractiveResult:
        """Resize each mask; the masks may overlap."""
        return replace(self, after=tuple(_resize(one, before, after) for one in self.after))


def _resize(instances: Instances, before: tuple[int, int], after: tuple[int, int]) -> Instances:
    masks = [resize_nearest(mask.astype(np.uint8), after) > 0 for mask in instances.masks(before)]
    stacked = np.stack(masks) if masks else np.zeros((0, *after), bool)
    return Instances.from_masks(stacked, instances.boxes.scores)


class InteractiveMetric(Metric[Instances | InteractiveResult]):
    """Metrics of promptable segmentation."""

    ranges: ClassVar[Mapping[str, Range]] = {"mean_clicks": (1.0, MAX_CLICKS + 1.0)}

    def per_image(
        self,
        predictions: Sequence[Instances | InteractiveResult],
        targets: Sequence[Instances | InteractiveResult],
    ) -> PerImageStats:
        """See `per_image_stats`; instances as a prediction count as right from the first click."""
        true = [target for target in targets if isinstance(target, Instances)]
        results = []
        for prediction, target in zip(predictions, true, strict=True):
            if isinstance(prediction, Instances):
                rows = evaluated_rows(target)
                prediction = InteractiveResult(rows, (target[rows],) * MAX_CLICKS)
            results.append(prediction)
        return per_image_stats(results, true, [target.image_size for target in true])

    def scorer(self, stats: PerImageStats) -> Score:
        """Scores any selection of rows."""
        return Scorer(stats)

    def columns(self) -> Mapping[str, Column]:
        """See `per_image_stats`."""
        return {
            "objects": Column(("o", 1 + MAX_CLICKS), high=(MANY, *[1] * MAX_CLICKS), whole=False)
        }

    def to_column(self, values: list[Any]) -> NDArray[Any]:
        """Lists of unequal lengths."""
        return ragged_column(values)

    def check_targets(
        self, split: SplitName, targets: Sequence[Instances | InteractiveResult]
    ) -> None:
        """Raise DataError if there is no object to click on."""
        boxes = [target.boxes for target in targets if isinstance(target, Instances)]
        if not any((~one.ignored).any() for one in boxes):
            raise DataError(
                empty_split_message(split, "an object to click on"),
                remedy="Outline some, put images with objects into that split, "
                "or see what was read: foveate audit DATA.",
            )


def evaluated_rows(target: Instances) -> NDArray[np.int64]:
    """The objects that are clicked on: neither crowds nor difficult, at most MAX_OBJECTS."""
    rows = np.flatnonzero(~target.boxes.ignored)
    if len(rows) <= MAX_OBJECTS:
        return rows
    selection: NDArray[np.int64] = rows[np.linspace(0, len(rows) - 1, MAX_OBJECTS).astype(int)]
    return selection


def click_rounds(
    masks: NDArray[np.bool_],
    predict: Callable[[Sequence[Sequence[Click]], Any], tuple[NDArray[np.bool_], Any]],
) -> Iterator[Instances]:
    """Simulate a person who clicks where the last mask is most wrong.

    Args:
        masks: (N, H, W) true masks.
        predict: From the clicks on each object and the state of the last round, None at first, to
            (N, H, W) masks and the state.

    Yields:
        The N objects as predicted after each of MAX_CLICKS clicks. An object whose mask is right
        gets no further click.
    """
    clicks: list[list[Click]] = [[] for _ in masks]
    predicted, state = np.zeros_like(masks), None
    for _ in range(MAX_CLICKS):
        for object_clicks, *pair in zip(clicks, masks, predicted, strict=True):
            if click := next_click(*pair):
                object_clicks.append(click)
        if len(masks):
            predicted, state = predict(clicks, state)
        yield Instances.from_masks(predicted)


def per_image_stats(
    predictions: Sequence[InteractiveResult],
    targets: Sequence[Instances],
    sizes: Sequence[tuple[int, int]],
) -> dict[str, Any]:
    """Compare predictions with targets.

    Returns:
        A column `objects` with a list an image: for each object its class and its IoU after each
        click.
    """
    rows = []
    for prediction, target, size in zip(predictions, targets, sizes, strict=True):
        true = target[prediction.rows].masks(size)
        ious = np.stack([iou(one.masks(size), true) for one in prediction.after], 1)
        classes = target.boxes.classes[prediction.rows]
        rows.append(
            [[int(k), *values] for k, values in zip(classes, ious.round(6).tolist(), strict=True)]
        )
    return {"objects": ragged_column(rows)}


def iou(predicted: NDArray[np.bool_], true: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(N, H, W) each -> (N,) IoU of each pair; 1 if both are empty."""
    intersection, union = (pixels.sum((1, 2)) for pixels in (predicted & true, predicted | true))
    return np.where(union > 0, intersection / np.maximum(union, 1), 1.0)


class Scorer(BatchScorer):
    """Sums of each image, so that any selection of images is scored quickly.

    Metrics: iou_1, iou_3, iou_5: mean IoU of the objects after so many clicks; within_5_clicks:
    share of the objects that reach an IoU of 0.85 by then; mean_clicks: clicks to reach it, 6 if
    five are not enough. NaN if there is no object.
    """

    def __init__(self, stats: PerImageStats):
        each = [np.array(rows, float).reshape(-1, 1 + MAX_CLICKS) for rows in stats["objects"]]
        self.images = len(each)
        self.counts = np.array([len(rows) for rows in each], float)
        self.sums = np.array([_sums(rows[:, 1:]) for rows in each]).reshape(
            len(each), len(REPORTED_CLICKS) + 2
        )

    def of_times(self, times: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """See `BatchScorer.of_times`."""
        names = [f"iou_{clicks}" for clicks in REPORTED_CLICKS]
        names += [f"within_{MAX_CLICKS}_clicks", "mean_clicks"]
        sums, total = times @ self.sums, (times @ self.counts)[:, None]
        values = np.divide(sums, total, out=np.full(sums.shape, np.nan), where=total > 0)
        return dict(zip(names, values.T, strict=True))


def clicks_needed(ious: NDArray[np.float64]) -> NDArray[np.int64]:
    """(N, MAX_CLICKS) -> (N,) clicks to SUFFICIENT_IOU; MAX_CLICKS + 1 if it is not reached."""
    reached = ious >= SUFFICIENT_IOU
    return np.where(reached.any(1), reached.argmax(1), MAX_CLICKS) + 1


def _sums(ious: NDArray[np.float64]) -> list[float]:
    clicks = clicks_needed(ious)
    return [
        *ious[:, np.array(REPORTED_CLICKS) - 1].sum(0),
        float((clicks <= MAX_CLICKS).sum()),
        float(clicks.sum()),
    ]
