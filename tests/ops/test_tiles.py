"""Tiles cover every pixel, overlap as promised, and never leave the image."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from foveate.ops.tiles import MIN_OVERLAP, tiles

LENGTHS = st.integers(1, 300)
SHARES = st.sampled_from([0.0, 0.1, 0.2, MIN_OVERLAP, 0.5, 0.75])


@settings(deadline=None)
@given(LENGTHS, LENGTHS, st.integers(1, 120), SHARES)
def test_every_pixel_is_covered_and_no_tile_leaves_the_image(height, width, side, overlap):
    assume(side * (1 - overlap) >= 4)  # else there are as many tiles as pixels
    covered = np.zeros((height, width), bool)
    for left, top, right, bottom in tiles(height, width, side, overlap):
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        covered[top:bottom, left:right] = True
    assert covered.all()


@settings(deadline=None)
@given(LENGTHS, LENGTHS, st.integers(1, 120), SHARES)
def test_each_tile_is_a_whole_square_unless_the_image_is_smaller(height, width, side, overlap):
    assume(side * (1 - overlap) >= 4)
    made = tiles(height, width, side, overlap)
    assert {(right - left, bottom - top) for left, top, right, bottom in made} == {
        (min(side, width), min(side, height))
    }
    assert len(set(made)) == len(made)
    assert all(type(at) is int for tile in made for at in tile)


def starts(length, side, overlap):
    return sorted({left for left, _, _, _ in tiles(1, length, side, overlap)})


@settings(deadline=None)
@given(st.integers(1, 3000), st.integers(1, 800), SHARES)
def test_neighbours_overlap_by_at_least_the_promised_share(length, side, overlap):
    assume(side * (1 - overlap) >= 4)
    for one, other in pairwise(starts(length, side, overlap)):
        assert one + side - other >= side * overlap - 1e-9  # of the product in doubles


@settings(deadline=None)
@given(st.integers(1, 3000), st.integers(4, 800))
def test_a_object_of_the_overlaps_size_lies_whole_in_a_tile_wherever_it_is(length, side):
    instance = min(length, int(side * MIN_OVERLAP))
    made = starts(length, side, MIN_OVERLAP)
    for at in {0, length - instance, *(start + side - instance + 1 for start in made)}:
        if 0 <= at <= length - instance:
            assert any(start <= at and at + instance <= start + side for start in made)


@settings(deadline=None)
@given(st.integers(1, 3000), st.integers(1, 800), SHARES)
def test_tiles_are_spread_evenly(length, side, overlap):
    assume(side * (1 - overlap) >= 4)
    made = starts(length, side, overlap)
    assert made[0] == 0
    assert made[-1] == max(0, length - side)
    gaps = [other - one for one, other in pairwise(made)]
    assert (
        max(gaps, default=0) - min(gaps, default=0) <= 2
    )  # each of two starts is rounded by half a pixel at most


def test_no_more_tiles_than_are_needed():
    assert starts(640, 640, 0.25) == [0]
    assert starts(641, 640, 0.25) == [0, 1]
    assert starts(640 + 480, 640, 0.25) == [0, 480]
    assert len(starts(640 + 481, 640, 0.25)) == 3


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 640), (640, 5), (640, 640)])
def test_an_image_that_is_no_larger_than_a_tile_is_one_tile(height, width):
    assert tiles(height, width, 640) == [(0, 0, width, height)]


def test_an_image_that_is_long_and_narrow_is_cut_along_its_length_only():
    made = tiles(8000, 50, 640)
    assert {(left, right) for left, _, right, _ in made} == {(0, 50)}
    assert len(made) == 1 + -(-(8000 - 640) // 480)
    assert [(top, left, bottom, right) for left, top, right, bottom in tiles(50, 8000, 640)] == made


def test_a_tile_of_one_pixel_is_a_pixel():
    assert sorted(tiles(3, 2, 1)) == [(x, y, x + 1, y + 1) for x in range(2) for y in range(3)]


def test_a_satellites_image_is_cut_in_a_moment():
    began = time.process_time()
    assert len(tiles(40_000, 40_000, 640)) == 83**2
    assert time.process_time() - began < 1
