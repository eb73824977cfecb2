"""IoU after clicks, and what a click is predicted by without a net."""

from __future__ import annotations

import numpy as np
import pytest

from foveate.annotations import Boxes, Instances
from foveate.metrics import interactive
from foveate.metrics.baselines.clicks import disk, fit_baselines, flood_fill
from foveate.metrics.interactive import MAX_CLICKS, MAX_OBJECTS, InteractiveResult

SIZE = (12, 16)


def block(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[top:bottom, left:right] = True
    return mask


def make_target(*masks: np.ndarray, classes: list[int] | None = None, **flags: object) -> Instances:
    instances = Instances.from_masks(np.array(masks).reshape(-1, *SIZE))
    boxes = Boxes(
        instances.boxes.corners, np.array(classes or [0] * len(masks), int), size=SIZE, **flags
    )
    return Instances(boxes, instances.shapes)


def predicted(*rounds: list[np.ndarray]) -> InteractiveResult:
    each = [*rounds, *[rounds[-1]] * (MAX_CLICKS - len(rounds))]
    return InteractiveResult(
        np.arange(len(rounds[0])), tuple(Instances.from_masks(np.array(masks)) for masks in each)
    )


def compute_metrics(
    predictions: list[InteractiveResult], targets: list[Instances]
) -> dict[str, float]:
    return interactive.Scorer(
        interactive.per_image_stats(predictions, targets, [SIZE] * len(targets))
    ).metrics()


def test_by_hand():
    """Two objects: one right from the third click on, one never quite."""
    first, second = block(0, 0, 4, 4), block(8, 0, 12, 4)
    half, most = block(0, 0, 2, 4), block(8, 0, 12, 3)
    told = compute_metrics(
        [predicted([half, most], [half, most], [first, most])], [make_target(first, second)]
    )
    assert told["iou_1"] == pytest.approx((0.5 + 0.75) / 2)
    assert told["iou_3"] == told["iou_5"] == pytest.approx((1 + 0.75) / 2)
    assert told["within_5_clicks"] == 0.5
    assert told["mean_clicks"] == (3 + MAX_CLICKS + 1) / 2


def test_each_object_counts_the_same_in_whatever_image_it_is():
    right, wrong = block(0, 0, 4, 4), block(5, 5, 9, 9)
    predictions = [predicted([right]), predicted([right, right, right])]
    told = compute_metrics(predictions, [make_target(right), make_target(wrong, wrong, right)])
    assert told["iou_1"] == pytest.approx(2 / 4)
    scorer = interactive.Scorer(
        interactive.per_image_stats(
            predictions, [make_target(right), make_target(wrong, wrong, right)], [SIZE] * 2
        )
    )
    assert scorer.metrics(np.array([0, 0]))["iou_1"] == 1.0
    assert scorer.metrics(np.array([0, 1]))["iou_1"] == pytest.approx(told["iou_1"])


def test_nothing_to_point_at_has_no_metric():
    empty = InteractiveResult(
        np.zeros(0, int), (Instances.from_masks(np.zeros((0, *SIZE), bool)),) * MAX_CLICKS
    )
    assert all(np.isnan(value) for value in compute_metrics([empty], [make_target()]).values())
    assert all(np.isnan(value) for value in compute_metrics([], []).values())


def test_crowds_and_difficult_objects_are_not_pointed_at_and_of_many_some_evenly():
    three = make_target(
        *[block(i, 0, i + 1, 1) for i in range(3)],
        crowd=[True, False, False],
        difficult=[False, False, True],
    )
    assert interactive.evaluated_rows(three).tolist() == [1]
    many = make_target(*[block(i % 16, i // 16, i % 16 + 1, i // 16 + 1) for i in range(100)])
    rows = interactive.evaluated_rows(many)
    assert len(rows) == MAX_OBJECTS
    assert rows[0] == 0
    assert rows[-1] == 99
    assert (np.diff(rows) > 1).all()


def test_overlaps_of_nothing_with_nothing_are_whole():
    nothing, one = np.zeros((1, *SIZE), bool), block(0, 0, 1, 1)[None]
    assert interactive.iou(nothing, nothing) == 1
    assert interactive.iou(one, nothing) == 0
    assert len(interactive.iou(nothing[:0], nothing[:0])) == 0


def make_image() -> np.ndarray:
    """A red block and a blue one on grey."""
    image = np.full((*SIZE, 3), 128, np.uint8)
    image[block(1, 1, 6, 6)] = (200, 20, 20)
    image[block(6, 1, 11, 6)] = (20, 20, 200)
    return image


def test_a_flood_fill_takes_what_is_connected_and_alike():
    found = flood_fill(make_image(), [(3.5, 3.5, True)], 30)
    assert np.array_equal(found, block(1, 1, 6, 6))
    assert np.array_equal(
        flood_fill(make_image(), [(3.5, 3.5, True), (8.0, 2.0, True)], 30), block(1, 1, 11, 6)
    )
    assert not flood_fill(make_image(), [(3.5, 3.5, True), (2.0, 2.0, False)], 30).any()
    assert flood_fill(make_image(), [(16.0, 12.0, True)], 30)[
        -1, -1
    ]  # on the far edge: the last pixel


def test_a_disk_lies_around_the_click_and_the_later_click_counts():
    found = disk(SIZE, [(8, 6, True)], 3)
    rows, columns = np.nonzero(found)
    assert (np.hypot(rows + 0.5 - 6, columns + 0.5 - 8) <= 3).all()
    assert found.sum() == pytest.approx(np.pi * 9, rel=0.2)
    assert not disk(SIZE, [(8, 6, True), (8, 6, False)], 3).any()


def test_the_tolerance_is_chosen_on_the_train_part():
    images = np.stack([make_image()] * 3)
    noisy = np.clip(
        images.astype(int) + np.random.default_rng(0).integers(-12, 13, images.shape), 0, 255
    ).astype(np.uint8)
    cuts = fit_baselines(noisy, [make_target(block(1, 1, 6, 6))] * 3, seed=0)
    assert np.array_equal(cuts["flood fill"](noisy[0], [(3.5, 3.5, True)]), block(1, 1, 6, 6))
    assert len(cuts) == 2
    assert fit_baselines(noisy[:0], [], seed=0)["flood fill"](noisy[0], [(0.5, 0.5, True)]).any()
