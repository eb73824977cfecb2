"""The report's sections about outlined things: right numbers, the worst pictures, and a page that is well formed."""

from __future__ import annotations

import numpy as np
import pytest
from test_page import Walk

from foveate.annotations import Boxes, Instances
from foveate.data import label_maps
from foveate.metrics import instance
from foveate.report import drawing
from foveate.report.box_panels import MOST_CURVES
from foveate.report.instance_panels import FALSE, MISSED, WORST, thing_panels
from foveate.report.page import render
from foveate.report.panels import Bars, Chart, Gallery, Page, Table
from helpers import report_demo as demo

SIZE = (60, 80)
TITLES = [
    "How well each class is found",
    "Class by class",
    "Fewer misses, more false alarms",
    "The worst pictures",
]


def instances(*corners, classes=None, scores=None):
    """Filled boxes: top, left, bottom, right."""
    ids = np.zeros(SIZE, int)
    for number, (top, left, bottom, right) in enumerate(corners, 1):
        ids[top:bottom, left:right] = number
    count = len(corners)
    scores = None if scores is None else np.array(scores, float)
    return label_maps.instances(
        ids, Boxes(np.zeros((count, 4)), np.array(classes or [0] * count, int), scores)
    )


A, B, C, D = (5, 5, 20, 20), (5, 40, 20, 60), (35, 5, 55, 25), (40, 60, 50, 70)
TRUE = instances(A, B, C, classes=[0, 1, 1])
FOUND = instances(A, (8, 40, 20, 60), D, classes=[0, 1, 0], scores=[0.9, 0.8, 0.7])
"""Two hits, one miss and one false alarm."""
NOTHING, NO_ANSWER = instances(), instances(scores=[])


def page_of(pairs, classes=("cat", "dog"), image=None, least=0.3):
    """Panels by their title, and the page."""
    thresholds = np.full(len(classes), least)
    rows = [instance.shown(found, thresholds) for found, _ in pairs]
    stats = instance.per_image_stats([instance.compared(*pair, SIZE) for pair in pairs], rows)
    shown = [(found[own], true) for own, (found, true) in zip(rows, pairs, strict=True)]
    panels = thing_panels(
        stats,
        [f"{row}.png" for row in range(len(pairs))],
        image or (lambda row: np.full((*SIZE, 3), 90, np.uint8)),
        lambda row: shown[row],
        classes,
        thresholds,
    )
    return {panel.title: panel for panel in panels}, Walk(
        render(Page("t", "", "a", "v", "plain", panels=panels))
    )


def test_each_kind_of_section_is_there():
    panels, walk = page_of([(FOUND, TRUE)] * 2)
    assert list(panels) == TITLES == walk.text("h2")
    assert [type(panel) for panel in panels.values()] == [Bars, Table, Chart, Gallery]
    assert len(walk.all("img")) == 2


def test_each_class_has_a_row_with_its_figures():
    panels, _ = page_of([(FOUND, TRUE)])
    cat, dog = panels["Class by class"].rows
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
    assert [bar.name for bar in panels["How well each class is found"].bars] == ["dog", "cat"]


def test_a_class_without_a_true_thing_has_a_row_and_no_bar():
    panels, walk = page_of([(FOUND, TRUE)], ("cat", "dog", "bird"))
    assert panels["Class by class"].rows[2][:4] == ["bird", "0", "–", "–"]
    assert [bar.name for bar in panels["How well each class is found"].bars] == ["dog", "cat"]
    assert not any("nan" in text.lower() for _, text in walk.said)


# --- the worst pictures


def test_pictures_with_most_wrong_things_come_first_and_those_without_are_not_shown():
    pairs = [
        (FOUND, TRUE),
        (NO_ANSWER, TRUE),
        (instances(A, scores=[0.9]), instances(A)),
        (NO_ANSWER, instances(A)),
    ]
    items = page_of(pairs)[0]["The worst pictures"].items
    assert [(item.small, item.caption) for item in items] == [
        ("1.png", "3 missed, 0 false"),
        ("0.png", "1 missed, 1 false"),
        ("3.png", "1 missed, 0 false"),
    ]
    assert len(page_of([(FOUND, TRUE)] * 9)[0]["The worst pictures"].items) == WORST


def test_what_is_below_its_threshold_is_neither_counted_nor_shown():
    (item,) = page_of([(FOUND, TRUE)], least=0.75)[0]["The worst pictures"].items
    assert item.caption == "1 missed, 0 false"
    (item,) = page_of([(FOUND, TRUE)], least=0.95)[0]["The worst pictures"].items
    assert item.caption == "3 missed, 0 false"
    assert not (item.image == FALSE).all(2).any()


@pytest.mark.parametrize("classes", [("cell",), ("cat", "dog")])
def test_picture_truth_answer_and_outlines_stand_in_a_square(classes):
    true, found = instances(A, B, C), instances(A, (8, 40, 20, 60), D, scores=[0.9, 0.8, 0.7])
    (item,) = page_of([(found, true)], classes)[0]["The worst pictures"].items
    times = drawing.LEGIBLE // max(SIZE)
    height, width = SIZE[0] * times + 4, SIZE[1] * times + 4
    assert item.image.shape == (2 * height, 2 * width, 3)
    image, target = item.image[:height, :width], item.image[:height, width:]
    prediction, outlines = item.image[height:, :width], item.image[height:, width:]
    assert (image[:-4, :-4] == 90).all()
    for view, boxes in ((target, (A, B, C)), (prediction, (A, (8, 40, 20, 60), D))):
        tinted = np.zeros(SIZE, bool)
        for top, left, bottom, right in boxes:
            tinted[top:bottom, left:right] = True
        assert np.array_equal((view[:-4, :-4] != 90).any(2)[::times, ::times], tinted)
    inks = {tuple(target[top * times, left * times].tolist()) for top, left, *_ in (A, B, C)}
    assert len(inks) == (
        3 if len(classes) == 1 else 1
    )  # things of the only class are told apart by colour
    red, blue = ((outlines == np.array(ink)).all(2) for ink in (MISSED, FALSE))
    assert red[C[0] * times, C[1] * times : C[3] * times].all()
    assert blue[D[0] * times, D[1] * times : D[3] * times].all()
    assert blue[A[0] * times, A[1] * times : A[3] * times].all()  # the answer's lies on the truth's
    assert not (red | blue)[
        C[0] * times + 2 : C[2] * times - 2, C[1] * times + 2 : C[3] * times - 2
    ].any()


@pytest.mark.parametrize("bands", [1, 3, 5])
def test_pictures_of_any_bands_can_be_shown(bands):
    _, walk = page_of([(FOUND, TRUE)], image=lambda row: np.zeros((*SIZE, bands), np.uint8))
    assert len(walk.all("img")) == 1


def test_without_pictures_every_figure_is_there():
    with_, _ = page_of([(FOUND, TRUE)] * 3)
    panels, walk = page_of([(FOUND, TRUE)] * 3, image=lambda row: None)
    assert walk.all("img") == []
    assert panels == {title: with_[title] for title in TITLES[:3]}
    some, _ = page_of(
        [(FOUND, TRUE)] * 3, image=lambda row: np.zeros((*SIZE, 1), np.uint8) if row else None
    )
    assert [item.small for item in some["The worst pictures"].items] == ["1.png", "2.png"]


def test_things_on_each_other_and_things_as_boxes_can_be_shown():
    corners = np.array([[5, 5, 40, 40], [10, 10, 20, 20], [5, 5, 40, 40], [70, 50, 200, 90]], float)
    true = Instances(Boxes(corners, np.zeros(4)), (None,) * 4)
    (item,) = page_of([(NO_ANSWER, true)], ("cell",))[0]["The worst pictures"].items
    assert item.caption == "4 missed, 0 false"


# --- the ends


@pytest.mark.parametrize(
    "pairs",
    [[], [(NO_ANSWER, NOTHING)], [(NO_ANSWER, TRUE)], [(FOUND, NOTHING)]],
    ids=["no picture", "no thing", "nothing found", "nothing true"],
)
def test_a_page_can_be_made_of_next_to_nothing(pairs):
    panels, walk = page_of(pairs)
    assert [row[0] for row in panels["Class by class"].rows] == ["cat", "dog"]
    assert not any("nan" in text.lower() for _, text in walk.said)
    assert len(walk.all("img")) == sum(max(map(len, pair)) > 0 for pair in pairs)


def test_eighty_classes_have_eighty_rows_and_a_few_curves():
    ids = (np.arange(12 * 16).reshape(12, 16) + 1).repeat(5, 0).repeat(5, 1)
    kinds = np.arange(192) % 80
    true = label_maps.instances(ids, Boxes(np.zeros((192, 4)), kinds))
    found = label_maps.instances(
        np.roll(ids, 1, 1), Boxes(np.zeros((192, 4)), kinds, np.linspace(0, 1, 192))
    )
    panels, walk = page_of([(found, true)], [f"class {k}" for k in range(80)])
    assert len(panels["Class by class"].rows) == 80
    chart = panels["Fewer misses, more false alarms"]
    assert chart.drawing.described.count("ends at a recall") == MOST_CURVES
    assert len(walk.all("img")) == 1


def test_a_class_with_any_name_is_text():
    panels, walk = page_of([(FOUND, TRUE)], (demo.HOSTILE, "two\nlines"))
    assert not walk.all("script")
    assert panels["Class by class"].rows[0][0] == demo.HOSTILE
