"""The built-in scenes: exact truths, no scan in two parts, the same each time."""

from __future__ import annotations

import numpy as np
import pytest

from foveate.annotations import mask_bounds
from foveate.data import task_views
from foveate.data.builtin import scenes
from foveate.data.load import load

IDS = [f"{part}/{index:04d}" for part in scenes.PARTS for index in range(60)]


@pytest.fixture(scope="module")
def drawn():
    return {id: scenes.draw(id) for id in IDS}


def test_the_set_serves_things_and_boxes():
    data = load("scenes")
    assert (data.name, data.origin, data.task, data.symmetric) == ("scenes", "scenes", "instance", False)
    assert data.classes == tuple("0123456789")
    assert {part: len(data.part(part)) for part in scenes.PARTS} == scenes.PARTS
    counts = np.bincount([len(sample.truth) for sample in data], minlength=scenes.MOST + 1)
    assert len(counts) == scenes.MOST + 1
    assert counts.min() > 0.08 * len(data)  # empty ones among them
    kinds = np.bincount(np.concatenate([sample.truth.boxes.classes for sample in data]), minlength=10)
    assert kinds.min() > 0.8 * kinds.mean()
    boxes = task_views.for_task(data, "detection")
    assert [len(sample.truth) for sample in boxes] == [len(sample.truth) for sample in data]
    sample = data[7]
    picture, things = scenes.draw(sample.id)
    assert np.array_equal(sample.source.read(), picture)
    size = (scenes.SIDE, scenes.SIDE)
    assert np.array_equal(sample.truth.masks(size), np.array([thing.mask for thing in things]).reshape(-1, *size))
    for thing, corners in zip(things, sample.truth.boxes.corners, strict=True):
        assert tuple(corners) == mask_bounds(thing.mask)


def test_what_is_said_to_be_there_is_seen_there(drawn):
    for picture, things in drawn.values():
        assert picture.shape == (128, 128, 3)
        covered = np.zeros((128, 128), int)
        for thing in things:
            covered += thing.mask
            assert thing.mask.sum() >= 0.6 * thing.area > 0
            inside = picture[thing.mask].mean(0) - np.array(scenes.COLOURS[thing.colour])
            assert np.abs(inside).max() < 45, thing.colour
        assert covered.max() <= 1  # each pixel is of one thing


def test_no_scan_is_in_two_parts():
    scans = scenes.scans()
    seen = [{ink.tobytes() for inks in scans[part] for ink in inks} for part in scenes.PARTS]
    assert not seen[0] & seen[1]
    assert not (seen[0] | seen[1]) & seen[2]
    assert sum(len(inks) for part in scans.values() for inks in part) == 1797
    assert all(len(inks) > 15 for part in scans.values() for inks in part)


def test_a_scene_is_a_function_of_its_id(drawn):
    for id in IDS[::30]:
        picture, things = scenes.draw(id)
        assert np.array_equal(picture, drawn[id][0])
        assert [(thing.digit, thing.colour) for thing in things] == [(t.digit, t.colour) for t in drawn[id][1]]
    assert len({picture.tobytes() for picture, _ in drawn.values()}) == len(IDS)
