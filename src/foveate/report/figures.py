"""Matplotlib figures for notebooks and scripts.

They are made without pyplot: nothing opens a window, and nothing has to be closed.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from foveate.metrics.best_weights import best_row, criterion
from foveate.report import charts, drawing
from foveate.report.drawing import Colour
from foveate.report.figure_layers import draw_layers
from foveate.report.panels import GalleryItem
from foveate.wording import escape_controls

_WIDTH = 9.0  # inches of a figure with several images in a row
_SINGLE_WIDTH = 6.0
_TITLE_HEIGHT = 0.55  # inches
_LETTERS_PER_INCH = 12
_LEGEND_LETTERS_PER_INCH = 9
_MARK_LETTERS = 6  # that the mark of a colour takes in a legend
_LINE_HEIGHT = 0.16  # inches of a line of a title
_MAX_LINES = 3  # of a title
_MAX_ASPECT = 2.0
"""Height to width above which images are shown smaller, so that a row fits on a screen."""


class _InlineFigure(Figure):
    """A figure that a notebook shows, whether it has loaded pyplot or not."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=100)
        return file.getvalue()


def gallery(
    items: Sequence[GalleryItem],
    *,
    columns: int = 4,
    title: str = "",
    note: str = "",
    legend: Sequence[tuple[str, Colour]] = (),
) -> Figure:
    """Draw images side by side, each with its outlines, caption and detail.

    Args:
        items: The images.
        columns: Images in a row.
        title: Of the whole figure.
        note: A line below the title.
        legend: Names of colours.
    """
    columns = max(1, min(columns, len(items)))
    rows = max(1, -(-len(items) // columns))
    width = (_SINGLE_WIDTH if columns == 1 else _WIDTH) / columns
    aspect = max((one.image.shape[0] / one.image.shape[1] for one in items), default=0.0)
    titles = [_title(one, int(width * _LETTERS_PER_INCH)) for one in items]
    lines = max((text.count("\n") + 1 for text in titles), default=0)
    height = width * min(aspect, _MAX_ASPECT) + 0.2 + _LINE_HEIGHT * lines
    around = _TITLE_HEIGHT * (bool(title) + bool(legend))
    with charts.styled():
        figure = _InlineFigure((width * columns, height * rows + around))
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis in axes:
            axis.set_axis_off()
        for axis, item, text in zip(axes, items, titles, strict=False):
            axis.imshow(drawing.to_rgb(item.image))
            draw_layers(axis, item.layers, (item.image.shape[0], item.image.shape[1]))
            axis.set_title(text, loc="center", fontsize=9)
        if title:
            figure.suptitle("\n".join(escape_controls(line) for line in (title, note) if line))
        if legend:
            marks = [Patch(color=f"#{bytes(colour).hex()}") for _, colour in legend]
            names = [charts.shorten(escape_controls(name)) for name, _ in legend]
            longest = max(map(len, names)) + _MARK_LETTERS
            ncols = max(1, min(4, int(width * columns * _LEGEND_LETTERS_PER_INCH / longest)))
            figure.legend(marks, names, loc="outside lower center", ncols=ncols, frameon=False)
    return figure


def _title(item: GalleryItem, letters: int) -> str:
    """Caption and detail in a few lines of so many letters; of a long word its end is left."""
    text = escape_controls(f"{item.caption} · {item.detail}" if item.detail else item.caption)
    words = (f"…{word[1 - letters :]}" if len(word) > letters else word for word in text.split())
    lines = textwrap.wrap(" ".join(words), letters, break_on_hyphens=False)
    if len(lines) > _MAX_LINES:
        lines = [*lines[: _MAX_LINES - 1], f"…{lines[-1][1 - letters :]}"]
    return "\n".join(lines)


def learning_curves(rows: Sequence[Mapping[str, Any]], metric: str, kept_by: str) -> Figure:
    """Draw loss and metric by epoch; see `charts.learning_curves`."""
    best = best_row(rows, kept_by)
    with charts.styled():
        figure = _InlineFigure((_WIDTH, 3.4))
        axes = figure.subplots(1, 2)
        for axis, quantity in zip(axes, ("loss", metric), strict=True):
            charts.draw_curves(axis, rows, quantity, best)
        names = ["training", "validation", criterion(kept_by, rows)]
        marks = [*axes[0].lines[:2], *axes[0].lines[3:]]
        figure.legend(marks, names, loc="outside upper right", ncols=3, frameon=False)
    return figure
