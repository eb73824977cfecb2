"""Boxes on pictures and in the report: drawn where they are, on any picture, and told in a page that is well formed."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image
from test_page import Walk

from foveate.annotations import Boxes
from foveate.metrics import detection
from foveate.metrics.box_errors import KINDS
from foveate.report import charts, drawing
from foveate.report.box_panels import MOST_CURVES, OF_EACH_KIND, WORST, box_panels
from foveate.report.page import render
from foveate.report.panels import Gallery, Page
from helpers import report_demo as demo

RED = (200, 0, 0)


def drawn(image, *corners, colours=None, captions=None):
    corners = np.array(corners, float).reshape(-1, 4)
    return drawing.boxes(
        image, corners, colours or [RED] * len(corners), captions or [""] * len(corners)
    )


def coloured(image, colour=RED):
    """Left, top, right, bottom of the pixels of a colour."""
    rows, columns = np.nonzero((image == colour).all(2))
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


@pytest.mark.parametrize(
    "corners", [(50, 60, 200, 300), (0, 0, 400, 400), (390, 370, 400, 400), (10.4, 9.6, 30.2, 40.4)]
)
def test_a_box_is_drawn_on_the_pixels_that_it_ends_with(corners):
    made = drawn(np.zeros((400, 400, 3), np.uint8), corners)
    assert coloured(made) == tuple(np.round(corners))


def test_what_is_within_and_around_a_box_is_left_as_it_was():
    image = np.random.default_rng(0).integers(0, 256, (400, 330, 3), dtype=np.uint8)
    kept = image.copy()
    made = drawn(image, (50, 60, 200, 300))
    assert np.array_equal(image, kept)
    changed = (made != image).any(2)
    assert not changed[64:296, 54:196].any()
    changed[60:300, 50:200] = False
    assert not changed.any()


@pytest.mark.parametrize(
    ("shape", "times"), [((1, 1), 320), ((16, 8), 20), ((160, 3), 2), ((161, 3), 1), ((50, 500), 1)]
)
def test_small_pictures_are_enlarged_by_a_whole_number(shape, times):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    made = drawn(image)
    assert made.shape == (shape[0] * times, shape[1] * times, 3)
    assert np.array_equal(made[times // 2 :: times, times // 2 :: times], image)


def test_boxes_are_enlarged_with_their_picture():
    assert coloured(drawn(np.zeros((32, 32, 3), np.uint8), (8, 4, 20, 32))) == (80, 40, 200, 320)


@pytest.mark.parametrize(
    "corners", [(7, 9, 8, 10), (7, 9, 7, 9), (9, 9, 7, 7), (31.5, 31.5, 32, 32), (0, 0, 0.2, 0.2)]
)
def test_a_box_of_a_pixel_or_less_is_still_seen(corners):
    made = drawn(
        np.zeros((32, 32, 3), np.uint8), corners, captions=["tiny"], colours=[drawing.TRUE]
    )
    assert (made == drawing.TRUE).all(2).any()


@pytest.mark.parametrize(
    "corners", [(-50, -50, 500, 500), (-90, -90, -80, -80), (900, 10, 950, 20), (-1e6, 0, 1e6, 1e6)]
)
def test_a_box_beyond_the_picture_does_no_harm(corners):
    assert drawn(np.zeros((40, 400, 3), np.uint8), corners, captions=["away"]).shape == (40, 400, 3)


def test_a_true_box_has_a_dark_edge_so_that_it_is_seen_on_white():
    made = drawn(np.full((400, 400, 3), 255, np.uint8), (50, 60, 200, 300), colours=[drawing.TRUE])
    assert (made == 0).all(2).any()


@pytest.mark.parametrize(
    ("bands", "shown"),
    [(1, [0, 0, 0]), (2, [0, 0, 0]), (3, [0, 1, 2]), (4, [0, 1, 2]), (5, [0, 1, 2])],
)
def test_any_number_of_bands_becomes_a_coloured_picture(bands, shown):
    image = np.random.default_rng(0).integers(0, 256, (400, 300, bands), dtype=np.uint8)
    assert np.array_equal(drawn(image), image[..., shown])
    assert coloured(drawn(image * 0, (10, 20, 30, 40))) == (10, 20, 30, 40)


def test_a_view_turned_or_not_to_be_written_can_be_drawn_on():
    image = np.zeros((400, 300, 3), np.uint8)
    image.flags.writeable = False
    assert coloured(drawn(image[::-1, ::-1].swapaxes(0, 1), (10, 20, 30, 40))) == (10, 20, 30, 40)


@pytest.mark.parametrize("caption", [demo.HOSTILE, "two\nlines", " ", "犬", "bad\udcff name"])
@pytest.mark.parametrize("corners", [(0, 0, 20, 20), (390, 390, 400, 400), (100, 100, 300, 300)])
def test_any_name_can_be_a_caption(caption, corners):
    made = drawn(np.zeros((400, 400, 3), np.uint8), corners, captions=[caption])
    assert (made == RED).all(2).sum() > 4 * 20  # a strip as well as the box


def test_classes_beyond_the_colours_begin_again():
    assert len(set(drawing.COLOURS)) == len(drawing.COLOURS)
    assert drawing.colour(len(drawing.COLOURS) + 3) == drawing.colour(3) != drawing.colour(4)
    assert drawing.TRUE not in drawing.COLOURS


# --- the report's sections


def boxes(*corners, classes=None, scores=None):
    return Boxes(
        np.array(corners, float).reshape(-1, 4),
        np.array(classes or [0] * len(corners), int),
        scores,
    )


FOUND = boxes(
    (10, 10, 40, 40), (10, 10, 38, 40), (60, 10, 90, 40), (10, 60, 40, 70), (90, 90, 99, 99),
    classes=[0, 0, 1, 0, 1], scores=np.array([0.9, 0.8, 0.7, 0.6, 0.5]),
)  # fmt: skip
TRUE = boxes(
    (10, 10, 40, 40), (60, 10, 90, 40), (10, 60, 40, 90), (50, 50, 60, 60), classes=[0, 0, 0, 1]
)
"""One right, and one mistake of each kind."""


def page_of(
    pairs, classes=("cat", "dog"), image=lambda row: np.full((100, 100, 3), 90, np.uint8), least=0.3
):
    stats = detection.per_image_stats([found for found, _ in pairs], [true for _, true in pairs])
    ids = [f"{row}.png" for row in range(len(pairs))]
    panels = box_panels(stats, ids, image, classes, np.full(len(classes), least))
    return panels, Walk(render(Page("t", "", "a", "v", "plain", panels=panels)))


def table(panels, title):
    (found,) = [panel for panel in panels if panel.title == title]
    return found.rows


def test_each_kind_of_mistake_is_counted_and_shown():
    panels, walk = page_of([(FOUND, TRUE), (FOUND, TRUE), (boxes(scores=np.zeros(0)), boxes())])
    assert table(panels, "What goes wrong") == [
        [kind, what, "2", "2"] for kind, what in KINDS.items()
    ]
    galleries = [panel for panel in panels if isinstance(panel, Gallery)]
    assert [len(gallery.items) for gallery in galleries] == [2] * (1 + len(KINDS))
    assert [gallery.title.split(":")[0].lower() for gallery in galleries[1:]] == list(KINDS)
    assert len(walk.all("img")) == 2 * (1 + len(KINDS))
    assert "dog, for cat" in {item.caption for item in galleries[2].items}
    assert galleries[0].items[0].small == "0.png"


def test_each_class_has_a_row_with_its_figures():
    panels, _ = page_of([(FOUND, TRUE)])
    (cat, dog) = table(panels, "Class by class")
    assert cat == ["cat", "3", "33.7%", "33.7%", "33.3%", "33.3%", "0.30"]  # 34 of 101 recalls
    assert dog == ["dog", "1", "0.0%", "0.0%", "0.0%", "0.0%", "0.30"]


def test_what_is_below_its_threshold_is_not_shown():
    panels, _ = page_of([(FOUND, TRUE)], least=0.95)
    assert [row[0] for row in table(panels, "What goes wrong") if row[2] != "0"] == ["missed"]
    assert table(panels, "Class by class")[0][4:6] == ["–", "0.0%"]


def test_without_pictures_every_figure_is_there():
    with_, _ = page_of([(FOUND, TRUE)] * 3)
    panels, walk = page_of([(FOUND, TRUE)] * 3, image=lambda row: None)
    assert walk.all("img") == []
    assert panels[:3] == with_[:3]
    assert all(not panel.items for panel in panels if isinstance(panel, Gallery))


@pytest.mark.parametrize(
    "pairs",
    [
        [],
        [(boxes(scores=np.zeros(0)), boxes())],
        [(boxes(scores=np.zeros(0)), TRUE)],
        [(FOUND, boxes())],
    ],
    ids=["no picture", "no box", "nothing found", "nothing true"],
)
def test_a_page_can_be_made_of_next_to_nothing(pairs):
    panels, walk = page_of(pairs)
    assert [row[0] for row in table(panels, "Class by class")] == ["cat", "dog"]
    assert not any("nan" in text.lower() for _, text in walk.said)


def test_eighty_classes_have_eighty_rows_and_a_few_curves():
    rng = np.random.default_rng(0)
    pairs = []
    for _ in range(20):
        low = rng.uniform(0, 80, (30, 2))
        corners = np.concatenate([low, low + 15], 1)
        kinds = rng.integers(0, 80, 30)
        pairs.append(
            (
                Boxes(corners + rng.normal(0, 2, (30, 4)), kinds, rng.random(30)),
                Boxes(corners, kinds),
            )
        )
    panels, walk = page_of(pairs, classes=[f"class {k}" for k in range(80)])
    assert len(table(panels, "Class by class")) == 80
    (chart,) = [panel for panel in panels if panel.title == "Fewer misses, more false alarms"]
    assert chart.drawing.described.count("ends at a recall") == MOST_CURVES
    galleries = [panel for panel in panels if isinstance(panel, Gallery)]
    assert len(galleries[0].items) == WORST
    assert all(len(gallery.items) <= OF_EACH_KIND for gallery in galleries[1:])
    assert len(walk.all("img")) == sum(len(gallery.items) for gallery in galleries)


def test_a_class_with_any_name_is_text():
    panels, walk = page_of([(FOUND, TRUE)], classes=(demo.HOSTILE, "two\nlines"))
    assert not walk.all("script")
    assert table(panels, "Class by class")[0][0] == demo.HOSTILE


@pytest.mark.parametrize("bands", [1, 3, 5])
def test_mistakes_on_pictures_of_any_bands(bands):
    _, walk = page_of([(FOUND, TRUE)], image=lambda row: np.zeros((100, 100, bands), np.uint8))
    assert len(walk.all("img")) == 1 + len(KINDS)


@pytest.mark.parametrize(
    "away", [(300, 300, 340, 340), (-90, -90, -60, -60), (300, 10, 340, 40), (40, -95, 60, -55)]
)
def test_a_true_box_that_was_drawn_beyond_its_picture_does_not_end_the_report(away):
    """Such data is trained on where its errors are allowed."""
    panels, walk = page_of([(boxes(scores=np.zeros(0)), boxes(away))])
    assert table(panels, "What goes wrong")[0][2] == "1"
    assert len(walk.all("img")) == 2
    assert all(
        min(panel.items[0].image.shape) > 0 for panel in panels if isinstance(panel, Gallery)
    )


def test_the_surroundings_of_a_mistake_are_cut_from_the_right_place():
    image = np.zeros((400, 400, 3), np.uint8)
    image[180:220, 280:320] = 77
    panels, _ = page_of(
        [(boxes(scores=np.zeros(0)), boxes((280, 180, 320, 220)))], image=lambda row: image
    )
    cut = panels[-1].items[0].image
    times = drawing.LEGIBLE // (40 + 2 * 24)  # a margin of 0.6 of the box on each side
    assert cut.shape == (88 * times, 88 * times, 3)
    assert coloured(cut, drawing.TRUE) == (24 * times, 24 * times, 64 * times, 64 * times)
    assert coloured(cut, (77, 77, 77))[0] >= 24 * times
    assert coloured(cut, (77, 77, 77))[2] <= 64 * times


# --- the curve


def test_curves_of_precision_and_recall():
    nothing, one, some = np.zeros(0), np.ones(1), np.array([0.1, 0.2, 0.4])
    cases = {
        "Nothing was found": {},
        "Nothing was found.": {"cat": (nothing, nothing)},
        "dog ends at a recall of 40%": {"cat": (nothing, nothing), "dog": (some, some)},
        "cat ends at a recall of 100%": {"cat": (one, one)},
    }
    for words, curves in cases.items():
        made = charts.precision_recall(curves)
        assert words in made.described
        for svg in made.svgs:
            ET.fromstring(svg)
            assert "nan" not in svg.lower()


@pytest.mark.parametrize(
    "name", ["$x_1$ & <b>", "_private", "two\nlines", "犬", "bad\udcff name", "very-long-" * 30]
)
def test_any_name_can_stand_at_a_curve(name):
    made = charts.precision_recall({name: (np.array([0.5]), np.array([1.0]))})
    assert f"{name} ends" in made.described
    said = [text.strip() for text in ET.fromstring(made.svgs[0]).itertext()]
    start = (
        name.encode("utf-8", "backslashreplace").decode().split("\n")[0][:12]
    )  # a long one may be cut
    assert any(text.startswith(start) for text in said)


def test_every_picture_of_the_page_is_one_that_pillow_reads():
    panels, _ = page_of([(FOUND, TRUE)])
    for panel in panels:
        for item in getattr(panel, "items", []):
            assert Image.fromarray(item.image).mode == "RGB"
