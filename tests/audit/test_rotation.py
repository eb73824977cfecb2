"""Annotations of stored pixels are recognised, where geometry decides it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import PIL.Image
import pytest

from foveate.annotations import Boxes, Instances, Mask, Polygon, RunLengths
from foveate.audit import audit, rotation
from foveate.audit.repair import repair
from foveate.data.cache.decoding import survey
from foveate.data.dataset import Dataset, Sample
from foveate.data.images import FileSource
from foveate.ops import rle
from foveate.ops.orientation import turn_pixels, turn_points

STORED = (40, 64)
SEEDS = range(6)


def corners(seed, size):
    """Two boxes of an image of (height, width); those of an odd seed keep to the left top."""
    rng = np.random.default_rng(seed)
    height, width = (size[0] // 2, size[0] // 2) if seed % 2 else size
    low = rng.uniform(0, 0.5, (2, 2)) * [width, height]
    high = low + rng.uniform(0.2, 0.4, (2, 2)) * [width, height]
    high[0] = [width - 1, height - 1]
    return np.concatenate([low, high], 1)


def upright_corners(stored, orientation, size):
    points = turn_points(stored.reshape(-1, 2), orientation, size).reshape(-1, 2, 2)
    return np.concatenate([points.min(1), points.max(1)], 1)


def made(folder, target_of, orientation=6, size=STORED):
    """Images with an EXIF orientation; target_of(seed) makes their annotations."""
    samples = []
    for seed in SEEDS:
        pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
        exif = PIL.Image.Exif()
        exif[0x0112] = orientation
        file = folder / f"{seed}.png"
        PIL.Image.fromarray(pixels).save(file, exif=exif)
        samples.append(Sample(file.name, FileSource(file), target_of(seed)))
    return Dataset("turned", samples[0].target.task, ("a",), samples, origin=folder)


def audited(dataset):
    seen = survey(dataset)
    return audit(seen.dataset, seen.hashes, seen.image_stats)


def boxes(corners, size):
    return Boxes(corners, np.zeros(len(corners), int), size=size)


def checks(result):
    return {one.check for one in result.findings if one.severity != "note"} - {
        "classes too rare to learn"
    }


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("recorded", [STORED, STORED[::-1], None])
def test_boxes_on_stored_pixels_are_turned(tmp_path, orientation, recorded):
    result = audited(
        made(tmp_path, lambda seed: boxes(corners(seed, STORED), recorded), orientation)
    )
    assert checks(result) == {rotation.AS_STORED}
    assert len(result.errors) == len(SEEDS)
    dataset, repairs = repair(result)
    for seed, sample in zip(SEEDS, dataset, strict=True):
        expected = upright_corners(corners(seed, STORED), orientation, STORED)
        np.testing.assert_allclose(sample.target.corners, expected)
        assert sample.target.size == STORED[::-1]
    assert {one.before for one in repairs} >= {"64 x 40 px, as stored"}
    assert checks(audited(dataset)) == set()


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_upright_boxes_that_record_the_stored_size_keep_their_place(tmp_path, orientation):
    upright = STORED[::-1]
    result = audited(
        made(tmp_path, lambda seed: boxes(corners(seed, upright), STORED), orientation)
    )
    assert checks(result) == {rotation.SIZE_AS_STORED}
    dataset, _ = repair(result)
    for seed, sample in zip(SEEDS, dataset, strict=True):
        np.testing.assert_array_equal(sample.target.corners, corners(seed, upright))
        assert sample.target.size == upright


@pytest.mark.parametrize("recorded", [STORED[::-1], None])
def test_upright_boxes_are_left_alone(tmp_path, recorded):
    result = audited(made(tmp_path, lambda seed: boxes(corners(seed, STORED[::-1]), recorded)))
    assert checks(result) == set()


def test_small_boxes_do_not_decide_and_nothing_is_guessed(tmp_path):
    result = audited(made(tmp_path, lambda seed: boxes(np.array([[1, 1, 9, 9]]), STORED)))
    assert checks(result) == {"annotation of another size"}
    assert "do not tell which is meant" in result.errors[0].reason


def test_images_whose_boxes_contradict_each_other_are_decided_one_by_one(tmp_path):
    def target(seed):
        size = STORED if seed < 3 else STORED[::-1]
        return boxes(np.array([[1, 1, size[1] - 1, size[0] - 1]]), STORED)

    result = audited(made(tmp_path, target))
    found = {one.check: 0 for one in result.errors}
    for one in result.errors:
        found[one.check] += 1
    assert found == {rotation.AS_STORED: 3, rotation.SIZE_AS_STORED: 3}


def test_square_images_follow_the_others_only(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    square = made(
        tmp_path / "a", lambda seed: boxes(corners(seed, (40, 40)), (40, 40)), size=(40, 40)
    )
    assert checks(audited(square)) == set()
    others = made(tmp_path / "b", lambda seed: boxes(corners(seed, STORED), STORED))
    samples = [
        *(replace(sample, id=f"a/{sample.id}") for sample in square),
        *(replace(sample, id=f"b/{sample.id}") for sample in others),
    ]
    result = audited(replace(others, samples=samples))
    assert len(result.errors) == 2 * len(SEEDS)
    assert checks(result) == {rotation.AS_STORED}


@pytest.mark.parametrize("kind", ["polygon", "run lengths"])
def test_shapes_are_turned_with_their_boxes(tmp_path, kind):
    def mask_of(seed):
        mask = np.zeros(STORED, bool)
        left, top, right, bottom = np.rint(corners(seed, STORED)[0]).astype(int)
        mask[top:bottom, left:right] = True
        return mask

    def target(seed):
        mask = mask_of(seed)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        left, top, right, bottom = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        box = np.array([[left, top, right, bottom]], float)
        outline = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], float)
        shape = Polygon((outline,)) if kind == "polygon" else RunLengths(rle.encode(mask), STORED)
        return Instances(boxes(box, STORED), (shape,))

    dataset, _ = repair(audited(made(tmp_path, target)))
    for seed, sample in zip(SEEDS, dataset, strict=True):
        expected = turn_pixels(mask_of(seed), 6)
        np.testing.assert_array_equal(sample.target.masks(STORED[::-1])[0], expected)


def test_label_images_of_stored_pixels_are_turned(tmp_path):
    def target(seed):
        return Mask.from_array(np.random.default_rng(seed).integers(0, 2, STORED))

    data = replace(made(tmp_path, target, 8), classes=("a", "b"))
    result = audited(data)
    assert {one.check for one in result.errors} == {rotation.AS_STORED}
    dataset, _ = repair(result)
    for seed, sample in zip(SEEDS, dataset, strict=True):
        expected = turn_pixels(target(seed).pixels.read(), 8)
        np.testing.assert_array_equal(sample.target.pixels.read(), expected)


@pytest.mark.parametrize("orientation", [0, 9, 255, 256, 65535])
def test_orientations_that_do_not_exist_are_reported_and_change_nothing(tmp_path, orientation):
    result = audited(made(tmp_path, lambda seed: boxes(corners(seed, STORED), STORED), orientation))
    assert not result.errors
    found = [one for one in result.findings if one.check == "unknown EXIF orientation"]
    assert len(found) == len(SEEDS)
    assert f"got {orientation}" in found[0].reason
    assert len(repair(result)[0]) == len(SEEDS)
