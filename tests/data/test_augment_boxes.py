"""Boxes move with their pixels: each is painted in one channel and found again afterwards."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.annotations import Boxes
from foveate.data.augment.boxes import MIN_VISIBLE, BoxAugment
from foveate.data.resizing import PADDING
from foveate.data.rng import SampleRNG, sample_keys

SIDE = 96
EVERY = {
    "nothing": BoxAugment(),
    "flip": BoxAugment(flip=True),
    "scale": BoxAugment(scale_jitter=0.5),
    "stretch": BoxAugment(aspect_jitter=0.3),
    "mosaic": BoxAugment(mosaic=1.0),
    "all": BoxAugment(flip=True, scale_jitter=0.8, aspect_jitter=0.3, mosaic=0.7),
}
# An edge is found where pixels are half as bright, counted in whole pixels. At a cut there is
# nothing beyond to blur with, which moves the edge by less than a tenth of a pixel.
BLUR = 0.6


class Told:
    """Chosen random numbers: of the canvas (mosaic, centre), then of each crop (scale, aspect,
    down, across, mirror)."""

    def __init__(self, count, piece, canvas=(0.9, 0.5, 0.5)):
        self.count, self.next, self.piece = count, canvas, piece

    def uniform(self, count):
        values, self.next = self.next, self.piece
        return np.tile(np.array(values[:count], np.float32), (self.count, 1))


def painted(rng, count=4, of_each=3, shapes=None):
    """Black letterboxed images of several shapes; each box is white in a channel of its own."""
    images = torch.full((count, SIDE, SIDE, count * of_each), PADDING, dtype=torch.uint8)
    targets = []
    for row in range(count):
        height, width = (
            shapes[row]
            if shapes
            else (SIDE, int(rng.integers(30, SIDE + 1)))[:: rng.choice((1, -1))]
        )
        images[row, :height, :width] = 0
        corners, classes = [], []
        for own in range(of_each):
            left, top = int(rng.integers(0, width - 12)), int(rng.integers(0, height - 12))
            right, bottom = (
                int(rng.integers(left + 12, width + 1)),
                int(rng.integers(top + 12, height + 1)),
            )
            classes.append(row * of_each + own)
            images[row, top:bottom, left:right, classes[-1]] = 255
            corners.append((left, top, right, bottom))
        targets.append(Boxes(np.array(corners), np.array(classes), size=(int(height), int(width))))
    return images, targets


def bright(channel):
    """Left, top, right and bottom of the bright pixels of a channel; None without any."""
    rows, columns = np.flatnonzero((channel >= 128).any(1)), np.flatnonzero((channel >= 128).any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]) if len(rows) else None


def ids(count):
    return sample_keys([f"{row}" for row in range(count)])


@pytest.mark.parametrize("name", EVERY)
@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1))
def test_boxes_go_exactly_where_the_pixels_go(name, seed):
    images, targets = painted(np.random.default_rng(seed))
    out, moved = EVERY[name].batch(images, targets, SampleRNG(ids(4), seed), 0.0)
    for canvas, boxes in zip(out.numpy(), moved, strict=True):
        assert len(set(boxes.classes.tolist())) == len(boxes)
        assert boxes.size == (SIDE, SIDE)
        told = dict(zip(boxes.classes.tolist(), boxes.corners, strict=True))
        for k in range(canvas.shape[2]):
            seen = bright(canvas[..., k])
            if k not in told:
                assert seen is None
            elif min(told[k][2:] - told[k][:2]) >= 2:  # a thinner one may be blurred away
                assert np.abs(seen - told[k]).max() <= BLUR


@pytest.mark.parametrize("name", EVERY)
def test_what_went_in_is_untouched_and_what_comes_out_is_of_its_kind(name):
    images, targets = painted(np.random.default_rng(0))
    kept, corners = images.clone(), [target.corners.copy() for target in targets]
    out, _ = EVERY[name].batch(images, targets, SampleRNG(ids(4), 0), 0.0)
    assert torch.equal(images, kept)
    assert all(
        np.array_equal(target.corners, before)
        for target, before in zip(targets, corners, strict=True)
    )
    assert out.shape == images.shape
    assert out.dtype == torch.uint8


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_images_of_any_bands(channels):
    images = torch.randint(0, 256, (3, 32, 32, channels), dtype=torch.uint8)
    nothing = [Boxes(np.zeros((0, 4)), np.zeros(0, int), size=(32, 20))] * 3
    out, boxes = BoxAugment(True, 0.5, 0.2, 0.3, 0.5).batch(
        images, nothing, SampleRNG(ids(3), 0), 0.0
    )
    assert out.shape == images.shape
    assert [len(one) for one in boxes] == [0, 0, 0]


def test_a_mirrored_image_has_its_boxes_on_the_other_side():
    images, targets = painted(np.random.default_rng(1), shapes=[(SIDE, SIDE)] * 4)
    flipped, mirrored = BoxAugment(flip=True).batch(
        images, targets, Told(4, (0.5, 0.5, 0, 0, 0.4)), 0.0
    )
    assert torch.equal(flipped, images.flip(2))
    for before, after in zip(targets, mirrored, strict=True):
        assert np.array_equal(
            after.corners, [SIDE, 0, SIDE, 0] + before.corners[:, [2, 1, 0, 3]] * [-1, 1, -1, 1]
        )
    plain, same = BoxAugment(flip=True).batch(images, targets, Told(4, (0.5, 0.5, 0, 0, 0.5)), 0.0)
    assert torch.equal(plain, images)
    assert all(
        np.array_equal(one.corners, other.corners) for one, other in zip(targets, same, strict=True)
    )


def test_scale_and_stretch_are_what_they_say():
    image = torch.zeros((1, 100, 100, 1), dtype=torch.uint8)
    target = Boxes(np.array([[0, 0, 40, 40]]), np.array([0]), size=(40, 40))
    for scale, stretch, width, height in (
        (1.0, 0.5, 60, 60),
        (0.0, 0.5, 27, 27),
        (0.5, 1.0, 44, 36),
        (0.5, 0.0, 36, 44),
    ):
        told = Told(1, (scale, stretch, 0, 0, 0.9))
        _, (boxes,) = BoxAugment(scale_jitter=0.5, aspect_jitter=0.21).batch(
            image, [target], told, 0.0
        )
        assert boxes.corners.tolist() == [
            [0, 0, width, height]
        ]  # 40 times 1.5 or less, times the root of 1.21 or less


@pytest.mark.parametrize(
    ("at", "corner"), [((0.0, 0.0), (0, 0)), ((0.999, 0.0), (20, 0)), ((0.5, 0.999), (10, 20))]
)
def test_of_an_image_that_is_too_large_any_split_is_shown(at, corner):
    """Twice as large: 20 of 40 rows and columns are seen, from (top, left) on."""
    top, left = corner
    image = torch.zeros((1, 40, 40, 1), dtype=torch.uint8)
    target = Boxes(np.array([[left, top, left + 20, top + 20]]), np.array([0]), size=(40, 40))
    _, (boxes,) = BoxAugment(scale_jitter=1.0).batch(
        image, [target], Told(1, (1.0, 0.5, *at, 0.9)), 0.0
    )
    assert boxes.corners.tolist() == [[0, 0, 40, 40]]
    assert not boxes.difficult.any()


def test_without_any_change_each_image_is_shown_whole_with_its_boxes():
    images, targets = painted(np.random.default_rng(2))
    out, moved = BoxAugment().batch(images, targets, SampleRNG(ids(4), 5), 0.0)
    for before, target, after, boxes in zip(images, targets, out, moved, strict=True):
        height, width = target.size
        left, top = (boxes.corners - target.corners)[0, :2].astype(int)
        assert torch.equal(after[top : top + height, left : left + width], before[:height, :width])
        assert np.array_equal(
            boxes.corners - target.corners, np.tile([left, top, left, top], (len(target), 1))
        )
        assert not (boxes.difficult | boxes.crowd).any()


def test_four_images_share_a_canvas_until_a_mosaic_ends():
    images, targets = painted(np.random.default_rng(3))
    policy = BoxAugment(mosaic=1.0, mosaic_until=0.5)
    for progress, most in ((0.0, 4), (0.4999, 4), (0.5, 1), (1.0, 1)):
        _, boxes = policy.batch(images, targets, SampleRNG(ids(4), 0), progress)
        assert max(len(set((one.classes // 3).tolist())) for one in boxes) == most


def test_a_mosaic_is_made_as_often_as_asked():
    images = torch.zeros((400, 8, 8, 1), dtype=torch.uint8)
    targets = [Boxes(np.array([[0, 0, 8, 8]]), np.array([row]), size=(8, 8)) for row in range(400)]
    _, boxes = BoxAugment(mosaic=0.3).batch(images, targets, SampleRNG(ids(400), 0), 0.0)
    assert (
        93 <= sum(len(one) > 1 for one in boxes) <= 147
    )  # 120, and three times the deviation of 9.2 on each side


@pytest.mark.parametrize(
    ("left", "right", "shown"),
    [
        (0, 20, True),
        (10, 30, True),
        (14, 34, True),
        (15, 35, False),
        (19, 39, False),
        (20, 40, None),
        (30, 40, None),
    ],
)
def test_a_box_hardly_in_sight_is_spared_and_one_out_of_sight_is_gone(left, right, shown):
    """Twice as large, from the left edge on: 20 of 40 columns are seen."""
    image = torch.zeros((1, 40, 40, 1), dtype=torch.uint8)
    target = Boxes(np.array([[left, 0, right, 20]]), np.array([0]), size=(40, 40))
    _, (boxes,) = BoxAugment(scale_jitter=1.0).batch(
        image, [target], Told(1, (1.0, 0.5, 0, 0, 0.9)), 0.0
    )
    assert boxes.difficult.tolist() == ([] if shown is None else [not shown])
    assert boxes.corners.tolist() == (
        [] if shown is None else [[2 * left, 0, min(40, 2 * right), 40]]
    )
    assert MIN_VISIBLE == 0.3  # 6 of 20 columns are enough, 5 are not


def test_flags_travel_with_their_boxes():
    images = torch.zeros((4, 32, 32, 1), dtype=torch.uint8)
    crowd, difficult = np.array([True, False, False]), np.array([False, True, False])
    target = Boxes(
        np.array([[1, 1, 9, 9], [2, 2, 30, 30], [8, 4, 20, 20]]),
        np.arange(3),
        None,
        crowd,
        difficult,
        (32, 32),
    )
    for policy in (BoxAugment(), BoxAugment(flip=True, mosaic=1.0)):
        for boxes in policy.batch(images, [target] * 4, SampleRNG(ids(4), 2), 0.0)[1]:
            assert len(boxes) >= 3
            assert np.array_equal(boxes.crowd, crowd[boxes.classes])
            assert boxes.difficult[boxes.classes == 1].all()


@pytest.mark.parametrize("name", EVERY)
def test_images_without_boxes_and_a_batch_of_one(name):
    images, _ = painted(np.random.default_rng(4))
    nothing = Boxes(np.zeros((0, 4)), np.zeros(0, int), size=(SIDE, SIDE))
    for count in (1, 2, 4):
        out, boxes = EVERY[name].batch(
            images[:count], [nothing] * count, SampleRNG(ids(count), 0), 0.0
        )
        assert len(out) == len(boxes) == count
        assert all(one.corners.shape == (0, 4) and one.scores is None for one in boxes)


def test_an_image_alone_still_has_its_boxes_where_its_pixels_are():
    images, targets = painted(np.random.default_rng(5), count=1, of_each=1)
    for seed in range(20):
        (canvas,), (boxes,) = BoxAugment(True, 0.3, 0.2, mosaic=1.0).batch(
            images, targets, SampleRNG(ids(1), seed), 0.0
        )
        around = [*boxes.corners[:, :2].min(0), *boxes.corners[:, 2:].max(0)]
        assert np.abs(bright(canvas[..., 0].numpy()) - around).max() <= BLUR


@pytest.mark.parametrize("name", EVERY)
def test_a_letterboxed_image_brings_no_padding_of_its_own(name):
    """What is padding in the images is 255 here, so that it is told apart from the canvas's."""
    images = torch.full((4, SIDE, SIDE, 1), 255, dtype=torch.uint8)
    shapes = [(SIDE, 40), (3, SIDE), (SIDE, 1), (50, SIDE)]
    for image, (height, width) in zip(images, shapes, strict=True):
        image[:height, :width] = 7
    targets = [
        Boxes(np.array([[0, 0, shape[1], shape[0]]]), np.array([0]), size=shape) for shape in shapes
    ]
    for seed in range(20):
        out, _ = EVERY[name].batch(images, targets, SampleRNG(ids(4), seed), 0.0)
        assert set(out.unique().tolist()) <= {7, PADDING}


@pytest.mark.parametrize("name", EVERY)
def test_the_same_draws_give_the_same_images(name):
    images, targets = painted(np.random.default_rng(6))
    (one, boxes), (other, again) = (
        EVERY[name].batch(images, targets, SampleRNG(ids(4), 7, 3), 0.2) for _ in range(2)
    )
    assert torch.equal(one, other)
    assert all(np.array_equal(a.corners, b.corners) for a, b in zip(boxes, again, strict=True))
    other, _ = EVERY[name].batch(images, targets, SampleRNG(ids(4), 7, 4), 0.2)
    assert torch.equal(one, other) == (name == "nothing")


def test_a_whole_image_does_not_depend_on_the_order_of_its_batch():
    images, targets = painted(np.random.default_rng(7))
    policy, order = BoxAugment(True, 0.5, 0.2, 0.3), [2, 0, 3, 1]
    out, boxes = policy.batch(images, targets, SampleRNG(ids(4), 1), 0.0)
    mixed, others = policy.batch(
        images[order], [targets[row] for row in order], SampleRNG(ids(4)[order], 1), 0.0
    )
    assert torch.equal(out[order], mixed)
    assert all(
        np.array_equal(boxes[row].corners, other.corners)
        for row, other in zip(order, others, strict=True)
    )


def test_a_policy_is_written_down_and_read_back():
    policy = BoxAugment(True, 0.5, 0.2, 0.3, 0.5, 0.8)
    assert BoxAugment(**json.loads(json.dumps(policy.to_dict()))) == policy
