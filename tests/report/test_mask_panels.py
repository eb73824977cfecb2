"""The report's sections about classes of pixels: right numbers, the worst pictures, and a page that is well formed."""

from __future__ import annotations

import numpy as np
import pytest
from test_page import Walk

from foveate.annotations import IGNORE, Mask
from foveate.metrics import semantic
from foveate.report import drawing
from foveate.report.mask_panels import MOST_CLASSES, WORST, WRONG, mask_panels
from foveate.report.page import render
from foveate.report.panels import Bars, Gallery, Matrix, Page, Table
from helpers import report_demo as demo

TITLES = [
    "How well each class is found",
    "Class by class",
    "What is taken for what",
    "The worst pictures",
]


def grey(shape=(20, 30, 3)):
    return np.full(shape, 90, np.uint8)


def page_of(pairs, classes=("ground", "cat", "dog"), image=lambda row: grey()):
    """Panels by their title, and the page; pairs: (H, W) found and true."""
    scorer = semantic.Scorer(
        semantic.per_image_stats([semantic.row(*pair, len(classes)) for pair in pairs]),
        len(classes),
    )
    panels = mask_panels(
        scorer,
        [f"{row}.png" for row in range(len(pairs))],
        image,
        lambda row: tuple(map(Mask.of, pairs[row])),
        classes,
        [drawing.colour(k) for k in range(len(classes))],
    )
    return {panel.title: panel for panel in panels}, Walk(
        render(Page("t", "", "a", "v", "plain", panels=panels))
    )


def scene(wrong=0, shape=(20, 30)):
    """The answer says dog for so many columns of cat."""
    true = np.zeros(shape, int)
    true[:, 10:20], true[:, 20:] = 1, 2
    true[0] = IGNORE
    found = np.where(true == IGNORE, 0, true)
    found[:, 20 - wrong : 20] = 2
    return found, true


def test_each_kind_of_section_is_there():
    panels, walk = page_of([scene(1), scene(2)])
    assert list(panels) == TITLES == walk.text("h2")
    assert [type(panel) for panel in panels.values()] == [Bars, Table, Matrix, Gallery]
    assert len(walk.all("img")) == 2


def test_each_class_has_a_row_with_its_figures():
    panels, _ = page_of([scene(4)])
    assert [row[:5] for row in panels["Class by class"].rows] == [
        ["ground", "33.3%", "100.0%", "100.0%", "100.0%"],
        ["cat", "33.3%", "60.0%", "100.0%", "60.0%"],
        ["dog", "33.3%", "71.4%", "71.4%", "100.0%"],
    ]
    assert [(bar.name, bar.told) for bar in panels["How well each class is found"].bars] == [
        ("cat", "60.0%"), ("dog", "71.4%"), ("ground", "100.0%"),
    ]  # fmt: skip
    assert panels["What is taken for what"].counts.tolist() == [
        [190, 0, 0],
        [0, 114, 76],
        [0, 0, 190],
    ]


def test_a_class_that_does_not_occur_has_a_row_of_dashes_and_no_bar():
    panels, walk = page_of([scene(1)], ("ground", "cat", "dog", "bird"))
    assert panels["Class by class"].rows[3] == ["bird", "0.0%", *["–"] * 4]
    assert "bird" not in [bar.name for bar in panels["How well each class is found"].bars]
    assert not any("nan" in text.lower() for _, text in walk.said)


# --- the worst pictures


def test_the_worst_pictures_come_first_and_are_told():
    panels, _ = page_of([scene(wrong) for wrong in (3, 9, 0, 1, 5, 2, 4)])
    items = panels["The worst pictures"].items
    assert [item.small for item in items] == [f"{row}.png" for row in (1, 4, 6, 0, 5)]
    assert len(items) == WORST
    iou = (1 + 1 / 10 + 10 / 19) / 3
    assert items[0].caption == f"{iou:.1%} mean IoU, {9 / 30:.1%} of the pixels wrong"


def test_picture_truth_answer_and_difference_stand_in_a_square():
    pair = scene(4, (400, 300))
    panels, _ = page_of([pair], image=lambda row: grey((400, 300, 3)))
    (item,) = panels["The worst pictures"].items
    colours = [drawing.colour(k) for k in range(3)]
    plain = grey((400, 300, 3))
    red = drawing.painted(
        plain, plain * 0 + np.array(WRONG, np.uint8), (pair[0] != pair[1]) & (pair[1] != IGNORE)
    )
    views = (
        plain,
        drawing.classes(plain, pair[1], colours),
        drawing.classes(plain, pair[0], colours),
        red,
    )
    grid = drawing.squared(views)
    assert np.array_equal(item.image[: len(grid)], grid)
    legend = drawing.legend(("ground", "cat", "dog"), colours, grid.shape[1])
    assert np.array_equal(item.image[len(grid) :], legend)
    assert (red[1:, 16:20] != 90).any(2).all()
    assert (red[0] == 90).all()  # that nobody labelled is not wrong


@pytest.mark.parametrize("shape", [(1, 1), (7, 400), (400, 401), (900, 5), (1300, 801)])
def test_four_pictures_of_any_size_are_one_of_no_more_than_a_page_holds(shape):
    views = [np.full((*shape, 3), value, np.uint8) for value in (10, 20, 30, 40)]
    made = drawing.squared(views)
    height, width = made.shape[0] // 2, made.shape[1] // 2
    assert made.shape == (2 * height, 2 * width, 3)
    assert max(height, width) <= 404
    corners = [made[0, 0], made[0, width], made[height, 0], made[height, width]]
    assert [corner.tolist() for corner in corners] == [[value] * 3 for value in (10, 20, 30, 40)]


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (500, 3), (1001, 640)])
@pytest.mark.parametrize("bands", [1, 3, 5])
def test_pictures_of_any_size_and_bands_can_be_shown(shape, bands):
    true = np.zeros(shape, int)
    pairs = [(np.minimum(true + 1, 1), true), scene(3)]
    panels, walk = page_of(
        pairs, image=lambda row: np.zeros((*pairs[row][0].shape, bands), np.uint8)
    )
    assert len(panels["The worst pictures"].items) == len(walk.all("img")) == 2


def test_without_pictures_every_figure_is_there():
    with_, _ = page_of([scene(2)] * 3)
    panels, walk = page_of([scene(2)] * 3, image=lambda row: None)
    assert walk.all("img") == []
    assert list(panels) == TITLES[:3]
    assert [str(panels[title]) for title in TITLES[:3]] == [
        str(with_[title]) for title in TITLES[:3]
    ]


# --- the ends


NONE = np.full((20, 30), IGNORE)


@pytest.mark.parametrize(
    ("pairs", "classes"),
    [
        pytest.param([], ("ground", "cat", "dog"), id="no picture"),
        pytest.param([(NONE * 0, NONE)], ("ground", "cat", "dog"), id="nothing labelled"),
        pytest.param([(NONE * 0, NONE * 0)], ("ground",), id="one class"),
        pytest.param(
            [scene(3), (NONE * 0, NONE)], ("ground", "cat", "dog"), id="nothing labelled in one"
        ),
        pytest.param([scene(0)], ("ground", "cat", "dog"), id="all right"),
    ],
)
def test_a_page_can_be_made_of_next_to_nothing(pairs, classes):
    panels, walk = page_of(pairs, classes)
    assert [row[0] for row in panels["Class by class"].rows] == list(classes)
    assert not any("nan" in text.lower() for _, text in walk.said)


@pytest.mark.parametrize("count", [MOST_CLASSES, MOST_CLASSES + 1, 300])
def test_of_many_classes_those_with_most_pixels_are_set_against_each_other(count):
    names = [f"class {k}" for k in range(count)]
    true = np.random.default_rng(0).integers(0, count, (60, 90))
    true[:30] = count - 1
    panels, walk = page_of([(np.roll(true, 1, 1), true)], names, lambda row: grey((60, 90, 1)))
    matrix = panels["What is taken for what"]
    frequent = sorted(sorted(range(count), key=lambda k: (-(true == k).sum(), k))[:MOST_CLASSES])
    assert list(matrix.labels) == [names[k] for k in frequent]
    assert matrix.counts.shape == (MOST_CLASSES, MOST_CLASSES)
    assert matrix.counts[-1].sum() <= (true == count - 1).sum()
    assert (f"Of {count} classes the {MOST_CLASSES}" in matrix.words) == (count > MOST_CLASSES)
    assert len(panels["Class by class"].rows) == count
    assert len(walk.all("img")) == 1


def test_a_class_with_any_name_is_text():
    panels, walk = page_of([scene(2)], (demo.HOSTILE, "two\nlines", " "))
    assert not walk.all("script")
    assert panels["Class by class"].rows[0][0] == demo.HOSTILE
