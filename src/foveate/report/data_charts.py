"""Charts of a dataset: how many images each class has, and how values are distributed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.report.charts import COLOURS, render_svg, shorten, widen
from foveate.report.panels import Plot
from foveate.wording import count_noun

MAX_BARS = 40
"""Classes with a bar: those with the most images."""
_ROW = 0.24  # inches of a bar
_BINS = 30
_SHADES = ("model", "other", "muted", "ink")  # of the splits, in their order


def class_counts(names: Sequence[str], counts: Mapping[str, NDArray[np.int64]]) -> Plot:
    """Draw a bar for each class, the most frequent on top, with a part for each split.

    Args:
        names: The K class names.
        counts: Of each split, (K,) images with each class.
    """
    total = np.sum(list(counts.values()), 0)
    order = np.argsort(-total, kind="stable")[:MAX_BARS]

    def paint(figure: Any) -> None:
        axis = figure.subplots()
        places, left = np.arange(len(order)), np.zeros(len(order))
        for (split, values), shade in zip(counts.items(), _SHADES, strict=False):
            axis.barh(places, values[order], 0.72, left, color=COLOURS[shade], label=split)
            left += values[order]
        for place, value in zip(places, left, strict=True):
            axis.annotate(
                f"{value:,.0f}", (value, place), (4, 0), textcoords="offset points",
                va="center", color=COLOURS["muted"], fontsize=9,
            )  # fmt: skip
        axis.set_yticks(places, [shorten(names[k]) for k in order], color=COLOURS["ink"])
        axis.set(ylim=(len(order) - 0.5, -0.5), xticks=[])
        axis.margins(x=0.1)
        axis.spines[:].set_visible(False)
        axis.grid(visible=False)
        if len(counts) > 1:
            axis.legend(
                loc="upper left",
                bbox_to_anchor=(1.02, 1.0),
                frameon=False,
                labelcolor=COLOURS["ink"],
                fontsize=9,
            )

    most, least = int(total.argmax()), int(total.argmin())
    alt = (
        f"Images of each of {count_noun(len(names), 'class', 'classes')}: from {total[least]:,} of "
        f"{names[least]} to {total[most]:,} of {names[most]}."
    )
    svg = render_svg((7.6, 0.5 + _ROW * len(order)), paint)
    return Plot([widen(svg, 680)], alt)


def histograms(values: Mapping[str, NDArray[np.float64]]) -> Plot:
    """Draw a histogram of each quantity.

    Args:
        values: (N,) values of each quantity by its name with its unit; at least one.
    """
    svgs = [
        render_svg((4.4, 2.5), partial(_paint_histogram, values=one, name=name))
        for name, one in values.items()
    ]
    parts = [
        f"{name}: from {one.min():,.4g} to {one.max():,.4g}, median {np.median(one):,.4g}"
        for name, one in values.items()
    ]
    return Plot(svgs, f"Histograms. {'; '.join(parts)}.")


def _paint_histogram(figure: Any, values: NDArray[np.float64], name: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axis = figure.subplots()
    low, high = float(values.min()), float(values.max())
    axis.set_title(name)
    if low == high:  # one bar as high as the chart would say no more
        axis.set_axis_off()
        where = "the only image" if len(values) == 1 else f"all {len(values):,} images"
        axis.text(0, 0.9, f"{low:,.4g} in {where}", color=COLOURS["ink"], va="top")
        return
    whole = bool((values == values.round()).all())
    if whole and high - low < _BINS:
        bins = np.arange(low, high + 2) - 0.5  # a bar for each number
    else:
        bins = np.linspace(low, high, _BINS + 1)
    axis.hist(values, bins, color=COLOURS["model"], alpha=0.75, rwidth=0.9)
    axis.set_ylabel("images")
    axis.grid(visible=False, axis="x")
    axis.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    axis.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=whole))
