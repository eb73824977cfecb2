"""Outlines: areas, crossings, and pixels exactly as pycocotools counts them."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as oracle

from foveate.ops import polygons

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)  # pycocotools' own

SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))
FINE = st.integers(-100, 300).map(lambda n: n / 10)  # on and between the points of COCO's grid
NUMBERS = (
    FINE
    | st.floats(-30, 60, width=32)
    | st.sampled_from([0.0, -0.0, 0.5, 1.0, -0.1, 40.0, 39.9, 1e4, -1e4])
)
OUTLINES = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=3, max_size=12).map(
    lambda points: np.array(points, float)
)


def filled(outlines: tuple[np.ndarray, ...], size: tuple[int, int]) -> np.ndarray:
    rles = oracle.frPyObjects([outline.ravel().tolist() for outline in outlines], *size)
    return oracle.decode(oracle.merge(rles)).astype(bool)


def star(
    rng: np.random.Generator, corners: int, radius: float, centre: tuple[float, float]
) -> np.ndarray:
    """An outline as a person draws it."""
    turn = np.sort(rng.uniform(0, 2 * np.pi, corners))
    reach = radius * rng.uniform(0.5, 1, corners)
    return np.stack([centre[0] + reach * np.cos(turn), centre[1] + reach * np.sin(turn)], 1)


@settings(max_examples=300, deadline=None)
@given(st.lists(OUTLINES, min_size=1, max_size=3).map(tuple), SIZES)
def test_the_same_pixels_as_pycocotools(
    outlines: tuple[np.ndarray, ...], size: tuple[int, int]
) -> None:
    assert np.array_equal(polygons.fill(outlines, size), filled(outlines, size))


@pytest.mark.parametrize("seed", range(10))
def test_the_same_pixels_as_pycocotools_in_images_of_usual_size(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(30):
        outline = star(
            rng, rng.integers(3, 60), rng.uniform(1, 400), tuple(rng.uniform(-50, 700, 2))
        )
        outline = outline.round(2) if rng.random() < 0.5 else outline
        assert np.array_equal(polygons.fill((outline,), (480, 640)), filled((outline,), (480, 640)))


def test_steep_and_long_sides_are_the_same_to_the_last_pixel() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        outline = rng.uniform(-3000, 3000, (4, 2)) * rng.choice([[1, 1], [1, 0.01], [0.01, 1]])
        assert np.array_equal(polygons.fill((outline,), (70, 50)), filled((outline,), (70, 50)))


@pytest.mark.parametrize(
    "outline",
    [
        [(0, 0), (8, 0), (8, 6), (0, 6)],  # the whole picture
        [(-9, -9), (99, -9), (99, 99), (-9, 99)],  # and beyond
        [(2, 1), (5, 1), (5, 4), (2, 4)],
        [(2, 1), (2, 4), (5, 4), (5, 1)],  # the other way round
        [(2, 1), (5, 1), (5, 4), (2, 4), (2, 1)],  # closed
        [(2, 1), (2, 1), (5, 1), (5, 1), (5, 4), (2, 4)],  # corners twice
        [(3, 3), (3, 3), (3, 3)],  # a point
        [(1, 1), (6, 5), (3, 2.6)],  # a line
        [(1, 1), (6, 5), (6, 1), (1, 5)],  # a bow tie
        [(2.5, 0), (2.5, 6), (2.6, 6), (2.6, 0)],  # narrower than a pixel
        [(20, 20), (30, 20), (30, 30)],  # outside
        [(-30, 2), (-20, 2), (-20, 4)],
    ],
)
def test_the_same_pixels_at_the_edges(outline: list[tuple[float, float]]) -> None:
    points = (np.array(outline, float),)
    assert np.array_equal(polygons.fill(points, (6, 8)), filled(points, (6, 8)))


def test_a_square_covers_the_pixels_within_it() -> None:
    square = np.array([(2, 1), (5, 1), (5, 4), (2, 4)], float)
    mask = polygons.fill((square,), (6, 8))
    assert mask[1:4, 2:5].all()
    assert mask.sum() == 9
    assert polygons.area(square) == 9
    assert polygons.bounds((square, square + 2)) == (2, 1, 7, 6)


def test_pieces_join_and_no_piece_cuts_a_hole() -> None:
    outer, inner = (
        np.array([(0, 0), (8, 0), (8, 6), (0, 6)], float),
        np.array([(2, 2), (5, 2), (5, 4), (2, 4)], float),
    )
    assert polygons.fill((outer, inner), (6, 8)).all()


@pytest.mark.parametrize("size", [(0, 0), (0, 4), (4, 0), (1, 1)])
def test_images_without_pixels(size: tuple[int, int]) -> None:
    outline = np.array([(-1, -1), (9, -1), (9, 9), (-1, 9)], float)
    assert polygons.fill((outline,), size).shape == size


def test_absurd_numbers_need_no_memory_and_no_time() -> None:
    rng = np.random.default_rng(0)
    start = time.process_time()
    outline = rng.choice([-1e300, 1e300, -1e9, 1e9, 0, 10], (10_000, 2))
    assert polygons.fill((outline,), (60, 80)).shape == (60, 80)
    assert time.process_time() - start < 2


def test_a_thousand_outlines_in_a_few_seconds() -> None:
    rng = np.random.default_rng(0)
    outlines = [
        star(rng, 50, rng.uniform(10, 200), tuple(rng.uniform(0, 480, 2))) for _ in range(1000)
    ]
    start = time.process_time()
    for outline in outlines:
        polygons.fill((outline,), (480, 640))
    assert time.process_time() - start < 4


# --- area and crossings


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(0, 2 * np.pi))
def test_area_is_the_same_wherever_it_lies(x: float, y: float, turn: float) -> None:
    triangle = np.array([(0, 0), (4, 0), (0, 3)], float)
    turned = triangle @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    assert polygons.area(turned + np.array([x, y])) == pytest.approx(6, abs=1e-6)


@pytest.mark.parametrize(
    ("outline", "crosses"),
    [
        ([(0, 0), (4, 0), (0, 3)], False),
        ([(0, 0), (4, 4), (4, 0), (0, 4)], True),
        ([(0, 0), (4, 0), (4, 4), (0, 4)], False),
        ([(0, 0), (4, 0), (4, 0), (4, 4), (0, 4), (0, 0)], False),  # corners twice
        ([(0, 0), (4, 0), (4, 4), (2, 0), (0, 4)], False),  # touches a side
        ([(0, 0), (4, 0), (4, 4), (2, -1), (0, 4)], True),
        ([(0, 0), (0, 0), (0, 0)], False),
        ([(0, 0), (9, 0), (5, 0)], False),  # back along itself
    ],
)
def test_crossings(outline: list[tuple[float, float]], crosses: bool) -> None:
    points = np.array(outline, float)
    assert polygons.is_self_intersecting(points) is crosses
    assert polygons.is_self_intersecting(points[::-1]) is crosses
    for start in range(len(points)):
        assert polygons.is_self_intersecting(np.roll(points, start, 0)) is crosses


def test_stars_do_not_cross_and_shuffled_ones_do() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        outline = star(rng, 40, 50, (60, 60))
        if (
            np.diff(np.arctan2(*(outline - 60).T[::-1]) % (2 * np.pi)).max() < 3
        ):  # the middle is inside
            assert not polygons.is_self_intersecting(outline)
        assert polygons.is_self_intersecting(rng.permutation(outline))
