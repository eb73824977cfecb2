"""Average precision against pycocotools, on random predictions and at the edges."""

from __future__ import annotations

import contextlib
import io
import json
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from foveate.annotations import Boxes
from foveate.metrics import detection
from foveate.metrics.intervals import bootstrap
from foveate.metrics.metric import ragged_column
from foveate.metrics.resampling import resample
from foveate.ops import boxes as ops

NAMES = ("map", "map50", "map75", "map_small", "map_medium", "map_large", None, None, "recall")


class Oracle(COCOeval):
    """pycocotools overwrites `ignore` by `iscrowd`; here a difficult box keeps it."""

    def _prepare(self):
        super()._prepare()
        for targets in self._gts.values():
            for one in targets:
                one["ignore"] = one["iscrowd"] or one["difficult"]


def oracle(predicted, target, classes):
    targets, predictions = [], []
    for image, (found, true) in enumerate(zip(predicted, target, strict=True)):
        for (left, top, right, bottom), k, crowd, difficult in zip(
            true.corners.tolist(), true.classes.tolist(), true.crowd, true.difficult, strict=True
        ):
            box = [left, top, right - left, bottom - top]
            targets.append(
                {
                    "id": len(targets) + 1,
                    "image_id": image,
                    "category_id": k,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": int(crowd),
                    "difficult": int(difficult),
                }
            )
        for (left, top, right, bottom), k, score in zip(
            found.corners.tolist(), found.classes.tolist(), found.scores, strict=True
        ):
            box = [left, top, right - left, bottom - top]
            predictions.append(
                {"image_id": image, "category_id": k, "bbox": box, "score": float(score)}
            )
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = {
            "images": [{"id": image} for image in range(len(target))],
            "annotations": targets,
            "categories": [{"id": k} for k in range(classes)],
        }
        known.createIndex()
        given = COCO()
        given.dataset = {**known.dataset, "annotations": []}
        given.createIndex()
        oracle = Oracle(known, known.loadRes(predictions) if predictions else given, "bbox")
        oracle.evaluate()
        oracle.accumulate()
        oracle.summarize()
    return oracle.stats


def ours(predicted, target, classes):
    return detection.compute_metrics(detection.per_image_stats(predicted, target), classes)


def agree(predicted, target, classes):
    mine, theirs = ours(predicted, target, classes), oracle(predicted, target, classes)
    for name, value in zip(NAMES, theirs, strict=False):
        if name and value < 0:
            assert np.isnan(mine[name]), name
        elif name:
            assert mine[name] == pytest.approx(value, abs=1e-9), name


def scene(rng, classes, *, most=12, span=300.0, ties=False):
    """True boxes of all sizes, and predictions near them, beside them and twice."""
    count = rng.integers(0, most)
    low = rng.uniform(0, span, (count, 2))
    corners = np.concatenate(
        [
            low,
            low
            + rng.choice([6.0, 25.0, 60.0, 140.0], (count, 2)) * rng.uniform(0.7, 1.3, (count, 2)),
        ],
        1,
    )
    kinds = rng.integers(0, classes, count)
    true = Boxes(corners, kinds, crowd=rng.random(count) < 0.1, difficult=rng.random(count) < 0.1)
    rows = rng.integers(0, max(count, 1), rng.integers(0, 2 * most)) if count else np.zeros(0, int)
    near = corners[rows] + rng.normal(0, 6, (len(rows), 4))
    near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
    low = rng.uniform(0, span, (3, 2))
    stray = np.concatenate([low, low + rng.uniform(2, 90, (3, 2))], 1)
    found = np.concatenate([near, stray])
    predicted = np.where(
        rng.random(len(found)) < 0.2,
        rng.integers(0, classes, len(found)),
        np.r_[kinds[rows], [0, 0, 0]],
    )
    scores = rng.choice([0.2, 0.5, 0.9], len(found)) if ties else rng.random(len(found))
    return Boxes(found, predicted, scores), true


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    images=st.integers(1, 8),
    classes=st.integers(1, 4),
    ties=st.booleans(),
)
def test_equal_to_pycocotools_on_random_scenes(seed, images, classes, ties):
    rng = np.random.default_rng(seed)
    predicted, target = zip(*[scene(rng, classes, ties=ties) for _ in range(images)], strict=True)
    agree(predicted, target, classes)


def boxes(*corners, scores=None, classes=None, **given):
    count = len(corners)
    return Boxes(
        np.array(corners, float).reshape(-1, 4),
        np.array(classes or [0] * count),
        None if scores is None else np.array(scores, float),
        **given,
    )


BIG = (0, 0, 100, 100)
CASES = {
    "nothing there, nothing found": (boxes(scores=[]), boxes()),
    "nothing there": (boxes(BIG, scores=[0.9]), boxes()),
    "nothing found": (boxes(scores=[]), boxes(BIG)),
    "right": (boxes(BIG, scores=[0.9]), boxes(BIG)),
    "found twice": (boxes(BIG, BIG, scores=[0.9, 0.8]), boxes(BIG)),
    "two alike": (boxes(BIG, BIG, scores=[0.9, 0.9]), boxes(BIG, BIG)),
    "another class": (boxes(BIG, scores=[0.9], classes=[1]), boxes(BIG)),
    "exactly at a threshold": (boxes((0, 0, 100, 50), scores=[0.9]), boxes(BIG)),
    "a box without area": (boxes((5, 5, 5, 9), scores=[0.9]), boxes((5, 5, 5, 9), BIG)),
    "only crowds": (
        boxes(BIG, (10, 10, 20, 20), scores=[0.9, 0.8]),
        boxes(BIG, crowd=np.array([True])),
    ),
    "a thing within a crowd": (
        boxes((10, 10, 40, 40), (50, 50, 60, 60), scores=[0.9, 0.8]),
        boxes((10, 10, 40, 41), BIG, crowd=np.array([False, True])),
    ),
    "only difficult": (boxes(BIG, BIG, scores=[0.9, 0.8]), boxes(BIG, difficult=np.array([True]))),
    "on the edge between two sizes": (boxes((0, 0, 32, 32), scores=[0.9]), boxes((0, 0, 32, 32))),
}


@pytest.mark.parametrize("case", CASES)
def test_equal_to_pycocotools_at_the_edges(case):
    predicted, target = CASES[case]
    agree([predicted], [target], 2)


def test_more_than_a_hundred_boxes_of_a_class_in_an_image():
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 500, (250, 2))
    corners = np.concatenate([low, low + 20], 1)
    agree(
        [Boxes(corners, np.zeros(250, int), rng.random(250))],
        [Boxes(corners[:150], np.zeros(150, int))],
        1,
    )


def test_all_right_is_1_and_no_target_is_no_metric():
    assert ours([boxes(BIG, scores=[0.3])], [boxes(BIG)], 1)["map"] == 1
    assert np.isnan(ours([boxes(BIG, scores=[0.3])], [boxes()], 1)["map"])
    assert np.isnan(ours([], [], 3)["map"])


def test_a_statistics_survives_json_and_any_choice_of_rows_can_be_scored():
    rng = np.random.default_rng(3)
    predicted, target = zip(*[scene(rng, 3) for _ in range(40)], strict=True)
    stats = detection.per_image_stats(predicted, target)
    read = {
        name: ragged_column(json.loads(json.dumps(rows.tolist()))) for name, rows in stats.items()
    }
    assert detection.compute_metrics(read, 3) == detection.compute_metrics(stats, 3)
    rows = rng.integers(0, 40, 40)
    chosen = {name: column[rows] for name, column in stats.items()}
    assert detection.compute_metrics(chosen, 3) == ours(
        [predicted[r] for r in rows], [target[r] for r in rows], 3
    )
    assert detection.Scorer(stats, 3).metrics(rows) == pytest.approx(
        detection.compute_metrics(chosen, 3), abs=1e-12
    )


def test_a_thousand_images_get_an_interval_in_seconds():
    rng = np.random.default_rng(4)
    predicted, target = zip(*[scene(rng, 3) for _ in range(200)], strict=True)
    stats = detection.per_image_stats(predicted, target)
    began = time.process_time()
    metric = bootstrap(resample(len(target), detection.Scorer(stats, 3)))["map"]
    assert metric.low < metric.value < metric.high
    assert time.process_time() - began < 5


def test_iou_is_what_it_says():
    assert ops.iou(
        np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 1, 3, 3], [0, 0, 2, 2], [5, 5, 6, 6]])
    ).tolist() == [[1 / 7, 1, 0]]
    assert ops.iou(np.zeros((1, 4)), np.zeros((1, 4))).tolist() == [[0]]
    assert ops.iou(np.zeros((0, 4)), np.zeros((3, 4))).shape == (0, 3)
    assert ops.area(np.array([[3.0, 3, 1, 5]])).tolist() == [0]
