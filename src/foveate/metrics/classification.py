"""Metrics of whole-picture classification, over tallies: arrays with one row a picture, so that any resample of rows
can be scored in a fraction of a millisecond. Equal to scikit-learn's where it has the metric (tests hold them to it)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Label

Tally = Mapping[str, NDArray[Any]]
BINS = 15


def tally(predicted: Sequence[Label], truth: Sequence[Label]) -> dict[str, NDArray[Any]]:
    """truth and predicted class, the probability given to the truth, and the confidence in the answer; (N,) each."""
    labels = np.array([label.index for label in truth], np.int64)
    answers = np.array([label.index for label in predicted], np.int64)
    scores = [label.scores for label in predicted]
    return {
        "truth": labels,
        "predicted": answers,
        "likelihood": np.array([s[i] for s, i in zip(scores, labels, strict=True) if s is not None], float),
        "confidence": np.array([s[i] for s, i in zip(scores, answers, strict=True) if s is not None], float),
    }


def figures(tally: Tally, classes: int) -> dict[str, float]:
    """All metrics; NaN where there is no picture.

    accuracy; balanced_accuracy: mean recall of the classes that occur; macro_f1: mean F1 of the classes that occur or
    are answered; log_loss: mean of -ln(probability of the truth), in nats; calibration_error: expected calibration
    error over 15 equal bins of confidence (Guo et al., "On calibration of modern neural networks", 2017)
    """
    truth, predicted = tally["truth"], tally["predicted"]
    n = len(truth)
    if n == 0:
        names = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "calibration_error")
        return dict.fromkeys(names, float("nan"))
    right = truth == predicted
    hits = np.bincount(truth[right], minlength=classes)
    actual = np.bincount(truth, minlength=classes)
    answered = np.bincount(predicted, minlength=classes)
    occurring, seen = actual > 0, actual + answered > 0
    smallest = np.finfo(np.float64).eps
    confidence, accuracy, count = reliability(tally)
    return {
        "accuracy": float(right.mean()),
        "balanced_accuracy": float((hits[occurring] / actual[occurring]).mean()),
        "macro_f1": float((2 * hits[seen] / (actual + answered)[seen]).mean()),
        "log_loss": float(-np.log(np.clip(tally["likelihood"], smallest, 1)).mean()),
        "calibration_error": float((np.abs(confidence - accuracy) * count).sum() / n),
    }


def reliability(tally: Tally, bins: int = BINS) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Mean confidence, accuracy and count of each bin of confidence, (bins,) each; zeros where a bin is empty."""
    confidence = tally["confidence"]
    index = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)  # (low, high], as in the paper
    count = np.bincount(index, minlength=bins)
    some = np.maximum(count, 1)
    right = (tally["truth"] == tally["predicted"]).astype(float)
    return np.bincount(index, confidence, bins) / some, np.bincount(index, right, bins) / some, count


def confusion(tally: Tally, classes: int) -> NDArray[np.int64]:
    """(K, K) counts: row the truth, column the answer."""
    return np.bincount(tally["truth"] * classes + tally["predicted"], minlength=classes * classes).reshape(
        classes, classes
    )


@dataclass(frozen=True)
class ClassFigures:
    """n: pictures of this class; precision, recall, f1: 0 where undefined."""

    n: int
    precision: float
    recall: float
    f1: float


def per_class(tally: Tally, classes: int) -> list[ClassFigures]:
    """One row a class."""
    matrix = confusion(tally, classes)
    hits, actual, answered = np.diag(matrix), matrix.sum(1), matrix.sum(0)
    return [
        ClassFigures(
            int(actual[k]),
            float(hits[k] / max(1, answered[k])),
            float(hits[k] / max(1, actual[k])),
            float(2 * hits[k] / max(1, actual[k] + answered[k])),
        )
        for k in range(classes)
    ]
