"""Charts as inline SVG in the colours of the page's CSS variables, for light and dark mode."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.metrics.best_weights import LOSS, best_row, criterion
from foveate.metrics.names import display_name
from foveate.report.panels import LegendEntry, Plot
from foveate.wording import count_noun, short_number

# Matplotlib draws with these colours; the page replaces them by its CSS variables.
_INK, _MUTED, _LINE, _MODEL, _OTHER = "#1b1f24", "#656d77", "#d9dde2", "#0a66c2", "#b4560b"
_VARIABLES = {
    _INK: "--ink",
    _MUTED: "--muted",
    _LINE: "--line",
    _MODEL: "--model",
    _OTHER: "--other",
}
COLOURS = {variable.removeprefix("--"): colour for colour, variable in _VARIABLES.items()}
"""The colours that `render_svg` replaces by CSS variables, by the names of these variables."""

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "foveate",  # without it the ids in the file differ from run to run
    "text.parse_math": False,
    "font.size": 10,
    "text.color": _INK,
    "axes.edgecolor": _LINE,
    "axes.labelcolor": _MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "axes.titlepad": 10,
    "grid.color": _LINE,
    "grid.linewidth": 0.6,
    "xtick.color": _LINE,
    "ytick.color": _LINE,
    "xtick.labelcolor": _MUTED,
    "ytick.labelcolor": _MUTED,
    "ytick.major.size": 0,
    "lines.linewidth": 1.8,
    "figure.constrained_layout.use": True,
}
LOG_SCALE_RATIO = 50
"""Losses get a logarithmic scale if the largest exceeds the smallest by this factor."""
MAX_NAME_LENGTH = 32
"""Characters of a class name in a chart."""
_WITH_NAMES = 500  # pixels of a chart with names beside it
_LINE_COLOURS = (_MODEL, _OTHER, _INK, _MUTED)


def learning_curves(rows: Sequence[Mapping[str, Any]], metric: str, kept_by: str = LOSS) -> Plot:
    """Draw the training and validation loss, and a metric beside them, over epochs.

    The epoch with the best weights is marked.

    Args:
        rows: Mappings with epoch, train_loss, valid_loss, train_METRIC and valid_METRIC. NaN leaves
            a gap.
        metric: The name of the metric.
        kept_by: See `best_row`.
    """
    best = best_row(rows, kept_by)
    svgs = [
        _draw((4.4, 2.9), partial(draw_curves, rows=rows, quantity=quantity, best=best))
        for quantity in ("loss", metric)
    ]
    legend = [LegendEntry("validation", "model"), LegendEntry("training", "other")]
    title = f"Loss and {display_name(metric)} by epoch"
    if best is None:
        return Plot(svgs, f"{title}. No validation loss is a finite number.", legend)
    losses, epochs = ([row[name] for row in rows] for name in ("valid_loss", "epoch"))
    alt = (
        f"{title}. The validation loss is {losses[0]:.3g} at epoch {short_number(epochs[0])}, "
        f"{losses[best]:.3g} at epoch {short_number(epochs[best])}, which has the "
        f"{criterion(kept_by, rows)}, and {losses[-1]:.3g} at the end."
    )
    legend.append(LegendEntry(f"best weights, epoch {short_number(epochs[best])}", "best"))
    return Plot(svgs, alt, legend)


def draw_curves(
    axis: Any, rows: Sequence[Mapping[str, Any]], quantity: str, best: int | None
) -> None:
    """Draw a quantity of the train and the validation split over epochs.

    Args:
        axis: A matplotlib axis.
        rows: See `learning_curves`.
        quantity: "loss", or the name of the metric.
        best: The row that is marked.
    """
    from matplotlib.ticker import MaxNLocator

    epochs = np.array([row["epoch"] for row in rows], float)
    train, valid = (
        np.array([row[f"{split}_{quantity}"] for row in rows], float)
        for split in ("train", "valid")
    )
    marker = "o" if len(rows) < 12 else ""
    axis.plot(epochs, train, color=_OTHER, marker=marker, ms=3.5, ls=(0, (4, 2)))
    axis.plot(epochs, valid, color=_MODEL, marker=marker, ms=3.5)
    if best is not None:
        axis.axvline(epochs[best], color=_MUTED, lw=0.8, ls=":")
        axis.plot(epochs[best], valid[best], "o", ms=9, mfc="none", mec=_MODEL, mew=1.8)
    values = np.concatenate([train, valid])
    values = values[np.isfinite(values)]
    title = display_name(quantity)
    if quantity == "loss":
        if values.size and values.min() > 0 and values.max() > LOG_SCALE_RATIO * values.min():
            axis.set_yscale("log")
            # Matplotlib's own labels are TeX, which the page does not typeset.
            axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
            title += ", logarithmic"
    elif values.size and values.min() >= 0 and values.max() <= 1:
        axis.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%")
    if len(rows) == 1:
        axis.set(
            xlim=(epochs[0] - 1, epochs[0] + 1),
            xticks=epochs,
            xticklabels=[f"{short_number(epochs[0])}"],
        )
    elif rows and epochs[-1] >= 2:
        axis.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
    axis.set_title(title)
    axis.set_xlabel("epoch")
    axis.grid(visible=False, axis="x")


def reliability(
    confidence: NDArray[np.float64], accuracy: NDArray[np.float64], image_counts: NDArray[np.int64]
) -> Plot:
    """Draw a reliability diagram, accuracy against confidence (Guo et al., 2017).

    Each bin is a dot whose area grows with its number of images.

    Args:
        confidence: Mean confidence of each bin, shape (B,), NaN in an empty bin.
        accuracy: Accuracy of each bin, shape (B,), NaN in an empty bin.
        image_counts: Number of images in each bin, shape (B,).
    """
    filled = image_counts > 0
    confidence, accuracy, images = confidence[filled], accuracy[filled], image_counts[filled]

    def paint(axis: Any) -> None:
        low, high = np.minimum(confidence, accuracy), np.maximum(confidence, accuracy)
        area = 18 + 300 * images / max(1, image_counts.max(initial=1))
        axis.plot([0, 1], [0, 1], color=_MUTED, lw=1, ls=":")
        axis.vlines(confidence, low, high, color=_OTHER, lw=1.4)
        axis.scatter(confidence, accuracy, s=area, color=_MODEL, lw=0)
        axis.set(xlim=(-0.05, 1.05), ylim=(-0.05, 1.05), xlabel="confidence", ylabel="accuracy")
        _format_as_percent(axis)

    svgs = [_draw((4.4, 3.6), paint)]
    if not images.size:
        return Plot(svgs, "Accuracy against confidence. There are no images.")
    worst = int(np.argmax(np.abs(confidence - accuracy)))
    alt = (
        f"Accuracy against confidence in {count_noun(images.size, 'bin')}. The largest gap is in "
        f"the bin with confidence {confidence[worst]:.0%} and accuracy {accuracy[worst]:.0%}."
    )
    legend = [
        LegendEntry("images of similar confidence (larger: more images)", "dot"),
        LegendEntry("gap between confidence and accuracy", "gap"),
    ]
    return Plot(svgs, alt, legend)


def precision_recall(
    curves: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> Plot:
    """Draw precision against recall, one line per class.

    Args:
        curves: Recall and precision of each class by its name, in order of falling confidence.
    """

    def paint(axis: Any) -> None:
        for index, (recall, precision) in enumerate(curves.values()):
            style = "-" if index < len(_LINE_COLOURS) else "--"
            colour = _LINE_COLOURS[index % len(_LINE_COLOURS)]
            axis.plot(recall, precision, color=colour, ls=style)
        if curves:
            axis.legend(
                axis.lines,
                [shorten(name) for name in curves],
                loc="upper left",
                bbox_to_anchor=(1.02, 1.0),  # beside the curves, which may run anywhere
                frameon=False,
                labelcolor=_INK,
                fontsize=9,
            )
        axis.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
        _format_as_percent(axis)

    ends = [
        f"{name} ends at a recall of {recall[-1]:.0%}"
        for name, (recall, _) in curves.items()
        if len(recall)
    ]
    alt = f"Precision against recall. {'; '.join(ends) or 'There are no predictions'}."
    return Plot([widen(_draw((6.2, 3.6), paint), _WITH_NAMES)], alt)


def _format_as_percent(axis: Any) -> None:
    from matplotlib.ticker import PercentFormatter

    for side in (axis.xaxis, axis.yaxis):
        side.set_major_formatter(PercentFormatter(1.0, decimals=0))


def shorten(name: str) -> str:
    """Cut a name to MAX_NAME_LENGTH, in characters that matplotlib accepts."""
    name = name.encode("utf-8", "backslashreplace").decode()
    return name if len(name) <= MAX_NAME_LENGTH else f"{name[: MAX_NAME_LENGTH - 1]}…"


def widen(svg: str, pixels: int) -> str:
    """Let a chart be so wide; on a phone it scrolls, so that its text stays legible."""
    return svg.replace("<svg", f'<svg style="max-width: {pixels}px; --wide: {pixels}px"', 1)


def is_wide(svg: str) -> bool:
    """Whether a chart may scroll; see `widen`."""
    return "--wide:" in svg[: svg.index(">")]


def _draw(inches: tuple[float, float], paint: Callable[[Any], None]) -> str:
    return render_svg(inches, lambda figure: paint(figure.subplots()))


@contextmanager
def styled() -> Iterator[None]:
    """What is drawn in this context has foveate's style, whatever the user's own is."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def render_svg(inches: tuple[float, float], paint: Callable[[Any], None]) -> str:
    """Draw a matplotlib figure as SVG for a page that defines the CSS variables of `COLOURS`.

    Args:
        inches: Width and height of the figure.
        paint: A function that draws on the figure.
    """
    from matplotlib.figure import Figure

    buffer = io.StringIO()
    with styled(), warnings.catch_warnings():
        # Names in other scripts need no glyphs here: the page's font has them.
        warnings.filterwarnings("ignore", "Glyph ")
        figure = Figure(figsize=inches)
        paint(figure)
        metadata = {"Date": None, "Creator": None}
        figure.savefig(buffer, format="svg", transparent=True, metadata=metadata)
    return _clean(buffer.getvalue())


def _clean(svg: str) -> str:
    """Strip matplotlib's SVG to what the page needs, in the page's font and colours."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r' (?:xmlns(?::\w+)?|version)="[^"]+"', "", svg)  # HTML implies them
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r"<style[^>]*>.*?</style>", "", svg, flags=re.S)  # it would restyle the whole page
    svg = re.sub(
        r'(<svg\b[^>]*?) width="[^"]+" height="[^"]+"', r'\1 aria-hidden="true"', svg, count=1
    )
    svg = re.sub(r"font-family: [^;\"]+; ", "", svg)
    svg = re.sub(r' transform="rotate\(-0 [^"]+\)"', "", svg)
    used = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", svg))
    svg = re.sub(r' id="([^"]+)"', lambda match: match[0] if match[1] in used else "", svg)
    # Round coordinates inside tags, but not numbers in the text.
    svg = re.sub(r"<[^>]+>", lambda tag: re.sub(r"(\d+\.\d\d)\d+", r"\1", tag[0]), svg)
    svg = re.sub(r"\s*\n\s*", " ", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return svg.strip()
