"""The same data with less in it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from foveate.annotations import IGNORE, Boxes, Instances, Label, Mask, Polygon, RunLengths
from foveate.data import task_views
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.errors import DataError, SettingError

SIZE = (20, 30)
TRIANGLE = Polygon((np.array([(2.0, 2.0), (12.0, 2.0), (2.0, 12.0)]),))


def dataset(target, task):
    source = ArraySource(np.zeros((1, *SIZE, 1), np.uint8), 0)
    return Dataset(
        "d",
        task,
        ("a", "b"),
        [Sample("s", source, target, "g", "train", "2024"), Sample("t", source, None)],
    )


def instances():
    corners = np.array([(0.0, 0, 15, 15), (3, 3, 9, 9)])
    boxes = Boxes(
        corners,
        np.array([0, 1]),
        crowd=np.array([True, False]),
        difficult=np.array([True, False]),
        size=SIZE,
    )
    return dataset(Instances(boxes, (TRIANGLE, None)), "instance")


def test_outlined_objects_serve_detection_by_their_boxes():
    made = task_views.for_task(instances(), "detection")
    assert made.task == "detection"
    assert isinstance(made[0].target, Boxes)
    assert len(made[0].target) == 2
    assert made[1].target is None
    assert task_views.for_task(made, "detection") is made


def test_the_task_is_the_one_that_the_annotations_are_for_or_can_serve():
    assert (
        task_views.infer_task(instances(), ["classification", "detection", "instance"])
        == "instance"
    )
    assert task_views.infer_task(instances(), ["classification", "detection"]) == "detection"
    assert task_views.infer_task(instances(), ["classification", "semantic"]) == "semantic"
    with pytest.raises(SettingError, match="'instance', which cannot be trained yet"):
        task_views.infer_task(instances(), ["classification"])


@pytest.mark.parametrize("task", ["classification", "text_to_image"])
def test_what_cannot_serve_a_task_is_refused_with_the_one_that_fits(task):
    with pytest.raises(SettingError, match="--task instance"):
        task_views.for_task(instances(), task)


def test_each_word_leaves_out_what_it_says():
    plain = task_views.drop(instances(), ["splits", "groups", "times"])[0]
    assert (plain.split, plain.group, plain.time) == (None, None, None)
    assert len(task_views.drop(instances(), ["crowds"])[0].target) == 1
    assert not task_views.drop(instances(), ["difficult"])[0].target.boxes.difficult.any()
    own = task_views.drop(instances(), ["boxes"])[0].target
    assert own.boxes.corners.tolist() == [[2, 2, 12, 12], [3, 3, 9, 9]]
    painted = task_views.drop(instances(), ["polygons"])[0].target
    assert all(isinstance(shape, RunLengths) for shape in painted.shapes)
    assert np.array_equal(painted.masks(SIZE), instances()[0].target.masks(SIZE))
    assert task_views.drop(dataset(Label(1), "classification"), ["crowds", "boxes", "outlines"])[
        0
    ].target == Label(1)


def test_an_unknown_word_and_a_missing_size_are_errors():
    with pytest.raises(SettingError, match="It can be: splits, groups"):
        task_views.drop(instances(), ["everything"])
    for word in ("polygons", "instances"):
        with pytest.raises(DataError, match="size is expected"):
            task_views.drop(unsized(instances()), [word])


def unsized(data):
    target = data[0].target
    return replace(
        data,
        samples=[
            replace(data[0], target=Instances(replace(target.boxes, size=None), target.shapes))
        ],
    )


# --- objects as the classes of pixels


def boxed(*rows, size=SIZE, **given):
    """Objects without an outline, which fill their boxes: (left, top, right, bottom, class)."""
    corners = np.array([row[:4] for row in rows], float).reshape(-1, 4)
    boxes = Boxes(corners, np.array([row[4] for row in rows], int), size=size, **given)
    return Instances(boxes, (None,) * len(rows))


def pixels(target):
    return task_views.for_task(dataset(target, "instance"), "semantic")[0].target.pixels.read()


def test_outlined_objects_serve_semantic_segmentation_by_the_classes_of_their_pixels():
    data = instances()
    made = task_views.for_task(data, "semantic")
    assert made.task == "semantic"
    assert made.classes == ("background", "a", "b")
    assert isinstance(made[0].target, Mask)
    assert made[1].target is None
    assert [replace(sample, target=None) for sample in made] == [
        replace(sample, target=None) for sample in data
    ]
    assert task_views.for_task(made, "semantic") is made
    assert task_views.drop(data, ["instances"]).classes == made.classes
    assert (data.task, data.classes) == ("instance", ("a", "b"))
    assert isinstance(data[0].target, Instances)


def test_the_background_is_0_and_each_class_one_more_than_it_was():
    expected = np.zeros(SIZE, int)
    expected[2:5, 1:9], expected[10:20, 20:30] = 1, 2
    found = pixels(boxed((1, 2, 9, 5, 0), (20, 10, 30, 20, 1)))
    assert np.array_equal(found, expected)
    assert found.dtype == np.int32


def test_an_object_has_the_pixels_of_its_outline_not_of_its_box():
    target = Instances(Boxes(np.array([(0.0, 0, 30, 20)]), np.array([1]), size=SIZE), (TRIANGLE,))
    assert np.array_equal(pixels(target), 2 * TRIANGLE.mask(SIZE))


def test_an_image_without_objects_is_background_and_one_that_is_filled_has_none():
    assert not pixels(boxed()).any()
    mask = task_views.for_task(dataset(boxed((0, 0, 30, 20, 1)), "instance"), "semantic")[0].target
    assert (mask.pixels.read() == 2).all()
    assert mask.present() == (2,)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0]])
def test_where_objects_lie_on_each_other_the_smaller_one_is_seen_in_any_order(order):
    rows = [(0, 0, 20, 20, 0), (5, 5, 15, 15, 1), (7, 7, 8, 8, 0)]
    expected = np.zeros(SIZE, int)
    expected[0:20, 0:20], expected[5:15, 5:15], expected[7, 7] = 1, 2, 1
    assert np.array_equal(pixels(boxed(*(rows[row] for row in order))), expected)


@pytest.mark.parametrize("flag", ["crowd", "difficult"])
def test_crowds_and_what_is_difficult_are_classes_that_nobody_labelled(flag):
    """But not where a smaller object lies on them, of which somebody was sure."""
    target = boxed(
        (0, 0, 20, 20, 0),
        (5, 5, 15, 15, 1),
        (7, 7, 9, 9, 1),
        **{flag: np.array([True, False, True])},
    )
    expected = np.zeros(SIZE, int)
    expected[0:20, 0:20], expected[5:15, 5:15], expected[7:9, 7:9] = IGNORE, 2, IGNORE
    assert np.array_equal(pixels(target), expected)


def test_colours_of_classes_stay_with_them_and_the_background_is_black():
    data = replace(dataset(boxed((0, 0, 9, 9, 1)), "instance"), colours=((255, 0, 0), (0, 0, 255)))
    assert task_views.for_task(data, "semantic").colours == ((0, 0, 0), (255, 0, 0), (0, 0, 255))
    assert task_views.for_task(replace(data, colours=None), "semantic").colours is None


@pytest.mark.parametrize(
    ("classes", "ground"),
    [
        (("a", "background"), "background 2"),
        (("background 2", "background"), "background 3"),
        (("Background", "nothing"), "background"),
    ],
)
def test_a_class_that_is_called_background_stays_one_of_its_own(classes, ground):
    made = task_views.for_task(
        replace(dataset(boxed((0, 0, 9, 9, 1)), "instance"), classes=classes), "semantic"
    )
    assert made.classes[1:] == classes
    assert made.classes[0] == ground
    assert len(set(made.classes)) == len(made.classes)
    assert made[0].target.present() == (0, 2)


def test_without_the_images_size_outlines_become_no_pixels_and_that_is_said_at_once():
    with pytest.raises(DataError, match="size is expected"):
        task_views.for_task(unsized(instances()), "semantic")


def test_other_targets_have_no_objects_to_leave_out():
    plain = dataset(Label(1), "classification")
    assert task_views.drop(plain, ["instances"]) is plain
