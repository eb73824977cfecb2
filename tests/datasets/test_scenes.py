"""The built-in scenes: exact truths, no scan in two parts, the same each time."""

from __future__ import annotations

import numpy as np
import pytest

from foveate.data import task_views
from foveate.datasets.builtin import scenes
from foveate.datasets.load import load
from foveate.ops.masks import mask_bounds

IDS = [f"{split}/{index:04d}" for split in scenes.SPLITS for index in range(60)]


@pytest.fixture(scope="module")
def drawn():
    return {id: scenes.draw(id) for id in IDS}


@pytest.mark.slow
def test_the_set_serves_objects_and_boxes():
    data = load("scenes")
    assert (data.name, data.origin, data.task, data.hflip_safe) == (
        "scenes",
        "scenes",
        "instance",
        False,
    )
    assert data.classes == tuple("0123456789")
    assert {split: len(data.subset(split)) for split in scenes.SPLITS} == scenes.SPLITS
    counts = np.bincount([len(sample.target) for sample in data], minlength=scenes.MAX_DIGITS + 1)
    assert len(counts) == scenes.MAX_DIGITS + 1
    assert counts.min() > 0.08 * len(data)  # empty ones among them
    kinds = np.bincount(
        np.concatenate([sample.target.boxes.classes for sample in data]), minlength=10
    )
    assert kinds.min() > 0.8 * kinds.mean()
    boxes = task_views.for_task(data, "detection")
    assert [len(sample.target) for sample in boxes] == [len(sample.target) for sample in data]
    sample = data[7]
    image, instances = scenes.draw(sample.id)
    assert np.array_equal(sample.source.read(), image)
    size = (scenes.SIDE, scenes.SIDE)
    assert np.array_equal(
        sample.target.masks(size),
        np.array([instance.mask for instance in instances]).reshape(-1, *size),
    )
    for instance, corners in zip(instances, sample.target.boxes.corners, strict=True):
        assert tuple(corners) == mask_bounds(instance.mask)


def test_what_is_said_to_be_there_is_seen_there(drawn):
    for image, instances in drawn.values():
        assert image.shape == (128, 128, 3)
        covered = np.zeros((128, 128), int)
        for instance in instances:
            covered += instance.mask
            assert instance.mask.sum() >= 0.6 * instance.area > 0
            inside = image[instance.mask].mean(0) - np.array(scenes.COLOURS[instance.colour])
            assert np.abs(inside).max() < 75, instance.colour
            if instance.area > 100:  # no flat colour, which a flood fill would find
                assert image[instance.mask].std(0).max() > 10, instance.colour
        assert covered.max() <= 1  # each pixel is of one thing


def test_no_scan_is_in_two_splits():
    scans = scenes.scans()
    seen = [{ink.tobytes() for inks in scans[split] for ink in inks} for split in scenes.SPLITS]
    assert not seen[0] & seen[1]
    assert not (seen[0] | seen[1]) & seen[2]
    assert sum(len(inks) for split in scans.values() for inks in split) == 1797
    assert all(len(inks) > 15 for split in scans.values() for inks in split)


def test_a_scene_is_a_function_of_its_id(drawn):
    for id in IDS[::30]:
        image, instances = scenes.draw(id)
        assert np.array_equal(image, drawn[id][0])
        assert [(instance.digit, instance.colour) for instance in instances] == [
            (t.digit, t.colour) for t in drawn[id][1]
        ]
    assert len({image.tobytes() for image, _ in drawn.values()}) == len(IDS)
