"""Out-of-fold probabilities: each image is predicted by a probe that was not fitted to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.data.dataset import Dataset
from foveate.data.split.stratify import iterative_stratify
from foveate.data.split.units import group_into_units
from foveate.training import helping
from foveate.training.probe import fit_probe

FOLDS = 4


def out_of_fold_probabilities(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    dataset: Dataset[Any],
    clusters: NDArray[np.int64],
    *,
    seed: int = 0,
    on_progress: Callable[[int], None] = lambda done: None,
) -> NDArray[np.float64]:
    """Fit FOLDS linear probes, each to all folds but one, and predict that one.

    The fold that is predicted also chooses the regularisation. That is one number for all of its
    images, so that none of them can make its own label look right.

    Args:
        features: (N, D) float32.
        labels: (N,) the classes of the images.
        dataset: The images.
        clusters: (N,) equal for copies of an image, which stay in one fold.
        seed: Seed of the folds.
        on_progress: Called with the number of images that are predicted.

    Returns:
        (N, K) probabilities.
    """
    fold_of = _folds(labels, dataset, clusters, seed)
    num_classes, done = len(dataset.classes), 0
    probabilities = np.full((len(labels), num_classes), 1 / num_classes)
    held_out = [np.flatnonzero(fold_of == fold) for fold in range(FOLDS)]
    # All images may be copies of one, in one fold.
    held_out = [rows for rows in held_out if 0 < len(rows) < len(labels)]
    predicted = helping.in_turns(_predict_folds, held_out, features, labels, num_classes)
    for rows, found in zip(held_out, predicted, strict=True):
        probabilities[rows] = found
        done += len(rows)
        on_progress(done)
    return probabilities


def _predict_folds(
    folds: Sequence[NDArray[np.int64]],
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    num_classes: int,
) -> Iterator[NDArray[np.float64]]:
    """Predict the images of each fold by a probe that is fitted to all others."""
    for rows in folds:
        rest = np.setdiff1d(np.arange(len(labels)), rows)
        seen, unseen = ((features[some], labels[some]) for some in (rest, rows))
        yield fit_probe(seen, unseen, num_classes).probabilities(features[rows])


def _folds(
    labels: NDArray[np.int64], dataset: Dataset[Any], clusters: NDArray[np.int64], seed: int
) -> NDArray[np.int64]:
    """(N,) the fold of each image: classes spread evenly, copies and groups together."""
    samples = dataset.samples
    units = group_into_units(samples, clusters.tolist())
    strata = [(int(label),) for label in labels]
    shares, classes = [1 / FOLDS] * FOLDS, len(dataset.classes)
    fold_of = np.zeros(len(samples), np.int64)
    folds = iterative_stratify(
        [sample.id for sample in samples], strata, units, shares, classes, seed
    )
    for unit, fold in zip(units, folds, strict=True):
        fold_of[unit] = fold
    return fold_of
