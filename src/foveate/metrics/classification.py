"""Metrics of whole-picture classification, over tallies: arrays with one row a picture, so that any resample of rows
can be scored in a fraction of a millisecond. Equal to scikit-learn's where it has the metric (tests hold them to it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Label

PerImageStats = Mapping[str, NDArray[Any]]
BINS = 15


def per_image_stats(predicted: Sequence[Label], target: Sequence[Label]) -> dict[str, NDArray[Any]]:
    """Truth and predicted class, the probability given to the truth, and the confidence in the answer; (N,) each."""
    labels = np.array([label.index for label in target], np.int64)
    predictions = np.array([label.index for label in predicted], np.int64)
    scores = [label.scores for label in predicted]
    return {
        "truth": labels,
        "predicted": predictions,
        "likelihood": np.array(
            [s[i] for s, i in zip(scores, labels, strict=True) if s is not None], float
        ),
        "confidence": np.array(
            [s[i] for s, i in zip(scores, predictions, strict=True) if s is not None], float
        ),
    }


def compute_metrics(stats: PerImageStats, classes: int) -> dict[str, float]:
    """All metrics; NaN where there is no picture.

    accuracy; balanced_accuracy: mean recall of the classes that occur; macro_f1: mean F1 of the classes that occur or
    are answered; log_loss: mean of -ln(probability of the truth), in nats; calibration_error: expected calibration
    error over 15 equal bins of confidence (Guo et al., "On calibration of modern neural networks", 2017)
    """
    target, predicted = stats["truth"], stats["predicted"]
    n = len(target)
    if n == 0:
        names = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "calibration_error")
        return dict.fromkeys(names, float("nan"))
    right = target == predicted
    hits = np.bincount(target[right], minlength=classes)
    actual = np.bincount(target, minlength=classes)
    predicted_count = np.bincount(predicted, minlength=classes)
    occurring, seen = actual > 0, actual + predicted_count > 0
    smallest = np.finfo(np.float64).eps
    confidence, accuracy, count = reliability(stats)
    return {
        "accuracy": float(right.mean()),
        "balanced_accuracy": float((hits[occurring] / actual[occurring]).mean()),
        "macro_f1": float((2 * hits[seen] / (actual + predicted_count)[seen]).mean()),
        "log_loss": float(-np.log(np.clip(stats["likelihood"], smallest, 1)).mean()),
        "calibration_error": float((np.abs(confidence - accuracy) * count).sum() / n),
    }


def reliability(
    stats: PerImageStats, bins: int = BINS
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Mean confidence, accuracy and count of each bin of confidence, (bins,) each; zeros where a bin is empty."""
    confidence = stats["confidence"]
    index = np.clip(
        np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1
    )  # (low, high], as in the paper
    count = np.bincount(index, minlength=bins)
    some = np.maximum(count, 1)
    right = (stats["truth"] == stats["predicted"]).astype(float)
    return (
        np.bincount(index, confidence, bins) / some,
        np.bincount(index, right, bins) / some,
        count,
    )


def confusion(stats: PerImageStats, classes: int) -> NDArray[np.int64]:
    """(K, K) counts: row the truth, column the answer."""
    return np.bincount(
        stats["truth"] * classes + stats["predicted"], minlength=classes * classes
    ).reshape(classes, classes)


@dataclass(frozen=True)
class ClassMetrics:
    """n: pictures of this class; precision, recall, f1: 0 where undefined."""

    n: int
    precision: float
    recall: float
    f1: float


def per_class(stats: PerImageStats, classes: int) -> list[ClassMetrics]:
    """One row a class."""
    matrix = confusion(stats, classes)
    hits, actual, predicted_count = np.diag(matrix), matrix.sum(1), matrix.sum(0)
    return [
        ClassMetrics(
            int(actual[k]),
            float(hits[k] / max(1, predicted_count[k])),
            float(hits[k] / max(1, actual[k])),
            float(2 * hits[k] / max(1, actual[k] + predicted_count[k])),
        )
        for k in range(classes)
    ]
