"""The same data with less in it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from foveate.annotations import Boxes, Instances, Label, Polygon, RunLengths
from foveate.data import views
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.errors import DataError, SettingError

SIZE = (20, 30)
TRIANGLE = Polygon((np.array([(2.0, 2.0), (12.0, 2.0), (2.0, 12.0)]),))


def dataset(truth, task):
    source = ArraySource(np.zeros((1, *SIZE, 1), np.uint8), 0)
    return Dataset("d", task, ("a", "b"), [Sample("s", source, truth, "g", "train", "2024"), Sample("t", source, None)])


def things():
    corners = np.array([(0.0, 0, 15, 15), (3, 3, 9, 9)])
    boxes = Boxes(
        corners, np.array([0, 1]), crowd=np.array([True, False]), difficult=np.array([True, False]), size=SIZE
    )
    return dataset(Instances(boxes, (TRIANGLE, None)), "instance")


def test_outlined_things_serve_detection_by_their_boxes():
    made = views.for_task(things(), "detection")
    assert made.task == "detection"
    assert isinstance(made[0].truth, Boxes)
    assert len(made[0].truth) == 2
    assert made[1].truth is None
    assert views.for_task(made, "detection") is made


def test_the_task_is_the_one_that_the_annotations_are_for_or_can_serve():
    assert views.suited(things(), ["classification", "detection", "instance"]) == "instance"
    assert views.suited(things(), ["classification", "detection"]) == "detection"
    with pytest.raises(SettingError, match="'instance', which cannot be trained yet"):
        views.suited(things(), ["classification"])


@pytest.mark.parametrize("task", ["classification", "semantic", "text_to_image"])
def test_what_cannot_serve_a_task_is_refused_with_the_one_that_fits(task):
    with pytest.raises(SettingError, match="--task instance"):
        views.for_task(things(), task)


def test_each_word_leaves_out_what_it_says():
    plain = views.without(things(), ["parts", "groups", "times"])[0]
    assert (plain.part, plain.group, plain.time) == (None, None, None)
    assert len(views.without(things(), ["crowds"])[0].truth) == 1
    assert not views.without(things(), ["difficult"])[0].truth.boxes.difficult.any()
    own = views.without(things(), ["boxes"])[0].truth
    assert own.boxes.corners.tolist() == [[2, 2, 12, 12], [3, 3, 9, 9]]
    painted = views.without(things(), ["polygons"])[0].truth
    assert all(isinstance(shape, RunLengths) for shape in painted.shapes)
    assert np.array_equal(painted.masks(SIZE), things()[0].truth.masks(SIZE))
    assert views.without(dataset(Label(1), "classification"), ["crowds", "boxes", "outlines"])[0].truth == Label(1)


def test_an_unknown_word_and_a_missing_size_are_errors():
    with pytest.raises(SettingError, match="It can be: parts, groups"):
        views.without(things(), ["everything"])
    data = things()
    truth = data[0].truth
    unsized = replace(data, samples=[replace(data[0], truth=Instances(replace(truth.boxes, size=None), truth.shapes))])
    with pytest.raises(DataError, match="size is expected"):
        views.without(unsized, ["polygons"])
