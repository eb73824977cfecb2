"""Metrics of instance segmentation: average precision of masks, panoptic quality, and counts.

Average precision is that of `metrics.average_precision` with the IoU of masks in place of boxes.
Panoptic quality: Kirillov et al., "Panoptic segmentation", 2019.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Instances
from foveate.data.dataset import SplitName
from foveate.errors import DataError
from foveate.metrics import average_precision, detection
from foveate.metrics.columns import MANY, Column
from foveate.metrics.intervals import Range
from foveate.metrics.matching import PairwiseOverlaps
from foveate.metrics.metric import (
    Metric,
    PerImageStats,
    empty_split_message,
    means_of_known,
    ragged_column,
)
from foveate.metrics.resampling import BatchScorer, Score

MAX_PER_CLASS = 100_000
"""Predictions of a class that count in an image. COCO's 100 is for photographs: a microscope slide
can show thousands of cells."""


class InstanceMetric(Metric[Instances]):
    """Metrics of instance segmentation with K classes and their display thresholds."""

    ranges: ClassVar[Mapping[str, Range]] = {"count_error": (0.0, math.inf)}
    min_images: ClassVar[int] = average_precision.MIN_IMAGES

    def __init__(self, num_classes: int, thresholds: NDArray[np.float64]):
        self.num_classes, self.thresholds = num_classes, thresholds

    def per_image(
        self, predictions: Sequence[Instances], targets: Sequence[Instances]
    ) -> PerImageStats:
        """See `per_image_stats`."""
        overlaps = [mask_overlaps(*pair) for pair in zip(predictions, targets, strict=True)]
        confident = [is_confident(prediction, self.thresholds) for prediction in predictions]
        return per_image_stats(overlaps, confident)

    def scorer(self, stats: PerImageStats) -> Score:
        """Scores any selection of rows."""
        return Scorer(stats, self.num_classes)

    def columns(self) -> Mapping[str, Column]:
        """See `per_image_stats`."""
        return {
            **detection.match_columns(self.num_classes),
            "quality": Column(("q", 5), high=(self.num_classes - 1, *[MANY] * 4), whole=False),
            "counts": Column((2,)),
        }

    def to_column(self, values: list[Any]) -> NDArray[Any]:
        """Lists of unequal lengths."""
        return ragged_column(values)

    def check_targets(self, split: SplitName, targets: Sequence[Instances]) -> None:
        """Raise DataError if there is no object that counts."""
        if not any((~target.boxes.ignored).any() for target in targets):
            raise DataError(
                empty_split_message(split, "an object that counts"),
                remedy="Outline some, put images with objects into that split, "
                "or see what was read: foveate audit DATA.",
            )


def mask_overlaps(
    predictions: Instances, targets: Instances, size: tuple[int, int] | None = None
) -> PairwiseOverlaps:
    """The overlaps of the masks of one image, by default of the targets' size."""
    size = size or targets.image_size
    first, shape_of = predictions.unique_shapes()
    predicted, true = _sparse_masks(predictions[first], size), _sparse_masks(targets, size)
    intersection = (predicted @ true.T).toarray().astype(np.float64)[shape_of]
    areas, target_areas = (
        masks.sum(1).astype(np.float64).reshape(-1) for masks in (predicted, true)
    )
    areas = areas[shape_of]
    union = np.where(
        targets.boxes.crowd[None],
        areas[:, None],
        areas[:, None] + target_areas[None] - intersection,
    )
    iou = np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)
    return PairwiseOverlaps(predictions.boxes, targets.boxes, iou, areas, target_areas)


def _sparse_masks(instances: Instances, size: tuple[int, int]) -> Any:
    """(N, H * W) sparse zeros and ones, so that all intersections are one product."""
    from scipy.sparse import csr_array

    indices = instances.pixel_indices(size)
    ends = np.cumsum([0, *map(len, indices)])
    joined = np.concatenate([*indices, np.zeros(0, np.int64)])
    return csr_array(
        (np.ones(len(joined), np.int32), joined, ends), (len(instances), size[0] * size[1])
    )


def is_confident(instances: Instances, thresholds: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,) bool: which predictions are shown; all instances of a target.

    Of the classes that are predicted for one shape and reach their threshold, it is the one with
    the highest score.
    """
    confident, boxes = np.ones(len(instances), bool), instances.boxes
    if boxes.scores is not None:
        confident = boxes.scores >= thresholds[boxes.classes]
        confident[confident] = instances[confident].best_per_shape()
    return confident


def per_image_stats(
    overlaps: Sequence[PairwiseOverlaps], confident: Sequence[NDArray[np.bool_]]
) -> dict[str, NDArray[Any]]:
    """Match predictions with targets, image by image.

    Args:
        overlaps: The overlaps of each image.
        confident: Which predictions of each image are shown.

    Returns:
        The columns of `detection.match_all`, and of the predictions that are shown: quality: for
        each class that occurs its index, hits, sum of their IoU, false positives and false
        negatives; counts: objects shown and objects that there are.
    """
    columns = detection.match_all(overlaps, MAX_PER_CLASS)
    rows = [_quality(*one) for one in zip(overlaps, confident, strict=True)]
    columns["quality"] = ragged_column([quality for quality, _ in rows])
    columns["counts"] = ragged_column([list(counts) for _, counts in rows])
    return columns


def _quality(
    overlaps: PairwiseOverlaps, confident: NDArray[np.bool_]
) -> tuple[list[list[float]], tuple[int, int]]:
    predictions, targets = overlaps.predictions, overlaps.targets
    scores = np.ones(len(predictions)) if predictions.scores is None else predictions.scores
    order = np.argsort(-scores, kind="stable")
    order = order[confident[order]]
    classes, iou = predictions.classes[order], overlaps.iou[order]
    true, ignored = targets.classes, targets.ignored
    fits = np.where(classes[:, None] == true[None], iou, 0.0)
    taken = np.zeros(len(true), bool)
    hit = np.zeros(len(order))
    for row in np.flatnonzero((fits > 0.5).any(1)) if fits.size else []:
        free = np.where(taken | ignored, 0.0, fits[row])
        best = int(free.argmax())
        if free[best] > 0.5:
            taken[best], hit[row] = True, free[best]
    # A prediction on an ignored target is no false positive.
    neutral = (hit == 0) & (
        (fits[:, ignored] > 0.5).any(1) if ignored.any() else np.zeros(len(order), bool)
    )
    quality = []
    for k in np.union1d(classes, true[~ignored]).astype(int).tolist():
        of_class = hit[(classes == k) & ~neutral]
        hits = int((of_class > 0).sum())
        missed = int(((true == k) & ~ignored & ~taken).sum())
        quality.append([k, hits, round(float(of_class.sum()), 6), len(of_class) - hits, missed])
    return quality, (int((~neutral).sum()), int((~ignored).sum()))


class Scorer(BatchScorer):
    """Sums of each image, so that any selection of images is scored quickly.

    Metrics: those of `average_precision.Scorer`, and pq: panoptic quality, the mean over classes;
    count_error: mean absolute error of the number of objects shown, as a share of the mean number
    of objects.
    """

    def __init__(self, stats: PerImageStats, num_classes: int):
        self.average_precision = average_precision.Scorer(stats, num_classes)
        self.images, self.width = len(stats["quality"]), self.average_precision.width
        self.quality = np.zeros((self.images, num_classes, 4))
        for row, each in enumerate(stats["quality"]):
            for k, *values in each:
                self.quality[row, int(k)] = values
        self.counts = np.array([list(one) for one in stats["counts"]], np.int64).reshape(-1, 2)

    def of_times(self, times: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """See `BatchScorer.of_times`."""
        summed = np.tensordot(times, self.quality, 1)
        hits, iou, false_positives, missed = np.moveaxis(summed, 2, 0)
        whole = hits + (false_positives + missed) / 2
        quality = np.divide(iou, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
        shown, true = self.counts.T
        wrong, objects = times @ np.abs(shown - true), times @ true
        nan = np.full(len(times), np.nan)
        return {
            **self.average_precision.of_times(times),
            "pq": means_of_known(quality),
            "count_error": np.divide(wrong, objects, out=nan, where=objects > 0),
        }


def per_class(
    stats: PerImageStats, num_classes: int, thresholds: NDArray[np.float64]
) -> list[detection.ClassMetrics]:
    """The metrics of each class; precision and recall are those of the objects shown."""
    hits, _, false_positives, missed = Scorer(stats, num_classes).quality.sum(0).T
    precision, recall = (
        np.divide(hits, whole, out=np.full(num_classes, np.nan), where=whole > 0)
        for whole in (hits + false_positives, hits + missed)
    )
    return [
        replace(row, precision=float(precision[k]), recall=float(recall[k]))
        for k, row in enumerate(detection.per_class(stats, num_classes, thresholds))
    ]
