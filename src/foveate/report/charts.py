"""Charts as inline SVG whose colours are the page's own CSS variables, so that they follow light and dark."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# What matplotlib draws with -> what the page replaces it by.
_INK, _MUTED, _LINE, _MODEL, _OTHER = "#1b1f24", "#656d77", "#d9dde2", "#0a66c2", "#b4560b"
_VARIABLES = {_INK: "--ink", _MUTED: "--muted", _LINE: "--line", _MODEL: "--model", _OTHER: "--other"}

_STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 11,
    "text.color": _INK,
    "axes.edgecolor": _LINE,
    "axes.labelcolor": _MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": _LINE,
    "grid.linewidth": 0.6,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "xtick.labelcolor": _MUTED,
    "ytick.labelcolor": _MUTED,
    "lines.linewidth": 2,
    "figure.constrained_layout.use": True,
}


def _svg(figure: Any, name: str) -> str:
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    # Many charts share one page: names that nothing refers to go, the others get the chart's own name.
    used = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", text))
    text = re.sub(r' id="([^"]+)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", text)
    text = re.sub(r"(url\(#|href=\"#)", rf"\g<1>{name}-", text)
    text = re.sub(r'<svg ([^>]*?)width="[^"]+" height="[^"]+"', r"<svg \1", text, count=1)
    text = text.replace("'DejaVu Sans', 'sans-serif'", "inherit").replace("sans-serif", "inherit")
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    return text


def learning_curves(rows: Sequence[Mapping[str, Any]], figure: str) -> str:
    """Train and validation loss, and beside them the primary figure, over epochs; the kept weights are marked."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    epochs = [row["epoch"] for row in rows]
    losses = [row["valid_loss"] for row in rows]
    finite = [loss if np.isfinite(loss) else np.inf for loss in losses]
    best = int(np.argmin(finite)) if rows else 0
    with mpl.rc_context({**_STYLE, "svg.hashsalt": "curves"}):
        canvas = Figure(figsize=(7.2, 3.1))
        for axis, kind, title in zip(
            canvas.subplots(1, 2), ("loss", figure), ("loss", figure.replace("_", " ")), strict=True
        ):
            marker = "o" if len(rows) < 12 else ""
            axis.plot(epochs, [row[f"train_{kind}"] for row in rows], color=_OTHER, marker=marker, ms=3, ls="--")
            axis.plot(epochs, [row[f"valid_{kind}"] for row in rows], color=_MODEL, marker=marker, ms=3)
            if rows:
                axis.plot([epochs[best]], [rows[best][f"valid_{kind}"]], "o", ms=8, mfc="none", mec=_MODEL, mew=2)
            axis.set_title(title, loc="left", fontsize=11)
            axis.set_xlabel("epoch")
            if kind == figure:
                axis.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1.0, decimals=None))  # type: ignore[attr-defined]
        return _svg(canvas, "curves")


def reliability(confidence: NDArray[np.float64], accuracy: NDArray[np.float64], count: NDArray[np.int64]) -> str:
    """Accuracy against confidence, a dot a bin, its area by the pictures in it."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    some = count > 0
    with mpl.rc_context({**_STYLE, "svg.hashsalt": "reliability"}):
        canvas = Figure(figsize=(4.4, 3.6))
        axis = canvas.subplots()
        axis.plot([0, 1], [0, 1], color=_MUTED, lw=1, ls=":")
        size = 20 + 380 * count[some] / max(1, count.max(initial=1))
        axis.scatter(confidence[some], accuracy[some], s=size, color=_MODEL, alpha=0.75, lw=0)
        axis.set(xlim=(-0.04, 1.04), ylim=(-0.04, 1.04), xlabel="how sure the model is", ylabel="how often it is right")
        for side in (axis.xaxis, axis.yaxis):
            side.set_major_formatter(mpl.ticker.PercentFormatter(1.0, decimals=0))  # type: ignore[attr-defined]
        return _svg(canvas, "reliability")
