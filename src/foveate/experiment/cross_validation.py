"""Out-of-fold probabilities: each image is predicted by a probe that was not fitted to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.data.dataset import Dataset
from foveate.data.split.assign import group_into_units
from foveate.data.split.stratify import iterative_stratify
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
    probabilities = np.zeros((len(labels), num_classes))
    for fold in range(FOLDS):
        held_out, rest = np.flatnonzero(fold_of == fold), np.flatnonzero(fold_of != fold)
        if not len(held_out):
            continue
        if not len(rest):  # all images are copies of one
            probabilities[held_out] = 1 / num_classes
            continue
        seen, unseen = ((features[rows], labels[rows]) for rows in (rest, held_out))
        probe = fit_probe(seen, unseen, num_classes)
        probabilities[held_out] = probe.probabilities(features[held_out])
        done += len(held_out)
        on_progress(done)
    return probabilities


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
