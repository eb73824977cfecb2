"""Metrics of object detection.

They are computed from statistics with one row an image: see `metrics.average_precision`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Boxes
from foveate.data.dataset import SplitName
from foveate.errors import DataError, SettingError
from foveate.metrics.average_precision import MIN_IMAGES, Curves, Scorer, flatten
from foveate.metrics.columns import MANY, Column
from foveate.metrics.matching import (
    BITS,
    MAX_PER_CLASS,
    SIZES,
    THRESHOLDS,
    PairwiseOverlaps,
    match,
)
from foveate.metrics.metric import Metric, PerImageStats, empty_split_message, ragged_column
from foveate.metrics.resampling import Score
from foveate.ops import boxes as ops


class DetectionMetric(Metric[Boxes]):
    """Average precision of boxes of K classes."""

    min_images: ClassVar[int] = MIN_IMAGES

    def __init__(self, num_classes: int):
        self.num_classes = num_classes

    def per_image(self, predictions: Sequence[Boxes], targets: Sequence[Boxes]) -> PerImageStats:
        """See `per_image_stats`."""
        return per_image_stats(predictions, targets)

    def scorer(self, stats: PerImageStats) -> Score:
        """Scores any selection of rows."""
        return Scorer(stats, self.num_classes)

    def columns(self) -> Mapping[str, Column]:
        """See `match_all`."""
        return match_columns(self.num_classes)

    def to_column(self, values: list[Any]) -> NDArray[Any]:
        """Lists of unequal lengths."""
        return ragged_column(values)

    def check_targets(self, split: SplitName, targets: Sequence[Boxes]) -> None:
        """Raise DataError if there is no box that counts."""
        if not any((~target.ignored).any() for target in targets):
            raise DataError(
                empty_split_message(split, "a box that counts"),
                remedy="Draw boxes, put images with boxes into that split, or see what was read: "
                "foveate audit DATA.",
            )


def per_image_stats(
    predictions: Sequence[Boxes], targets: Sequence[Boxes]
) -> dict[str, NDArray[Any]]:
    """Match predicted with true boxes; see `match_all`."""
    return match_all(map(PairwiseOverlaps.of_boxes, predictions, targets))


def match_all(
    overlaps: Iterable[PairwiseOverlaps], max_per_class: int = MAX_PER_CLASS
) -> dict[str, NDArray[Any]]:
    """Match predictions with targets, image by image.

    Args:
        overlaps: The overlaps of each image.
        max_per_class: Predictions of a class that count in an image, by falling score.

    Returns:
        Columns with a list an image, for its D predictions and T targets. scores, classes: (D,);
        hits, ignored: (D, 4), for each of SIZES a bit for each of THRESHOLDS; target_classes:
        (T,); counted: (T, 4) whether the target counts, for each of SIZES; corners: (D, 4) and
        target_corners: (T, 4) in pixels; crowds: (T,).
    """
    names = (
        "scores",
        "classes",
        "hits",
        "ignored",
        "target_classes",
        "counted",
        "corners",
        "target_corners",
        "crowds",
    )
    rows: dict[str, list[Any]] = {name: [] for name in names}
    for pair in overlaps:
        for name, values in match(pair, max_per_class).items():
            rows[name].append(values.tolist())
    return {name: ragged_column(values) for name, values in rows.items()}


def match_columns(num_classes: int) -> dict[str, Column]:
    """What the columns of `match_all` may hold."""
    predicted, true = ("d",), ("t",)
    bits = Column(("d", len(SIZES)), high=int(BITS.sum()))
    index, corner = num_classes - 1, MANY
    return {
        "scores": Column(predicted, low=-corner, high=corner, whole=False),
        "classes": Column(predicted, high=index),
        "hits": bits,
        "ignored": bits,
        "target_classes": Column(true, high=index),
        "counted": Column(("t", len(SIZES)), high=1),
        "corners": Column(("d", 4), low=-corner, high=corner, whole=False),
        "target_corners": Column(("t", 4), low=-corner, high=corner, whole=False),
        "crowds": Column(true, high=1),
    }


def boxes_of_row(stats: PerImageStats, row: int) -> tuple[Boxes, Boxes]:
    """Predictions and targets of one image; ignored targets are crowds or else difficult."""
    predictions = Boxes(stats["corners"][row], stats["classes"][row], stats["scores"][row])
    counted = np.array(stats["counted"][row], bool).reshape(-1, len(SIZES))[:, 0]
    crowd = np.array(stats["crowds"][row], bool)
    difficult = ~counted & ~crowd
    targets = Boxes(
        stats["target_corners"][row], stats["target_classes"][row], None, crowd, difficult
    )
    return predictions, targets


def quick_map50(predictions: Sequence[Boxes], targets: Sequence[Boxes], num_classes: int) -> float:
    """Mean average precision at an IoU of 0.5 for learning curves; NaN if there is no target.

    The best box at a target is its hit, without the reassignment that COCO's matching allows.
    """
    scores: list[NDArray[np.float64]] = []
    classes: list[NDArray[np.int64]] = []
    hits: list[NDArray[np.bool_]] = []
    true: list[NDArray[np.int64]] = []
    for prediction, target in zip(predictions, targets, strict=True):
        assert prediction.scores is not None
        by_score = np.argsort(-prediction.scores, kind="stable")
        target = target[~target.ignored]
        fits = ops.iou(prediction.corners[by_score], target.corners) >= THRESHOLDS[0]
        fits &= prediction.classes[by_score, None] == target.classes[None]
        hit = np.zeros(len(prediction), bool)
        hit[fits.argmax(0)[fits.any(0)] if fits.size else []] = True
        scores.append(prediction.scores[by_score])
        classes.append(prediction.classes[by_score])
        hits.append(hit)
        true.append(target.classes)
    required = np.bincount(np.concatenate([*true, np.zeros(0, np.int64)]), minlength=num_classes)
    if not required.any():
        return float("nan")
    order = np.argsort(-np.concatenate(scores), kind="stable")
    class_of, is_hit = np.concatenate(classes)[order], np.concatenate(hits)[order]
    precisions = []
    for k in np.flatnonzero(required):
        class_hits = is_hit[class_of == k].astype(np.int64)[:, None]
        curves = Curves(
            np.zeros(len(class_hits), np.int64),
            class_hits,
            np.zeros_like(class_hits),
            required[[k], None].astype(float),
        )
        precisions.append(curves.average(np.ones((1, 1), np.int64))[0][0, 0, 0])
    return float(np.mean(precisions))


@dataclass(frozen=True)
class ClassMetrics:
    """Metrics of one class.

    Attributes:
        n: Targets that count.
        ap50: Average precision at an IoU of 0.5.
        ap: Mean average precision over all thresholds.
        precision: Share of the confident predictions that are hits, at an IoU of 0.5.
        recall: Share of the targets with a confident hit, at an IoU of 0.5.
        curve: (D,) recall and (D,) precision, by falling score.
    """

    n: int
    ap50: float
    ap: float
    precision: float
    recall: float
    curve: tuple[NDArray[np.float64], NDArray[np.float64]]


def per_class(
    stats: PerImageStats, num_classes: int, thresholds: NDArray[np.float64]
) -> list[ClassMetrics]:
    """The metrics of each class.

    Args:
        stats: Per-image statistics.
        num_classes: K.
        thresholds: (K,) display thresholds.
    """
    ap, _ = average_precision(stats, num_classes)
    classes, scores, hits, ignored, targets, counted = _at_iou_50(stats)
    order = np.argsort(-scores, kind="stable")
    order = order[~ignored[order]]
    rows = []
    for k in range(num_classes):
        of_class, n = order[classes[order] == k], int(counted[targets == k].sum())
        hit_count = hits[of_class].cumsum()
        confident = int((scores[of_class] >= thresholds[k]).sum())
        hit = int(hit_count[confident - 1]) if confident else 0
        curve = hit_count / max(1, n), hit_count / np.arange(1, len(of_class) + 1)
        rows.append(
            ClassMetrics(
                n,
                float(ap[k, 0, 0]),
                float(ap[k, 0].mean()),
                hit / confident if confident else float("nan"),
                hit / n if n else float("nan"),
                curve,
            )
        )
    return rows


def counts_by_threshold(
    stats: PerImageStats, num_classes: int, thresholds: NDArray[np.float64]
) -> list[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
    """Targets, predictions and correct predictions of each class, by confidence threshold.

    Args:
        stats: Per-image statistics.
        num_classes: K.
        thresholds: (K,) display thresholds.

    Returns:
        For each class the number of targets, and (102,) predictions with a score of 0.00, 0.01,
        ..., 1.00 or more, and of its display threshold or more: all, and those that are hits at an
        IoU of 0.5.
    """
    classes, scores, hits, ignored, targets, counted = _at_iou_50(stats)
    rows = []
    for k in range(num_classes):
        grid = np.append(np.arange(101) / 100, thresholds[k])
        of_class = (classes == k) & ~ignored
        both = [np.sort(scores[of_class]), np.sort(scores[of_class & (hits > 0)])]
        predicted, correct = (len(one) - np.searchsorted(one, grid) for one in both)
        rows.append((int(counted[targets == k].sum()), predicted, correct))
    return rows


def check_thresholds(
    num_classes: int, thresholds: Sequence[float] | None, default: float
) -> NDArray[np.float64]:
    """(K,) display thresholds, by default the same for each class.

    Raises:
        SettingError: If there is not one threshold a class.
    """
    if thresholds is not None and len(thresholds) != num_classes:
        raise SettingError(
            f"{num_classes} thresholds are expected, one a class, got {len(thresholds)}",
            where="thresholds",
        )
    return np.full(num_classes, default) if thresholds is None else np.array(thresholds, float)


def best_thresholds(stats: PerImageStats, num_classes: int, default: float) -> NDArray[np.float64]:
    """(K,) the threshold of best F1 at an IoU of 0.5; `default` for a class without a hit."""
    classes, scores, hits, ignored, targets, counted = _at_iou_50(stats)
    chosen = np.full(num_classes, default)
    for k in range(num_classes):
        rows = np.flatnonzero((classes == k) & ~ignored)
        rows = rows[np.argsort(-scores[rows], kind="stable")]
        hit_count = hits[rows].cumsum()
        if not len(hit_count) or not hit_count[-1]:
            continue
        f1 = 2 * hit_count / (np.arange(1, len(rows) + 1) + counted[targets == k].sum())
        # Equal scores pass a threshold together or not at all.
        f1[:-1][scores[rows][:-1] == scores[rows][1:]] = -1.0
        best = int(f1.argmax())
        # Half way to the next score, so that a little noise does not change what is shown.
        below = scores[rows[best + 1]] if best + 1 < len(rows) else 0.0
        chosen[k] = (scores[rows[best]] + below) / 2
    return chosen


def _at_iou_50(stats: PerImageStats) -> tuple[NDArray[Any], ...]:
    """Of all predictions class, score, hit, ignored; of all targets class and whether it counts.

    At an IoU of 0.5 and for objects of all sizes.
    """
    _, scores, classes = flatten(stats, "scores", "classes")
    hits, ignored = (
        bits[:, 0].astype(np.int64) & 1
        for bits in flatten(stats, "hits", "ignored", width=len(SIZES))[1:]
    )
    targets = flatten(stats, "target_classes")[1]
    counted = flatten(stats, "counted", width=len(SIZES))[1][:, 0]
    return classes, scores, hits, ignored > 0, targets, counted


def compute_metrics(stats: PerImageStats, num_classes: int) -> dict[str, float]:
    """See `average_precision.Scorer`."""
    return Scorer(stats, num_classes).metrics()


def average_precision(
    stats: PerImageStats, num_classes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(K, sizes, thresholds) average precision, and recall; NaN for a class without objects."""
    scorer = Scorer(stats, num_classes)
    precision, recall = scorer.average_precision(np.ones((1, scorer.images), np.int64))
    return precision[0], recall[0]
