"""Images and label maps move alike: colours and numbers both encode the source position."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.annotations import IGNORE
from foveate.data.rng import SampleRNG
from helpers.warp_checks import COUNT, SHAPES, SIDE, ids, make_rng, placed, policy, where

EVERY = {
    "nothing": policy(),
    "crop": policy(19),
    "flip": policy(flip=True),
    "quarters": policy(32, rot90=True),
    "rotation": policy(40, rotation=30.0),
    "scale": policy(scale_jitter=0.5),
    "elastic_sigma": policy(elastic_sigma=2.0),
    "larger": policy(70, flip=True, scale_jitter=0.2),
    "all": policy(33, flip=True, rot90=True, rotation=20.0, scale_jitter=0.4, elastic_sigma=1.0),
}
EXACT = ("nothing", "crop", "flip", "quarters")


# --- alike


@pytest.mark.parametrize("name", EVERY)
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_colour_comes_from_within_half_a_pixel_of_where_its_number_does(name, seed):
    """An interpolated colour fits the nearest pixel's label, also at reflected edges.

    Exact settings give that pixel's colour. 0.13: colours are rounded, to an eighth of a pixel.
    """
    images, targets = placed()
    images[..., 2] = 0
    for row, (height, width) in enumerate(
        SHAPES
    ):  # as if each picture went on: what is beyond it is the next test's
        images[row, height:] = images[row, height - 1]
        images[row, :, width:] = images[row, :, width - 1 : width]
    out, moved = EVERY[name].batch(images, targets, make_rng(seed=seed), 0.0)
    for canvas, numbers, (_, width) in zip(out.numpy(), moved, SHAPES, strict=True):
        away = np.abs(canvas[..., :2] / 4 - where(numbers, width))
        assert away.max() <= (0 if name in EXACT else 0.63)


@pytest.mark.parametrize("name", [name for name in EVERY if name not in EXACT])
def test_what_lies_beyond_a_small_image_on_its_canvas_is_never_seen(name):
    assert_no_padding(name)


@pytest.mark.parametrize("name", EXACT)
def test_nor_where_nothing_is_interpolated(name):
    assert_no_padding(name)


def assert_no_padding(name):
    images, targets = placed()
    for seed in range(10):
        out, _ = EVERY[name].batch(images, targets, make_rng(seed=seed), 0.0)
        assert not out[..., 2].any()


@pytest.mark.parametrize("name", EVERY)
def test_classes_are_never_invented_and_have_their_colour_away_from_their_edges(name):
    """With IGNORE. Blocks of 12 pixels in the colour of their class, three pixels apart."""
    rng = np.random.default_rng(0)
    classes = (
        rng.choice([IGNORE, 0, 7, 200], (COUNT, SIDE // 12, SIDE // 12)).repeat(12, 1).repeat(12, 2)
    )
    images = torch.from_numpy((classes + 3).astype(np.uint8))[..., None]
    for seed in range(5):
        out, moved = EVERY[name].batch(images, list(classes), make_rng(seed=seed), 0.0)
        for canvas, numbers in zip(out.numpy()[..., 0], moved, strict=True):
            assert set(np.unique(numbers).tolist()) <= {IGNORE, 0, 7, 200}
            around = np.lib.stride_tricks.sliding_window_view(numbers, (7, 7))
            within = around.min((2, 3)) == around.max((2, 3))
            assert within.mean() > 0.02
            assert np.array_equal(canvas[3:-3, 3:-3][within], numbers[3:-3, 3:-3][within] + 3)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("channels", [1, 5])
def test_what_went_in_is_untouched_and_what_comes_out_is_of_its_kind(name, channels):
    images = torch.randint(20, 200, (COUNT, SIDE, SIDE, channels), dtype=torch.uint8)
    _, targets = placed()
    kept, numbers = images.clone(), [target.copy() for target in targets]
    out, moved = EVERY[name].batch(images, targets, make_rng(), 0.0)
    crop = EVERY[name].crop
    assert torch.equal(images, kept)
    assert all(
        np.array_equal(target, before) for target, before in zip(targets, numbers, strict=True)
    )
    assert out.shape == (COUNT, crop, crop, channels)
    assert out.dtype == torch.uint8
    assert out.min() >= 20
    assert out.max() < 200
    assert all(one.shape == (crop, crop) and one.dtype == targets[0].dtype for one in moved)


def test_colours_change_without_their_targets():
    images, targets = placed()
    plain, moved = policy(flip=True, rotation=20.0).batch(images, targets, make_rng(), 0.0)
    coloured, others = policy(flip=True, rotation=20.0, colour=0.5).batch(
        images, targets, make_rng(), 0.0
    )
    assert all(np.array_equal(one, other) for one, other in zip(moved, others, strict=True))
    assert all(not torch.equal(one, other) for one, other in zip(plain, coloured, strict=True))


# --- by what is drawn


@pytest.mark.parametrize("name", EVERY)
def test_what_is_done_depends_on_seed_epoch_and_id_alone(name):
    """To the bit, also beside images so small that they are mirrored many times."""
    _, targets = placed(SHAPES * 6)
    count, open_generator = len(targets), torch.manual_seed(0)
    images = torch.randint(
        0, 256, (count, SIDE, SIDE, 8), dtype=torch.uint8, generator=open_generator
    )
    for seed in range(4):
        out, moved = EVERY[name].batch(images, targets, make_rng(count, seed, epoch=2), 0.0)
        for rows in (np.arange(count)[::-1], *np.arange(count)[:, None]):
            shown = SampleRNG(ids(count)[rows], seed, 2)
            other, numbers = EVERY[name].batch(
                images[rows.copy()], [targets[row] for row in rows], shown, 0.9
            )
            assert torch.equal(other, out[rows.copy()])
            assert all(
                np.array_equal(one, moved[row]) for one, row in zip(numbers, rows, strict=True)
            )


@pytest.mark.parametrize("name", EVERY)
def test_a_piece_of_an_image_that_lies_on_disk_is_that_of_the_image_in_memory(name):
    """To a rounding of colours, as places are told from another corner."""
    images, targets = placed()
    lazy = [
        Noted(image[:height, :width].numpy())
        for image, (height, width) in zip(images, SHAPES, strict=True)
    ]
    out, moved = EVERY[name].batch(images, targets, make_rng(seed=3), 0.0)
    read, same = replace(EVERY[name], crops_per_image=2).batch(lazy, targets, make_rng(seed=3), 0.0)
    assert (read.int() - out.int()).abs().max() <= (0 if name in EXACT else 1)
    assert all(np.array_equal(one, other) for one, other in zip(moved, same, strict=True))


def test_no_more_is_read_of_an_image_than_its_piece():
    pixels = np.zeros((500, 400, 3), np.uint8)
    images = [Noted(pixels) for _ in range(20)]
    target = np.zeros((500, 400), np.uint8)
    policy(20, crops_per_image=4, scale_jitter=0.25).batch(images, [target] * 20, make_rng(20), 0.0)
    assert all(image.read <= (1.25 * 20 + 3) ** 2 for image in images)
    assert {image.read > 0 for image in images} == {True}


class Noted:
    """A image that counts the pixels that are read of it."""

    def __init__(self, pixels):
        self.pixels, self.shape, self.read = pixels, pixels.shape, 0

    def __getitem__(self, which):
        found = self.pixels[which]
        self.read += found.shape[0] * found.shape[1]
        return found


@pytest.mark.parametrize("name", [name for name in EVERY if name != "nothing"])
def test_another_seed_or_epoch_is_another_change(name):
    images, targets = placed()
    shown = [
        EVERY[name].batch(images, targets, make_rng(COUNT, *at), 0.0)[0]
        for at in ((0, 0), (0, 1), (1, 0), (1, 1))
    ]
    assert not any(torch.equal(one, other) for one, other in combinations(shown, 2))


def test_without_any_change_an_image_is_shown_whole_in_every_epoch():
    images, targets = placed([(SIDE, SIDE)] * COUNT)
    for epoch in range(3):
        out, moved = policy().batch(images, targets, make_rng(epoch=epoch), 0.0)
        assert torch.equal(out, images)
        assert all(np.array_equal(one, target) for one, target in zip(moved, targets, strict=True))


@pytest.mark.parametrize(
    ("flip", "quarters"), [(False, False), (True, False), (False, True), (True, True)]
)
def test_flips_and_quarter_turns_are_exact_and_each_as_often_as_any_other(flip, quarters):
    """400 images: three times the deviation, on each side."""
    image = torch.randint(0, 256, (1, 9, 9, 3), dtype=torch.uint8)
    target = np.arange(81).reshape(9, 9)
    made = policy(9, flip=flip, rot90=quarters)
    out, moved = made.batch(image.expand(400, -1, -1, -1), [target] * 400, make_rng(400), 0.0)
    ways = [
        (mirror, turn)
        for mirror in (False, True)[: 1 + flip]
        for turn in range(4 if quarters else 1)
    ]
    seen = dict.fromkeys(ways, 0)
    for canvas, numbers in zip(out.numpy(), moved, strict=True):
        (way,) = [way for way in ways if np.array_equal(turned(target, *way), numbers)]
        assert np.array_equal(turned(image[0].numpy(), *way), canvas)
        seen[way] += 1
    share = 1 / len(ways)
    assert all(
        abs(count - 400 * share) <= 3 * (400 * share * (1 - share)) ** 0.5
        for count in seen.values()
    )


def turned(values, mirror, quarters):
    return np.rot90(values[:, ::-1] if mirror else values, quarters)


@pytest.mark.parametrize("crop", [20, 21])
def test_a_crop_is_an_exact_copy_of_a_piece_anywhere_in_the_image(crop):
    images, targets = placed([(30, 25)] * 300, side=40)
    out, moved = policy(crop).batch(images, targets, make_rng(300), 0.0)
    corners = np.array([divmod(int(numbers[0, 0]), 25) for numbers in moved])
    for canvas, numbers, (top, left) in zip(out, moved, corners, strict=True):
        assert np.array_equal(numbers, targets[0][top : top + crop, left : left + crop])
        assert torch.equal(canvas, images[0, top : top + crop, left : left + crop])
    for places, most in ((corners[:, 0], 30 - crop), (corners[:, 1], 25 - crop)):
        assert set(places) == set(range(most + 1))


@pytest.mark.parametrize(("height", "width"), [(5, 8), (1, 1), (1, 9), (7, 3), (12, 12), (30, 2)])
def test_beyond_its_edges_an_image_goes_on_as_in_a_mirror(height, width):
    """numpy's symmetric padding, of which the piece is some part that holds the image whole."""
    images, targets = placed([(height, width)] * 40, side=30)
    crop = 12
    out, moved = policy(crop).batch(images, targets, make_rng(40), 0.0)
    edges = [(max(0, crop - height),) * 2, (max(0, crop - width),) * 2]
    beyond = np.pad(targets[0], edges, mode="symmetric")
    colours = np.pad(images[0, :height, :width].numpy(), [*edges, (0, 0)], mode="symmetric")
    rooms = [range(size - crop + 1) for size in beyond.shape]
    places = set()
    for canvas, numbers in zip(out.numpy(), moved, strict=True):
        found = [
            (top, left) for top in rooms[0] for left in rooms[1]
            if np.array_equal(beyond[top : top + crop, left : left + crop], numbers)
            and np.array_equal(colours[top : top + crop, left : left + crop], canvas)
        ]  # fmt: skip
        assert found
        places.add(found[0])
    assert len(places) > 1 or (height, width) in ((12, 12), (1, 1))
