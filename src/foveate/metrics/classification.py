"""Metrics of image classification.

They are computed from statistics with one row an image, so that any selection of images is scored
by sums. Equal to scikit-learn's where it has the metric (tests check this).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Label
from foveate.metrics import label_errors
from foveate.metrics.calibration import (
    BINS,
    bin_index,
    calibration_error,
    calibration_interval,
)
from foveate.metrics.columns import Column
from foveate.metrics.intervals import MetricValue, Range, difference, is_few, proportion
from foveate.metrics.metric import Metric, PerImageStats, means_of_known, ratio
from foveate.metrics.resampling import BatchScorer, Score, number_groups

MIN_MISTAKES = 5
"""Groups of images with a mistake below which the interval of the log loss is rough."""
MAX_LOG_LOSS = -math.log(np.finfo(np.float64).eps)
"""The log loss of an image whose target has a probability of 0, in nats."""
_ROUNDING = 1e-6  # of a probability


class ClassificationMetric(Metric[Label]):
    """Metrics of image classification with K classes."""

    ranges: ClassVar[Mapping[str, Range]] = {"log_loss": (0.0, MAX_LOG_LOSS)}

    def __init__(self, num_classes: int):
        self.num_classes = num_classes

    def per_image(self, predictions: Sequence[Label], targets: Sequence[Label]) -> PerImageStats:
        """See `per_image_stats`; a prediction without scores has a confidence of 1."""
        return per_image_stats([self._scored(label) for label in predictions], targets)

    def _scored(self, label: Label) -> Label:
        if label.scores is not None:
            return label
        return Label(label.index, np.eye(self.num_classes)[label.index])

    def scorer(self, stats: PerImageStats) -> Score:
        """Scores any selection of rows."""
        return Scorer(stats, self.num_classes)

    def exact_values(
        self, stats: PerImageStats, clusters: NDArray[np.int64] | None = None
    ) -> dict[str, MetricValue]:
        """Accuracy is a proportion; resamples do not show how far calibration is off by chance."""
        n = len(stats["target"])
        if not n:
            return {}
        unit = number_groups(n, clusters)
        groups, value = int(unit.max()) + 1, self.compute(stats)["calibration_error"]
        low, high = calibration_interval(stats, unit)
        calibration = MetricValue(
            value, min(value, low), max(value, high), n, groups, is_few(groups)
        )
        return {
            "accuracy": proportion(stats["target"] == stats["predicted"], unit),
            **({} if math.isnan(value) else {"calibration_error": calibration}),
        }

    def exact_lifts(
        self,
        stats: PerImageStats,
        baseline: PerImageStats,
        clusters: NDArray[np.int64] | None = None,
    ) -> dict[str, MetricValue]:
        """That of the calibration error, from both intervals."""
        name = "calibration_error"
        both = [self.exact_values(one, clusters) for one in (stats, baseline)]
        return (
            {name: difference(both[0][name], both[1][name])}
            if all(name in one for one in both)
            else {}
        )

    def rough(
        self, stats: PerImageStats, clusters: NDArray[np.int64] | None = None
    ) -> frozenset[str]:
        """The log loss, if so few mistakes occur that resamples cannot show what they cost."""
        mistakes = np.flatnonzero(stats["target"] != stats["predicted"])
        groups = number_groups(len(stats["target"]), clusters)[mistakes]
        return frozenset({"log_loss"} if len(np.unique(groups)) < MIN_MISTAKES else ())

    def columns(self) -> Mapping[str, Column]:
        """Class indices and probabilities."""
        index, share = Column(high=self.num_classes - 1), Column(high=1 + _ROUNDING, whole=False)
        return {"target": index, "predicted": index, "likelihood": share, "confidence": share}

    def label_errors(self, predictions: Sequence[Label], targets: Sequence[Label]) -> list[int]:
        """See `metrics.label_errors.suspects`."""
        scores = np.array([label.scores for label in predictions])
        labels = np.array([label.index for label in targets], np.int64)
        return label_errors.suspects(scores.reshape(len(predictions), self.num_classes), labels)


def per_image_stats(
    predictions: Sequence[Label], targets: Sequence[Label]
) -> dict[str, NDArray[np.int64] | NDArray[np.float64]]:
    """Compare predictions, which have scores, with targets.

    Returns:
        (N,) columns: target and predicted class, likelihood (the probability of the target) and
        confidence (the probability of the predicted class).
    """
    labels = np.array([label.index for label in targets], np.int64)
    predicted = np.array([label.index for label in predictions], np.int64)
    scores = [label.scores for label in predictions]
    likelihood, confidence = (
        np.array([s[k] for s, k in zip(scores, classes, strict=True) if s is not None], float)
        for classes in (labels, predicted)
    )
    return {
        "target": labels,
        "predicted": predicted,
        "likelihood": likelihood,
        "confidence": confidence,
    }


class Scorer(BatchScorer):
    """Sums of each image, so that any selection of images is scored quickly.

    Metrics: accuracy; balanced_accuracy: mean recall of the classes that occur; macro_f1: mean F1
    of the classes that occur or are predicted; log_loss: mean of -ln(likelihood), in nats;
    calibration_error: see `metrics.calibration`. NaN if there is no image.
    """

    def __init__(self, stats: PerImageStats, num_classes: int):
        from scipy.sparse import csr_array

        target, predicted = stats["target"], stats["predicted"]
        self.images, self.width = len(target), num_classes
        correct = (target == predicted).astype(float)

        def one_hot(values: NDArray[np.float64], columns: NDArray[np.int64], width: int) -> Any:
            rows = np.arange(self.images)
            return csr_array((values, (rows, columns)), (self.images, width))

        ones = np.ones(self.images)
        self.hits = one_hot(correct, target, num_classes)
        self.actual = one_hot(ones, target, num_classes)
        self.predicted = one_hot(ones, predicted, num_classes)
        self.losses = -np.log(np.clip(stats["likelihood"], np.finfo(np.float64).eps, 1))
        errors, bins = stats["confidence"] - correct, bin_index(stats["confidence"])
        self.errors, self.squares, self.counts = (
            one_hot(values, bins, BINS) for values in (errors, errors**2, ones)
        )

    def of_times(self, times: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """See `BatchScorer.of_times`."""
        images = times.sum(1)
        hits, actual, predicted = (
            times @ counts for counts in (self.hits, self.actual, self.predicted)
        )
        calibration = calibration_error(
            times @ self.errors,
            times @ self.counts,
            times**2 @ self.squares,
            times**2 @ self.counts,
        )
        return {
            "accuracy": ratio(hits.sum(1), images),
            "balanced_accuracy": means_of_known(ratio(hits, actual)),
            "macro_f1": means_of_known(ratio(2 * hits, actual + predicted)),
            "log_loss": ratio(times @ self.losses, images),
            "calibration_error": calibration,
        }


def compute_metrics(stats: PerImageStats, num_classes: int) -> dict[str, float]:
    """See `Scorer`."""
    return Scorer(stats, num_classes).metrics()


def reliability(
    stats: PerImageStats, bins: int = BINS
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """(bins,) mean confidence, accuracy and count of each bin; zeros if a bin is empty."""
    confidence = stats["confidence"]
    index = bin_index(confidence, bins)
    count = np.bincount(index, minlength=bins)
    at_least_one = np.maximum(count, 1)
    correct = (stats["target"] == stats["predicted"]).astype(float)
    return (
        np.bincount(index, confidence, bins) / at_least_one,
        np.bincount(index, correct, bins) / at_least_one,
        count,
    )


def confusion(stats: PerImageStats, num_classes: int) -> NDArray[np.int64]:
    """(K, K) counts: a row for each target class, a column for each predicted one."""
    cells = stats["target"] * num_classes + stats["predicted"]
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


@dataclass(frozen=True)
class ClassMetrics:
    """Metrics of one class; 0 where undefined.

    Attributes:
        n: Images of this class.
        precision: Share of the predictions of this class that are correct.
        recall: Share of this class's images that are predicted correctly.
        f1: Harmonic mean of precision and recall.
    """

    n: int
    precision: float
    recall: float
    f1: float


def per_class(stats: PerImageStats, num_classes: int) -> list[ClassMetrics]:
    """The metrics of each class."""
    matrix = confusion(stats, num_classes)
    hits, actual, predicted = np.diag(matrix), matrix.sum(1), matrix.sum(0)
    return [
        ClassMetrics(
            int(actual[k]),
            float(hits[k] / max(1, predicted[k])),
            float(hits[k] / max(1, actual[k])),
            float(2 * hits[k] / max(1, actual[k] + predicted[k])),
        )
        for k in range(num_classes)
    ]
