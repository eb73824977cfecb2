"""What is made of a statistics beside COCO's metrics: the quick metric, a row a class, thresholds,
and the boxes themselves."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.annotations import Boxes
from foveate.metrics import detection
from foveate.metrics.box_errors import find_errors
from foveate.metrics.metric import ragged_column
from foveate.ops.boxes import iou

BIG = (0, 0, 100, 100)


def boxes(*corners, scores=None, classes=None, **flags):
    count = len(corners)
    return Boxes(
        np.array(corners, float).reshape(-1, 4),
        np.array(classes or [0] * count),
        None if scores is None else np.array(scores, float),
        **flags,
    )


def scene(rng, classes, *, ties=False, ignored=False):
    """True boxes far from each other, so that no two want the same; predictions on them, badly
    placed, and in between."""
    cells = rng.permutation(25)[: rng.integers(0, 12)]
    low = np.stack([cells % 5, cells // 5], 1) * 200.0 + rng.uniform(0, 40, (len(cells), 2))
    corners = np.concatenate([low, low + rng.uniform(20, 80, (len(cells), 2))], 1)
    kinds = rng.integers(0, classes, len(cells))
    rows = rng.integers(0, len(cells), rng.integers(0, 25)) if len(cells) else np.zeros(0, int)
    near = corners[rows] + rng.normal(0, 6, (len(rows), 4))
    near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
    stray = rng.uniform(0, 1000, (3, 2))
    found = np.concatenate([near, np.concatenate([stray, stray + 9], 1)])
    named = np.where(
        rng.random(len(found)) < 0.2,
        rng.integers(0, classes, len(found)),
        np.r_[kinds[rows], [0, 0, 0]],
    )
    scores = rng.choice([0.2, 0.5, 0.9], len(found)) if ties else rng.random(len(found))
    flags = {flag: rng.random(len(cells)) < 0.2 * ignored for flag in ("crowd", "difficult")}
    return Boxes(found, named, scores), Boxes(corners, kinds, **flags)


def scenes(seed, images, classes, **given):
    rng = np.random.default_rng(seed)
    return tuple(zip(*[scene(rng, classes, **given) for _ in range(images)], strict=True))


ANY = {"seed": st.integers(0, 2**32 - 1), "images": st.integers(1, 6), "classes": st.integers(1, 4)}


# --- the quick metric


@settings(deadline=None, max_examples=60)
@given(**ANY, ties=st.booleans())
def test_the_quick_metric_is_cocos_where_boxes_cannot_be_exchanged(seed, images, classes, ties):
    predicted, target = scenes(seed, images, classes, ties=ties)
    whole = detection.compute_metrics(detection.per_image_stats(predicted, target), classes)[
        "map50"
    ]
    assert detection.quick_map50(predicted, target, classes) == pytest.approx(
        whole, abs=1e-12, nan_ok=True
    )


def test_the_quick_metric_of_nothing_true_is_no_number():
    for predicted, target in (
        ([], []),
        ([boxes(scores=[])], [boxes()]),
        ([boxes(BIG, scores=[0.5])], [boxes()]),
        ([boxes(BIG, scores=[0.5])], [boxes(BIG, crowd=np.array([True]))]),
    ):
        assert np.isnan(detection.quick_map50(predicted, target, 2))


def test_the_quick_metric_at_the_ends():
    assert detection.quick_map50([boxes(scores=[])], [boxes(BIG)], 2) == 0
    assert detection.quick_map50([boxes(BIG, scores=[0.01])], [boxes(BIG)], 2) == 1
    assert detection.quick_map50([boxes(BIG, scores=[0.9], classes=[1])], [boxes(BIG)], 2) == 0
    assert (
        detection.quick_map50([boxes((0, 0, 100, 50), scores=[0.9])], [boxes(BIG)], 2) == 1
    )  # just enough


# --- a row a class


def matched_by_hand(predicted, target, k):
    """Of one class: (score, right) of each box that counts, most confident first, and how many are
    demanded; by loops."""
    told, n = [], 0
    for found, true in zip(predicted, target, strict=True):
        ignored = true.crowd | true.difficult
        theirs = np.flatnonzero(true.classes == k)
        n += int((~ignored[theirs]).sum())
        taken = set()
        for row in sorted(np.flatnonzero(found.classes == k), key=lambda row: -found.scores[row]):
            fits = {
                at: iou(found.corners[[row]], true.corners[[at]], true.crowd[[at]])[0, 0]
                for at in theirs
                if at not in taken or true.crowd[at]
            }
            fits = {at: value for at, value in fits.items() if value >= 0.5}
            wanted = {at: value for at, value in fits.items() if not ignored[at]} or fits
            at = max(wanted, key=wanted.get, default=None)
            if at is not None:
                taken.add(at)
            if at is None or not ignored[at]:
                told.append((found.scores[row], at is not None))
    return sorted(told, key=lambda one: -one[0]), n


@settings(deadline=None, max_examples=40)
@given(**ANY)
def test_each_class_is_as_counted_by_hand(seed, images, classes):
    predicted, target = scenes(seed, images, classes, ignored=True)
    stats = detection.per_image_stats(predicted, target)
    thresholds = np.linspace(0.2, 0.6, classes)
    ap, _ = detection.average_precision(stats, classes)
    for k, row in enumerate(detection.per_class(stats, classes, thresholds)):
        told, n = matched_by_hand(predicted, target, k)
        shown = [right for score, right in told if score >= thresholds[k]]
        right = np.cumsum([right for _, right in told])
        nothing = float("nan")
        assert row.n == n
        assert row.precision == pytest.approx(
            sum(shown) / len(shown) if shown else nothing, nan_ok=True
        )
        assert row.recall == pytest.approx(sum(shown) / n if n else nothing, nan_ok=True)
        assert row.curve[0] == pytest.approx(right / max(1, n))
        assert row.curve[1] == pytest.approx(right / np.arange(1, len(right) + 1))
        assert (row.ap50, row.ap) == pytest.approx((ap[k, 0, 0], ap[k, 0].mean()), nan_ok=True)


def test_a_class_that_is_neither_found_nor_true_has_no_metrics_and_an_empty_curve():
    (_, row) = detection.per_class(
        detection.per_image_stats([boxes(BIG, scores=[0.5])], [boxes(BIG)]), 2, np.array([0.3, 0.3])
    )
    assert row.n == 0
    assert np.isnan([row.ap50, row.ap, row.precision, row.recall]).all()
    assert [len(side) for side in row.curve] == [0, 0]
    for row in detection.per_class(detection.per_image_stats([], []), 2, np.array([0.3, 0.3])):
        assert row.n == 0


def test_a_box_at_its_threshold_is_shown():
    stats = detection.per_image_stats([boxes(BIG, scores=[0.5])], [boxes(BIG)])
    assert detection.per_class(stats, 1, np.array([0.5]))[0].recall == 1
    assert detection.per_class(stats, 1, np.array([0.51]))[0].recall == 0


# --- thresholds


def f1_from(threshold, told, n):
    shown = [right for score, right in told if score >= threshold]
    return 2 * sum(shown) / (len(shown) + n) if len(shown) + n else 0.0


@pytest.mark.parametrize("ties", [False, True])
@settings(deadline=None, max_examples=60)
@given(**ANY)
def test_the_threshold_of_each_class_has_the_best_f1_of_all(ties, seed, images, classes):
    predicted, target = scenes(seed, images, classes, ties=ties, ignored=True)
    chosen = detection.best_thresholds(detection.per_image_stats(predicted, target), classes, 0.33)
    assert chosen.shape == (classes,)
    for k in range(classes):
        told, n = matched_by_hand(predicted, target, k)
        best = max((f1_from(score, told, n) for score, _ in told), default=0.0)
        if best == 0:
            assert chosen[k] == 0.33
        else:
            assert f1_from(chosen[k], told, n) == pytest.approx(best, abs=1e-12)


def test_a_threshold_among_equal_scores_is_never_between_them():
    """From 0.9 on: 1 of 1 right, F1 2/3. From 0.5 on: 2 of 6, F1 1/2, though the first of those
    equals is right."""
    away = [(200 * x, 500, 200 * x + 9, 509) for x in range(4)]
    other = (300, 300, 340, 340)
    found = boxes(BIG, other, *away, scores=[0.9, 0.5, 0.5, 0.5, 0.5, 0.5])
    (chosen,) = detection.best_thresholds(
        detection.per_image_stats([found], [boxes(BIG, other)]), 1, 0.33
    )
    assert 0.5 < chosen <= 0.9


def test_a_threshold_lies_half_way_to_the_next_score():
    found = boxes(BIG, (200, 200, 209, 209), scores=[0.8, 0.4])
    assert detection.best_thresholds(
        detection.per_image_stats([found], [boxes(BIG)]), 1, 0.33
    ) == pytest.approx([0.6])
    alone = detection.per_image_stats([boxes(BIG, scores=[0.8])], [boxes(BIG)])
    assert detection.best_thresholds(alone, 1, 0.33) == pytest.approx([0.4])


def test_without_a_hit_the_threshold_is_the_one_that_was_given():
    for predicted, target in (
        ([], []),
        ([boxes(scores=[])], [boxes(BIG)]),
        ([boxes(BIG, scores=[0.9], classes=[1])], [boxes(BIG)]),
        ([boxes(BIG, scores=[0.9])], [boxes()]),
        ([boxes(BIG, scores=[0.9])], [boxes(BIG, difficult=np.array([True]))]),
    ):
        assert detection.best_thresholds(
            detection.per_image_stats(predicted, target), 2, 0.33
        ).tolist() == [0.33, 0.33]


# --- the boxes themselves


@settings(deadline=None, max_examples=30)
@given(**ANY)
def test_a_statistics_gives_its_boxes_back_most_confident_first(seed, images, classes):
    predicted, target = scenes(seed, images, classes, ignored=True)
    stats = detection.per_image_stats(predicted, target)
    read = {
        name: ragged_column(json.loads(json.dumps(rows.tolist()))) for name, rows in stats.items()
    }
    for row, (found, true) in enumerate(zip(predicted, target, strict=True)):
        for kept in (stats, read):
            ours, theirs = detection.boxes_of_row(kept, row)
            order = np.argsort(-found.scores, kind="stable")
            assert np.array_equal(ours.scores, found.scores[order])
            assert np.array_equal(ours.classes, found.classes[order])
            assert (
                np.abs(ours.corners - found.corners[order]).max(initial=0) <= 0.005 + 1e-9
            )  # kept to a hundredth
            assert np.abs(theirs.corners - true.corners).max(initial=0) <= 0.005 + 1e-9
            assert np.array_equal(theirs.classes, true.classes)
            assert np.array_equal(theirs.crowd | theirs.difficult, true.crowd | true.difficult)


def test_of_more_boxes_than_count_the_most_confident_come_back():
    low = np.random.default_rng(0).uniform(0, 500, (150, 2))
    found = Boxes(
        np.concatenate([low, low + 20], 1), np.arange(150) % 4 // 3, np.linspace(0, 1, 150)
    )
    ours, theirs = detection.boxes_of_row(detection.per_image_stats([found], [boxes()]), 0)
    assert np.bincount(ours.classes).tolist() == [100, 37]
    assert len(theirs) == 0


def test_what_is_no_mistake_is_none_after_a_statistics_either():
    """COCO has a box within a crowd fit it, however small it is beside it."""
    found, true = boxes((10, 10, 20, 20), scores=[0.9]), boxes(BIG, crowd=np.array([True]))
    assert find_errors(found, true) == []
    assert find_errors(*detection.boxes_of_row(detection.per_image_stats([found], [true]), 0)) == []
