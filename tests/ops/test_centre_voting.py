"""Centre votes: offsets equal those of loops, and perfect votes give the instances again."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.ops import centre_voting

SEEDS = st.integers(0, 2**32 - 1)


def votes(ids):
    """What each pixel is to say of these things."""
    return centre_voting.centre_offsets(ids, centre_voting.centres(ids, int(ids.max()))[0])


def again(ids, blur=1.0):
    """What is made of it."""
    found, agreed = centre_voting.group_votes(votes(ids), ids > 0, blur)
    assert agreed.tolist() == [1] * found.max()  # perfect votes agree
    return found


def wavering(ids, by, seed=0):
    noise = np.random.default_rng(seed).normal(0, by, (2, *ids.shape))
    return votes(ids) + noise.astype(np.float32)


def same(one, other):
    """Whether the same pixels are together, whatever their numbers."""
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1)
    return all(len(np.unique(side)) == pairs.shape[1] for side in pairs) and np.array_equal(
        one > 0, other > 0
    )


def shape(rng, size):
    """A rectangle, a disc or a ring somewhere, perhaps over the border."""
    y, x = np.mgrid[: size[0], : size[1]]
    away = np.abs(np.stack([y, x]) - rng.uniform(0, size)[:, None, None])
    reach = rng.uniform(2, 9)
    if rng.random() < 0.4:
        return (away[0] < reach) & (away[1] < rng.uniform(2, 9))
    far = np.hypot(*away)
    return (far < reach) & (far > rng.choice([0, 0.5, 0.8]) * reach)


def scene(seed, blur, most=25, size=(60, 71)):
    """Objects that may touch but not overlap, with enough pixels and separable centres."""
    rng = np.random.default_rng(seed)
    ids, count = np.zeros(size, int), 0
    for _ in range(most):
        new = np.where(ids == 0, shape(rng, size) * (count + 1), ids)
        places, area = centre_voting.centres(new, count + 1)
        away = np.abs(np.floor(places[:-1]) - np.floor(places[-1]))
        reach = centre_voting.MERGE_DISTANCE * np.sqrt(np.maximum(area[-1], area[:-1])) + 1e-6
        blurred = int(4 * blur + 0.5) + math.ceil(
            blur
        )  # so that no thing's votes are spread over another's middle
        if (
            area[-1] >= centre_voting.MIN_VOTES
            and ((away.max(1) > blurred) & (np.hypot(*away.T) > reach)).all()
        ):
            ids, count = new, count + 1
    return ids


# --- targets


@settings(deadline=None, max_examples=20)
@given(seed=SEEDS, sort=st.sampled_from([np.uint8, np.int8, np.int32, np.int64]))
def test_middles_and_offsets_are_those_of_a_loop_over_pixels(seed, sort):
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 6, rng.integers(1, 12, 2)).astype(sort)
    places, area = centre_voting.centres(ids, 7)
    found = centre_voting.centre_offsets(ids, places)
    assert found.shape == (2, *ids.shape)
    for number in range(1, 8):
        own = [(row + 0.5, column + 0.5) for row, column in np.argwhere(ids == number).tolist()]
        middle = [math.fsum(axis) / len(own) for axis in zip(*own, strict=True)] if own else [0, 0]
        assert area[number - 1] == len(own)
        assert places[number - 1] == pytest.approx(middle, abs=1e-5)
        for row, column in own:
            expected = [middle[0] - row, middle[1] - column]
            assert found[:, int(row), int(column)] == pytest.approx(expected, abs=1e-5)
    assert not found[:, ids == 0].any()


def test_nothing_has_no_middle_and_no_offset():
    ids = np.zeros((5, 8), int)
    places, area = centre_voting.centres(ids, 0)
    assert (places.shape, area.shape) == ((0, 2), (0,))
    offsets = centre_voting.centre_offsets(ids, places)
    assert (offsets.shape, offsets.any()) == ((2, 5, 8), False)
    assert centre_voting.centres(ids, 2)[0].tolist() == [[0, 0]] * 2


# --- round trip


@settings(deadline=None, max_examples=60)
@given(seed=SEEDS, blur=st.sampled_from([1.0, 1.5, 2.0]))
def test_perfect_votes_give_back_the_objects(seed, blur):
    ids = scene(seed, blur)
    assert same(again(ids, blur), ids)


@pytest.mark.parametrize("blur", [1.0, 2.0, 6.0])
@pytest.mark.parametrize("size", [(2, 2), (1, 4), (1, 40), (6, 7), (60, 40)])
def test_an_image_of_one_object(size, blur):
    ones = np.ones(size, int)
    assert same(again(ones, blur), ones)


@pytest.mark.parametrize("blur", [1.0, 6.0])
@pytest.mark.parametrize("size", [(1, 1), (1, 3), (9, 5)])
def test_no_object_and_what_has_too_few_pixels_for_one(size, blur):
    ids = np.zeros(size, int)
    for pixels in range(centre_voting.MIN_VOTES):
        ids.ravel()[:pixels] = 1
        found, agreed = centre_voting.group_votes(votes(ids), ids > 0, blur)
        assert (found.shape, found.any(), len(agreed)) == (size, False, 0)


def test_a_object_of_too_few_pixels_leaves_no_gap_in_the_numbers():
    ids = np.zeros((40, 60), int)
    ids[2, 2:5], ids[20, 20:24], ids[36, 50:53], ids[30:36, 4:8] = 1, 2, 3, 4
    to_middle = votes(ids)
    to_middle[0, 20, 20:24] += [
        -1,
        -1,
        1,
        1,
    ]  # four votes that lie less dense than three at one place
    found, _ = centre_voting.group_votes(to_middle, ids > 0, 1.0)
    assert sorted(np.unique(found)) == [0, 1, 2]
    assert same(found, np.where(ids % 2, 0, ids))


def test_three_hundred_objects_that_touch_in_no_time():
    ids = (np.arange(300).reshape(15, 20) + 1).repeat(9, 0).repeat(11, 1)
    began = time.process_time()
    assert same(again(ids), ids)
    assert time.process_time() - began < 2


def test_ten_thousand_scattered_votes_take_seconds_and_far_ones_change_nothing():
    """An untrained network votes for a centre nearly everywhere. Comparing all pairs would take
    sixteen times as long for four times as many."""
    rng = np.random.default_rng(0)
    here = np.indices((200, 200)) + 0.5
    away = (np.clip(here + 3 * rng.normal(size=(2, 200, 200)), 0.5, 199.5) - here).astype(
        np.float32
    )
    alone, sure = centre_voting.group_votes(away, np.ones((200, 200), bool), 1.0)
    assert sure.size > 300
    large = np.zeros((2, 200, 5 * 220), np.float32)
    inside = np.zeros((200, 5 * 220), bool)
    for place in range(0, 1100, 220):
        large[:, :, place : place + 200], inside[:, place : place + 200] = away, True
    began = time.process_time()
    ids, many = centre_voting.group_votes(large, inside, 1.0)
    assert time.process_time() - began < 5
    assert many.size == 5 * sure.size
    for place in range(0, 1100, 220):
        assert same(ids[:, place : place + 200], alone)


@pytest.mark.parametrize(("down", "across"), [(4, 4), (3, 5), (5, 5), (8, 4)])
def test_small_objects_side_by_side_stay_apart(down, across):
    ids = (np.arange(30).reshape(5, 6) + 1).repeat(down, 0).repeat(across, 1)
    assert same(again(ids), ids)


def test_objects_at_the_borders_and_in_the_corners():
    ids = np.zeros((40, 50), int)
    parts = [(0, 0), (0, 46), (36, 0), (36, 46), (0, 20), (36, 20), (18, 0), (18, 46)]
    for number, (top, left) in enumerate(parts, 1):
        ids[top : top + 4, left : left + 4] = number
    ids[0, 30:35], ids[39, 30:35], ids[8:13, 0], ids[8:13, 49] = range(9, 13)
    assert same(again(ids), ids)


def test_a_object_split_in_two_is_one_since_its_pixels_know_their_middle():
    ids = np.zeros((30, 40), int)
    ids[10:20, 4:10], ids[10:20, 30:36] = 1, 1
    ids[20:25, 16:24] = 2  # not far from the middle of the other
    assert same(again(ids), ids)


def test_a_object_in_the_hole_of_another():
    ids = np.zeros((40, 40), int)
    ids[4:36, 4:36] = 1
    ids[8:32, 8:32] = 0
    ring = ids.copy()
    ids[18:25, 18:25] = 2
    assert again(ids).max() == 1  # 0.4 of the ring's side: too near to its middle to be told apart
    ring[28:32, 28:32] = 2
    assert same(again(ring), ring)


def test_bars_side_by_side_stay_apart_up_to_six_times_as_long_as_wide():
    for long, apart in ((24, True), (30, False)):
        ids = (np.arange(5) + 1).repeat(4)[None].repeat(long, 0)
        assert same(again(ids), ids) == apart


# --- votes that are not perfect


@pytest.mark.parametrize("side", [4, 12, 30])
@pytest.mark.parametrize("seed", range(3))
def test_pixels_that_waver_stay_one_object_and_apart_from_the_next(side, seed):
    ids = (np.arange(6).reshape(2, 3) + 1).repeat(side, 0).repeat(side, 1)
    by = 0.05 * side
    found, agreed = centre_voting.group_votes(wavering(ids, by, seed), ids > 0, max(1.0, by))
    assert same(found, ids)
    assert (agreed > 0.9).all()


@pytest.mark.parametrize("size", [(5, 5), (8, 8), (2, 2), (2, 3), (4, 4), (6, 8)])
def test_votes_to_both_sides_of_a_line_between_pixels_are_one_object(size):
    inside = np.zeros((24, 24), bool)
    inside[8 : 8 + size[0], 8 : 8 + size[1]] = True
    to_middle = centre_voting.centre_offsets(inside.astype(int), np.array([[12, 12]], np.float32))
    to_middle += np.where(np.indices(inside.shape) % 2, 1e-3, -1e-3).astype(np.float32)
    assert same(centre_voting.group_votes(to_middle, inside, 1.0)[0], inside)


def test_how_well_votes_agree_is_the_share_that_is_near():
    ids = np.zeros((40, 80), int)
    ids[10:20, 10:20], ids[10:20, 50:60] = 1, 2
    to_middle = votes(ids)
    to_middle[0, 10:13, 10:20] += (
        5  # 30 of a hundred miss by more than 0.4 of the side, and mean no other thing
    )
    to_middle[0, 10:13, 50:60] += 3  # and 30 by less
    found, agreed = centre_voting.group_votes(to_middle, ids > 0, 2.0)
    assert same(found, ids)
    assert agreed[found[15, 15] - 1] == pytest.approx(0.7)
    assert agreed[found[15, 55] - 1] == 1


def test_votes_that_miss_the_image_are_for_its_border():
    ids = np.zeros((20, 20), int)
    ids[5:15, 5:15] = 1
    for far in (-1e6, -30.0, 30.0, 1e6):
        found, agreed = centre_voting.group_votes(votes(ids) + np.float32(far), ids > 0, 1.0)
        assert same(found, ids)
        assert agreed.tolist() == [0]


def test_objects_are_numbered_from_where_most_votes_are():
    ids = np.zeros((40, 60), int)
    ids[5:9, 5:9], ids[20:30, 40:50], ids[30:36, 10:16] = 1, 2, 3
    assert [again(ids)[at] for at in ((25, 45), (33, 12), (7, 7))] == [1, 2, 3]


@settings(deadline=None, max_examples=40)
@given(seed=SEEDS, blur=st.sampled_from([1.0, 2.0, 6.0]), spread=st.sampled_from([0, 1, 30]))
def test_any_answer_of_a_net_gives_objects_without_gaps_inside_alone(seed, blur, spread):
    rng = np.random.default_rng(seed)
    size = tuple(rng.integers(1, 20, 2))
    inside = rng.random(size) < rng.random()
    found, agreed = centre_voting.group_votes(
        rng.normal(0, spread, (2, *size)).astype(np.float32), inside, blur
    )
    area = np.bincount(found.ravel(), minlength=1)
    assert len(area) == len(agreed) + 1
    assert (area[1:] >= centre_voting.MIN_VOTES).all()
    assert ((agreed >= 0) & (agreed <= 1)).all()
    assert not found[~inside].any()
