"""Charts as inline SVG whose colours are the page's own CSS variables, so that they follow light and dark."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.metrics.names import written
from foveate.report.panels import Drawing, Key

# What matplotlib draws with -> what the page replaces it by.
_INK, _MUTED, _LINE, _MODEL, _OTHER = "#1b1f24", "#656d77", "#d9dde2", "#0a66c2", "#b4560b"
_VARIABLES = {
    _INK: "--ink",
    _MUTED: "--muted",
    _LINE: "--line",
    _MODEL: "--model",
    _OTHER: "--other",
}
COLOURS = {variable.removeprefix("--"): colour for colour, variable in _VARIABLES.items()}
"""What else is drawn by `drawn` takes these, by the names of the page's variables."""

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "foveate",  # else the names in the file differ from run to run
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
WIDE_LOSS = 50
"""Losses whose largest is this many times their smallest are drawn on a logarithmic scale."""


def learning_curves(rows: Sequence[Mapping[str, Any]], figure: str) -> Drawing:
    """Train and validation loss, and beside them the primary figure, over epochs; the kept weights are marked.

    rows: epoch, train_loss, valid_loss, train_FIGURE and valid_FIGURE; NaN leaves a gap. The weights with the lowest
    finite validation loss are those that were kept.
    """
    losses = [row["valid_loss"] if np.isfinite(row["valid_loss"]) else np.inf for row in rows]
    best = int(np.argmin(losses)) if rows and np.isfinite(losses).any() else None
    svgs = [
        _draw((4.4, 2.9), partial(_curve, rows=rows, kind=kind, best=best))
        for kind in ("loss", figure)
    ]
    keys = [Key("validation", "model"), Key("training", "other")]
    if best is None:
        return Drawing(
            svgs, f"Loss and {written(figure)}: no validation loss was a finite number.", keys
        )
    described = (
        f"Loss and {written(figure)} against epochs. The validation loss is {losses[0]:.3g} at epoch "
        f"{rows[0]['epoch']:g}, lowest at epoch {rows[best]['epoch']:g} with {losses[best]:.3g}, and "
        f"{rows[-1]['valid_loss']:.3g} at the end."
    )
    return Drawing(
        svgs,
        described,
        [*keys, Key(f"the weights that were kept, epoch {rows[best]['epoch']:g}", "kept")],
    )


def _curve(axis: Any, rows: Sequence[Mapping[str, Any]], kind: str, best: int | None) -> None:
    from matplotlib.ticker import MaxNLocator

    epochs = np.array([row["epoch"] for row in rows], float)
    train, valid = (
        np.array([row[f"{part}_{kind}"] for row in rows], float) for part in ("train", "valid")
    )
    marker = "o" if len(rows) < 12 else ""
    axis.plot(epochs, train, color=_OTHER, marker=marker, ms=3.5, ls=(0, (4, 2)))
    axis.plot(epochs, valid, color=_MODEL, marker=marker, ms=3.5)
    if best is not None:
        axis.axvline(epochs[best], color=_MUTED, lw=0.8, ls=":")
        axis.plot(epochs[best], valid[best], "o", ms=9, mfc="none", mec=_MODEL, mew=1.8)
    seen = np.concatenate([train, valid])
    seen = seen[np.isfinite(seen)]
    title = written(kind)
    if kind == "loss":
        if seen.size and seen.min() > 0 and seen.max() > WIDE_LOSS * seen.min():
            axis.set_yscale("log")
            axis.yaxis.set_major_formatter(
                lambda value, _: f"{value:g}"
            )  # its own is TeX, which the page does not set
            title += ", logarithmic"
    elif seen.size and seen.min() >= 0 and seen.max() <= 1:
        axis.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%")
    if len(rows) == 1:
        axis.set(xlim=(epochs[0] - 1, epochs[0] + 1), xticks=epochs, xticklabels=[f"{epochs[0]:g}"])
    elif rows and epochs[-1] >= 2:
        axis.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
    axis.set_title(title)
    axis.set_xlabel("epoch")
    axis.grid(visible=False, axis="x")


def reliability(
    confidence: NDArray[np.float64], accuracy: NDArray[np.float64], count: NDArray[np.int64]
) -> Drawing:
    """Accuracy against confidence, a dot a bin, its area by the pictures in it (Guo et al., 2017).

    confidence, accuracy: (bins,) means, NaN where a bin is empty; count: (bins,) pictures.
    """
    some = count > 0
    sure, right, images = confidence[some], accuracy[some], count[some]

    def paint(axis: Any) -> None:
        from matplotlib.ticker import PercentFormatter

        axis.plot([0, 1], [0, 1], color=_MUTED, lw=1, ls=":")
        axis.vlines(sure, np.minimum(sure, right), np.maximum(sure, right), color=_OTHER, lw=1.4)
        axis.scatter(
            sure, right, s=18 + 300 * images / max(1, count.max(initial=1)), color=_MODEL, lw=0
        )
        axis.set(xlim=(-0.05, 1.05), ylim=(-0.05, 1.05))
        axis.set(xlabel="how sure the model is", ylabel="how often it is right")
        for side in (axis.xaxis, axis.yaxis):
            side.set_major_formatter(PercentFormatter(1.0, decimals=0))

    if not images.size:
        return Drawing(
            [_draw((4.4, 3.6), paint)], "Accuracy against confidence: there is no picture."
        )
    worst = int(np.argmax(np.abs(sure - right)))
    described = (
        f"Accuracy against confidence, in {images.size} groups of pictures. The largest gap is in the group that is "
        f"{sure[worst]:.0%} sure and {right[worst]:.0%} right."
    )
    keys = [Key("pictures of like confidence; larger: more of them", "dot"), Key("the gap", "gap")]
    return Drawing([_draw((4.4, 3.6), paint)], described, keys)


LONGEST = 32
"""Characters of a name in a chart."""
_SHADES = (_MODEL, _OTHER, _INK, _MUTED)


def precision_recall(
    curves: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> Drawing:
    """Precision against recall, a line a class: {name: (recall, precision)}, from the surest answer to the least sure."""

    def paint(axis: Any) -> None:
        from matplotlib.ticker import PercentFormatter

        for number, (recall, precision) in enumerate(curves.values()):
            style = "-" if number < len(_SHADES) else "--"
            axis.plot(recall, precision, color=_SHADES[number % len(_SHADES)], ls=style)
        if curves:
            axis.legend(
                axis.lines,
                [_legible(name) for name in curves],
                loc="upper left",
                bbox_to_anchor=(1.02, 1.0),  # beside the curves, which may go anywhere
                frameon=False,
                labelcolor=_INK,
                fontsize=9,
            )
        axis.set(
            xlim=(0, 1.02),
            ylim=(0, 1.02),
            xlabel="recall: true ones found",
            ylabel="precision: answers right",
        )
        for side in (axis.xaxis, axis.yaxis):
            side.set_major_formatter(PercentFormatter(1.0, decimals=0))

    ends = [
        f"{name} ends at a recall of {recall[-1]:.0%}"
        for name, (recall, _) in curves.items()
        if len(recall)
    ]
    return Drawing(
        [_draw((6.2, 3.6), paint)],
        f"Precision against recall. {'; '.join(ends) or 'Nothing was found'}.",
    )


def _legible(name: str) -> str:
    """A name as matplotlib can take it: cut, and without what is no Unicode."""
    name = name.encode("utf-8", "backslashreplace").decode()
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def _draw(inches: tuple[float, float], paint: Callable[[Any], None]) -> str:
    return drawn(inches, lambda figure: paint(figure.subplots()))


def drawn(inches: tuple[float, float], paint: Callable[[Any], None]) -> str:
    """What `paint` draws on a matplotlib figure of this size, as SVG for a page with our variables of colour."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    out = io.StringIO()
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Glyph "
        )  # of names in other scripts: the page's own font has them
        mpl.rcdefaults()  # a style of the user's own must not change the page
        mpl.rcParams.update(_STYLE)
        figure = Figure(figsize=inches)
        paint(figure)
        figure.savefig(
            out, format="svg", transparent=True, metadata={"Date": None, "Creator": None}
        )
    return _clean(out.getvalue())


def _clean(text: str) -> str:
    """Matplotlib's SVG without what a page does not need, in the page's own font and colours."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r' (?:xmlns(?::\w+)?|version)="[^"]+"', "", text)  # HTML implies them
    text = text.replace("xlink:href", "href")
    text = re.sub(
        r"<style[^>]*>.*?</style>", "", text, flags=re.S
    )  # it would restyle the whole page
    text = re.sub(
        r'(<svg\b[^>]*?) width="[^"]+" height="[^"]+"', r'\1 aria-hidden="true"', text, count=1
    )
    text = re.sub(r"font-family: [^;\"]+; ", "", text)
    text = re.sub(r' transform="rotate\(-0 [^"]+\)"', "", text)
    used = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", text))
    text = re.sub(r' id="([^"]+)"', lambda m: m[0] if m[1] in used else "", text)
    text = re.sub(
        r"<[^>]+>", lambda tag: re.sub(r"(\d+\.\d\d)\d+", r"\1", tag[0]), text
    )  # places, not what is written
    text = re.sub(r"\s*\n\s*", " ", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    return text.strip()
