"""What is wrong with a box: each kind by a case made by hand, and the books balance on random
scenes."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.annotations import Boxes
from foveate.metrics.box_errors import BACKGROUND_IOU, ERROR_TYPES, MATCH_IOU, BoxError, find_errors
from foveate.ops.boxes import iou

BIG = (0, 0, 100, 100)
CLOSE = (0, 0, 100, 90)  # IoU 0.9 with BIG
HALF = (0, 0, 100, 50)  # exactly 0.5
POOR = (0, 0, 100, 40)
TENTH = (0, 0, 100, 10)  # exactly 0.1
NONE = (0, 0, 100, 9)
FAR = (500, 500, 540, 560)


def found(*boxes):
    """Each (corners, class, score)."""
    corners, classes, scores = zip(*boxes, strict=True) if boxes else ((), (), ())
    return Boxes(
        np.array(corners, float).reshape(-1, 4), np.array(classes, int), np.array(scores, float)
    )


def true(*boxes, **flags):
    corners, classes = zip(*boxes, strict=True) if boxes else ((), ())
    return Boxes(np.array(corners, float).reshape(-1, 4), np.array(classes, int), **flags)


def told(own, theirs):
    return [(one.kind, one.prediction, one.target) for one in find_errors(own, theirs)]


CASES = {
    "right": (found((CLOSE, 0, 0.9)), true((BIG, 0)), []),
    "right at just enough overlap": (found((HALF, 0, 0.9)), true((BIG, 0)), []),
    "missed": (found(), true((BIG, 0)), [("missed", None, 0)]),
    "background": (
        found((FAR, 0, 0.9)),
        true((BIG, 0)),
        [("background", 0, None), ("missed", None, 0)],
    ),
    "background where there is no true box": (
        found((BIG, 0, 0.9)),
        true(),
        [("background", 0, None)],
    ),
    "background with hardly any overlap": (
        found((NONE, 0, 0.9)),
        true((BIG, 0)),
        [("background", 0, None), ("missed", None, 0)],
    ),
    "badly placed": (found((POOR, 0, 0.9)), true((BIG, 0)), [("badly placed", 0, 0)]),
    "badly placed with a tenth of overlap": (
        found((TENTH, 0, 0.9)),
        true((BIG, 0)),
        [("badly placed", 0, 0)],
    ),
    "duplicate": (found((CLOSE, 0, 0.8), (BIG, 0, 0.9)), true((BIG, 0)), [("duplicate", 0, 0)]),
    "of two that fit the surer is right, not the closer": (
        found((CLOSE, 0, 0.9), (BIG, 0, 0.8)),
        true((BIG, 0)),
        [("duplicate", 1, 0)],
    ),
    "wrong class explains the true box": (
        found((CLOSE, 1, 0.9)),
        true((BIG, 0)),
        [("wrong class", 0, 0)],
    ),
    "wrong class beside a right one": (
        found((CLOSE, 1, 0.9), (BIG, 0, 0.8)),
        true((BIG, 0)),
        [("wrong class", 0, 0)],
    ),
    "wrong class and wrong place is background": (
        found((POOR, 1, 0.9)),
        true((BIG, 0)),
        [("background", 0, None), ("missed", None, 0)],
    ),
    "one of each": (
        found((BIG, 0, 0.9), (CLOSE, 0, 0.8), (FAR, 1, 0.7), ((800, 0, 900, 100), 0, 0.6)),
        true((BIG, 0), (FAR, 2), ((0, 300, 9, 309), 1), ((0, 600, 9, 609), 1)),
        [
            ("duplicate", 1, 0),
            ("wrong class", 2, 1),
            ("background", 3, None),
            ("missed", None, 2),
            ("missed", None, 3),
        ],
    ),
    "nothing at all": (found(), true(), []),
}


@pytest.mark.parametrize("case", CASES)
def test_each_kind_by_hand(case):
    own, theirs, expected = CASES[case]
    assert told(own, theirs) == expected


def test_every_kind_that_can_be_told_has_words():
    assert {kind for _, _, expected in CASES.values() for kind, _, _ in expected} == set(
        ERROR_TYPES
    )


def test_the_most_confident_mistake_is_told_first_and_what_was_missed_last():
    own = found((FAR, 0, 0.2), (FAR, 0, 0.9), (FAR, 0, 0.5))
    assert told(own, true((BIG, 0), (BIG, 1))) == [
        ("background", 1, None),
        ("background", 2, None),
        ("background", 0, None),
        ("missed", None, 0),
        ("missed", None, 1),
    ]


@pytest.mark.parametrize("flag", ["crowd", "difficult"])
def test_ignored_boxes_are_neither_missed_nor_made_mistakes_on(flag):
    theirs = true((BIG, 0), **{flag: np.array([True])})
    assert told(found(), theirs) == []
    assert told(found((CLOSE, 0, 0.9), (BIG, 0, 0.8)), theirs) == []
    assert told(found((CLOSE, 1, 0.7)), theirs) == [
        ("background", 0, None)
    ]  # as COCO has it, of their class only
    assert told(found((FAR, 0, 0.9)), theirs) == [("background", 0, None)]


def test_what_lies_within_a_crowd_is_no_mistake_however_small():
    small = found(((10, 10, 14, 14), 0, 0.9))
    assert told(small, true((BIG, 0), crowd=np.array([True]))) == []
    assert told(small, true((BIG, 0), difficult=np.array([True]))) == [("background", 0, None)]


def test_a_demanded_box_is_hit_before_one_that_is_ignored():
    theirs = true((BIG, 0), (CLOSE, 0), difficult=np.array([True, False]))
    assert told(found((BIG, 0, 0.9)), theirs) == []


def test_a_box_that_fits_two_true_ones_finds_the_one_that_is_left():
    assert told(found((BIG, 0, 0.9), (BIG, 0, 0.8)), true((BIG, 0), (CLOSE, 0))) == []


def scene(seed):
    """Small numbers and few classes, so that all kinds occur, with ties."""
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 30, (rng.integers(0, 8), 2))
    corners = np.concatenate([low, low + rng.integers(4, 20, low.shape)], 1).astype(float)
    flags = {flag: rng.random(len(low)) < 0.15 for flag in ("crowd", "difficult")}
    theirs = Boxes(corners, rng.integers(0, 3, len(low)), **flags)
    near = corners[rng.integers(0, len(low), rng.integers(0, 12))] if len(low) else corners
    stray = rng.integers(0, 40, (2, 2))
    own = np.concatenate(
        [near + rng.integers(-3, 4, near.shape), np.concatenate([stray, stray + 7], 1)]
    )
    return Boxes(own, rng.integers(0, 3, len(own)), rng.choice([0.2, 0.5, 0.9], len(own))), theirs


@settings(deadline=None, max_examples=300)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_box_is_accounted_for(seed):
    own, theirs = scene(seed)
    wrong = find_errors(own, theirs)
    ignored = theirs.crowd | theirs.difficult
    overlap = iou(own.corners, theirs.corners, theirs.crowd)

    about = Counter(one.prediction for one in wrong if one.prediction is not None)
    assert set(about.values()) <= {1}
    rest = [row for row in range(len(own)) if row not in about]
    on_spared = {row for row in rest if (overlap[row, ignored] >= MATCH_IOU).any()}
    same = own.classes[:, None] == theirs.classes
    could = (overlap >= MATCH_IOU) & same & ~ignored
    right = [row for row in rest if row not in on_spared]
    assert all(could[row].any() for row in right)

    for one in wrong:
        assert one.target is None or not ignored[one.target]
        if one.kind == "missed":
            assert one.prediction is None
        elif one.kind == "background":
            assert one.target is None
            assert not (
                same[one.prediction] & ~ignored & (overlap[one.prediction] >= BACKGROUND_IOU)
            ).any()
            assert not (~ignored & (overlap[one.prediction] >= MATCH_IOU)).any()
        else:
            at = overlap[one.prediction, one.target]
            assert same[one.prediction, one.target] == (one.kind != "wrong class")
            assert (
                BACKGROUND_IOU <= at < MATCH_IOU if one.kind == "badly placed" else at >= MATCH_IOU
            )

    missed = {one.target for one in wrong if one.kind == "missed"}
    explained = {one.target for one in wrong if one.kind in ("wrong class", "badly placed")}
    assert missed.isdisjoint(explained)
    left = set(np.flatnonzero(~ignored).tolist()) - missed - explained
    hit = {one.target for one in wrong if one.kind == "duplicate"}
    assert hit.isdisjoint(missed)
    assert all(could[rest, row].any() for row in left)
    assert len(left) <= len(rest)


@settings(deadline=None, max_examples=100)
@given(seed=st.integers(0, 2**32 - 1))
def test_without_what_is_ignored_the_books_balance(seed):
    own, theirs = scene(seed)
    theirs = Boxes(theirs.corners, theirs.classes)
    kinds = Counter(one.kind for one in find_errors(own, theirs))
    right = len(own) - (kinds.total() - kinds["missed"])
    explained = {
        one.target
        for one in find_errors(own, theirs)
        if one.kind in ("wrong class", "badly placed")
    }
    fits = (iou(own.corners, theirs.corners) >= MATCH_IOU) & (
        own.classes[:, None] == theirs.classes
    )
    taken = set()
    for row in np.argsort(-own.scores, kind="stable"):
        free = [column for column in np.flatnonzero(fits[row]) if column not in taken]
        if free:
            taken.add(
                max(
                    free, key=lambda column: iou(own.corners[[row]], theirs.corners[[column]])[0, 0]
                )
            )
    assert right == len(taken)
    assert kinds["missed"] == len(theirs) - len(taken | explained)


def test_a_mistake_says_what_it_is_about():
    assert find_errors(found((BIG, 1, 0.9)), true((BIG, 0))) == [BoxError("wrong class", 0, 0)]
