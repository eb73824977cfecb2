"""Four images in one: each in its quarter, at about half its size, with its own truth."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from foveate.annotations import IGNORE, Boxes, Instances, Mask
from foveate.data import label_maps
from foveate.data.augment.masks import MaskAugment, default_mask_policy
from helpers.warp_checks import make_rng, policy

SIDE = 40


def flat(count):
    """Pictures of one colour each, which their numbers tell too."""
    colours = 10 * np.arange(1, count + 1)
    images = torch.from_numpy(colours.astype(np.uint8))[:, None, None, None].repeat(
        1, SIDE, SIDE, 1
    )
    return images, [np.full((SIDE, SIDE), colour) for colour in colours]


@pytest.mark.parametrize("crop", [40, 33])
def test_each_quarter_is_of_another_image_and_its_target_is_that_images(crop):
    images, targets = flat(6)
    out, moved = policy(
        crop, mosaic=1.0, rotation=10.0, scale_jitter=0.25, elastic_sigma=1.0
    ).batch(images, targets, make_rng(6), 0.0)
    half = (crop + 1) // 2
    for row, (canvas, numbers) in enumerate(zip(out[..., 0].numpy(), moved, strict=True)):
        assert np.array_equal(canvas, numbers)
        quarters = (
            numbers[: crop - half, : crop - half],
            numbers[: crop - half, half:],
            numbers[half:, : crop - half],
        )
        for step, quarter in enumerate((*quarters, numbers[half:, half:])):
            assert np.unique(quarter).tolist() == [10 * (1 + (row + step) % 6)]


def test_quarters_show_images_at_their_scale_and_nowhere_twice():
    """Numbers tell the row: from one pixel of a piece to the next it is SMALLER of them."""
    target = np.arange(SIDE)[:, None].repeat(SIDE, 1)
    images = torch.zeros(4, SIDE, SIDE, 1, dtype=torch.uint8)
    _, moved = policy(SIDE, mosaic=1.0).batch(images, [target] * 4, make_rng(4), 0.0)
    for numbers in moved:
        for top in (0, SIDE // 2):
            quarter = numbers[top : top + SIDE // 2]
            assert (quarter[-1] - quarter[0]).min() == pytest.approx(1.6 * (SIDE // 2 - 1), abs=1.1)
            assert (np.diff(quarter, axis=0) > 0).all()


def test_so_many_canvases_are_so_until_the_run_is_so_far_and_the_others_are_as_without():
    images, targets = flat(20)
    made = policy(SIDE, mosaic=0.5, mosaic_until=0.8)
    mixed = [
        len(np.unique(one)) > 1
        for seed in range(10)
        for one in made.batch(images, targets, make_rng(20, seed), 0.5)[1]
    ]
    assert np.mean(mixed) == pytest.approx(0.5, abs=3 * 0.5 / 200**0.5)
    for progress, batch in ((0.8, 20), (0.0, 3)):  # late, and too few for four
        _, moved = made.batch(images[:batch], targets[:batch], make_rng(batch), progress)
        assert all(np.array_equal(one, other) for one, other in zip(moved, targets, strict=False))
    shown = [
        policy(SIDE, flip=True, mosaic=split, mosaic_until=0.8).batch(
            images, targets, make_rng(20), 0.9
        )[0]
        for split in (0.0, 0.5)
    ]
    assert torch.equal(*shown)


def test_of_an_empty_batch_nothing_is_made():
    out, moved = policy(SIDE, mosaic=1.0).batch(
        torch.zeros(0, SIDE, SIDE, 3, dtype=torch.uint8), [], make_rng(0), 0.0
    )
    assert out.shape == (0, SIDE, SIDE, 3)
    assert moved == []


def test_objects_of_all_four_are_objects_of_the_canvas_with_their_own_flags():
    images = torch.zeros(4, SIDE, SIDE, 1, dtype=torch.uint8)
    targets = []
    for row in range(4):
        ids = np.zeros((SIDE, SIDE), np.int32)
        ids[12:28, 4:18], ids[12:28, 22:36] = 1, 2
        images[row, ..., 0] = torch.from_numpy(25 * (2 * row + ids) * (ids > 0) + 20).to(
            torch.uint8
        )
        classes = np.array([2 * row, 2 * row + 1])
        targets.append(
            Instances.from_label_map(ids, Boxes(np.zeros((2, 4)), classes, difficult=classes == 5))
        )
    made = MaskAugment(Instances.label_map, label_maps.paste_instances, SIDE, mosaic=1.0)
    out, moved = made.batch(images, targets, make_rng(4), 0.0)
    for canvas, found in zip(out[..., 0].numpy(), moved, strict=True):
        assert found.boxes.size == (SIDE, SIDE)
        assert sorted(found.boxes.classes.tolist()) == list(range(8))
        assert np.array_equal(found.boxes.difficult, found.boxes.classes == 5)
        for mask, k in zip(found.masks((SIDE, SIDE)), found.boxes.classes.tolist(), strict=True):
            row, number = divmod(k, 2)
            assert np.median(canvas[mask]) == 25 * (2 * row + number + 1) + 20


def test_classes_keep_what_is_to_be_left_out():
    images = torch.zeros(4, SIDE, SIDE, 1, dtype=torch.uint8)
    targets = [Mask.from_array(np.full((SIDE, SIDE), value)) for value in (IGNORE, 0, 7, 300)]
    made = MaskAugment(lambda target: target.pixels.read(), label_maps.paste_mask, SIDE, mosaic=1.0)
    for found in made.batch(images, targets, make_rng(4), 0.0)[1]:
        assert np.unique(found.pixels.read()).tolist() == [IGNORE, 0, 7, 300]


def test_images_that_are_cut_into_pieces_anyhow_are_not_put_together():
    assert default_mask_policy(256, "auto", False)["mosaic"] > 0
    assert "mosaic" not in default_mask_policy(257, "auto", False)
    assert "mosaic" not in default_mask_policy(64, "none", False)
