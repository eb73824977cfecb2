"""A map of images: one dot an image, coloured by class, with a ring around what to look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.report.charts import COLOURS, render_svg, shorten, widen
from foveate.report.panels import Plot
from foveate.wording import count_noun

PALETTE = (
    "#4c8fd6", "#e07b39", "#3fa66b", "#d4574e", "#8d74c9",
    "#a9764f", "#d678b4", "#7f8a96", "#b5a12f", "#35a7b5",
)  # fmt: skip
"""Colours of classes, of one lightness, to be seen on light and dark pages; the first class begins
anew after the last colour, with another mark."""
_MARKS = "os^D"
_WIDTH = 680  # pixels of the page
MAX_LEGEND = len(PALETTE) * len(_MARKS)
"""Classes up to which each has a colour and mark of its own, and a legend."""


def class_map(
    places: NDArray[np.float64],
    classes: NDArray[np.int64] | None,
    names: Sequence[str],
    ringed: NDArray[np.bool_],
    ring: str,
) -> Plot:
    """Draw a map.

    Args:
        places: (N, 2).
        classes: (N,) the class of each image, or None.
        names: The K class names.
        ringed: (N,) images with a ring.
        ring: What a ring says, for the legend.
    """
    every = np.zeros(len(places), np.int64) if classes is None else classes

    def paint(figure: Any) -> None:
        axis = figure.subplots()
        for k in np.unique(every).tolist():
            axis.plot(
                *places[every == k].T,
                _MARKS[k // len(PALETTE) % len(_MARKS)],
                color=PALETTE[k % len(PALETTE)],
                ms=3.2,
                mew=0,
                label=shorten(names[k]) if classes is not None else "images",
            )
        axis.plot(*places[ringed].T, "o", ms=7, mfc="none", mec=COLOURS["ink"], mew=0.9, label=ring)
        axis.set(xticks=[], yticks=[])
        axis.grid(visible=False)
        axis.margins(0.02)
        shown = axis.lines if len(names) <= MAX_LEGEND and classes is not None else axis.lines[-1:]
        if len(shown) > 1 or ringed.any():
            axis.legend(
                shown,
                [line.get_label() for line in shown],
                loc="upper left",
                bbox_to_anchor=(1.02, 1.0),
                frameon=False,
                labelcolor=COLOURS["ink"],
                fontsize=9,
                markerscale=2,
                ncols=1 + (len(shown) - 1) // 21,
            )

    alt = f"A map of {count_noun(len(places), 'image')}: similar images lie near each other."
    alt += f" {count_noun(int(ringed.sum()), 'image')} with a ring: {ring}."
    # Charts are as wide as half a page; dots need more room.
    svg = widen(render_svg((8.2, 5.2), paint), _WIDTH)
    return Plot([svg], alt)
