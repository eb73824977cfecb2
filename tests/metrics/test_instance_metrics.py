"""Average precision of outlined objects: that of pycocotools on masks, for any choice of images."""

from __future__ import annotations

import contextlib
import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as runs
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from foveate.annotations import Boxes, Instances
from foveate.metrics import detection, instance
from foveate.metrics.metric import ragged_column
from helpers.instances_demo import (
    BIG,
    CASES,
    DOT,
    HALF,
    NOTHING,
    RING,
    SIZE,
    box,
    compute_metrics,
    dots,
    instances,
    overlapping,
    tallied,
)

ANY = {"seed": st.integers(0, 2**32 - 1), "images": st.integers(1, 5), "classes": st.integers(1, 3)}


# --- average precision


class Oracle(COCOeval):
    """pycocotools overwrites `ignore` by `iscrowd`; here a difficult object keeps it."""

    def _prepare(self):
        super()._prepare()
        for targets in self._gts.values():
            for one in targets:
                one["ignore"] = one["iscrowd"] or one["difficult"]


def encoded(mask):
    return runs.encode(np.asfortranarray(mask.astype(np.uint8)))


def oracle(pairs, classes, size):
    targets, predictions = [], []
    for image, (found, true) in enumerate(pairs):
        for mask, k, crowd, difficult in zip(
            true.masks(size),
            true.boxes.classes.tolist(),
            true.boxes.crowd,
            true.boxes.difficult,
            strict=True,
        ):
            told = {
                "id": len(targets) + 1,
                "image_id": image,
                "category_id": k,
                "segmentation": encoded(mask),
            }
            targets.append(
                told | {"area": int(mask.sum()), "iscrowd": int(crowd), "difficult": int(difficult)}
            )
        for mask, k, score in zip(
            found.masks(size), found.boxes.classes.tolist(), found.boxes.scores, strict=True
        ):
            predictions.append(
                {
                    "image_id": image,
                    "category_id": k,
                    "segmentation": encoded(mask),
                    "score": float(score),
                }
            )
    with contextlib.redirect_stdout(io.StringIO()):
        known, given = COCO(), COCO()
        known.dataset = {
            "images": [
                {"id": image, "height": size[0], "width": size[1]} for image in range(len(pairs))
            ],
            "annotations": targets,
            "categories": [{"id": k} for k in range(classes)],
        }
        given.dataset = {**known.dataset, "annotations": []}
        known.createIndex()
        given.createIndex()
        oracle = Oracle(known, known.loadRes(predictions) if predictions else given, "segm")
        oracle.params.maxDets = [1, 10, instance.MAX_PER_CLASS]
        oracle.evaluate()
        oracle.accumulate()
    precision, recall = (
        oracle.eval["precision"][..., -1],
        oracle.eval["recall"][..., -1],
    )  # (T, R, K, A) and (T, K, A)
    found = {
        "map": precision[..., 0],
        "map50": precision[0, ..., 0],
        "map75": precision[5, ..., 0],
        "map_small": precision[..., 1],
        "map_medium": precision[..., 2],
        "map_large": precision[..., 3],
        "recall": recall[..., 0],
    }
    return {
        name: values[values > -1].mean() if (values > -1).any() else np.nan
        for name, values in found.items()
    }


def agree(pairs, classes, size):
    mine = compute_metrics(pairs, classes, size)
    for name, value in oracle(pairs, classes, size).items():
        assert mine[name] == pytest.approx(value, abs=1e-9, nan_ok=True), name


@settings(deadline=None, max_examples=25)
@given(**ANY, ties=st.booleans())
def test_average_precision_is_pycocotools_on_random_overlapping_masks(seed, images, classes, ties):
    rng = np.random.default_rng(seed)
    agree([overlapping(rng, classes, ties=ties) for _ in range(images)], classes, (150, 170))


@pytest.mark.parametrize("case", CASES)
def test_average_precision_is_pycocotools_at_the_edges(case):
    agree([CASES[case]], 2, SIZE)


def test_more_than_a_hundred_objects_of_a_class_count():
    rng = np.random.default_rng(0)
    agree([(instances(dots(140), scores=rng.random(140)), instances(dots(120)))], 1, SIZE)


def test_thousands_of_objects_in_an_image_count():
    many = dots(1300)
    assert compute_metrics(
        [(instances(many, scores=np.linspace(1, 0, 1300)), instances(many))], 1, SIZE
    )["map"] == pytest.approx(1)


def test_no_more_than_so_many_objects_of_a_class_count_the_most_confident_first(monkeypatch):
    monkeypatch.setattr("foveate.metrics.instance.MAX_PER_CLASS", 1000)
    true, masks = instances(dots(1050)), dots(1100)
    made = compute_metrics([(instances(masks, scores=np.linspace(1, 0, 1100)), true)], 1, SIZE)
    assert made["recall"] == pytest.approx(1000 / 1050)
    assert made["map"] == pytest.approx(96 / 101)  # recalls of 0% to 95%, at a precision of 1
    made = compute_metrics(
        [(instances(masks, scores=np.linspace(0, 1, 1100)), true)], 1, SIZE
    )  # the 50 false ones are most confident
    assert made["recall"] == pytest.approx(950 / 1050)
    assert made["map"] == pytest.approx(91 / 101 * 0.95)


def test_masks_of_boxes_without_a_shape_are_scored_as_boxes():
    corners = np.array([[0, 0, 20, 30], [5, 5, 45, 50], [30, 0, 50, 10]], float)
    found = Boxes(corners + np.array([0, 0, 2, 3]), np.array([0, 1, 0]), np.array([0.9, 0.8, 0.7]))
    true = Boxes(corners, np.array([0, 1, 1]))
    made = compute_metrics(
        [(Instances(found, (None,) * 3), Instances(true, (None,) * 3))], 2, (60, 60)
    )
    assert {
        name: made[name] for name in detection.compute_metrics(detection.per_image_stats([], []), 2)
    } == pytest.approx(
        detection.compute_metrics(detection.per_image_stats([found], [true]), 2),
        abs=1e-12,
        nan_ok=True,
    )


# --- statistics


def test_a_statistics_survives_json_and_any_choice_of_rows_can_be_scored():
    rng = np.random.default_rng(3)
    pairs = [overlapping(rng, 3, (60, 70)) for _ in range(20)]
    stats = tallied(pairs, 3, (60, 70), 0.3)
    read = {
        name: ragged_column(json.loads(json.dumps(rows.tolist()))) for name, rows in stats.items()
    }
    whole = instance.Scorer(read, 3)
    assert whole.metrics() == pytest.approx(instance.Scorer(stats, 3).metrics(), abs=0, nan_ok=True)
    for _ in range(5):
        rows = rng.integers(0, 20, 20)
        chosen = compute_metrics([pairs[row] for row in rows], 3, (60, 70), 0.3)
        assert whole.metrics(rows) == pytest.approx(chosen, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("classes", [1, 300])
def test_no_image_has_no_metric(classes):
    assert all(np.isnan(value) for value in compute_metrics([], classes, SIZE).values())


def test_objects_are_compared_by_their_pixels():
    pair = instance.mask_overlaps(
        instances([BIG, DOT, NOTHING], scores=[1, 1, 1]), instances([HALF, NOTHING, BIG, BIG]), SIZE
    )
    assert pair.iou.tolist() == [[0.5, 0, 1, 1], [1 / 800, 0, 1 / 1600, 1 / 1600], [0, 0, 0, 0]]
    assert pair.target_areas.tolist() == [800, 0, 1600, 1600]
    assert pair.prediction_areas.tolist() == [1600, 1, 0]
    crowd = instance.mask_overlaps(
        instances([DOT]), instances([BIG, BIG], crowd=np.array([True, False])), SIZE
    )
    assert crowd.iou.tolist() == [[1, 1 / 1600]]
    assert instance.mask_overlaps(instances([]), instances([BIG]), SIZE).iou.shape == (0, 1)
    assert instance.mask_overlaps(instances([BIG]), instances([]), SIZE).iou.shape == (1, 0)


def test_an_object_in_the_hole_of_a_ring_is_another_object():
    inner = box(10, 10, 30, 30)
    made = compute_metrics(
        [(instances([inner, RING], scores=[0.9, 0.8]), instances([RING, inner]))], 1, SIZE
    )
    assert (made["map"], made["pq"], made["count_error"]) == (1, 1, 0)
