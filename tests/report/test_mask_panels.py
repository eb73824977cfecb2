"""The report panels on semantic masks have the right metrics and images."""

from __future__ import annotations

import numpy as np
import pytest
from test_page import Walk

from foveate.annotations import IGNORE, Mask
from foveate.metrics import semantic
from foveate.report import drawing
from foveate.report.mask_panels import (
    ERROR_COLOUR,
    MAX_MATRIX_CLASSES,
    MAX_WORST_IMAGES,
    mask_panels,
    worst_images,
)
from foveate.report.overlays import mask_path
from foveate.report.page import render_html
from foveate.report.panels import Bars, ConfusionMatrix, Gallery, Page, Table
from helpers import report_demo as demo

TITLES = [
    "IoU by class",
    "Metrics by class",
    "Confusion matrix",
    "Images with the lowest IoU",
]


def grey(shape=(20, 30, 3)):
    return np.full(shape, 90, np.uint8)


def page_of(pairs, classes=("ground", "cat", "dog"), image=lambda row: grey()):
    """The panels by title, and the parsed page; pairs: (H, W) predictions and targets."""
    scorer = semantic.Scorer(
        semantic.per_image_stats([semantic.compare(*pair, len(classes)) for pair in pairs]),
        len(classes),
    )
    panels = mask_panels(
        scorer,
        [f"{row}.png" for row in range(len(pairs))],
        image,
        lambda row: tuple(map(Mask.from_array, pairs[row])),
        classes,
        [drawing.class_colour(k) for k in range(len(classes))],
    )
    return {panel.title: panel for panel in panels}, Walk(
        render_html(Page("t", "", "a", "v", "plain", panels=panels))
    )


def scene(wrong=0, shape=(20, 30)):
    """Prediction and target; so many columns of cat are predicted as dog."""
    target = np.zeros(shape, int)
    target[:, 10:20], target[:, 20:] = 1, 2
    target[0] = IGNORE
    prediction = np.where(target == IGNORE, 0, target)
    prediction[:, 20 - wrong : 20] = 2
    return prediction, target


def test_every_panel_is_there():
    panels, walk = page_of([scene(1), scene(2)])
    assert list(panels) == TITLES == walk.text("h2")
    assert [type(panel) for panel in panels.values()] == [Bars, Table, ConfusionMatrix, Gallery]
    assert len(walk.all("img")) == 2


def test_each_class_has_a_row_with_its_metrics():
    panels, _ = page_of([scene(4)])
    assert [row[:5] for row in panels["Metrics by class"].rows] == [
        ["ground", "33.3%", "100.0%", "100.0%", "100.0%"],
        ["cat", "33.3%", "60.0%", "100.0%", "60.0%"],
        ["dog", "33.3%", "71.4%", "71.4%", "100.0%"],
    ]
    assert [(bar.name, bar.label) for bar in panels["IoU by class"].bars] == [
        ("cat", "60.0%"), ("dog", "71.4%"), ("ground", "100.0%"),
    ]  # fmt: skip
    assert panels["Confusion matrix"].counts.tolist() == [
        [190, 0, 0],
        [0, 114, 76],
        [0, 0, 190],
    ]


def test_a_class_that_does_not_occur_has_a_row_of_dashes_and_no_bar():
    panels, walk = page_of([scene(1)], ("ground", "cat", "dog", "bird"))
    assert panels["Metrics by class"].rows[3] == ["bird", "0.0%", *["–"] * 4]
    assert "bird" not in [bar.name for bar in panels["IoU by class"].bars]
    assert not any("nan" in text.lower() for _, text in walk.texts)


# --- the images with the lowest IoU


def test_the_worst_images_come_first_with_their_metrics():
    panels, _ = page_of([scene(wrong) for wrong in (3, 9, 0, 1, 5, 2, 4)])
    items = panels["Images with the lowest IoU"].items
    assert [item.detail for item in items] == [f"{row}.png" for row in (1, 4, 6, 0, 5, 3)]
    assert len(items) == MAX_WORST_IMAGES
    iou = (1 + 1 / 10 + 10 / 19) / 3
    assert items[0].caption == f"mean IoU {iou:.1%}, {9 / 30:.1%} of pixels wrong"


def test_errors_and_outlines_lie_over_the_image():
    pair = scene(4, (400, 300))
    pixels = grey((400, 300, 3))
    panels, walk = page_of([pair], image=lambda row: pixels)
    (item,) = panels["Images with the lowest IoU"].items
    assert np.array_equal(item.image, pixels)
    errors, target, prediction = item.layers
    wrong = (pair[0] != pair[1]) & (pair[1] != IGNORE)
    (outline,) = errors.shapes
    assert (outline.path, outline.colour) == (mask_path(wrong), ERROR_COLOUR)
    assert (target.shown, target.filling) == (False, None)
    for layer, values in ((target, pair[1]), (prediction, pair[0])):
        frequent = np.bincount(values[values != IGNORE]).argmax()
        assert {shape.path for shape in layer.shapes} == {
            mask_path(values == k) for k in range(3) if k != frequent
        }
        assert all(one.colour == drawing.class_colour(one.label) for one in layer.shapes)
    assert item.cells == [(1, 2)]
    assert item.classes == ["cat", "dog"]
    assert walk.all("td")[-1]["data-cell"] == "2-2"


def test_no_overlay_hides_the_image_before_a_filling_is_asked_for():
    """Every pixel is wrong, and every pixel is a region of its own."""
    target = np.indices((60, 80)).sum(0) % 2
    panels, walk = page_of([(1 - target, target)], ("ground", "cat"))
    (item,) = panels["Images with the lowest IoU"].items
    assert [layer.name for layer in item.layers if layer.shown] == ["error"]
    assert all(layer.thin for layer in item.layers)
    assert {image["class"] for image in walk.all("image")} == {"filling"}
    (gallery,) = [one for one in walk.all("div") if "gallery large" in one.get("class", "")]
    assert "hide-filling" in gallery["class"]
    for layer in item.layers:
        assert layer.filling is None or layer.filling[..., 3].max() < 100


def test_the_images_of_a_class_are_those_with_the_lowest_iou_of_it():
    pairs = [scene(0), scene(3), scene(9)]
    scorer = semantic.Scorer(
        semantic.per_image_stats([semantic.compare(*pair, 3) for pair in pairs]), 3
    )
    colours = [drawing.class_colour(k) for k in range(3)]
    for k, rows in ((0, []), (1, ["2.png", "1.png"]), (2, ["2.png", "1.png"])):
        gallery = worst_images(
            scorer, ["0.png", "1.png", "2.png"], lambda row: grey(),
            lambda row: tuple(map(Mask.from_array, pairs[row])), ("ground", "cat", "dog"),
            colours, k,
        )  # fmt: skip
        assert [item.detail for item in gallery.items] == rows


@pytest.mark.parametrize("shape", [(1, 1), (7, 400), (400, 401), (900, 5), (1300, 801)])
def test_a_grid_of_images_of_any_size_is_no_larger_than_a_page_shows(shape):
    views = [np.full((*shape, 3), value, np.uint8) for value in (10, 20, 30, 40)]
    grid = drawing.grid_2x2(views)
    height, width = grid.shape[0] // 2, grid.shape[1] // 2
    assert grid.shape == (2 * height, 2 * width, 3)
    assert max(height, width) <= 404
    corners = [grid[0, 0], grid[0, width], grid[height, 0], grid[height, width]]
    assert [corner.tolist() for corner in corners] == [[value] * 3 for value in (10, 20, 30, 40)]


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (500, 3), (1001, 640)])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_images_of_any_size_and_number_of_channels_can_be_shown(shape, channels):
    target = np.zeros(shape, int)
    pairs = [(np.minimum(target + 1, 1), target), scene(3)]
    panels, walk = page_of(
        pairs, image=lambda row: np.zeros((*pairs[row][0].shape, channels), np.uint8)
    )
    assert len(panels["Images with the lowest IoU"].items) == len(walk.all("img")) == 2


def test_without_images_every_metric_is_reported():
    with_, _ = page_of([scene(2)] * 3)
    panels, walk = page_of([scene(2)] * 3, image=lambda row: None)
    assert walk.all("img") == []
    assert list(panels) == TITLES[:3]
    assert [str(panels[title]) for title in TITLES[:3]] == [
        str(with_[title]) for title in TITLES[:3]
    ]


# --- edge cases


UNLABELLED = np.full((20, 30), IGNORE)


@pytest.mark.parametrize(
    ("pairs", "classes"),
    [
        pytest.param([], ("ground", "cat", "dog"), id="no images"),
        pytest.param([(UNLABELLED * 0, UNLABELLED)], ("ground", "cat", "dog"), id="no labels"),
        pytest.param([(UNLABELLED * 0, UNLABELLED * 0)], ("ground",), id="one class"),
        pytest.param(
            [scene(3), (UNLABELLED * 0, UNLABELLED)],
            ("ground", "cat", "dog"),
            id="no labels in one image",
        ),
        pytest.param([scene(0)], ("ground", "cat", "dog"), id="all correct"),
    ],
)
def test_a_page_can_be_made_from_almost_nothing(pairs, classes):
    panels, walk = page_of(pairs, classes)
    assert [row[0] for row in panels["Metrics by class"].rows] == list(classes)
    assert not any("nan" in text.lower() for _, text in walk.texts)


@pytest.mark.parametrize("count", [MAX_MATRIX_CLASSES, MAX_MATRIX_CLASSES + 1, 300])
def test_the_confusion_matrix_of_many_classes_holds_those_with_the_most_pixels(count):
    names = [f"class {k}" for k in range(count)]
    target = np.random.default_rng(0).integers(0, count, (60, 90))
    target[:30] = count - 1
    panels, walk = page_of([(np.roll(target, 1, 1), target)], names, lambda row: grey((60, 90, 1)))
    matrix = panels["Confusion matrix"]
    frequent = sorted(
        sorted(range(count), key=lambda k: (-(target == k).sum(), k))[:MAX_MATRIX_CLASSES]
    )
    assert list(matrix.labels) == [names[k] for k in frequent]
    assert matrix.counts.shape == (MAX_MATRIX_CLASSES, MAX_MATRIX_CLASSES)
    assert matrix.counts[-1].sum() <= (target == count - 1).sum()
    assert (f"Of {count} classes, the {MAX_MATRIX_CLASSES}" in matrix.text) == (
        count > MAX_MATRIX_CLASSES
    )
    assert len(panels["Metrics by class"].rows) == count
    assert len(walk.all("img")) == 1


def test_a_class_name_is_escaped():
    panels, walk = page_of([scene(2)], (demo.HOSTILE, "two\nlines", " "))
    assert len(walk.all("script")) == 1
    assert panels["Metrics by class"].rows[0][0] == demo.HOSTILE
