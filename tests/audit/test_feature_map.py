"""The map keeps similar images together and holds what is marked."""

from __future__ import annotations

import numpy as np
import pytest

from foveate.audit.feature_map import MAX_MAP_IMAGES, MIN_IMAGES, feature_map, rows_on_map


def clouds(count: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = np.array([[0] * 8, [12] * 8, [-12, 12] * 4])
    return (centres[np.arange(count) % 3] + rng.normal(0, 1, (count, 8))).astype(np.float32)


def test_neighbours_on_the_map_are_of_one_cloud():
    away = np.linalg.norm((places := feature_map(clouds(150)))[:, None] - places, axis=2)
    np.fill_diagonal(away, np.inf)
    assert ((away.argmin(1) - np.arange(150)) % 3 == 0).mean() > 0.95


def test_the_same_seed_gives_the_same_map():
    one, two = (feature_map(clouds(60), seed=3) for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_a_map_of_few_images_holds_all_of_them():
    assert rows_on_map(150, ()).tolist() == list(range(150))
    assert rows_on_map(MIN_IMAGES, [2, 7]).tolist() == list(range(MIN_IMAGES))


def test_marked_images_are_on_the_map_of_many():
    rows = rows_on_map(20_000, [19_999, 5, 77])
    assert {5, 77, 19_999} <= set(rows.tolist())
    assert len(set(rows.tolist())) == len(rows) == MAX_MAP_IMAGES
    many = rows_on_map(20_000, range(1000))
    assert len(many) == MAX_MAP_IMAGES
    assert (many < 1000).mean() < 0.6  # others are there too


@pytest.mark.parametrize("count", [0, 1, MIN_IMAGES - 1])
def test_few_images_have_no_map(count):
    assert not len(rows_on_map(count, ()))


def test_equal_images_lie_in_one_place():
    assert not feature_map(np.ones((MIN_IMAGES, 4), np.float32)).any()
