"""What is drawn over an image: outlines are exact, light, and say what they belong to."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from foveate.annotations import Boxes
from foveate.report import data_uris, overlays
from foveate.report.drawing import TARGET_COLOUR
from foveate.report.page import render_html
from foveate.report.panels import Gallery, GalleryItem, Page
from foveate.report.tools import detail


def filled(path: str, shape: tuple[int, int]) -> np.ndarray:
    """The pixels inside a path of steps, by the even-odd rule: (H, W) bool."""
    inside = np.zeros(shape, bool)
    x = y = 0
    for command, one, two in re.findall(r"([MhvZz])(-?\d+)?(?: (-?\d+))?", path):
        if command == "M":
            x, y = int(one), int(two)
        elif command == "h":
            x += int(one)
        elif command == "v":
            top, bottom = sorted((y, y + int(one)))
            inside[top:bottom, x:] ^= True
            y += int(one)
    return inside


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 5), (20, 30)])
def test_the_outline_of_any_mask_encloses_its_pixels(seed, shape):
    mask = np.random.default_rng(seed).random(shape) < (0.2, 0.5, 0.8, 1.0)[seed % 4]
    path = overlays.mask_path(mask)
    assert np.array_equal(filled(path, shape), mask)
    moved = overlays.mask_path(mask, (3, 2))
    assert np.array_equal(filled(moved, (shape[0] + 2, shape[1] + 3))[2:, 3:], mask)


def test_straight_sides_are_one_step():
    assert overlays.mask_path(np.ones((30, 20), bool)) == "M0 0h20v30h-20v-30z"
    assert overlays.mask_path(np.zeros((3, 3), bool)) == ""


def test_masks_are_outlined_at_a_size_that_keeps_the_page_small():
    label_map = np.zeros((2000, 1000), np.int32)
    label_map[200:400, 100:300], label_map[1000:1100, 500:900] = 1, 3
    boxes = Boxes(np.zeros((3, 4)), [0, 1, 2], np.array([0.4, 0.9, 0.8]))
    layer = overlays.masks_layer("prediction", label_map, boxes, [(1, 1, 1), (2, 2, 2), (3, 3, 3)])
    assert layer.size == (overlays.MAX_OUTLINE_SIDE, overlays.MAX_OUTLINE_SIDE // 2)
    assert [(one.score, one.label, one.colour) for one in layer.shapes] == [
        (0.8, 2, (3, 3, 3)), (0.4, 0, (1, 1, 1)),
    ]  # fmt: skip
    assert all(one.shown for one in layer.shapes)
    assert np.argwhere(filled(layer.shapes[1].path, layer.size)).min(0).tolist() == [48, 24]


def test_predicted_boxes_come_by_confidence_with_the_name_of_their_class():
    boxes = Boxes(np.array([[0, 1, 20.25, 30], [5, 5, 6, 6]]), [1, 0], np.array([0.2, 0.9]))
    layer = overlays.predicted_boxes(boxes, (40, 50), ["cat", "dog"], np.array([False, True]))
    assert [one.caption for one in layer.shapes] == ["cat 90%", "dog 20%"]
    assert [one.shown for one in layer.shapes] == [True, False]
    assert layer.shapes[1].path == "M0 1H20.2V30H0Z"
    assert layer.shapes[1].place == (0, 1)


def test_of_a_crowd_the_most_confident_are_drawn():
    many = overlays.MAX_SHAPES + 50
    scores = np.linspace(0, 1, many)
    boxes = Boxes(np.zeros((many, 4)), np.zeros(many), scores)
    layer = overlays.predicted_boxes(boxes, (9, 9), ["cat"], np.ones(many, bool))
    assert len(layer.shapes) == overlays.MAX_SHAPES
    assert min(one.score for one in layer.shapes) == scores[50]


def test_a_page_says_how_many_outlines_it_leaves_out():
    boxes = Boxes(np.zeros((1000, 4)), np.zeros(1000), np.linspace(0, 1, 1000))
    label_map = np.arange(1, 1001).reshape(25, 40).repeat(2, 0)
    for layer in (
        overlays.target_boxes(boxes, (9, 9)),
        overlays.named_boxes(boxes, (9, 9), ["cat"]),
        overlays.masks_layer("target", label_map, boxes, [TARGET_COLOUR] * 1000),
    ):
        assert len(layer.shapes) == overlays.MAX_SHAPES == 300
        item = GalleryItem(np.zeros((9, 9, 3), np.uint8), "crowd", "x.png", layers=[layer])
        page = Page("t", "", "a", "v", "plain", panels=[Gallery("g", "", [item])])
        assert "<small>x.png · 300 of 1,000 targets outlined</small>" in render_html(page)
    few = overlays.target_boxes(boxes[:300], (9, 9))
    item = GalleryItem(np.zeros((9, 9, 3), np.uint8), "few", "x.png", layers=[few])
    assert detail(item) == "x.png"


def test_pixels_with_opacity_are_encoded_without_loss():
    class_map = np.repeat(np.arange(-1, 5), 20)[None].repeat(9, 0)
    colours = [(40 * k, 255 - 40 * k, 7) for k in range(5)]
    layer = overlays.class_map_layer("prediction", class_map, colours, filled=True)
    assert np.array_equal(decoded(data_uris.pixels_data_uri(layer.filling)), layer.filling)
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 4), dtype=np.uint8)
    assert np.array_equal(decoded(data_uris.pixels_data_uri(noise)), noise)


def test_overlays_of_large_images_are_no_larger_than_the_page_needs():
    class_map = np.zeros((3000, 4000), np.int32)
    class_map[:, 2000:] = 1
    side = overlays.MAX_OUTLINE_SIDE
    size = (side * 3 // 4, side)
    for layer in (
        overlays.class_map_layer("prediction", class_map, [(1, 2, 3), (4, 5, 6)], filled=True),
        overlays.error_layer(class_map == 1, (4, 5, 6)),
    ):
        (shape,) = layer.shapes
        assert layer.size == size
        assert layer.filling.shape == (*size, 4)
        assert np.array_equal(filled(shape.path, size), np.indices(size)[1] >= side // 2)
        assert shape.colour == tuple(layer.filling[5, -1, :3]) == (4, 5, 6)


def decoded(uri: str) -> np.ndarray:
    import base64
    import io

    return np.asarray(
        Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGBA")
    )


def test_guesses_about_one_mask_share_its_outline():
    label_map = np.zeros((9, 9), np.int32)
    label_map[2:5, 3:6] = 1
    boxes = Boxes(np.zeros((2, 4)), [0, 1], np.array([0.4, 0.9]))
    numbers, shown = np.array([1, 1]), np.array([False, True])
    layer = overlays.masks_layer(
        "prediction", label_map, boxes, [(1, 1, 1), (2, 2, 2)], numbers=numbers, shown=shown
    )
    assert [(one.path, one.label, one.shown) for one in layer.shapes] == [
        ("M3 2h3v3h-3v-3z", 1, True), ("M3 2h3v3h-3v-3z", 0, False),
    ]  # fmt: skip
