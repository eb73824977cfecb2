"""Boxes are drawn at their place on any image, and the report panels on them are correct."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from test_page import Walk

from foveate.annotations import Boxes
from foveate.metrics import detection
from foveate.metrics.box_errors import ERROR_TYPES
from foveate.report import charts, drawing, tools
from foveate.report.box_panels import MAX_CURVES, box_panels
from foveate.report.error_gallery import (
    MAX_PER_ERROR_TYPE,
    MAX_WITH_CLASSES,
    MAX_WORST_IMAGES,
)
from foveate.report.page import render_html
from foveate.report.panels import Chart, Gallery, Page, Table, Thresholds
from foveate.report.tools import filters
from helpers import report_demo as demo

RED = (200, 0, 0)


def drawn(image, *corners, colours=None, captions=None):
    corners = np.array(corners, float).reshape(-1, 4)
    return drawing.draw_boxes(
        image, corners, colours or [RED] * len(corners), captions or [""] * len(corners)
    )


def coloured(image, colour=RED):
    """Left, top, right and bottom of the pixels of a colour."""
    rows, columns = np.nonzero((image == colour).all(2))
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


@pytest.mark.parametrize(
    "corners", [(50, 60, 200, 300), (0, 0, 400, 400), (390, 370, 400, 400), (10.4, 9.6, 30.2, 40.4)]
)
def test_a_box_is_drawn_on_its_outermost_pixels(corners):
    result = drawn(np.zeros((400, 400, 3), np.uint8), corners)
    assert coloured(result) == tuple(np.round(corners))


def test_pixels_inside_and_around_a_box_are_unchanged():
    image = np.random.default_rng(0).integers(0, 256, (400, 330, 3), dtype=np.uint8)
    copy = image.copy()
    result = drawn(image, (50, 60, 200, 300))
    assert np.array_equal(image, copy)
    changed = (result != image).any(2)
    assert not changed[64:296, 54:196].any()
    changed[60:300, 50:200] = False
    assert not changed.any()


@pytest.mark.parametrize(
    ("shape", "times"), [((1, 1), 320), ((16, 8), 20), ((160, 3), 2), ((161, 3), 1), ((50, 500), 1)]
)
def test_small_images_are_enlarged_by_a_whole_number(shape, times):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    result = drawn(image)
    assert result.shape == (shape[0] * times, shape[1] * times, 3)
    assert np.array_equal(result[times // 2 :: times, times // 2 :: times], image)


def test_boxes_are_enlarged_with_their_image():
    assert coloured(drawn(np.zeros((32, 32, 3), np.uint8), (8, 4, 20, 32))) == (80, 40, 200, 320)


@pytest.mark.parametrize(
    "corners", [(7, 9, 8, 10), (7, 9, 7, 9), (9, 9, 7, 7), (31.5, 31.5, 32, 32), (0, 0, 0.2, 0.2)]
)
def test_a_box_of_a_pixel_or_less_is_visible(corners):
    result = drawn(
        np.zeros((32, 32, 3), np.uint8), corners, captions=["tiny"], colours=[drawing.TARGET_COLOUR]
    )
    assert (result == drawing.TARGET_COLOUR).all(2).any()


@pytest.mark.parametrize(
    "corners", [(-50, -50, 500, 500), (-90, -90, -80, -80), (900, 10, 950, 20), (-1e6, 0, 1e6, 1e6)]
)
def test_a_box_beyond_the_image_is_accepted(corners):
    assert drawn(np.zeros((40, 400, 3), np.uint8), corners, captions=["away"]).shape == (40, 400, 3)


def test_a_target_box_has_a_dark_edge_so_that_it_is_visible_on_white():
    result = drawn(
        np.full((400, 400, 3), 255, np.uint8), (50, 60, 200, 300), colours=[drawing.TARGET_COLOUR]
    )
    assert (result == 0).all(2).any()


@pytest.mark.parametrize(
    ("channels", "shown"),
    [(1, [0, 0, 0]), (2, [0, 0, 0]), (3, [0, 1, 2]), (4, [0, 1, 2]), (5, [0, 1, 2])],
)
def test_any_number_of_channels_becomes_an_rgb_image(channels, shown):
    image = np.random.default_rng(0).integers(0, 256, (400, 300, channels), dtype=np.uint8)
    assert np.array_equal(drawn(image), image[..., shown])
    assert coloured(drawn(image * 0, (10, 20, 30, 40))) == (10, 20, 30, 40)


def test_read_only_and_transposed_views_can_be_drawn_on():
    image = np.zeros((400, 300, 3), np.uint8)
    image.flags.writeable = False
    assert coloured(drawn(image[::-1, ::-1].swapaxes(0, 1), (10, 20, 30, 40))) == (10, 20, 30, 40)


@pytest.mark.parametrize("caption", [demo.HOSTILE, "two\nlines", " ", "犬", "bad\udcff name"])
@pytest.mark.parametrize("corners", [(0, 0, 20, 20), (390, 390, 400, 400), (100, 100, 300, 300)])
def test_any_name_can_be_a_caption(caption, corners):
    result = drawn(np.zeros((400, 400, 3), np.uint8), corners, captions=[caption])
    assert (result == RED).all(2).sum() > 4 * 20  # a strip as well as the box


def test_classes_beyond_the_palette_repeat_its_colours():
    assert len(set(drawing.CLASS_COLOURS)) == len(drawing.CLASS_COLOURS)
    assert (
        drawing.class_colour(len(drawing.CLASS_COLOURS) + 3)
        == drawing.class_colour(3)
        != drawing.class_colour(4)
    )
    assert drawing.TARGET_COLOUR not in drawing.CLASS_COLOURS


# --- the report panels


def boxes(*corners, classes=None, scores=None):
    return Boxes(
        np.array(corners, float).reshape(-1, 4),
        np.array(classes or [0] * len(corners), int),
        scores,
    )


PREDICTED = boxes(
    (10, 10, 40, 40), (10, 10, 38, 40), (60, 10, 90, 40), (10, 60, 40, 70), (90, 90, 99, 99),
    classes=[0, 0, 1, 0, 1], scores=np.array([0.9, 0.8, 0.7, 0.6, 0.5]),
)  # fmt: skip
TARGETS = boxes(
    (10, 10, 40, 40), (60, 10, 90, 40), (10, 60, 40, 90), (50, 50, 60, 60), classes=[0, 0, 0, 1]
)
"""One correct box, and one error of each type."""


def page_of(
    pairs,
    classes=("cat", "dog"),
    image=lambda row: np.full((100, 100, 3), 90, np.uint8),
    threshold=0.3,
):
    stats = detection.per_image_stats(
        [boxes for boxes, _ in pairs], [targets for _, targets in pairs]
    )
    ids = [f"{row}.png" for row in range(len(pairs))]
    panels = box_panels(stats, ids, image, classes, np.full(len(classes), threshold))
    return panels, Walk(render_html(Page("t", "", "a", "v", "plain", panels=panels)))


def gallery(panels, title) -> Gallery:
    (panel,) = [panel for panel in panels if panel.title == title]
    return panel


def table(panels, title):
    (panel,) = [panel for panel in panels if panel.title == title]
    return panel.rows


def test_each_type_of_error_is_counted_and_shown():
    panels, walk = page_of(
        [(PREDICTED, TARGETS), (PREDICTED, TARGETS), (boxes(scores=np.zeros(0)), boxes())]
    )
    assert table(panels, "Types of error") == [
        [kind, what, "2", "2"] for kind, what in ERROR_TYPES.items()
    ]
    mistakes, worst = (panel for panel in panels if isinstance(panel, Gallery))
    assert [item.kinds for item in mistakes.items] == [
        (kind,) for kind in ERROR_TYPES for _ in "12"
    ]
    assert len(walk.all("img")) == 2 * (1 + len(ERROR_TYPES))
    (wrong, _) = [item for item in mistakes.items if item.kinds == ("wrong class",)]
    assert (wrong.caption, wrong.classes) == ("cat, predicted as dog", ("cat", "dog"))
    assert mistakes.items[0].detail == "missed · 0.png"
    assert worst.items[0].detail == "0.png"
    assert set(worst.items[0].kinds) == set(ERROR_TYPES)
    assert worst.items[0].classes == ("cat", "dog")


def test_each_class_has_a_row_with_its_metrics():
    panels, _ = page_of([(PREDICTED, TARGETS)])
    (cat, dog) = table(panels, "Metrics by class")
    assert cat == ["cat", "3", "33.7%", "33.7%", "33.3%", "33.3%", "0.30"]  # 34 of 101 recalls
    assert dog == ["dog", "1", "0.0%", "0.0%", "0.0%", "0.0%", "0.30"]


def test_boxes_below_their_threshold_are_not_shown():
    panels, _ = page_of([(PREDICTED, TARGETS)], threshold=0.95)
    assert [row[0] for row in table(panels, "Types of error") if row[2] != "0"] == ["missed"]
    assert table(panels, "Metrics by class")[0][4:6] == ["–", "0.0%"]


def test_without_images_every_metric_is_reported():
    with_, _ = page_of([(PREDICTED, TARGETS)] * 3)
    panels, walk = page_of([(PREDICTED, TARGETS)] * 3, image=lambda row: None)
    assert walk.all("img") == []
    shown, shown_with = (
        [panel for panel in some if isinstance(panel, Table | Chart)] for some in (panels, with_)
    )
    assert shown == shown_with
    assert all(not panel.items for panel in panels if isinstance(panel, Gallery))


@pytest.mark.parametrize(
    "pairs",
    [
        [],
        [(boxes(scores=np.zeros(0)), boxes())],
        [(boxes(scores=np.zeros(0)), TARGETS)],
        [(PREDICTED, boxes())],
    ],
    ids=["no images", "no boxes", "no predictions", "no targets"],
)
def test_a_page_can_be_made_from_almost_nothing(pairs):
    panels, walk = page_of(pairs)
    assert [row[0] for row in table(panels, "Metrics by class")] == ["cat", "dog"]
    assert not any("nan" in text.lower() for _, text in walk.texts)


def test_eighty_classes_have_eighty_rows_and_a_few_curves():
    rng = np.random.default_rng(0)
    pairs = []
    for _ in range(20):
        low = rng.uniform(0, 80, (30, 2))
        corners = np.concatenate([low, low + 15], 1)
        labels = rng.integers(0, 80, 30)
        pairs.append(
            (
                Boxes(corners + rng.normal(0, 2, (30, 4)), labels, rng.random(30)),
                Boxes(corners, labels),
            )
        )
    panels, walk = page_of(pairs, classes=[f"class {k}" for k in range(80)])
    assert len(table(panels, "Metrics by class")) == 80
    (chart,) = [panel for panel in panels if panel.title == "Precision and recall"]
    assert chart.plot.alt.count("ends at a recall") == MAX_CURVES
    galleries = [panel for panel in panels if isinstance(panel, Gallery)]
    mistakes, worst = galleries
    assert len(worst.items) == MAX_WORST_IMAGES
    kinds = Counter(kind for item in mistakes.items for kind in item.kinds)
    assert MAX_PER_ERROR_TYPE < max(kinds.values()) <= MAX_WITH_CLASSES
    assert len(walk.all("img")) == sum(len(gallery.items) for gallery in galleries)


def test_a_class_name_is_escaped():
    panels, walk = page_of([(PREDICTED, TARGETS)], classes=(demo.HOSTILE, "two\nlines"))
    assert len(walk.all("script")) == 1
    assert table(panels, "Metrics by class")[0][0] == demo.HOSTILE


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_errors_are_shown_on_images_of_any_number_of_channels(channels):
    _, walk = page_of(
        [(PREDICTED, TARGETS)], image=lambda row: np.zeros((100, 100, channels), np.uint8)
    )
    assert len(walk.all("img")) == 1 + len(ERROR_TYPES)


@pytest.mark.parametrize(
    "away", [(300, 300, 340, 340), (-90, -90, -60, -60), (300, 10, 340, 40), (40, -95, 60, -55)]
)
def test_a_target_box_beyond_its_image_does_not_break_the_report(away):
    """--allow-errors lets such data through."""
    panels, walk = page_of([(boxes(scores=np.zeros(0)), boxes(away))])
    assert table(panels, "Types of error")[0][2] == "1"
    assert len(walk.all("img")) == 2
    assert all(
        min(panel.items[0].image.shape) > 0 for panel in panels if isinstance(panel, Gallery)
    )


def test_the_close_up_of_an_error_is_cut_from_the_right_place():
    image = np.zeros((400, 400, 3), np.uint8)
    image[180:220, 280:320] = 77
    panels, _ = page_of(
        [(boxes(scores=np.zeros(0)), boxes((280, 180, 320, 220)))], image=lambda row: image
    )
    item = gallery(panels, "Mistakes").items[0]
    assert item.image.shape == (88, 88, 3)  # a margin of 0.6 of the box on each side
    assert coloured(item.image, (77, 77, 77)) == (24, 24, 64, 64)
    (layer,) = item.layers
    assert (layer.name, layer.size) == ("target", (88, 88))
    assert layer.shapes[0].path == "M24 24H64V64H24Z"


def test_a_box_is_drawn_over_its_image_which_stays_as_it_is():
    image = np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    panels, walk = page_of([(PREDICTED, TARGETS)], image=lambda row: image)
    (item,) = gallery(panels, "Images with the most errors").items
    assert item.image is image
    targets, predictions = item.layers
    assert len(targets.shapes) == len(TARGETS)
    assert [shape.score for shape in predictions.shapes] == [0.9, 0.8, 0.7, 0.6, 0.5]
    assert predictions.shapes[2].caption == "dog 70%"
    assert all(path["stroke"].startswith("rgb(") for path in walk.all("path") if "stroke" in path)


def test_boxes_below_their_threshold_are_on_the_page_and_hidden():
    panels, walk = page_of([(PREDICTED, TARGETS)], threshold=0.65)
    (item,) = gallery(panels, "Images with the most errors").items
    assert [shape.shown for shape in item.layers[1].shapes] == [True] * 3 + [False] * 2
    hidden = [attrs for attrs in walk.all("path") if attrs.get("class") == "low"]
    assert {attrs["data-score"] for attrs in hidden} == {"0.6000", "0.5000"}


def test_precision_and_recall_are_counted_at_each_threshold():
    panels, walk = page_of([(PREDICTED, TARGETS)] * 2, threshold=0.75)
    (panel,) = [panel for panel in panels if isinstance(panel, Thresholds)]
    cat, dog = panel.classes
    assert (cat.objects, cat.predicted[[0, 60, 61, 80, 81, 90, 91]].tolist()) == (
        6, [6, 6, 4, 4, 2, 2, 0],
    )  # fmt: skip
    assert (cat.correct[[0, 90, 91, -1]].tolist(), cat.predicted[-1]) == ([2, 2, 0, 2], 4)
    assert (dog.objects, dog.predicted[0], dog.correct[0]) == (2, 4, 0)
    curves = json.loads(next(a["data-curves"] for a in walk.all("div") if "data-curves" in a))
    assert curves[0]["predicted"] == cat.predicted.tolist()
    row = walk.text("td")[walk.text("td").index("as chosen") :][:7]
    assert row == ["as chosen", "50.0%", "25.0%", "33.3%", "2", "2", "6"]


def test_totals_of_the_thresholds_count_classes_that_cannot_be_chosen():
    count = tools.MAX_CHOICES + 5
    corners = np.array([[40.0 * k, 0, 40 * k + 30, 30] for k in range(count)])
    targets, predicted = (
        Boxes(corners, np.arange(count), scores) for scores in (None, np.full(count, 0.9))
    )
    panels, walk = page_of([(predicted, targets)], [f"class {k}" for k in range(count)])
    (panel,) = [panel for panel in panels if isinstance(panel, Thresholds)]
    (chosen,) = [row for row in tools.threshold_rows(panel) if row[0] == "as chosen"]
    assert chosen == ["as chosen", "100.0%", "100.0%", "100.0%", str(count), "0", "0"]
    curves = json.loads(next(a["data-curves"] for a in walk.all("div") if "data-curves" in a))
    assert sum(one["objects"] for one in curves) == count
    assert len(tools.threshold_choices(panel)) == tools.MAX_CHOICES


def test_a_class_with_the_name_of_an_error_is_filtered_as_a_class():
    _, walk = page_of([(PREDICTED, TARGETS)] * 2, ("missed", "background"))
    (mistakes, worst) = (
        filters(panel) for panel in page_of([(PREDICTED, TARGETS)], ("missed", "background"))[0]
        if isinstance(panel, Gallery)
    )  # fmt: skip
    assert mistakes.classes == worst.classes == ["background", "missed"]
    assert mistakes.class_indices(["missed"]) == "1"
    assert mistakes.kind_indices(["missed"]) == str(mistakes.kinds.index("missed")) != "1"
    figures = [attrs for attrs in walk.all("figure") if "data-class" in attrs]
    assert {k for attrs in figures for k in attrs["data-class"].split()} == {"0", "1"}


# --- the curve


def test_precision_recall_curves_are_drawn_and_described():
    empty, one, some = np.zeros(0), np.ones(1), np.array([0.1, 0.2, 0.4])
    cases = {
        "There are no predictions": {},
        "There are no predictions.": {"cat": (empty, empty)},
        "dog ends at a recall of 40%": {"cat": (empty, empty), "dog": (some, some)},
        "cat ends at a recall of 100%": {"cat": (one, one)},
    }
    for text, curves in cases.items():
        plot = charts.precision_recall(curves)
        assert text in plot.alt
        for svg in plot.svgs:
            ET.fromstring(svg)
            assert "nan" not in svg.lower()


@pytest.mark.parametrize(
    "name", ["$x_1$ & <b>", "_private", "two\nlines", "犬", "bad\udcff name", "very-long-" * 30]
)
def test_a_curve_can_have_any_name(name):
    plot = charts.precision_recall({name: (np.array([0.5]), np.array([1.0]))})
    assert f"{name} ends" in plot.alt
    texts = [text.strip() for text in ET.fromstring(plot.svgs[0]).itertext()]
    start = (
        name.encode("utf-8", "backslashreplace").decode().split("\n")[0][:12]
    )  # a long one may be cut
    assert any(text.startswith(start) for text in texts)


def test_every_image_of_the_page_is_rgb():
    panels, _ = page_of([(PREDICTED, TARGETS)])
    for panel in panels:
        for item in getattr(panel, "items", []):
            assert Image.fromarray(item.image).mode == "RGB"


def test_classes_without_a_correct_box_have_no_curve():
    panels, _ = page_of([(PREDICTED, TARGETS)])
    (chart,) = [panel for panel in panels if panel.title == "Precision and recall"]
    assert "cat ends at" in chart.plot.alt
    assert "dog" not in chart.plot.alt
    assert chart.text.endswith(" 1 class has no correct prediction: dog.")
    nothing, _ = page_of([(boxes((1, 1, 9, 9), scores=np.array([0.9])), TARGETS)])
    assert "Precision and recall" not in [panel.title for panel in nothing]
