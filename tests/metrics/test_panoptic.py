"""Panoptic quality and counts of outlined objects: those of a loop over all pairs of masks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.annotations import Boxes, Instances
from foveate.metrics import detection, instance
from helpers.instances_demo import (
    BIG,
    CASES,
    DOT,
    HALF,
    SIZE,
    box,
    compute_metrics,
    instances,
    tallied,
)

ANY = {"seed": st.integers(0, 2**32 - 1), "images": st.integers(1, 5), "classes": st.integers(1, 3)}


def apart(rng, classes, size):
    """True objects and predictions, neither of which lie on their own kind: then no more than one
    pair can overlap by half."""
    cell = int(rng.integers(2, 9))
    blocks = rng.integers(0, 6, (size[0] // cell + 1, size[1] // cell + 1))
    blocks = np.where(blocks, np.arange(blocks.size).reshape(blocks.shape) + 1, 0)
    ids = blocks.repeat(cell, 0).repeat(cell, 1)[: size[0], : size[1]]
    count = blocks.size
    flags = {flag: rng.random(count) < 0.15 for flag in ("crowd", "difficult")}
    kinds = rng.integers(0, classes, count)
    true = Instances.from_label_map(ids, Boxes(np.zeros((count, 4)), kinds, **flags))
    moved = np.roll(ids, rng.integers(-1, 2, 2), (0, 1))
    merged = np.where(
        rng.random(count + 1) < 0.1, rng.integers(0, count + 1, count + 1), np.arange(count + 1)
    )
    named = np.where(rng.random(count) < 0.2, rng.integers(0, classes, count), kinds)
    return Instances.from_label_map(
        merged[moved], Boxes(np.zeros((count, 4)), named, rng.random(count))
    ), true


def by_hand(pairs, classes, size, least):
    """Panoptic quality and the error of counts, from all pairs of masks."""
    totals, off, demanded = np.zeros((classes, 4)), 0, 0
    for found, true in pairs:
        found = found[found.boxes.scores >= least]
        one, other = found.masks(size), true.masks(size)
        ignored, matched, shown = true.boxes.ignored, set(), 0
        for mask, k in zip(one, found.boxes.classes, strict=True):
            hit, excused = 0.0, False
            for row, theirs in enumerate(other):
                if true.boxes.classes[row] != k:
                    continue
                whole = mask.sum() if true.boxes.crowd[row] else (mask | theirs).sum()
                if (mask & theirs).sum() / whole > 0.5:
                    if ignored[row]:
                        excused = True
                    else:
                        hit = (mask & theirs).sum() / whole
                        matched.add(row)
            if hit:
                totals[k] += 1, hit, 0, 0
            elif not excused:
                totals[k] += 0, 0, 1, 0
            shown += bool(hit) or not excused
        for row in set(np.flatnonzero(~ignored).tolist()) - matched:
            totals[true.boxes.classes[row], 3] += 1
        off += abs(shown - int((~ignored).sum()))
        demanded += int((~ignored).sum())
    right, overlap, false, missed = totals.T
    quality = [
        o / (r + f / 2 + m / 2)
        for r, o, f, m in zip(right, overlap, false, missed, strict=True)
        if r + f + m
    ]
    return np.mean(quality) if quality else np.nan, off / demanded if demanded else np.nan


@settings(deadline=None, max_examples=40)
@given(**ANY, least=st.sampled_from([0.0, 0.3, 0.9]))
def test_panoptic_quality_and_counts_are_those_of_a_loop_over_all_pairs(
    seed, images, classes, least
):
    rng, size = np.random.default_rng(seed), (24, 20)
    pairs = [apart(rng, classes, size) for _ in range(images)]
    made, (quality, error) = (
        compute_metrics(pairs, classes, size, least),
        by_hand(pairs, classes, size, least),
    )
    assert made["pq"] == pytest.approx(quality, abs=1e-6, nan_ok=True)
    assert made["count_error"] == pytest.approx(error, abs=1e-12, nan_ok=True)


def quality(case, least=0.0):
    made = compute_metrics([case], 2, SIZE, least)
    return made["pq"], made["count_error"]


NAN = float("nan")


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("nothing there, nothing found", (NAN, NAN)),
        ("nothing there", (0, NAN)),
        ("nothing found", (0, 1)),
        ("exactly half", (0, 0)),  # more than half is asked for
        ("a true thing without a pixel", (0.5, 0)),
        ("two wholly on each other", (1, 0)),
        ("two of two classes on each other", (1, 0)),
        ("a pixel each", (0.5, 0)),
        ("a box for a ring", (0.75, 0)),
        ("found within a crowd", (NAN, NAN)),
        ("a thing on a crowd", (1, 0)),
        ("only difficult", (NAN, NAN)),
    ],
)
def test_panoptic_quality_and_counts_at_the_edges(case, expected):
    assert quality(CASES[case]) == pytest.approx(expected, nan_ok=True)


def test_a_crowd_excuses_its_own_class_alone():
    true = instances([BIG], [1], crowd=np.array([True]))
    assert quality((instances([DOT], [1], [0.9]), true)) == pytest.approx((NAN, NAN), nan_ok=True)
    assert quality((instances([DOT], [0], [0.9]), true)) == pytest.approx((0, NAN), nan_ok=True)


def test_what_is_below_the_threshold_of_its_class_is_not_shown():
    found = instances([BIG, DOT], [0, 1], [0.5, 0.5])
    compared = [instance.mask_overlaps(found, instances([BIG, DOT], [0, 1]), SIZE)]
    stats = instance.per_image_stats(
        compared, [instance.is_confident(found, np.array([0.5, 0.51]))]
    )
    assert [list(row) for row in stats["quality"][0]] == [[0, 1, 1.0, 0, 0], [1, 0, 0.0, 0, 1]]
    assert list(stats["counts"][0]) == [1, 2]
    assert instance.Scorer(stats, 2).metrics()["map"] == 1  # which asks for no threshold


def test_what_is_left_to_the_less_sure_of_two_is_no_hit_at_exactly_half():
    found, true = instances([BIG, BIG], scores=[0.9, 0.8]), instances([BIG, HALF])
    (row,) = tallied([(found, true)], 1, SIZE)["quality"]
    assert row == [[0, 1, 1.0, 1, 1]]


def test_of_two_found_on_one_true_object_the_more_confident_one_is_its_hit():
    found = instances([BIG, box(0, 0, 40, 39)], scores=[0.3, 0.9])
    (row,) = tallied([(found, instances([BIG]))], 1, SIZE)["quality"]
    assert row == [[0, 1, 0.975, 1, 0]]


def test_precision_and_recall_are_of_what_is_shown_where_an_object_is_one_class_alone():
    """A guess above its class's threshold, about what is more confident to be of another class, is
    no false alarm."""
    true, single = instances([BIG, DOT], [0, 1]), instances([BIG, DOT], [0, 1], [0.9, 0.8])
    boxes = replace(
        single.boxes[np.array([0, 1, 0])],
        classes=np.array([0, 1, 1]),
        scores=np.array([0.9, 0.8, 0.7]),
    )
    guessed = Instances(boxes, (*single.shapes, single.shapes[0]))
    for found, misread in ((guessed, detection.per_class), (single, instance.per_class)):
        stats = tallied([(found, true)], 2, SIZE)
        rows = instance.per_class(stats, 2, np.zeros(2))
        assert [(row.precision, row.recall, row.ap50) for row in rows] == [(1, 1, 1)] * 2
        assert misread(stats, 2, np.zeros(2))[1].precision == (0.5 if found is guessed else 1)
    (nothing,) = instance.per_class(
        tallied([(instances([], scores=[]), instances([]))], 1, SIZE), 1, np.zeros(1)
    )
    assert np.isnan([nothing.precision, nothing.recall]).all()
