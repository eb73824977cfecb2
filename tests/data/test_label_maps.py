"""What each pixel is, as arrays: against loops over pixels, there and back."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.annotations import (
    IGNORE,
    Boxes,
    Instances,
    Mask,
    Polygon,
    RunLengths,
)
from foveate.ops import rle
from foveate.ops.masks import mask_bounds, resize_nearest, smallest_dtype

SIZES = st.tuples(st.integers(1, 12), st.integers(1, 12))


def runs(masks, size):
    """Objects with these pixels, each of the class of its row."""
    shapes = [RunLengths(rle.encode(mask), size) for mask in masks]
    corners = np.array([mask_bounds(mask) for mask in masks]).reshape(-1, 4)
    return Instances(Boxes(corners, np.arange(len(masks)), size=size), tuple(shapes))


def block(size, rows, columns):
    mask = np.zeros(size, bool)
    mask[slice(*rows), slice(*columns)] = True
    return mask


def painted(rng, size, most=6):
    """Numbers of an image whose objects have any pixels, not all of them in one piece, and not all
    of them any."""
    return rng.integers(0, most + 1, size).astype(np.int32)


# --- another size


@settings(deadline=None)
@given(before=SIZES, after=SIZES)
def test_each_pixel_becomes_the_one_that_its_middle_falls_on(before, after):
    """In fractions; a middle on the line between two pixels may become either."""
    values = np.arange(before[0] * before[1]).reshape(before)
    found = resize_nearest(values, after)
    assert found.shape == after
    rows, columns = np.divmod(found, before[1])
    for axis, places in ((0, rows), (1, columns)):
        for new in range(after[axis]):
            middle = Fraction(2 * new + 1, 2) * Fraction(before[axis], after[axis])
            (old,) = np.unique(places.take(new, axis))
            assert int(old) <= middle <= int(old) + 1


def test_of_the_same_size_it_is_the_same_and_twice_as_large_it_is_repeated():
    values = np.array([[3, IGNORE, 2], [0, 1, 7]], np.int16)
    assert resize_nearest(values, (2, 3)) is values
    large = resize_nearest(values, (4, 9))
    assert np.array_equal(large, values.repeat(2, 0).repeat(3, 1))
    assert large.dtype == values.dtype
    assert np.array_equal(resize_nearest(large, (2, 3)), values)


def test_a_huge_image_shrinks_to_a_pixel_and_a_pixel_grows():
    values = np.zeros((1001, 7), np.int32)
    values[500, 3] = 9
    assert resize_nearest(values, (1, 1)).tolist() == [[9]]
    assert np.array_equal(resize_nearest(np.array([[4]]), (3, 1000)), np.full((3, 1000), 4))


# --- bytes


@pytest.mark.parametrize(
    ("most", "kind"),
    [
        (-1, np.int8),
        (0, np.int8),
        (127, np.int8),
        (128, np.int16),
        (32767, np.int16),
        (32768, np.int32),
        (2**31 - 1, np.int32),
    ],
)
def test_whole_numbers_in_as_few_bytes_as_hold_them(most, kind):
    values = np.array([[IGNORE, most], [0, min(most, 5)]], np.int64)
    found = smallest_dtype(values)
    assert found.dtype == kind
    assert np.array_equal(found, values)
    kept = Mask.from_array(values)
    assert np.array_equal(kept.pixels.read(), values)
    assert kept.present() == tuple(sorted({*values.ravel().tolist()} - {IGNORE}))


def test_nothing_at_all_can_be_kept():
    assert smallest_dtype(np.zeros((0, 0), np.int32)).shape == (0, 0)
    assert smallest_dtype(np.full((2, 2), IGNORE)).tolist() == [[IGNORE] * 2] * 2


# --- numbers of objects


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=SIZES, count=st.integers(0, 6))
def test_of_objects_that_lie_on_each_other_the_smaller_one_is_seen(seed, size, count):
    """By a loop over pixels; of two as large as each other the later one."""
    rng = np.random.default_rng(seed)
    masks = [rng.random(size) < rng.choice([0.05, 0.3, 0.8]) for _ in range(count)]
    found = runs(masks, size).label_map(size)
    assert found.shape == size
    for place in np.ndindex(size):
        there = [row for row, mask in enumerate(masks) if mask[place]]
        seen = min(there, key=lambda row: (masks[row].sum(), -row), default=-1)
        assert found[place] == seen + 1


def test_the_places_of_objects_of_any_kind_are_those_of_their_masks():
    size, values = (9, 12), np.zeros((9, 12), np.int32)
    values[2:5, 3:9], values[4:, 0] = 1, 2
    regions = Instances.from_label_map(
        values, Boxes(np.zeros((2, 4)), np.zeros(2, np.int64))
    ).shapes
    outline = Polygon((np.array([[1.0, 1], [7, 2], [4, 8]]),))
    others = (
        outline,
        RunLengths(rle.encode(values == 1), size),
        None,
        None,
    )
    corners = np.array([[0, 0, 1, 1]] * 4 + [[1.6, 2.4, 4, 20], [5, 5, 5, 9]])
    mixed = Instances(Boxes(corners, np.arange(6), size=size), (*regions, *others))
    for places, mask in zip(mixed.pixel_indices(size), mixed.masks(size), strict=True):
        assert np.array_equal(np.sort(places), np.flatnonzero(mask))


def test_outlines_boxes_and_run_lengths_may_be_mixed():
    size = (10, 12)
    square = Polygon((np.array([(1.0, 1), (5, 1), (5, 5), (1, 5)]),))
    spot = RunLengths(rle.encode(block(size, (2, 3), (2, 3))), size)
    boxes = Boxes(np.array([(1.0, 1, 5, 5), (2, 2, 3, 3), (4, 4, 12, 10)]), np.zeros(3), size=size)
    expected = np.zeros(size, int)
    expected[4:10, 4:12], expected[1:5, 1:5], expected[2, 2] = 3, 1, 2
    assert np.array_equal(Instances(boxes, (square, spot, None)).label_map(size), expected)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=SIZES)
def test_numbers_become_objects_and_objects_their_numbers_again(seed, size):
    rng = np.random.default_rng(seed)
    ids = painted(rng, size)
    like = Boxes(
        rng.uniform(0, 9, (6, 4)),
        rng.integers(0, 9, 6),
        rng.random(6),
        rng.random(6) < 0.3,
        rng.random(6) < 0.3,
        size,
    )
    found = Instances.from_label_map(ids, like)
    there = [number for number in range(1, 7) if (ids == number).any()]
    rows = np.array(there, int) - 1
    assert len(found) == len(there)
    for name in ("classes", "scores", "crowd", "difficult"):
        assert np.array_equal(getattr(found.boxes, name), getattr(like, name)[rows])
    assert found.boxes.size == size
    assert np.array_equal(
        found.masks(size), np.array([ids == number for number in there]).reshape(-1, *size)
    )
    for shape, corners, number in zip(found.shapes, found.boxes.corners, there, strict=True):
        assert tuple(corners) == shape.bounds() == mask_bounds(ids == number)
    # Numbers begin with 1 again, without gaps; of some, in another order, with theirs.
    order = rng.permutation(len(there))[: rng.integers(0, len(there) + 1)]
    for chosen in (np.arange(len(there)), order):
        expected = np.zeros(size, int)
        for new, row in enumerate(chosen, 1):
            expected[ids == there[row]] = new
        assert np.array_equal(found[chosen].label_map(size), expected)


def test_a_target_has_no_scores_and_no_object_is_no_object():
    like = Boxes(np.zeros((2, 4)), np.array([4, 5]))
    one = Instances.from_label_map(np.array([[0, 2], [0, 0]], np.int8), like)
    assert one.boxes.scores is None
    assert one.boxes.classes.tolist() == [5]
    assert one.boxes.corners.tolist() == [[1, 0, 2, 1]]  # an object of one pixel
    for none in (
        Instances.from_label_map(np.zeros((3, 4), np.int32), like),
        Instances.from_label_map(np.zeros((3, 4), np.int8), like[:0]),
    ):
        assert len(none) == 0
        assert none.boxes.size == (3, 4)
        assert np.array_equal(none.label_map((3, 4)), np.zeros((3, 4)))


def test_objects_of_two_images_together_are_numbered_by_their_pixels():
    """Numbers of one image mean nothing in another."""
    size = (4, 4)
    like = Boxes(np.zeros((2, 4)), np.array([0, 1]))
    one = Instances.from_label_map(np.where(block(size, (0, 2), (0, 4)), 1, 0), like)
    other = Instances.from_label_map(np.where(block(size, (1, 3), (1, 3)), 1, 0), like)
    both = Instances(
        Boxes(np.concatenate([one.boxes.corners, other.boxes.corners]), np.array([0, 1])),
        one.shapes + other.shapes,
    )
    assert both.label_map(size).tolist() == [
        [1, 1, 1, 1],
        [1, 2, 2, 1],
        [0, 2, 2, 0],
        [0, 0, 0, 0],
    ]


def test_many_objects_are_numbered_as_they_are():
    ids = np.arange(1, 40_001, dtype=np.int32).reshape(200, 200)
    like = Boxes(np.zeros((40_000, 4)), np.arange(40_000))
    found = Instances.from_label_map(ids, like)
    assert len(found) == 40_000
    assert np.array_equal(found.label_map(ids.shape), ids)


# --- guesses


def test_of_what_shares_a_shape_the_most_confident_is_kept_of_equals_the_first():
    one, other = runs(np.ones((2, 3, 3), bool), (3, 3)).shapes
    scores = np.array([0.2, 0.9, 0.5, 0.5, 0.1, 0.1])
    boxes = Boxes(np.zeros((6, 4)), np.arange(6), scores)
    kept = Instances(boxes, (one, one, other, other, None, None)).best_per_shape()
    assert kept.tolist() == [False, True, True, False, True, True]
    assert (
        Instances(Boxes(np.zeros((2, 4)), np.arange(2)), (one, one)).best_per_shape().all()
    )  # targets
    assert Instances(boxes[:0], ()).best_per_shape().tolist() == []


@settings(deadline=None)
@given(before=SIZES, after=SIZES, seed=st.integers(0, 99))
def test_guesses_about_one_object_are_still_about_one_object_at_another_size(before, after, seed):
    rng = np.random.default_rng(seed)
    single = Instances.from_label_map(
        painted(rng, before), Boxes(np.zeros((6, 4)), np.arange(6), rng.random(6))
    )
    rows = rng.permutation(np.repeat(np.arange(len(single)), rng.integers(1, 4, len(single))))
    guesses = Instances(
        replace(single.boxes[rows], classes=rng.integers(0, 9, len(rows))), single[rows].shapes
    )
    alone, found = (one.resize(before, after) for one in (single, guesses))
    known = {
        float(score): mask
        for score, mask in zip(alone.boxes.scores, alone.masks(after), strict=True)
    }
    kept = np.isin(guesses.boxes.scores, list(known))
    assert found.boxes.classes.tolist() == guesses.boxes.classes[kept].tolist()
    assert found.boxes.scores.tolist() == guesses.boxes.scores[kept].tolist()
    for score, mask, corners in zip(
        found.boxes.scores, found.masks(after), found.boxes.corners, strict=True
    ):
        assert np.array_equal(mask, known[float(score)])
        assert corners.tolist() == list(mask_bounds(mask))
    assert len({id(shape) for shape in found.shapes}) == len(alone)
    assert found.best_per_shape().sum() == len(alone)
