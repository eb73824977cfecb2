"""Masks and instances are drawn at their place, in their colours, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from foveate.report import drawing
from helpers import report_demo as demo

COLOURS = [(250, 0, 0), (0, 250, 0), (0, 0, 250)]


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def has_colour(image, colour):
    return (image == np.array(colour)).all(2)


# --- sizes and channels


@pytest.mark.parametrize(
    ("shape", "times"),
    [((1, 1), 320), ((16, 8), 20), ((160, 3), 2), ((161, 3), 1), ((5, 500), 1), ((320, 320), 1)],
)
def test_small_images_are_enlarged_by_a_whole_number(shape, times):
    image = noise(*shape, 3)
    result = drawing.enlarge_small(image)
    assert np.array_equal(result, image.repeat(times, 0).repeat(times, 1))
    assert not np.shares_memory(result, image)
    for drawn in (
        drawing.draw_class_map(image, np.zeros(shape, int), COLOURS),
        drawing.draw_instances(image, np.ones(shape, int), np.zeros(1, int)),
    ):
        assert (drawn.shape, drawn.dtype) == (result.shape, np.uint8)


@pytest.mark.parametrize(
    ("bands", "shown"), [(1, [0, 0, 0]), (2, [0, 0, 0]), (3, [0, 1, 2]), (5, [0, 1, 2])]
)
def test_images_of_any_number_of_channels_become_rgb(bands, shown):
    image = noise(400, 330, bands)
    assert np.array_equal(drawing.to_rgb(image), image[..., shown])
    nowhere = np.zeros((400, 330), int)
    assert np.array_equal(
        drawing.draw_instances(image, nowhere, np.zeros(0, int)), image[..., shown]
    )
    assert np.array_equal(drawing.draw_class_map(image, nowhere - 1, COLOURS), image[..., shown])


def test_the_input_image_is_not_modified():
    image = noise(400, 330, 3)
    image.flags.writeable = False
    ids = np.ones((400, 330), int)
    for result in (
        drawing.draw_class_map(image, ids, COLOURS),
        drawing.draw_instances(image, ids, np.zeros(1, int)),
        drawing.tint(image, np.zeros_like(image), ids > 0),
    ):
        result[:] = 0
    assert np.array_equal(image, noise(400, 330, 3))


# --- classes


def test_colours_are_mixed_with_the_image_only_where_asked():
    image, colours, where = noise(9, 7, 3), noise(9, 7, 3, seed=1), noise(9, 7, seed=2) > 128
    result = drawing.tint(image, colours, where)
    assert np.array_equal(result[~where], image[~where])
    for row, column in np.argwhere(where):
        mixed = [
            (1 - drawing.OPACITY) * float(pixel) + drawing.OPACITY * float(value)
            for pixel, value in zip(image[row, column], colours[row, column], strict=True)
        ]
        assert np.abs(result[row, column] - np.array(mixed)).max() <= 0.5 + 1e-9


def test_each_class_is_outlined_in_its_colour_and_the_image_stays_visible():
    image = np.full((400, 300, 1), 90, np.uint8)
    values = np.full((400, 300), -1)
    values[:100], values[100:200], values[200:300] = 0, 2, 1
    result = drawing.draw_class_map(image, values, COLOURS)
    for start, k in ((0, 0), (100, 2), (200, 1)):
        (tint,) = np.unique(result[start + 1 : start + 99].reshape(-1, 3), axis=0)
        assert tint.argmax() == k
        assert np.abs(tint.astype(int) - 90).max() < 0.35 * 255
        for row in {start, start + 99} - {0}:
            assert has_colour(result, COLOURS[k])[row].all()
    assert (result[300:] == 90).all()


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64])
def test_class_maps_can_have_any_integer_type_and_more_classes_than_colours(dtype):
    classes = 100
    values = np.arange(-1, classes).repeat(4)[None].repeat(6, 0).astype(dtype)
    result = drawing.draw_class_map(
        noise(6, values.shape[1], 1), values, [drawing.class_colour(k) for k in range(classes)]
    )
    assert result.dtype == np.uint8
    assert result.shape == (6, values.shape[1], 3)


# --- instances


def brute_edges(ids):
    height, width = ids.shape
    edges = np.zeros(ids.shape, bool)
    for row, column in np.argwhere(ids > 0):
        around = [(row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)]
        inside = [at for at in around if 0 <= at[0] < height and 0 <= at[1] < width]
        edges[row, column] = any(ids[at] != ids[row, column] for at in inside)
    return edges


def label_map(seed=0, shape=(170, 162)):
    """Blocks of four instances, some of which touch each other or the border."""
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 5, (shape[0] // 17 + 1, shape[1] // 17 + 1))
    return cells.repeat(17, 0).repeat(17, 1)[: shape[0], : shape[1]]


def test_instances_are_outlined_and_tinted_inside():
    ids, classes = label_map(), np.array([0, 1, 2, 1])
    image = noise(*ids.shape, 3)
    result, edges = drawing.draw_instances(image, ids, classes), brute_edges(ids)
    for number, k in enumerate(classes, 1):
        colour = drawing.class_colour(int(k))
        assert has_colour(result, colour)[(ids == number) & edges].all()
        within = (ids == number) & ~edges
        tinted = drawing.tint(
            image, np.broadcast_to(np.array(colour, np.uint8), image.shape), within
        )
        assert np.array_equal(result[within], tinted[within])
    assert np.array_equal(result[ids == 0], image[ids == 0])


def test_with_an_edge_colour_only_outlines_are_drawn():
    ids = label_map(1)
    image = noise(*ids.shape, 3)
    for colour in ((214, 40, 40), (0, 0, 0)):
        result, edges = (
            drawing.draw_instances(image, ids, np.zeros(4, int), edge_colour=colour),
            brute_edges(ids),
        )
        assert has_colour(result, colour)[edges].all()
        assert np.array_equal(result[~edges], image[~edges])


def test_two_touching_instances_of_a_class_have_an_edge_between_them():
    ids = np.array([[1, 2]]).repeat(170, 0).repeat(85, 1)
    result = drawing.draw_instances(np.zeros((170, 170, 1), np.uint8), ids, np.zeros(2, int))
    colour = has_colour(result, drawing.class_colour(0))
    assert colour[:, 84:86].all()
    assert colour.sum() == 170 * 2  # and none along the border of the image


def test_edges_stay_thin_on_enlarged_images():
    ids = np.zeros((32, 32), int)
    ids[8:16, 8:16] = 1
    result = has_colour(
        drawing.draw_instances(np.zeros((32, 32, 1), np.uint8), ids, np.zeros(1, int)),
        drawing.class_colour(0),
    )
    large = ids.repeat(10, 0).repeat(10, 1) > 0
    assert np.array_equal(result, large & ~binary_erosion(large))


# --- the legend


@pytest.mark.parametrize("width", [200, 320, 800])
@pytest.mark.parametrize("count", [0, 1, 3, 30])
def test_the_legend_has_a_swatch_of_each_colour_and_the_requested_width(width, count):
    colours = [(7, 8 * k, 9) for k in range(count)]
    result = drawing.draw_legend([f"class {k}" for k in range(count)], colours, width)
    assert (result.shape[1:], result.dtype) == ((width, 3), np.uint8)
    for colour in colours:
        assert has_colour(result, colour).sum() > 80
    assert (result[[0, -1]] == 255).all()
    assert (result[:, 0] == 255).all()


def test_names_that_do_not_fit_wrap_to_the_next_line():
    one, many = (
        drawing.draw_legend(["a name"] * count, COLOURS[:1] * count, 320) for count in (1, 20)
    )
    assert many.shape[0] > 3 * one.shape[0]


@pytest.mark.parametrize("name", [demo.HOSTILE, "two\nlines", "", " ", "犬", "bad\udcff name"])
def test_the_legend_accepts_any_name(name):
    result = drawing.draw_legend([name, "next"], COLOURS[:2], 320)
    assert has_colour(result, COLOURS[0]).any()
    assert has_colour(result, COLOURS[1]).any()


def test_the_legend_of_fewer_names_than_colours_uses_the_first_colours():
    result = drawing.draw_legend(["only"], COLOURS, 320)
    assert [has_colour(result, colour).any() for colour in COLOURS] == [True, False, False]
