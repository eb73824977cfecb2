"""Probes that did not see an image find its wrong label; copies stay in one fold."""

from __future__ import annotations

import numpy as np
import pytest

from foveate.annotations import Label
from foveate.audit.label_errors import LabelErrors
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.experiment import cross_validation as module
from foveate.experiment.cross_validation import FOLDS, out_of_fold_probabilities

PIXEL = ArraySource(np.zeros((1, 8, 8, 3), np.uint8), 0)


def dataset(labels: np.ndarray, classes: int = 6) -> Dataset[Label]:
    samples = [Sample(f"s{row}", PIXEL, Label(int(k))) for row, k in enumerate(labels)]
    return Dataset("made", "classification", tuple("abcdefgh"[:classes]), samples)


def clouds(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 6
    return (rng.normal(0, 1, (count, 6)) + 5 * np.eye(6)[labels]).astype(np.float32), labels


def test_planted_wrong_labels_come_first():
    points, labels = clouds(300)
    rng = np.random.default_rng(1)
    planted = rng.permutation(300)[:15]
    labels[planted] = (labels[planted] + rng.integers(1, 6, 15)) % 6
    found = out_of_fold_probabilities(points, labels, dataset(labels), np.arange(300))
    np.testing.assert_allclose(found.sum(1), 1)
    errors = LabelErrors.of(labels, found)
    assert len(set(np.argsort(-errors.margin)[:15]) & set(planted)) >= 14
    # Confident learning names those that are as probable as usual for their class: about half.
    assert len(errors.suspects) >= 6
    assert set(errors.suspects) <= set(planted.tolist())


def test_an_image_is_predicted_by_probes_that_saw_neither_it_nor_its_copies(monkeypatch):
    points, labels = clouds(80)
    clusters = np.arange(80) // 2
    seen = []
    fit = module.fit_probe

    def remember(train, valid, classes):
        seen.append((train[0][:, 0], valid[0][:, 0]))
        return fit(train, valid, classes)

    monkeypatch.setattr(module, "fit_probe", remember)
    points[:, 0] = np.arange(80)
    done = []
    out_of_fold_probabilities(points, labels, dataset(labels), clusters, on_progress=done.append)
    assert len(seen) == FOLDS
    assert sorted(row for _, valid in seen for row in valid) == list(range(80))
    for train, valid in seen:
        assert not set(clusters[train.astype(int)]) & set(clusters[valid.astype(int)])
    assert done[-1] == 80


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5])
def test_few_images_are_no_error(count):
    points, labels = clouds(count)
    found = out_of_fold_probabilities(points, labels, dataset(labels), np.arange(count))
    assert found.shape == (count, 6)
    assert np.isfinite(found).all()


def test_copies_of_one_image_tell_nothing():
    labels = np.array([0, 1, 0, 1])
    points = np.ones((4, 3), np.float32)
    found = out_of_fold_probabilities(points, labels, dataset(labels, 2), np.zeros(4, np.int64))
    np.testing.assert_allclose(found, 0.5)


def test_a_class_with_one_image_is_no_error():
    points, labels = clouds(60)
    labels[7] = 6
    found = out_of_fold_probabilities(points, labels, dataset(labels, 7), np.arange(60))
    assert found.shape == (60, 7)
    assert found[7, 6] < 0.5
