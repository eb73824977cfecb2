"""The report panels on instance masks have the right metrics and images."""

from __future__ import annotations

import numpy as np
import pytest
from test_page import Walk

from foveate.annotations import Boxes, Instances
from foveate.metrics import instance
from foveate.report.box_panels import MAX_CURVES
from foveate.report.drawing import TARGET_COLOUR
from foveate.report.error_gallery import MAX_WITH_CLASSES, MAX_WORST_IMAGES
from foveate.report.instance_panels import (
    instance_panels,
    mistakes,
)
from foveate.report.page import render_html
from foveate.report.panels import Bars, Chart, Gallery, Page, Table, Thresholds
from helpers import report_demo as demo

SIZE = (60, 80)
TITLES = [
    "AP50 by class",
    "Metrics by class",
    "Precision and recall",
    "Confidence threshold",
    "Mistakes",
    "Images with the most errors",
]


def instances(*corners, classes=None, scores=None):
    """Filled rectangles: top, left, bottom, right."""
    ids = np.zeros(SIZE, int)
    for number, (top, left, bottom, right) in enumerate(corners, 1):
        ids[top:bottom, left:right] = number
    count = len(corners)
    scores = None if scores is None else np.array(scores, float)
    return Instances.from_label_map(
        ids, Boxes(np.zeros((count, 4)), np.array(classes or [0] * count, int), scores)
    )


A, B, C, D = (5, 5, 20, 20), (5, 40, 20, 60), (35, 5, 55, 25), (40, 60, 50, 70)
TARGETS = instances(A, B, C, classes=[0, 1, 1])
PREDICTED = instances(A, (8, 40, 20, 60), D, classes=[0, 1, 0], scores=[0.9, 0.8, 0.7])
"""Two matches, one missed object and one false positive."""
NO_TARGETS, NO_PREDICTIONS = instances(), instances(scores=[])


def page_of(pairs, classes=("cat", "dog"), image=None, threshold=0.3):
    """The panels by title, and the parsed page."""
    thresholds = np.full(len(classes), threshold)
    rows = [instance.is_confident(predictions, thresholds) for predictions, _ in pairs]
    stats = instance.per_image_stats([instance.mask_overlaps(*pair, SIZE) for pair in pairs], rows)
    panels = instance_panels(
        stats,
        [f"{row}.png" for row in range(len(pairs))],
        image or (lambda row: np.full((*SIZE, 3), 90, np.uint8)),
        lambda row: pairs[row],
        classes,
        thresholds,
    )
    return {panel.title: panel for panel in panels}, Walk(
        render_html(Page("t", "", "a", "v", "plain", panels=panels))
    )


def test_every_panel_is_there():
    panels, walk = page_of([(PREDICTED, TARGETS)] * 2)
    assert list(panels) == TITLES == walk.text("h2")
    assert [type(panel) for panel in panels.values()] == [
        Bars, Table, Chart, Thresholds, Gallery, Gallery,
    ]  # fmt: skip
    assert len(walk.all("img")) == 2 + 2 * 2


def test_each_class_has_a_row_with_its_metrics():
    panels, _ = page_of([(PREDICTED, TARGETS)])
    cat, dog = panels["Metrics by class"].rows
    assert cat == ["cat", "1", "100.0%", "100.0%", "50.0%", "100.0%", "0.30"]
    assert dog == [
        "dog",
        "2",
        f"{51 / 101:.1%}",
        f"{51 / 101 * 0.7:.1%}",
        "100.0%",
        "50.0%",
        "0.30",
    ]  # IoU 0.8
    assert [bar.name for bar in panels["AP50 by class"].bars] == ["dog", "cat"]


def test_a_class_without_objects_has_a_row_and_no_bar():
    panels, walk = page_of([(PREDICTED, TARGETS)], ("cat", "dog", "bird"))
    assert panels["Metrics by class"].rows[2][:4] == ["bird", "0", "–", "–"]
    assert [bar.name for bar in panels["AP50 by class"].bars] == ["dog", "cat"]
    assert not any("nan" in text.lower() for _, text in walk.texts)


# --- the images with the most errors


def test_images_with_the_most_errors_come_first_and_correct_ones_are_left_out():
    pairs = [
        (PREDICTED, TARGETS),
        (NO_PREDICTIONS, TARGETS),
        (instances(A, scores=[0.9]), instances(A)),
        (NO_PREDICTIONS, instances(A)),
    ]
    items = page_of(pairs)[0]["Images with the most errors"].items
    assert [(item.detail, item.caption) for item in items] == [
        ("1.png", "3 missed"),
        ("0.png", "1 on the background, 1 missed"),
        ("3.png", "1 missed"),
    ]
    assert (
        len(page_of([(PREDICTED, TARGETS)] * 9)[0]["Images with the most errors"].items)
        == MAX_WORST_IMAGES
    )


def test_predictions_below_their_threshold_are_neither_counted_nor_shown():
    (item,) = page_of([(PREDICTED, TARGETS)], threshold=0.75)[0][
        "Images with the most errors"
    ].items
    assert item.caption == "1 missed"
    (item,) = page_of([(PREDICTED, TARGETS)], threshold=0.95)[0][
        "Images with the most errors"
    ].items
    assert item.caption == "3 missed"
    assert [shape.shown for shape in item.layers[1].shapes] == [False] * 3


def test_targets_and_predictions_are_outlined_over_the_image():
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    pair = (instances(A, (8, 40, 20, 60), D, classes=[0, 1, 0], scores=[0.9, 0.8, 0.2]), TARGETS)
    panels, _ = page_of([pair], image=lambda row: image)
    (item,) = panels["Images with the most errors"].items
    assert item.image is image
    targets, predictions = item.layers
    assert targets.size == predictions.size == SIZE
    assert {shape.path for shape in targets.shapes} == {outline(box) for box in (A, B, C)}
    assert {shape.colour for shape in targets.shapes} == {TARGET_COLOUR}
    assert [(shape.score, shape.label) for shape in predictions.shapes] == [
        (0.9, 0), (0.8, 1), (0.2, 0),
    ]  # fmt: skip
    assert [shape.shown for shape in predictions.shapes] == [True, True, False]
    assert item.kinds == ("missed",)
    assert item.classes == ("dog",)


def test_the_close_up_of_an_error_shows_its_masks_alone():
    shifted = instances((5, 5, 20, 20), (14, 40, 29, 60), classes=[0, 0], scores=[0.9, 0.8])
    mistakes = page_of([(shifted, TARGETS)])[0]["Mistakes"].items
    missed, *_, background = mistakes
    assert [item.kinds for item in mistakes] == [("missed",), ("missed",), ("background",)]
    assert [item.caption for item in mistakes] == ["dog", "dog", "cat"]
    assert background.detail == "background · confidence 80% · 0.png"
    assert [len(layer.shapes) for layer in missed.layers] == [1]
    target, prediction = background.layers
    assert (len(target.shapes), len(prediction.shapes)) == (0, 1)
    left, top = 40 - 12, 14 - 12  # a margin of 0.6 of the longer side
    assert prediction.shapes[0].path.startswith(f"M{40 - left} {14 - top}h20v15")
    assert background.image.shape[:2] == prediction.size == (15 + 2 * 12, 20 + 2 * 12)


def test_mistakes_of_a_class_are_those_where_it_is_the_target_or_the_prediction():
    shifted = instances(A, B, classes=[1, 1], scores=[0.9, 0.8])
    pairs = [(shifted, TARGETS), (PREDICTED, TARGETS)]
    thresholds = np.full(2, 0.3)
    rows = [instance.is_confident(predictions, thresholds) for predictions, _ in pairs]
    stats = instance.per_image_stats([instance.mask_overlaps(*pair, SIZE) for pair in pairs], rows)
    for k, found in ((0, {"wrong class", "background"}), (1, {"wrong class", "missed"})):
        gallery = mistakes(
            stats, ["0.png", "1.png"], lambda row: np.zeros((*SIZE, 3), np.uint8),
            lambda row: pairs[row], ("cat", "dog"), thresholds, k,
        )  # fmt: skip
        assert {kind for item in gallery.items for kind in item.kinds} == found
        assert all(("cat", "dog")[k] in item.classes for item in gallery.items)


def outline(box):
    """The path of a mask that is a box of top, left, bottom and right."""
    top, left, bottom, right = box
    return f"M{left} {top}h{right - left}v{bottom - top}h{left - right}v{top - bottom}z"


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_images_of_any_number_of_channels_can_be_shown(channels):
    _, walk = page_of(
        [(PREDICTED, TARGETS)], image=lambda row: np.zeros((*SIZE, channels), np.uint8)
    )
    assert len(walk.all("img")) == 1 + 2


def test_without_images_every_metric_is_reported():
    with_, _ = page_of([(PREDICTED, TARGETS)] * 3)
    panels, walk = page_of([(PREDICTED, TARGETS)] * 3, image=lambda row: None)
    assert walk.all("img") == []
    assert list(panels) == TITLES[:4]
    assert [panels[title] for title in TITLES[:3]] == [with_[title] for title in TITLES[:3]]
    some, _ = page_of(
        [(PREDICTED, TARGETS)] * 3,
        image=lambda row: np.zeros((*SIZE, 1), np.uint8) if row else None,
    )
    assert [item.detail for item in some["Images with the most errors"].items] == ["1.png", "2.png"]


def test_overlapping_instances_and_instances_without_masks_can_be_shown():
    corners = np.array([[5, 5, 40, 40], [10, 10, 20, 20], [5, 5, 40, 40], [70, 50, 200, 90]], float)
    targets = Instances(Boxes(corners, np.zeros(4)), (None,) * 4)
    (item,) = page_of([(NO_PREDICTIONS, targets)], ("cell",))[0][
        "Images with the most errors"
    ].items
    assert item.caption == "4 missed"


# --- edge cases


@pytest.mark.parametrize(
    "pairs",
    [[], [(NO_PREDICTIONS, NO_TARGETS)], [(NO_PREDICTIONS, TARGETS)], [(PREDICTED, NO_TARGETS)]],
    ids=["no images", "no objects", "no predictions", "no targets"],
)
def test_a_page_can_be_made_from_almost_nothing(pairs):
    panels, walk = page_of(pairs)
    assert [row[0] for row in panels["Metrics by class"].rows] == ["cat", "dog"]
    assert not any("nan" in text.lower() for _, text in walk.texts)
    wrong = sum(sum(map(len, pair)) for pair in pairs)
    assert len(walk.all("img")) == wrong + (wrong > 0)  # close-ups and the image


def test_eighty_classes_have_eighty_rows_and_a_few_curves():
    ids = (np.arange(12 * 16).reshape(12, 16) + 1).repeat(5, 0).repeat(5, 1)
    labels = np.arange(192) % 80
    targets = Instances.from_label_map(ids, Boxes(np.zeros((192, 4)), labels))
    predictions = Instances.from_label_map(
        np.roll(ids, 1, 1), Boxes(np.zeros((192, 4)), labels, np.linspace(0, 1, 192))
    )
    panels, walk = page_of([(predictions, targets)], [f"class {k}" for k in range(80)])
    assert len(panels["Metrics by class"].rows) == 80
    chart = panels["Precision and recall"]
    assert chart.plot.alt.count("ends at a recall") == MAX_CURVES
    assert len(walk.all("img")) == MAX_WITH_CLASSES + 1


def test_a_class_name_is_escaped():
    panels, walk = page_of([(PREDICTED, TARGETS)], (demo.HOSTILE, "two\nlines"))
    assert len(walk.all("script")) == 1
    assert panels["Metrics by class"].rows[0][0] == demo.HOSTILE
