"""Planted outliers, twins and shifted splits are found in feature space; clean points are clean."""

from __future__ import annotations

import numpy as np
import pytest

from foveate.annotations import Label
from foveate.audit.feature_space import (
    MAX_OUTLIERS,
    OUTLIER,
    SEMANTIC_DUPLICATE,
    SEMANTIC_LEAK,
    FeatureSpace,
    standardised,
)
from foveate.audit.finding import Finding
from foveate.data.dataset import ArraySource, Dataset, Sample

DIMENSIONS = 100
PIXEL = ArraySource(np.zeros((1, 8, 8, 3), np.uint8), 0)


def dataset(count: int, splits=None, groups=None) -> Dataset[Label]:
    splits, groups = splits or [None] * count, groups or [None] * count
    samples = [
        Sample(f"s{row}", PIXEL, Label(row % 3), group, split)
        for row, (split, group) in enumerate(zip(splits, groups, strict=True))
    ]
    return Dataset("made", "classification", ("a", "b", "c"), samples)


def clouds(count: int, seed: int = 0) -> np.ndarray:
    """Three classes around centres of their own."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 2, (3, DIMENSIONS))
    return (centres[np.arange(count) % 3] + rng.normal(0, 1, (count, DIMENSIONS))).astype(
        np.float32
    )


def space(points: np.ndarray, data=None, clusters=None, seed: int = 0) -> FeatureSpace:
    data = data or dataset(len(points))
    clusters = np.arange(len(points)) if clusters is None else clusters
    labels = np.array([sample.target.index for sample in data], np.int64)
    return FeatureSpace.of(standardised(points), data, clusters, labels, seed)


def checks(found: FeatureSpace, data: Dataset[Label]) -> list[str]:
    return [finding.check for finding in found.findings(data)]


def test_images_far_from_all_others_are_outliers():
    points = clouds(600)
    planted = [17, 230, 404]
    rng = np.random.default_rng(1)
    points[planted] += rng.choice([-6, 6], (3, DIMENSIONS))
    found = space(points)
    assert set(found.outliers[:3].tolist()) == set(planted)
    assert len(found.outliers) <= MAX_OUTLIERS * 600
    notes = [one for one in found.findings(dataset(600)) if one.check == OUTLIER]
    assert {one.ids[0] for one in notes[:3]} == {f"s{row}" for row in planted}
    assert all(one.severity == "note" for one in notes)


def test_a_class_whose_images_vary_more_hides_no_outlier_of_another():
    points = clouds(600)
    points[::3] += np.random.default_rng(1).normal(0, 3, (200, DIMENSIONS))
    points[100] += 4 * np.sign(points[100])
    data = dataset(600)
    found = space(points, data)
    assert found.outliers[0] == 100
    assert 100 not in FeatureSpace.of(found.points, data, np.arange(600)).outliers[:1]


def test_a_copy_does_not_hide_an_outlier():
    points = clouds(300)
    points[7] += 6 * np.sign(points[7])
    points = np.concatenate([points, points[7:8]])
    clusters = np.array([*range(300), 7])
    found = space(points, clusters=clusters)
    assert {7, 300} <= set(found.outliers.tolist())
    assert len(found.duplicates) == 0  # the copy is reported as a copy


@pytest.mark.parametrize("seed", range(5))
def test_clean_clouds_have_no_duplicates_and_few_outliers(seed):
    found = space(clouds(400, seed), seed=seed)
    assert len(found.duplicates) == 0
    assert len(found.outliers) <= 4


def twins(across: bool) -> tuple[np.ndarray, Dataset[Label]]:
    points = clouds(300)
    points[200] = points[11] + 0.2 * np.random.default_rng(2).normal(0, 1, DIMENSIONS)
    splits = ["train" if row % 2 else "test" for row in range(300)] if across else None
    return points, dataset(300, splits)


@pytest.mark.parametrize("across", [False, True])
def test_images_that_are_far_nearer_than_usual_are_semantic_duplicates(across):
    points, data = twins(across)
    found = space(points, data)
    assert found.duplicates.tolist() == [[11, 200]]
    (note,) = (one for one in found.findings(data) if len(one.ids) == 2)
    assert note.check == (SEMANTIC_LEAK if across else SEMANTIC_DUPLICATE)
    assert note.severity == "note"
    assert set(note.ids) == {"s11", "s200"}


def test_frames_of_one_video_are_no_semantic_duplicates():
    points, _ = twins(across=False)
    groups = [None if row not in (11, 200) else "video" for row in range(300)]
    assert len(space(points, dataset(300, groups=groups)).duplicates) == 0


SPLITS = ["test" if row % 4 == 0 else "train" for row in range(400)]


def different(found: FeatureSpace, data: Dataset[Label]) -> list[Finding]:
    return [one for one in found.findings(data) if one.check == "splits look different"]


@pytest.mark.slow
def test_a_split_of_one_pool_is_not_called_different_over_20_seeds():
    data = dataset(400, SPLITS)
    for seed in range(20):
        found = space(clouds(400, seed), data, seed=seed)
        assert not different(found, data)
        compared = found.comparisons["test"]
        assert compared.far < 0.08  # 1% is expected
        assert 0.9 < np.median(compared.distances) < 1.1


@pytest.mark.parametrize("seed", range(3))
def test_a_shifted_test_split_is_noticed(seed):
    points, data = clouds(400, seed), dataset(400, SPLITS)
    points[::4] += 1.2
    found = space(points, data, seed=seed)
    (warning,) = different(found, data)
    assert warning.severity == "warning"
    assert found.comparisons["test"].two_samples.auc > 0.8


def test_a_test_split_with_something_new_is_far_from_train():
    points, data = clouds(400), dataset(400, SPLITS)
    points[[40, 80]] += 8
    compared = space(points, data).comparisons["test"]
    assert set(compared.farthest[:2].tolist()) == {40, 80}
    assert compared.far >= 0.02
    assert (np.diff(compared.distances) <= 0).all()
    assert sorted(compared.farthest.tolist()) == list(range(0, 400, 4))


@pytest.mark.parametrize("count", [0, 1, 2, 5, 11, 19])
def test_few_images_say_nothing(count):
    points, data = clouds(count), dataset(count)
    found = space(points, data)
    assert checks(found, data) == []
    assert found.comparisons == {}


def test_equal_images_and_constant_features_are_no_error():
    points = np.ones((40, 5), np.float32)
    assert not space(points, dataset(40, SPLITS[:40])).outliers.size
    scaled = standardised(points)
    assert not scaled.any()


def test_the_scale_of_a_feature_does_not_matter():
    points = clouds(100)
    scaled = standardised(points * np.linspace(0.1, 100, DIMENSIONS, dtype=np.float32) + 5)
    np.testing.assert_allclose(scaled, standardised(points), atol=1e-3)
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(0), 1, atol=1e-4)


@pytest.mark.parametrize("size", [4, 20])
def test_large_groups_are_compared_with_other_groups(size):
    """Neighbours of the own group are passed over, however many there are."""
    count = 400
    rng = np.random.default_rng(3)
    groups = [f"g{row // size}" for row in range(count)]
    of_group = rng.normal(0, 1, (count // size, DIMENSIONS))[np.arange(count) // size]
    points = (of_group + rng.normal(0, 0.3, (count, DIMENSIONS))).astype(np.float32)
    splits = ["test" if row // size % 4 == 0 else "train" for row in range(count)]
    found = space(points, dataset(count, splits, groups)).comparisons["test"]
    assert 0.5 < np.median(found.distances) < 2
    assert found.far < 0.2


def test_a_train_split_of_one_group_has_no_distances():
    points = clouds(200)
    splits = ["train" if row < 100 else "test" for row in range(200)]
    groups = ["one" if row < 100 else f"g{row}" for row in range(200)]
    found = space(points, dataset(200, splits, groups)).comparisons["test"]
    assert found.far == 0
    assert np.isfinite(found.distances).all()


def test_nearly_equal_distances_make_no_outlier():
    """Points of a grid are as far from one another, but for rounding."""
    points = np.eye(64, dtype=np.float32)
    assert len(space(np.tile(points, (1, 2))).outliers) == 0
