"""What training sees is shown with outlines that can be switched, and described in words."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from foveate import tasks
from foveate.annotations import Boxes, Instances, Mask
from foveate.data.augment.boxes import BoxAugment
from foveate.data.augment.images import ImageAugment
from foveate.data.augment.masks import MaskAugment
from foveate.experiment.training_views import CHANGES, HOW_OFTEN, _square, describe

SIZE = (20, 30)
IMAGE = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
CLASSES = ("cat", "dog")


def boxes(left: int = 3) -> Boxes:
    return Boxes(np.array([[left, 2.0, left + 8, 12]]), [1], size=SIZE)


def label_map(left: int = 3) -> np.ndarray:
    ids = np.zeros(SIZE, np.int32)
    ids[2:12, left : left + 8] = 1
    return ids


ANNOTATIONS = {
    "detection": boxes,
    "instance": lambda left=3: Instances.from_label_map(label_map(left), boxes(left)),
    "promptable": lambda left=3: Instances.from_label_map(label_map(left), boxes(left)),
    "semantic": lambda left=3: Mask.from_array(label_map(left)),
}


@pytest.mark.parametrize("policy", [ImageAugment, BoxAugment, MaskAugment])
def test_every_setting_of_an_augmentation_is_said_in_words(policy):
    for field in dataclasses.fields(policy):
        if field.name in HOW_OFTEN or field.name in {"to_label_map", "paste"}:
            continue
        assert CHANGES[field.name] in describe({field.name: 1})
        assert field.name not in describe({field.name: 1}) or "_" not in field.name


def test_an_image_that_is_not_changed_is_not_said_to_be():
    assert describe({"flip": False, "crop": 96}) == "Images were not augmented."
    assert "(mirrored)" in describe({"flip": True, "mosaic_until": 0.8})


@pytest.mark.parametrize("name", sorted(ANNOTATIONS))
def test_targets_are_outlines_over_the_image_which_stays_as_it_is(name):
    task = tasks.find(name)(CLASSES)
    views = [(IMAGE, ANNOTATIONS[name](left)) for left in (3, 5, 7, 9)]
    image, (layer,) = _square(task, views)
    assert image.shape == (41, 61, 3)
    for down, across in ((0, 0), (0, 31), (21, 0), (21, 31)):
        assert np.array_equal(image[down : down + 20, across : across + 30], IMAGE)
    starts = sorted(
        (round(float(y)), round(float(x)))
        for shape in layer.shapes
        for x, y in (
            part.replace("H", "h").split("h")[0].split() for part in shape.path.split("M")[1:]
        )
    )
    assert starts == [(2, 3), (2, 36), (23, 7), (23, 40)]
    assert (layer.name, layer.size) == ("target", (41, 61))


@pytest.mark.parametrize("name", sorted(ANNOTATIONS))
def test_an_original_without_padding_is_padded_like_its_versions(name):
    wide = np.pad(IMAGE, ((0, 12), (0, 2), (0, 0)))
    task = tasks.find(name)(CLASSES)
    original = ANNOTATIONS[name]()
    larger = {
        "detection": lambda: Boxes(original.corners, original.classes, size=(32, 32)),
        "semantic": lambda: Mask.from_array(np.pad(label_map(), ((0, 12), (0, 2)))),
    }.get(name, lambda: Instances.from_label_map(np.pad(label_map(), ((0, 12), (0, 2))), boxes()))
    image, (layer,) = _square(task, [(IMAGE, original), *[(wide, larger())] * 3])
    assert image.shape == (65, 65, 3)
    assert np.array_equal(image[:20, :30], IMAGE)
    assert np.array_equal(image[33:, 33:], wide)
    assert layer.size == (65, 65)


def test_crops_of_another_size_are_scaled_with_their_targets():
    task = tasks.find("detection")(CLASSES)
    half = (IMAGE[::2, ::2], Boxes(boxes().corners / 2, [1], size=(10, 15)))
    image, (layer,) = _square(task, [(IMAGE, boxes()), half, half, half])
    assert image.shape == (41, 61, 3)
    assert {shape.path for shape in layer.shapes} >= {"M3 2H11V12H3Z", "M34 23H42V33H34Z"}


def test_what_has_no_outline_is_drawn_by_its_task():
    task = SimpleNamespace(
        letterbox=True, classes=(), colours=None, draw=lambda image, _: 255 - image
    )
    nothing = SimpleNamespace(
        class_map=lambda: None, as_boxes=lambda: None, object_map=lambda size: None
    )
    image, layers = _square(task, [(IMAGE, nothing)] * 4)
    assert np.array_equal(image[:20, :30], 255 - IMAGE)
    assert layers == []


def test_objects_of_all_four_views_are_outlined_however_many_there_are():
    """Label maps have the smallest type that holds the objects of one image."""
    ids = np.zeros((40, 40), np.int8)
    for number in range(64):
        row, column = divmod(number, 8)
        ids[4 * row : 4 * row + 3, 4 * column : 4 * column + 3] = number + 1
    boxes = Boxes(np.tile([0.0, 0, 3, 3], (64, 1)), [0] * 64, size=ids.shape)
    view = (np.zeros((40, 40, 3), np.uint8), Instances.from_label_map(ids, boxes))
    _, (layer,) = _square(tasks.find("instance")(CLASSES), [view] * 4)
    assert sum(shape.path.count("M") for shape in layer.shapes) == 4 * 64
