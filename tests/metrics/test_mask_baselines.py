"""Baselines of classes at pixels on sets whose prediction is known beforehand."""

from __future__ import annotations

import numpy as np
import pytest

from foveate.annotations import IGNORE, Mask
from foveate.data.subset import Subset
from foveate.metrics.baselines.masks import GRID_SIDE, MAX_IMAGES, fit_baselines

COMMON, PLACE, COLOUR = (
    "most common class",
    "most common class of each position",
    "colour alone (k-means)",
)
RNG = np.random.default_rng


def noise(count, height=24, width=24, bands=1, seed=0):
    return RNG(seed).integers(0, 256, (count, height, width, bands), dtype=np.uint8)


def predict_all(images, values, asked=None, classes=3, seed=0):
    """(H, W) classes of each prediction, by the baseline's name."""
    made = fit_baselines(images, [Mask.from_array(one) for one in values], classes, seed)(
        images if asked is None else asked
    )
    return {name: [mask.pixels.read() for mask in masks] for name, masks in made.items()}


def right(made, values):
    """Which baselines are right at every pixel."""
    return {name for name, masks in made.items() if all(map(np.array_equal, masks, values))}


def quarters(height=24, width=24):
    """Three classes, each in its place."""
    values = np.zeros((height, width), int)
    values[: height // 2, : width // 3], values[height // 3 :, width // 2 :] = 1, 2
    return values


def scattered(count, side=24, classes=3, seed=0):
    return RNG(seed).integers(0, classes, (count, side, side))


def test_where_all_is_one_class_every_baseline_is_right():
    values = [np.ones((24, 24), int)] * 4
    assert right(predict_all(noise(4), values), values) == {COMMON, PLACE, COLOUR}


def test_the_most_common_class_is_that_of_most_pixels_not_of_most_images():
    values = [np.zeros((24, 24), int) for _ in range(3)]
    for one in values[:2]:
        one[13:] = 2
    values[2][:] = 2
    assert all((mask == 2).all() for mask in predict_all(noise(3), values)[COMMON])


def test_where_each_place_has_its_class_only_the_most_common_of_each_place_is_right():
    values = [quarters()] * 5
    assert right(predict_all(noise(5), values), values) == {PLACE}


def test_where_each_colour_has_its_class_only_colour_is_right():
    values = scattered(5)
    colours = np.array([[10, 200, 30], [200, 20, 90], [90, 90, 250]], np.uint8)
    assert right(predict_all(colours[values], values), values) == {COLOUR}


@pytest.mark.parametrize("bands", [1, 3, 5])
def test_colours_are_told_apart_in_images_of_any_bands(bands):
    values = scattered(3)
    colours = RNG(1).permutation(np.arange(0, 240, 80))[:, None] + np.arange(bands)
    assert COLOUR in right(predict_all(colours.astype(np.uint8)[values], values), values)


def test_many_colours_of_a_class_may_share_it():
    values = scattered(4, classes=2)
    images = (RNG(0).integers(0, 100, values.shape) + 150 * values).astype(np.uint8)[..., None]
    assert right(predict_all(images, values, classes=2), values) == {COLOUR}


@pytest.mark.parametrize(
    ("shape", "bands"), [((48, 72), 1), ((1, 1), 1), ((7, 500), 3), ((300, 2), 3)]
)
def test_predictions_have_the_size_of_the_image_that_is_asked_about(shape, bands):
    made = predict_all(
        noise(3, bands=bands),
        scattered(3),
        asked=[np.zeros((*shape, bands), np.uint8), noise(1)[0]],
    )
    for name, masks in made.items():
        assert [mask.shape for mask in masks] == [shape, (24, 24)], name
        assert all(mask.min() >= 0 and mask.max() < 3 for mask in masks), name


def test_places_are_shares_of_the_images_sides():
    large = quarters().repeat(2, 0).repeat(3, 1)
    made = predict_all(noise(2), [quarters()] * 2, asked=[noise(1, 48, 72)[0]])
    assert np.array_equal(made[PLACE][0], large)


def test_images_larger_than_the_grid_are_right_but_for_a_cell_at_each_border():
    values = quarters(300, 200)
    made = predict_all(noise(2, 300, 200), [values] * 2)[PLACE][0]
    wrong = made != values
    assert 0 < wrong.mean() < 3 / GRID_SIDE
    away = -(-300 // GRID_SIDE)
    grown = [
        np.roll(values, (down, across), (0, 1))
        for down in (-away, 0, away)
        for across in (-away, 0, away)
    ]
    assert not (wrong & (np.array(grown) == values).all(0)).any()


@pytest.mark.parametrize(("learnt", "asked"), [(1, 3), (3, 1)])
def test_grey_and_coloured_images_may_be_asked_about(learnt, asked):
    values, grey = scattered(2), np.array([20, 120, 220], np.uint8)
    images = grey[values][..., None]
    made = predict_all(images.repeat(learnt, 3), values, asked=images.repeat(asked, 3))
    assert COLOUR in right(made, values)


# --- what nobody labelled


def test_a_pixel_that_nobody_labelled_is_not_learnt():
    """Most pixels are of a colour, and at a place, that would win if they counted."""
    values, images = np.zeros((3, 24, 24), int), np.full((3, 24, 24, 1), 200, np.uint8)
    values[:, :4], images[:, :4] = 1, 50
    values[:, 4:20] = IGNORE
    values[0, 4:20, 5] = 1  # the place's class, wherever anybody said one
    images[0, 4:20, 5] = 50
    made = predict_all(images, values)
    assert all((mask == 1).all() for mask in made[COMMON])
    expected = np.where(np.arange(24) < 20, 1, 0)[:, None].repeat(24, 1)
    assert np.array_equal(made[PLACE][0], expected)
    assert np.array_equal(made[COLOUR][0], (images[0, ..., 0] == 50).astype(int))


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_where_nothing_is_labelled_there_is_an_prediction_all_the_same(channels):
    made = predict_all(noise(2, bands=channels), np.full((2, 24, 24), IGNORE))
    for name, masks in made.items():
        assert all((mask == 0).all() for mask in masks), name


def test_letterboxed_images_count_without_their_padding():
    pixels = np.full((2, 24, 24, 1), 114, np.uint8)
    values = [quarters(24, 12), quarters(6, 24)]
    colours = np.array([30, 114, 220], np.uint8)
    pixels[0, :, :12, 0], pixels[1, :6, :, 0] = colours[values[0]], colours[values[1]]
    rows = Subset(pixels, np.arange(2), np.array([[24, 12], [6, 24]]))
    made = predict_all(rows, values, asked=[rows[0], rows[1]])
    assert right(made, values) == {PLACE, COLOUR}
    assert np.array_equal(predict_all(rows, values, asked=noise(1, 24, 24))[PLACE][0], quarters())


# --- how many


def test_one_image_is_its_own_prediction():
    values = [quarters()]
    images = np.array([20, 120, 220], np.uint8)[quarters()][None, ..., None]
    assert right(predict_all(images, values), values) == {PLACE, COLOUR}


def test_one_pixel_is_enough():
    made = predict_all(np.full((1, 1, 1, 3), 7, np.uint8), [np.array([[2]])])
    assert {name: masks[0].item() for name, masks in made.items()} == dict.fromkeys(
        (COMMON, PLACE, COLOUR), 2
    )


def test_no_more_images_are_read_than_are_said():
    read = []

    class Counted:
        def __init__(self, row):
            self.row = row

        def read(self):
            read.append(self.row)
            return np.full((4, 4), 1, np.int32)

    targets = [Mask(Counted(row)) for row in range(MAX_IMAGES + 50)]
    made = fit_baselines(noise(MAX_IMAGES + 50, 4, 4), targets, 3, 0)(noise(1))
    assert len(set(read)) == MAX_IMAGES
    assert all((masks[0].pixels.read() == 1).all() for masks in made.values())


def test_no_image_is_asked_about():
    assert predict_all(noise(2), scattered(2), asked=[]) == {COMMON: [], PLACE: [], COLOUR: []}


def test_three_hundred_classes():
    values = RNG(0).integers(0, 300, (20, 24, 24))
    values[:, :20] = 299
    made = predict_all(noise(20), values, classes=300)
    assert (made[COMMON][0] == 299).all()
    assert (made[PLACE][0][:20] == 299).all()


def test_same_seed_same_predictions():
    images, values = noise(4, bands=3), scattered(4)
    one, other = (predict_all(images, values, seed=5) for _ in range(2))
    assert all(right(one, other[name]) >= {name} for name in one)
