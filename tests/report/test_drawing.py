"""Masks and things painted into pictures: where they are, in their colours, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from foveate.report import drawing
from helpers import report_demo as demo

INKS = [(250, 0, 0), (0, 250, 0), (0, 0, 250)]


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def is_ink(image, colour):
    return (image == np.array(colour)).all(2)


# --- sizes and bands


@pytest.mark.parametrize(
    ("shape", "times"),
    [((1, 1), 320), ((16, 8), 20), ((160, 3), 2), ((161, 3), 1), ((5, 500), 1), ((320, 320), 1)],
)
def test_small_pictures_are_enlarged_by_a_whole_number(shape, times):
    image = noise(*shape, 3)
    made = drawing.legible(image)
    assert np.array_equal(made, image.repeat(times, 0).repeat(times, 1))
    assert not np.shares_memory(made, image)
    for own in (
        drawing.classes(image, np.zeros(shape, int), INKS),
        drawing.instances(image, np.ones(shape, int), np.zeros(1, int)),
    ):
        assert (own.shape, own.dtype) == (made.shape, np.uint8)


@pytest.mark.parametrize(
    ("bands", "shown"), [(1, [0, 0, 0]), (2, [0, 0, 0]), (3, [0, 1, 2]), (5, [0, 1, 2])]
)
def test_pictures_of_any_bands_are_shown_in_three(bands, shown):
    image = noise(400, 330, bands)
    assert np.array_equal(drawing.rgb(image), image[..., shown])
    nowhere = np.zeros((400, 330), int)
    assert np.array_equal(drawing.instances(image, nowhere, np.zeros(0, int)), image[..., shown])
    assert np.array_equal(drawing.classes(image, nowhere - 1, INKS), image[..., shown])


def test_nothing_is_drawn_into_the_picture_that_was_given():
    image = noise(400, 330, 3)
    image.flags.writeable = False
    ids = np.ones((400, 330), int)
    for made in (
        drawing.classes(image, ids, INKS),
        drawing.instances(image, ids, np.zeros(1, int)),
        drawing.painted(image, np.zeros_like(image), ids > 0),
    ):
        made[:] = 0
    assert np.array_equal(image, noise(400, 330, 3))


# --- classes


def test_ink_is_mixed_with_the_pictures_grey_where_it_is_to_be_and_nowhere_else():
    image, ink, where = noise(9, 7, 3), noise(9, 7, 3, seed=1), noise(9, 7, seed=2) > 128
    made = drawing.painted(image, ink, where)
    assert np.array_equal(made[~where], image[~where])
    for row, column in np.argwhere(where):
        grey = sum(map(float, image[row, column])) / 3
        mixed = [
            (1 - drawing.OPACITY) * grey + drawing.OPACITY * float(one) for one in ink[row, column]
        ]
        assert np.abs(made[row, column] - np.array(mixed)).max() <= 0.5 + 1e-9


def test_each_class_is_in_its_colour_and_what_has_none_is_as_it_was():
    image = np.full((400, 300, 1), 90, np.uint8)
    values = np.full((400, 300), -1)
    values[:100], values[100:200], values[200:300] = 0, 2, 1
    made = drawing.classes(image, values, INKS)
    for start, k in ((0, 0), (100, 2), (200, 1)):
        (tint,) = np.unique(made[start : start + 100].reshape(-1, 3), axis=0)
        assert tint.argmax() == k
    assert (made[300:] == 90).all()


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.int32, np.int64])
def test_classes_of_any_whole_numbers_and_more_of_them_than_colours(kind):
    names = 100
    values = np.arange(-1, names).repeat(4)[None].repeat(6, 0).astype(kind)
    made = drawing.classes(
        noise(6, values.shape[1], 1), values, [drawing.colour(k) for k in range(names)]
    )
    assert made.dtype == np.uint8
    assert made.shape == (6, values.shape[1], 3)


# --- things


def brute_edges(ids):
    height, width = ids.shape
    edges = np.zeros(ids.shape, bool)
    for row, column in np.argwhere(ids > 0):
        around = [(row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)]
        inside = [place for place in around if 0 <= place[0] < height and 0 <= place[1] < width]
        edges[row, column] = any(ids[place] != ids[row, column] for place in inside)
    return edges


def numbers(seed=0, shape=(170, 162)):
    """Blocks of four things, some of which touch each other or the border."""
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 5, (shape[0] // 17 + 1, shape[1] // 17 + 1))
    return cells.repeat(17, 0).repeat(17, 1)[: shape[0], : shape[1]]


def test_things_are_edged_where_they_end_and_tinted_within():
    ids, kinds = numbers(), np.array([0, 1, 2, 1])
    image = noise(*ids.shape, 3)
    made, edges = drawing.instances(image, ids, kinds), brute_edges(ids)
    for number, k in enumerate(kinds, 1):
        ink = drawing.colour(int(k))
        assert is_ink(made, ink)[(ids == number) & edges].all()
        within = (ids == number) & ~edges
        tinted = drawing.painted(
            image, np.broadcast_to(np.array(ink, np.uint8), image.shape), within
        )
        assert np.array_equal(made[within], tinted[within])
    assert np.array_equal(made[ids == 0], image[ids == 0])


def test_in_one_ink_there_are_edges_alone():
    ids = numbers(1)
    image = noise(*ids.shape, 3)
    for ink in ((214, 40, 40), (0, 0, 0)):
        made, edges = drawing.instances(image, ids, np.zeros(4, int), ink=ink), brute_edges(ids)
        assert is_ink(made, ink)[edges].all()
        assert np.array_equal(made[~edges], image[~edges])


def test_two_things_of_a_class_that_touch_have_an_edge_between():
    ids = np.array([[1, 2]]).repeat(170, 0).repeat(85, 1)
    made = drawing.instances(np.zeros((170, 170, 1), np.uint8), ids, np.zeros(2, int))
    ink = is_ink(made, drawing.colour(0))
    assert ink[:, 84:86].all()
    assert ink.sum() == 170 * 2  # and none along the picture's border


def test_edges_are_as_thin_on_pictures_that_are_enlarged():
    ids = np.zeros((32, 32), int)
    ids[8:16, 8:16] = 1
    made = is_ink(
        drawing.instances(np.zeros((32, 32, 1), np.uint8), ids, np.zeros(1, int)), drawing.colour(0)
    )
    large = ids.repeat(10, 0).repeat(10, 1) > 0
    assert np.array_equal(made, large & ~binary_erosion(large))


# --- the legend


@pytest.mark.parametrize("width", [200, 320, 800])
@pytest.mark.parametrize("count", [0, 1, 3, 30])
def test_the_legend_has_a_swatch_of_each_colour_and_the_width_that_is_asked_for(width, count):
    inks = [(7, 8 * k, 9) for k in range(count)]
    made = drawing.legend([f"class {k}" for k in range(count)], inks, width)
    assert (made.shape[1:], made.dtype) == ((width, 3), np.uint8)
    for ink in inks:
        assert is_ink(made, ink).sum() > 80
    assert (made[[0, -1]] == 255).all()
    assert (made[:, 0] == 255).all()


def test_names_that_do_not_fit_go_on_below():
    one, many = (drawing.legend(["a name"] * count, INKS[:1] * count, 320) for count in (1, 20))
    assert many.shape[0] > 3 * one.shape[0]


@pytest.mark.parametrize("name", [demo.HOSTILE, "two\nlines", "", " ", "犬", "bad\udcff name"])
def test_any_name_can_stand_in_the_legend(name):
    made = drawing.legend([name, "next"], INKS[:2], 320)
    assert is_ink(made, INKS[0]).any()
    assert is_ink(made, INKS[1]).any()


def test_fewer_names_than_colours_are_the_first_of_them():
    made = drawing.legend(["only"], INKS, 320)
    assert [is_ink(made, ink).any() for ink in INKS] == [True, False, False]
