"""Metrics of classes at pixels: the same as scikit-learn's over all labelled pixels, and as loops
over all pairs of edge pixels."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    jaccard_score,
    precision_score,
    recall_score,
)

from foveate.annotations import IGNORE
from foveate.metrics import semantic
from foveate.metrics.metric import ragged_column

ANY = {"seed": st.integers(0, 2**32 - 1), "images": st.integers(1, 5), "classes": st.integers(1, 6)}


def scorer(pairs, classes):
    return semantic.Scorer(
        semantic.per_image_stats([semantic.compare(*pair, classes) for pair in pairs]), classes
    )


def compute_metrics(pairs, classes):
    return scorer(pairs, classes).metrics()


def scene(rng, classes):
    """Blocks of classes of which not all occur, some of them unlabelled, and an prediction with
    mistakes and speckles."""
    height, width = rng.integers(1, 24, 2)
    named = rng.choice(classes, rng.integers(1, classes + 1), replace=False)
    cell = int(rng.integers(1, 7))
    blocks = rng.choice([*named, IGNORE], (height // cell + 1, width // cell + 1))
    true = blocks.repeat(cell, 0).repeat(cell, 1)[:height, :width]
    found = np.where(
        true == IGNORE, rng.choice(named), np.roll(true, rng.integers(-2, 3), int(rng.integers(2)))
    )
    found = np.where(
        (found == IGNORE) | (rng.random(found.shape) < 0.1),
        rng.integers(0, classes, found.shape),
        found,
    )
    return found.astype(np.int8), true.astype(np.int8)


def scenes(seed, images, classes):
    rng = np.random.default_rng(seed)
    made = [scene(rng, classes) for _ in range(images)]
    made[0][1][0, 0], made[0][0][-1, -1] = 0, 0
    return [*made, (np.array([[0, 0]]), np.array([[0, classes - 1]]))]


def flat(pairs):
    found, true = (
        np.concatenate([one.ravel() for one in kind]) for kind in zip(*pairs, strict=True)
    )
    return found[true != IGNORE], true[true != IGNORE]


# --- against scikit-learn


@settings(deadline=None, max_examples=60)
@given(**ANY)
def test_equal_to_scikit_learn_on_all_labelled_pixels(seed, images, classes):
    pairs = scenes(seed, images, classes + 1)
    found, true = flat(pairs)
    made = compute_metrics(pairs, classes + 1)
    assert made["miou"] == pytest.approx(jaccard_score(true, found, average="macro"), abs=1e-12)
    assert made["dice"] == pytest.approx(f1_score(true, found, average="macro"), abs=1e-12)
    assert made["pixel_accuracy"] == pytest.approx(accuracy_score(true, found), abs=1e-12)


@settings(deadline=None, max_examples=40)
@given(**ANY)
def test_each_class_is_scored_as_scikit_learn_scores_it(seed, images, classes):
    pairs, labels = scenes(seed, images, classes + 1), list(range(classes + 1))
    found, true = flat(pairs)
    made = scorer(pairs, len(labels))
    assert np.array_equal(made.confusion(), confusion_matrix(true, found, labels=labels))
    asked = {"labels": labels, "average": None, "zero_division": np.nan}
    scores = {
        "iou": jaccard_score(true, found, labels=labels, average=None, zero_division=0),
        "dice": f1_score(true, found, **asked),
        "precision": precision_score(true, found, **asked),
        "recall": recall_score(true, found, **asked),
        "share": np.bincount(true, minlength=len(labels)) / len(true),
    }
    scores["iou"][~np.isin(labels, np.concatenate([found, true]))] = np.nan
    for name, expected in scores.items():
        np.testing.assert_allclose(
            [getattr(one, name) for one in made.per_class()], expected, atol=1e-12, err_msg=name
        )


def test_three_hundred_classes():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 300, (90, 70)).astype(np.int16)
    found = np.where(rng.random(true.shape) < 0.5, true, rng.integers(0, 300, true.shape)).astype(
        np.int16
    )
    made = compute_metrics([(found, true)], 300)
    assert made["miou"] == pytest.approx(
        jaccard_score(true.ravel(), found.ravel(), average="macro"), abs=1e-12
    )
    assert made["pixel_accuracy"] == pytest.approx((found == true).mean(), abs=1e-12)


# --- edges


def edge_pixels(inside, known):
    """Row by row, pixel by pixel."""
    height, width = inside.shape
    pixels = []
    for row in range(height):
        for column in range(width):
            around = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
            around = [
                (r, c) for r, c in around if 0 <= r < height and 0 <= c < width and known[r, c]
            ]
            if (
                known[row, column]
                and inside[row, column]
                and any(not inside[place] for place in around)
            ):
                pixels.append((row, column))
    return pixels


def sharpness(pairs, classes):
    """(K,) F1 of edge pixels over the whole set, NaN for a class without any, by all pairs of edge
    pixels."""
    scores = []
    for k in range(classes):
        counts = np.zeros(4)
        for found, true in pairs:
            far = max(1, 0.0075 * math.hypot(*true.shape))
            known = true != IGNORE
            own, theirs = edge_pixels(found == k, known), edge_pixels(true == k, known)
            near = [sum(any(math.dist(a, b) <= far for b in other) for a in one)
                    for one, other in ((own, theirs), (theirs, own))]  # fmt: skip
            counts += len(own), near[0], len(theirs), near[1]
        precision, recall = (
            right / whole if whole else 0.0 for right, whole in (counts[1::-1], counts[3:1:-1])
        )
        both = precision + recall
        score = 2 * precision * recall / both if both else 0.0
        scores.append(score if counts[0] + counts[2] else math.nan)
    return scores


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), images=st.integers(1, 2), classes=st.integers(2, 4))
def test_boundary_f1_is_that_of_all_pairs_of_edge_pixels(seed, images, classes):
    pairs = scenes(seed, images, classes)
    expected = sharpness(pairs, classes)
    made = scorer(pairs, classes)
    np.testing.assert_allclose([one.boundary_f1 for one in made.per_class()], expected, atol=1e-12)
    assert made.metrics()["boundary_f1"] == pytest.approx(np.nanmean(expected), abs=1e-12)


@pytest.mark.parametrize(
    ("side", "off", "right"), [(20, 1, True), (20, 2, False), (400, 4, True), (400, 5, False)]
)
def test_an_edge_may_be_off_by_a_pixel_or_by_a_share_of_the_diagonal(side, off, right):
    true = np.zeros((side, side), int)
    true[:, side // 2 :] = 1
    assert compute_metrics([(np.roll(true, off, 1)[:, off:], true[:, off:])], 2)[
        "boundary_f1"
    ] == float(right)


@pytest.mark.parametrize("side", [1, 3, 16, 90])
def test_an_image_gone_through_in_blocks_is_scored_as_at_once(side, monkeypatch):
    """Edges may be off by 3 pixels here, so that they are found beyond a block, too."""
    rng = np.random.default_rng(side)
    found, true = (
        np.kron(rng.integers(0, 3, (20, 5)), np.ones((20, 20), int))[:, :90] for _ in range(2)
    )
    found = np.roll(found, (2, -3), (0, 1))
    true[50:60, 20:70] = IGNORE
    whole = semantic.compare(found, true, 3)
    assert [0 < right < count for _, count, right, _, _ in whole["edges"]] == [True] * 3
    monkeypatch.setattr(semantic, "_BLOCK_SIDE", side)
    assert semantic.compare(found, true, 3) == whole


def test_what_nobody_labelled_has_no_edge():
    true = np.zeros((9, 9), int)
    true[:, 4:6], true[:, 6:] = IGNORE, 1
    found = np.zeros((9, 9), int)
    found[:, 5:] = 1  # its edge lies where nobody looks
    assert semantic.compare(found, true, 2)["edges"] == []
    inside = np.zeros((3, 3), bool)
    inside[1, 1] = True
    assert semantic.edge(inside, np.ones((3, 3), bool)).sum() == 1
    assert semantic.edge(~inside, np.ones((3, 3), bool)).sum() == 4
    assert not semantic.edge(np.ones((3, 3), bool), np.ones((3, 3), bool)).any()


# --- any choice of images


@settings(deadline=None, max_examples=40)
@given(**ANY, data=st.data())
def test_a_choice_of_images_is_scored_as_a_statistics_of_just_these(seed, images, classes, data):
    pairs = scenes(seed, images, classes + 1)
    rows = np.array([*data.draw(st.lists(st.integers(0, images), max_size=8)), images])
    whole, chosen = scorer(pairs, classes + 1), scorer([pairs[row] for row in rows], classes + 1)
    assert whole.metrics(rows) == pytest.approx(chosen.metrics(), abs=1e-12, nan_ok=True)
    assert np.array_equal(whole.confusion(rows), chosen.confusion())


def test_a_choice_of_no_image_has_no_metric():
    made = scorer(scenes(0, 3, 3), 3).metrics(np.zeros(0, np.int64))
    assert all(np.isnan(value) for value in made.values())


def test_a_statistics_survives_json():
    stats = semantic.per_image_stats([semantic.compare(*pair, 4) for pair in scenes(1, 5, 4)])
    read = {
        name: ragged_column(json.loads(json.dumps(rows.tolist()))) for name, rows in stats.items()
    }
    assert semantic.Scorer(read, 4).metrics() == semantic.Scorer(stats, 4).metrics()


# --- the ends

HALF = np.array([[0, 0, 1, 1]] * 2)


def test_all_right_is_1_and_all_wrong_is_0():
    assert set(compute_metrics([(HALF, HALF)], 2).values()) == {1.0}
    made = compute_metrics([(1 - HALF, HALF)], 2)
    assert made == {
        "miou": 0,
        "dice": 0,
        "pixel_accuracy": 0,
        "boundary_f1": 1,
    }  # the edge is where it is, for both


def test_a_class_that_occurs_in_predictions_alone_counts_and_one_that_occurs_nowhere_does_not():
    found = np.array([[0, 0, 1, 2]] * 2)
    made = scorer([(found, HALF)], 4)
    assert made.metrics()["miou"] == pytest.approx((1 + 0.5 + 0) / 3)
    only_found, nowhere = made.per_class()[2:]
    assert (only_found.share, only_found.iou, only_found.precision, only_found.boundary_f1) == (
        0,
        0,
        0,
        0,
    )
    assert np.isnan(only_found.recall)
    assert np.isnan(
        [getattr(nowhere, name) for name in ("iou", "dice", "precision", "recall", "boundary_f1")]
    ).all()


def test_a_class_that_is_never_found_counts_as_0():
    only_true = scorer([(HALF * 0, HALF)], 2).per_class()[1]
    assert (
        only_true.share,
        only_true.iou,
        only_true.dice,
        only_true.recall,
        only_true.boundary_f1,
    ) == (
        0.5,
        0,
        0,
        0,
        0,
    )
    assert np.isnan(only_true.precision)


def test_a_pixel_that_nobody_labelled_counts_nowhere():
    true = np.where(np.arange(4) == 0, IGNORE, HALF)
    wrong = np.where(np.arange(4) == 0, 1, HALF)
    assert semantic.compare(HALF, true, 2) == semantic.compare(wrong, true, 2)
    assert compute_metrics([(wrong, true)], 2)["pixel_accuracy"] == 1


def test_an_image_without_a_label_changes_nothing():
    none = np.full((3, 5), IGNORE)
    assert compute_metrics([(HALF, HALF), (none * 0, none)], 2) == compute_metrics(
        [(HALF, HALF)], 2
    )


@pytest.mark.parametrize(
    "pairs", [[], [(HALF * 0, HALF * 0 + IGNORE)]], ids=["no picture", "all ignored"]
)
@pytest.mark.parametrize("classes", [1, 3, 300])
def test_where_nothing_is_labelled_there_is_no_metric(pairs, classes):
    assert all(np.isnan(value) for value in compute_metrics(pairs, classes).values())


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (6, 5)])
@pytest.mark.parametrize("classes", [1, 300])
def test_images_of_one_class_have_no_edge(shape, classes):
    made = compute_metrics([(np.zeros(shape, int), np.zeros(shape, int))], classes)
    assert (made["miou"], made["dice"], made["pixel_accuracy"]) == (1, 1, 1)
    assert np.isnan(made["boundary_f1"])


def test_one_pixel_is_right_or_wrong():
    zero, one = np.zeros((1, 1), int), np.ones((1, 1), int)
    made = compute_metrics([(zero, zero), (one, zero), (HALF, HALF)], 2)
    assert made["pixel_accuracy"] == 9 / 10
    assert made["boundary_f1"] == 1


def test_an_prediction_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"\(2, 4\).*\(4, 2\)"):
        semantic.compare(HALF.T, HALF, 2)
