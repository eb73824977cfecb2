"""Matplotlib figures for notebooks and scripts.

They are made without pyplot: nothing opens a window, and nothing has to be closed.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from foveate.metrics.best_weights import best_row, criterion
from foveate.report import charts, drawing
from foveate.wording import escape_controls

_WIDTH = 9.0  # inches of a figure with several images in a row
_SINGLE_WIDTH = 6.0
_TITLE_HEIGHT = 0.55  # inches
_LETTERS_PER_INCH = 13
_MAX_ASPECT = 2.0
"""Height to width above which images are shown smaller, so that a row fits on a screen."""


class _InlineFigure(Figure):
    """A figure that a notebook shows, whether it has loaded pyplot or not."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=100)
        return file.getvalue()


def gallery(
    items: Sequence[tuple[NDArray[np.uint8], str]], *, columns: int = 4, title: str = ""
) -> Figure:
    """Draw images side by side, each with a title.

    Args:
        items: Images, (H, W, C) uint8, and their titles.
        columns: Images in a row.
        title: Of the whole figure.
    """
    columns = max(1, min(columns, len(items)))
    rows = max(1, -(-len(items) // columns))
    width = (_SINGLE_WIDTH if columns == 1 else _WIDTH) / columns
    aspect = max((image.shape[0] / image.shape[1] for image, _ in items), default=0.0)
    height = width * min(aspect, _MAX_ASPECT) + _TITLE_HEIGHT
    with charts.styled():
        figure = _InlineFigure((width * columns, height * rows + _TITLE_HEIGHT * bool(title)))
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis in axes:
            axis.set_axis_off()
        for axis, (image, text) in zip(axes, items, strict=False):
            axis.imshow(drawing.to_rgb(image))
            lines = textwrap.wrap(escape_controls(text), int(width * _LETTERS_PER_INCH))
            axis.set_title("\n".join(lines), loc="center", fontsize=9)
        if title:
            figure.suptitle(escape_controls(title))
    return figure


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
