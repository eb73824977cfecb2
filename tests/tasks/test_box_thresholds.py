"""What of an prediction is shown, told and drawn, and how that is chosen."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from foveate.annotations import Boxes
from foveate.data.dataset import Dataset
from foveate.data.rng import SampleRNG, sample_keys
from foveate.errors import SettingError
from foveate.settings import Settings
from foveate.tasks.detection import DEFAULT_THRESHOLD, Detection
from foveate.tasks.presenters.detection import count_classes
from helpers.box_oracle import Fixed, InteractivePredictor, make_image, net

CLASSES = ("red", "green", "blue")
CORNERS = np.array([[1.25, 2, 10, 12], [20, 20, 30.123456, 40], [3, 3, 9, 9]])


def predict(*scores: float, classes=(0, 1, 2)) -> Boxes:
    return Boxes(
        CORNERS[: len(scores)],
        np.array(classes[: len(scores)], int),
        np.array(scores, float),
        size=(50, 60),
    )


def test_what_reaches_its_classs_own_threshold_is_shown():
    task = Detection(CLASSES, thresholds=[0.5, 0.2, 0.9])
    assert task.confident(predict(0.5, 0.2, 0.9)).classes.tolist() == [0, 1, 2]
    assert task.confident(predict(0.4999, 0.3, 0.8)).classes.tolist() == [1]
    assert len(task.confident(predict())) == 0
    target = Boxes(CORNERS, np.array([0, 1, 2]))
    assert task.confident(target) is target


@pytest.mark.parametrize("thresholds", [[], [0.5], [0.5] * 4])
def test_another_number_of_thresholds_than_of_classes_is_refused(thresholds):
    with pytest.raises(SettingError, match="3 thresholds are expected"):
        Detection(CLASSES, thresholds=thresholds)


def test_words_are_plain_values_of_what_is_shown():
    words = Detection(CLASSES, thresholds=[0.5, 0.2, 0.9]).to_dict(predict(0.75, 0.1234567, 0.95))
    assert json.loads(json.dumps(words)) == {
        "boxes": [
            {"class": "red", "box": [1.25, 2.0, 10.0, 12.0], "score": 0.75},
            {"class": "blue", "box": [3.0, 3.0, 9.0, 9.0], "score": 0.95},
        ]
    }


def test_words_of_a_target_name_what_is_ignored():
    target = Boxes(
        CORNERS, np.array([0, 1, 2]), crowd=[True, False, False], difficult=[False, True, False]
    )
    told = Detection(CLASSES).to_dict(target)["boxes"]
    assert told[0] == {"class": "red", "box": [1.25, 2.0, 10.0, 12.0], "crowd": True}
    assert told[1] == {"class": "green", "box": [20.0, 20.0, 30.12, 40.0], "difficult": True}
    assert told[2] == {"class": "blue", "box": [3.0, 3.0, 9.0, 9.0]}


def test_told_in_a_line():
    task = Detection(CLASSES)
    assert task.summary(predict(0.9, 0.8, 0.7, classes=(2, 0, 2))) == "1 × red, 2 × blue"
    assert task.summary(predict(0.29, 0.1)) == "nothing"
    assert task.summary(predict()) == "nothing"


def test_classes_named_by_numbers_do_not_look_like_counts():
    boxes = Boxes(np.zeros((4, 4)), [3, 3, 1, 3])
    names = [str(digit) for digit in range(10)]
    assert count_classes(boxes, names) == "1 × class 1, 3 × class 3"
    assert count_classes(boxes, [f"{name} o'clock" for name in names]).startswith("1 × class 1 o")


def test_drawn_into_a_copy_what_is_shown_and_no_more():
    task, image = Detection(CLASSES), make_image(50, 60)
    before = image.copy()
    empty, low, seen = (
        task.draw(image, given) for given in (predict(), predict(0.1, 0.1), predict(0.9, 0.1))
    )
    assert np.array_equal(image, before)
    assert np.array_equal(empty, low)
    assert np.array_equal(empty, image.repeat(5, 0).repeat(5, 1))  # enlarged to be legible
    assert seen.shape == (250, 300, 3)
    assert seen.dtype == np.uint8
    changed = np.argwhere((seen != empty).any(2))
    assert changed.min(0).tolist() >= [0, 6]
    assert (seen != empty)[59, 7].any()  # its lower left corner
    assert not (seen != empty)[110:, 110:].any()  # nothing of the second


@pytest.mark.parametrize("shape", [(1, 1, 1), (40, 30, 1), (4, 4000, 3), (40, 30, 4)])
def test_any_image_can_be_drawn_into(shape):
    drawn = Detection(CLASSES).draw(np.zeros(shape, np.uint8), predict(0.9, 0.9, 0.9))
    assert drawn.ndim == 3
    assert drawn.shape[2] == 3


# --- chosen on the validation part


def test_thresholds_are_chosen_between_right_and_wrong_and_by_default_where_there_is_no_box():
    """Class 0: right at 0.9, wrong at 0.6, so the threshold lies half way; class 1 is found but
    never there; class 2
    is neither."""
    places = [[2.0, 2, 20, 20], [40, 40, 60, 60], [22, 2, 38, 18]]
    head = Fixed(places, [[0.9, 0.0, 0.0], [0.6, 0.0, 0.0], [0.0, 0.7, 0.0]])
    target = Boxes(np.array(places[:1]), np.array([0]), size=(64, 64))
    task = Detection(CLASSES, thresholds=[0.1, 0.1, 0.1])
    task.calibrate(net(head), [make_image(64, 64)] * 3, [target] * 3)
    assert task.thresholds.tolist() == pytest.approx([0.75, DEFAULT_THRESHOLD, DEFAULT_THRESHOLD])


def test_the_threshold_is_the_best_of_all_by_trying_them():
    rng = np.random.default_rng(0)
    count = 30
    corners = np.array([[10.0 * n, 0, 10 * n + 8, 8] for n in range(count)])
    scores, right = (
        np.sort(rng.random(count))[::-1].copy(),
        rng.random(count) < np.linspace(0.9, 0.1, count),
    )
    task = Detection(("one",))
    task.calibrate(
        net(Fixed(corners, scores[:, None]), size=320),
        [make_image(320, 320)],
        [Boxes(corners[right], np.zeros(right.sum(), int))],
    )

    def f1(least: float) -> float:
        shown = scores >= least
        return 2 * (shown & right).sum() / (shown.sum() + right.sum())

    assert f1(task.thresholds[0]) == max(f1(score) for score in scores)


def test_no_target_in_the_validation_part_leaves_the_default():
    task = Detection(CLASSES[:2])
    task.calibrate(
        net(InteractivePredictor()),
        [make_image(64, 64, (2, 2, 20, 20, 0))],
        [Boxes(np.zeros((0, 4)), np.zeros(0, int))],
    )
    assert task.thresholds.tolist() == [DEFAULT_THRESHOLD, DEFAULT_THRESHOLD]


# --- made again from what is written down


def test_options_build_the_same_task_again():
    task = Detection(CLASSES, thresholds=[0.123456789012345, 0.2, 1 / 3], objects=2.718)
    again = Detection(CLASSES, **json.loads(json.dumps(task.options)))
    assert again.options == task.options
    given = predict(0.9, 0.2, 1 / 3)
    assert again.to_dict(given) == task.to_dict(given)


def test_objects_are_counted_over_the_train_part_without_what_is_ignored():
    def make_target(count: int, ignored: int = 0) -> Boxes:
        difficult = np.arange(count) < ignored
        return Boxes(np.tile(CORNERS[0], (count, 1)), np.zeros(count, int), difficult=difficult)

    def objects(*targets: Boxes) -> float:
        return Detection.from_settings(
            Dataset("", "detection", CLASSES, ()), Settings(), targets, hflip=True
        ).objects

    assert objects(make_target(4), make_target(5, ignored=2)) == 3.5
    assert objects(make_target(0), make_target(0)) == 1.0  # nothing is divided by nothing


def test_a_batch_carries_boxes_classes_and_what_is_ignored():
    images = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    full = Boxes(
        CORNERS, np.array([0, 1, 2]), crowd=[True, False, False], difficult=[False, True, False]
    )
    (same,), target = Detection(CLASSES, objects=3.0).collate(
        images,
        [full, Boxes(np.zeros((0, 4)), np.zeros(0, int))],
        SampleRNG(sample_keys(["a", "b"]), 0),
    )
    assert same is images
    assert target.boxes[0].tolist() == torch.tensor(CORNERS).float().tolist()
    assert target.classes[0].tolist() == [0, 1, 2]
    assert target.ignored[0].tolist() == [True, True, False]
    assert [len(column[1]) for column in (target.boxes, target.classes, target.ignored)] == [
        0,
        0,
        0,
    ]
    assert target.objects == 3.0
