"""Figures for notebooks show what pages show: images, their outlines, and titles that fit."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.path import Path

from foveate.annotations import Boxes
from foveate.report import figures, overlays
from foveate.report.drawing import class_colour
from foveate.report.figure_layers import read_path
from foveate.report.overlays import Layer
from foveate.report.panels import GalleryItem

SIZE = (40, 60)


def layers() -> list[Layer]:
    mask = np.zeros(SIZE, np.int32)
    mask[5:20, 10:30] = 1
    box = Boxes(np.array([[10.0, 5, 30, 20]]), [1], np.array([0.9]))
    target = Boxes(box.corners, box.classes)
    return [
        overlays.target_boxes(target, SIZE),
        overlays.predicted_boxes(box, SIZE, ["cat", "dog"], np.ones(1, bool)),
        overlays.masks_layer("prediction", mask, box, [class_colour(1)]),
        overlays.class_map_layer("prediction", mask, [(1, 2, 3), (4, 5, 6)], filled=True),
        overlays.error_layer(mask > 0, (255, 0, 200)),
    ]


@pytest.mark.parametrize("layer", layers())
@pytest.mark.parametrize("factor", [1, 3])
def test_the_outline_of_every_layer_is_drawn_at_its_place(layer, factor):
    image = np.zeros((SIZE[0] * factor, SIZE[1] * factor, 3), np.uint8)
    figure = figures.gallery([GalleryItem(image, "one", layers=[layer])])
    axis = figure.axes[0]
    (patch,) = axis.patches
    assert [value * 255 for value in patch.get_edgecolor()[:3]] == pytest.approx(
        layer.shapes[0].colour
    )
    (left, top), (right, bottom) = patch.get_path().get_extents().get_points()
    corners = np.array([left, top, right, bottom]) + 0.5
    assert corners.tolist() == (factor * np.array([10, 5, 30, 20])).tolist()
    assert axis.get_xlim() == (-0.5, SIZE[1] * factor - 0.5)


def test_what_a_page_hides_at_first_is_not_drawn():
    boxes = Boxes(np.array([[1.0, 2, 9, 9], [2, 3, 9, 9]]), [0, 0], np.array([0.9, 0.1]))
    some = overlays.predicted_boxes(boxes, SIZE, ["cat"], np.array([True, False]))
    hidden = overlays.class_map_layer("target", np.eye(9, dtype=int), [(1, 2, 3)] * 2, filled=False)
    item = GalleryItem(np.zeros((*SIZE, 3), np.uint8), "one", layers=[some, hidden])
    assert len(figures.gallery([item]).axes[0].patches) == 1


def test_the_loops_of_a_mask_are_read_as_they_were_written():
    mask = np.zeros((9, 9), bool)
    mask[1:8, 1:8] = True
    mask[3:5, 3:6] = False
    path = read_path(overlays.mask_path(mask))
    loops = [loop.get_extents().get_points().tolist() for loop in _loops(path)]
    assert loops == [[[1, 1], [8, 8]], [[3, 3], [6, 5]]]


def _loops(path: Path) -> list[Path]:
    starts = [*np.flatnonzero(path.codes == Path.MOVETO), len(path.codes)]
    return [Path(path.vertices[one : end - 1]) for one, end in itertools.pairwise(starts)]


@pytest.mark.parametrize("columns", [1, 3, 4])
@pytest.mark.parametrize("name", ["a/" * 90 + "last.png", "words " * 60, "IMG_2024" * 30])
def test_titles_never_overlap(columns, name):
    item = GalleryItem(np.zeros((*SIZE, 3), np.uint8), "cat, predicted as dog", name)
    figure = figures.gallery([item] * 8, columns=columns, title="Mistakes", note="white: targets")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    boxes = [axis.title.get_window_extent() for axis in figure.axes]
    boxes += [axis.get_window_extent() for axis in figure.axes]
    boxes += [figure._suptitle.get_window_extent()]
    for number, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[number + 1 :])


@pytest.mark.parametrize("letters", [3, 20, 30])
def test_a_legend_is_as_wide_as_the_figure_at_most(letters):
    item = GalleryItem(np.zeros((*SIZE, 3), np.uint8), "cat", "1.png")
    legend = [("n" * letters, (k, k, k)) for k in range(16)]
    figure = figures.gallery([item] * 4, title="Mistakes", legend=legend)
    FigureCanvasAgg(figure).draw()
    (drawn,) = figure.legends
    extent, whole = drawn.get_window_extent(), figure.bbox
    assert whole.x0 <= extent.x0 < extent.x1 <= whole.x1


def test_of_a_long_id_the_end_is_left():
    item = GalleryItem(np.zeros((*SIZE, 3), np.uint8), "cat", "folder/" * 30 + "last.png")
    title = figures.gallery([item] * 3).axes[0].get_title()
    assert title.endswith("last.png")
    assert "…" in title
