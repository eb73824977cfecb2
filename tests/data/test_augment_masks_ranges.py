"""How much images are warped, what becomes of things, and which policy suits which images."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from foveate.annotations import Boxes, Instances
from foveate.data import label_maps
from foveate.data.augment.masks import (
    KNOTS,
    MAX_WHOLE_SIDE,
    MaskAugment,
    _displacements,
    default_mask_policy,
)
from foveate.ops.masks import mask_bounds
from helpers.warp_checks import COUNT, SIDE, Told, make_rng, placed, policy, where

# --- how much


def test_scale_is_what_it_says():
    """Half as large, each pixel is the mean of four; twice as large, four pixels show one."""
    images = torch.randint(0, 256, (1, 16, 16, 1), dtype=torch.uint8)
    target = np.arange(256).reshape(16, 16)
    (small,), _ = policy(8, scale_jitter=1.0).batch(images, [target], Told(1, zoom=0.0), 0.0)
    means = images[0, ..., 0].float().view(8, 2, 8, 2).mean((1, 3))
    assert (small[..., 0] - means).abs().max() <= 0.51
    _, (large,) = policy(8, scale_jitter=1.0).batch(images, [target], Told(1, zoom=1.0), 0.0)
    assert np.array_equal(large, target[6:10, 6:10].repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize(("rotation", "quarters"), [(1.0, -1), (0.0, 1), (0.5, 0)])
def test_a_turn_of_90_degrees_either_way_is_a_quarter(rotation, quarters):
    target = np.arange(64).reshape(8, 8)
    _, (numbers,) = policy(8, rotation=90.0).batch(
        placed([(8, 8)])[0][:, :8, :8], [target], Told(1, rotation=rotation), 0.0
    )
    assert np.array_equal(numbers, np.rot90(target, quarters))


def test_turns_and_scales_fill_the_range_that_is_said():
    """Measured on the places that two pixels of a piece, 100 apart, came from."""
    images, targets = placed([(250, 250)] * 200, side=250, padding=0)
    _, moved = policy(101, rotation=20.0, scale_jitter=0.25).batch(
        images[..., :1], targets, make_rng(200, seed=1), 0.0
    )
    ends = np.array([[where(numbers, 250)[50, column] for column in (0, 100)] for numbers in moved])
    down, across = (ends[:, 1] - ends[:, 0]).T
    angles, scales = np.degrees(np.arctan2(down, across)), np.hypot(down, across) / 100
    off = 0.015  # of a pixel and a half in a hundred, at most: numbers tell whole pixels
    for found, least, most in (
        (angles, -20.0, 20.0),
        (np.log(scales), -math.log(1.25), math.log(1.25)),
    ):
        slack = math.degrees(off) if most == 20 else off
        assert least - slack <= found.min() < 0.9 * least
        assert 0.9 * most < found.max() <= most + slack
        assert abs(found.mean()) < 3 * (most - least) / 12**0.5 / 200**0.5


@pytest.mark.parametrize("kind", ["auto", "strong"])
@pytest.mark.parametrize("size", [8, 33, 256])
def test_a_bend_moves_its_knots_by_what_it_says_and_never_folds_an_image(kind, size):
    """Each corner of a piece is a knot; 100 pieces have 800 such moves."""
    made = policy(**default_mask_policy(size, kind, False))
    moves = made.elastic_sigma * _displacements(torch.from_numpy(make_rng(100).uniform(96)), size)
    corners = moves[:, :: size - 1, :: size - 1]
    assert corners.shape == (100, 2, 2, 2)
    assert corners.std().item() == pytest.approx(made.elastic_sigma, rel=0.1)
    assert abs(corners.mean().item()) < 3 * made.elastic_sigma / 800**0.5
    for axis in (1, 2):
        assert moves.diff(dim=axis)[..., axis - 1].min() > -1
    assert KNOTS == 4
    if size == 256:  # two pixels side by side are moved nearly alike
        assert moves.diff(dim=1).diff(dim=1).abs().max() < 0.01 * made.elastic_sigma


# --- things


def numbered(instances):
    return instances.label_map(instances.boxes.size)


def instances(crop, **given):
    return MaskAugment(numbered, label_maps.paste_instances, crop, **given)


@pytest.mark.parametrize("crop", [12, 48, 60])
def test_objects_that_leave_the_piece_are_gone_and_boxes_fit_their_pixels(crop):
    rng = np.random.default_rng(0)
    painted, targets = [], []
    for _ in range(COUNT):
        numbers = np.zeros((SIDE, SIDE), np.int32)
        for number in range(1, 13):
            top, left = rng.integers(0, SIDE - 9, 2)
            numbers[top : top + rng.integers(1, 9), left : left + rng.integers(1, 9)] = number
        like = Boxes(
            np.zeros((12, 4)), np.arange(12), crowd=np.arange(12) == 3, difficult=np.arange(12) == 5
        )
        painted.append(numbers)
        targets.append(Instances.from_label_map(numbers, like))
    images = torch.from_numpy(20 * np.array(painted, np.uint8))[..., None]
    made, count = instances(crop, flip=True, rotation=15.0, scale_jitter=0.2, elastic_sigma=0.5), 0
    for seed in range(5):
        _, moved = made.batch(images, targets, make_rng(seed=seed), 0.0)
        _, raw = policy(crop, flip=True, rotation=15.0, scale_jitter=0.2, elastic_sigma=0.5).batch(
            images, painted, make_rng(seed=seed), 0.0
        )
        for found, numbers in zip(moved, raw, strict=True):
            boxes = found.boxes
            assert boxes.size == (crop, crop)
            assert boxes.classes.tolist() == [
                number - 1 for number in np.unique(numbers).tolist() if number
            ]
            assert np.array_equal(boxes.crowd, boxes.classes == 3)
            assert np.array_equal(boxes.difficult, boxes.classes == 5)
            for mask, corners, k in zip(
                found.masks((crop, crop)), boxes.corners, boxes.classes, strict=True
            ):
                assert np.array_equal(mask, numbers == k + 1)
                assert tuple(corners) == mask_bounds(mask)
            count += len(found)
    assert 0 < count < 12 * COUNT * 5 or crop > 12


def test_an_image_without_objects_stays_one():
    nothing = Instances.from_label_map(
        np.zeros((SIDE, SIDE), np.int8), Boxes(np.zeros((0, 4)), np.zeros(0))
    )
    _, (found,) = instances(20, rotation=9.0).batch(
        torch.zeros((1, SIDE, SIDE, 1), dtype=torch.uint8), [nothing], make_rng(1), 0
    )
    assert len(found) == 0
    assert found.boxes.size == (20, 20)


# --- what suits


@pytest.mark.parametrize(
    ("size", "crop", "repeats"),
    [(8, 8, 1), (128, 128, 1), (256, 256, 1), (257, 256, 1), (512, 256, 4), (1000, 256, 15)],
)
@pytest.mark.parametrize("kind", ["none", "auto", "strong"])
@pytest.mark.parametrize("flip", [False, True])
def test_pieces_of_large_images_cover_them_once_an_epoch(size, crop, repeats, kind, flip):
    made = policy(**default_mask_policy(size, kind, flip))
    assert (made.crop, made.crops_per_image) == (crop, repeats)
    assert abs(made.crops_per_image * crop**2 / size**2 - 1) < 0.05
    assert made.flip == (flip and kind != "none")
    assert made.rot90 == (kind == "strong")
    changes = (made.rotation, made.scale_jitter, made.elastic_sigma, made.colour)
    assert not any(changes) if kind == "none" else all(changes)
    assert (
        made.elastic_sigma <= crop / 16
    )  # less than half of the way between knots, or what is bent would fold
    assert MAX_WHOLE_SIDE == 256


def test_strong_does_more_of_everything():
    auto, strong = (policy(**default_mask_policy(128, kind, True)) for kind in ("auto", "strong"))
    for name in ("rotation", "scale_jitter", "elastic_sigma", "colour"):
        assert getattr(strong, name) > getattr(auto, name)


def test_a_policy_is_written_down_and_read_back():
    made = policy(**default_mask_policy(512, "strong", True))
    told = json.loads(json.dumps(made.to_dict()))
    assert MaskAugment(made.to_label_map, made.paste, **told) == made
