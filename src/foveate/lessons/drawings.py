"""What the lessons show: pictures in one style, pictures that move with sliders, formulas beside their line of code, claims.

All of it is HTML that needs nothing from anywhere. A `Moving` picture is painted anew by Python in the live lesson; on a static
page all its positions were painted before, and a few lines of JavaScript flip through them.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from html import escape
from typing import Any

import marimo as mo
import numpy as np
from numpy.typing import NDArray

from foveate.report.charts import COLOURS, drawn
from foveate.report.embedding import embedded

MODEL, OTHER, INK, MUTED, LINE = (
    COLOURS[name] for name in ("model", "other", "ink", "muted", "line")
)


def picture(
    paint: Callable[[Any], None], described: str, inches: tuple[float, float] = (4.4, 3.4)
) -> str:
    """What `paint` draws on a matplotlib figure, as SVG.

    described: the same in words, for those who can't see it; inches: 4.4 wide fills a phone with legible letters.
    """
    svg = drawn(inches, paint)  # its ids are hashes of what they name, so many can share a page
    wide = f' style="--wide: {inches[0]:g}"'
    return f'<div class="picture" role="img" aria-label="{escape(described)}"{wide}>{svg}</div>'


def beside(*images: str) -> str:
    """Pictures side by side where there is room, else one below the other."""
    return f'<div class="beside">{"".join(images)}</div>'


def show(*parts: str) -> mo.Html:
    """Pictures and other HTML as what a cell shows."""
    return mo.Html(f'<div class="lesson">{"".join(parts)}</div>')


def caption(text: str) -> str:
    """A line below a picture. text: HTML."""
    return f'<p class="caption">{text}</p>'


def regions(axis: Any, shares: NDArray[np.floating], extent: Sequence[float]) -> None:
    """Where a net says one class or the other, in the two colours, and the boundary between them.

    shares: (H, W) probability of the class in the model's colour, the lowest y first; extent: left, right, bottom, top
    """
    left, right = (_channels(colour) for colour in (OTHER, MODEL))
    sure = np.abs(2 * shares - 1)[..., None]
    pixels = np.concatenate([np.where(shares[..., None] > 0.5, right, left), 0.06 + 0.34 * sure], 2)
    axis.imshow(
        pixels, origin="lower", extent=extent, interpolation="none", aspect="auto"
    )  # smoothed by the browser
    if shares.min() < 0.5 < shares.max():
        axis.contour(
            np.linspace(extent[0], extent[1], shares.shape[1]),
            np.linspace(extent[2], extent[3], shares.shape[0]),
            shares, levels=[0.5], colors=[INK], linewidths=1.6,
        )  # fmt: skip


def _channels(colour: str) -> NDArray[np.float64]:
    return np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])


def signed(axis: Any, values: NDArray[np.floating], most: float = 1.0) -> None:
    """(H, W) values, cell by cell: the model's colour above zero, the other below, full at `most`."""
    _cells(
        axis,
        np.where(values[..., None] > 0, _channels(MODEL), _channels(OTHER)),
        np.abs(values) / most,
    )


def ink(axis: Any, image: NDArray[np.uint8]) -> None:
    """(H, W) uint8, pixel by pixel, as ink on the page: 255 is all ink."""
    _cells(axis, np.broadcast_to(_channels(INK), (*image.shape, 3)), image / 255)


def heat(axis: Any, shares: NDArray[np.floating]) -> None:
    """(H, W) shares from 0 to 1, the first row at the bottom: the more, the more of the other colour."""
    _cells(axis, np.broadcast_to(_channels(OTHER), (*shares.shape, 3)), 0.04 + 0.9 * shares**0.6)
    axis.set(ylim=(0, shares.shape[0]), aspect="auto")


def _cells(axis: Any, colours: NDArray[np.float64], opacity: NDArray[np.floating]) -> None:
    # As vectors, not as a picture: so the page's own colours, in light and dark, take the place of ours.
    pixels = np.concatenate([colours, np.clip(opacity, 0, 1)[..., None]], 2)
    small = opacity.shape[0] <= 12
    axis.pcolormesh(pixels, edgecolors=LINE if small else "none", linewidth=0.4)
    axis.set(xlim=(0, opacity.shape[1]), ylim=(opacity.shape[0], 0), aspect="equal")
    axis.grid(visible=False)


def points(
    axis: Any, places: NDArray[np.floating], labels: NDArray[np.integer], size: float = 22
) -> None:
    """Points of two classes: circles in the model's colour for 1, squares in the other for 0. places: (N, 2); labels: (N,)"""
    for label, colour, marker in ((0, OTHER, "s"), (1, MODEL, "o")):
        some = places[labels == label]
        axis.scatter(
            some[:, 0],
            some[:, 1],
            s=size,
            c=colour,
            marker=marker,
            lw=0.7,
            edgecolors="#ffffff",
            zorder=3,
        )


def bare(axis: Any, title: str = "") -> None:
    """No ticks and no grid: the picture says it all."""
    axis.set(xticks=[], yticks=[], title=title)
    axis.grid(visible=False)


def pixels(image: NDArray[np.uint8], described: str, width: int = 160) -> str:
    """(H, W) or (H, W, 3) uint8, pixel by pixel, width: on the page, in pixels of CSS."""
    from PIL import Image

    uri = embedded(Image.fromarray(image), "PNG")
    return f'<img class="pixels" src="{uri}" alt="{escape(described)}" style="width: {width}px">'


def tiles(*images: tuple[NDArray[np.uint8], str, str]) -> str:
    """Pictures in a grid, two a row on a phone: (H, W, 3) uint8, the same in words, and what stands below it as HTML."""
    from PIL import Image

    cells = []
    for image, described, below in images:
        uri = embedded(
            Image.fromarray(image).quantize(96), "PNG"
        )  # in few colours, as a page brings hundreds of them
        cells.append(
            f'<figure><img src="{uri}" alt="{escape(described)}"><figcaption>{below}</figcaption></figure>'
        )
    return f'<div class="tiles">{"".join(cells)}</div>'


class Moving(mo.Html):
    """A picture that the reader moves.

    paint: a value of each control -> HTML; controls: by what stands beside them, marimo's sliders (with steps) and radios
    offered: how many of the first controls a static page offers; all of them where it isn't said. It brings a frame for each
    position of all of these together, so let them be a hundred at most.
    """

    def __init__(
        self, paint: Callable[..., str], controls: Mapping[str, Any], offered: int | None = None
    ):
        self.paint, self.controls = cache(paint), dict(controls)
        self.offered = len(controls) if offered is None else offered
        shown = "".join(
            f'<div class="control"><span>{name}</span>{one.text}</div>'
            for name, one in controls.items()
        )
        stage = self.paint(*(one.value for one in controls.values()))
        super().__init__(
            f'<div class="lesson moving"><div class="controls">{shown}</div><div class="stage">{stage}</div></div>'
        )

    def positions(self) -> list[tuple[str, list[str], int, bool]]:
        """Of each control: its name, its choices, which of them is chosen, and whether a static page offers it."""
        found = []
        for place, (name, one) in enumerate(self.controls.items()):
            values = choices(one)
            found.append(
                (name, list(values), list(values.values()).index(one.value), place < self.offered)
            )
        return found

    def frames(self) -> list[str]:
        """The HTML of every position that a static page offers, the last control's choices fastest."""
        rows: list[list[Any]] = [[]]
        for one, (_, _, _, offered) in zip(self.controls.values(), self.positions(), strict=True):
            values = list(choices(one).values()) if offered else [one.value]
            rows = [[*row, value] for row in rows for value in values]
        return [self.paint(*row) for row in rows]


def choices(control: Any) -> dict[str, Any]:
    """What a slider with steps, or a radio, can be set to, by how that is told."""
    if isinstance(control, mo.ui.slider):
        return {f"{value:g}": value for value in control.steps or ()}
    return dict(control.options)


def slider(steps: Sequence[float], value: float) -> mo.ui.slider:
    """A slider over these steps that shows its value."""
    return mo.ui.slider(steps=list(steps), value=value, show_value=True, full_width=True)


def formula(words: str, code: str) -> mo.Html:
    """A formula, in HTML (<i>x</i><sub>1</sub>), beside the line of code that computes it."""
    return show(
        f'<div class="formula"><div class="math">{words}</div><pre><code>{escape(code)}</code></pre></div>'
    )


def line_of(instance: Any, part: str, lines: int = 1) -> str:
    """The line of foveate's (or torch's) own source in which `part` stands, so that what is shown is what runs.

    thing: a module, class or function. Raises ValueError when it is not there.
    """
    source = inspect.getsource(instance).splitlines()
    for number, line in enumerate(source):
        if part in line:
            some = source[number : number + lines]
            margin = len(line) - len(line.lstrip())
            return "\n".join(re.sub(r"\s+# noqa.*", "", one[margin:]) for one in some)
    raise ValueError(f"{part!r} is not in the source of {instance!r}")


def said(command: str, text: str) -> str:
    """What was called, and the very words that foveate answered."""
    return f'<div class="said"><pre><code>{escape(command)}</code></pre><pre>{escape(text)}</pre></div>'


def claim(text: str, measured: str) -> mo.Html:
    """What was shown, after it has been asserted in the same cell. text, measured: HTML"""
    return show(
        '<div class="claim"><div class="tick" aria-hidden="true">✓</div>'
        f'<div><p>{text}</p><p class="measured">Checked each time this page is made: {measured}</p></div></div>'
    )
