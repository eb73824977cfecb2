"""Building blocks of the lessons: figures, interactive figures, formulas with code, and claims.

Everything is HTML that loads nothing. In a live lesson Python draws an `InteractiveFigure` anew
for each slider position. On a static page all positions are drawn beforehand, and a few lines of
JavaScript switch between them.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from html import escape
from typing import Any, NamedTuple

import marimo as mo
import numpy as np
from numpy.typing import NDArray

from foveate.report.charts import COLOURS, render_svg
from foveate.report.data_uris import pillow_data_uri

MODEL, OTHER, INK, MUTED, LINE = (
    COLOURS[name] for name in ("model", "other", "ink", "muted", "line")
)


def figure(draw: Callable[[Any], None], alt: str, inches: tuple[float, float] = (4.4, 3.4)) -> str:
    """Return a matplotlib figure as HTML with inline SVG.

    Args:
        draw: Draws on the matplotlib figure that it receives.
        alt: A description for readers who cannot see the figure.
        inches: Width and height; 4.4 inches fill a phone's screen with legible letters.
    """
    svg = render_svg(
        inches, draw
    )  # the ids in it are hashes of their content, so pages can hold many
    width = f' style="--wide: {inches[0]:g}"'
    return f'<div class="figure" role="img" aria-label="{escape(alt)}"{width}>{svg}</div>'


def side_by_side(*parts: str) -> str:
    """Place HTML parts next to each other, or below each other on a narrow screen."""
    return f'<div class="row">{"".join(parts)}</div>'


def html(*parts: str) -> mo.Html:
    """Join HTML parts into the output of a cell."""
    return mo.Html(f'<div class="lesson">{"".join(parts)}</div>')


def caption(text: str) -> str:
    """Return a line of HTML text for below a figure."""
    return f'<p class="caption">{text}</p>'


def decision_regions(
    axis: Any, probabilities: NDArray[np.floating], extent: Sequence[float]
) -> None:
    """Colour the plane by predicted class, and draw the decision boundary.

    Args:
        axis: The matplotlib axes.
        probabilities: (H, W) probability of class 1, which has the model's colour; the row of the
            lowest y comes first.
        extent: The left, right, bottom and top end of the plane.
    """
    class_0, class_1 = (_channels(colour) for colour in (OTHER, MODEL))
    confidence = np.abs(2 * probabilities - 1)[..., None]
    colours = np.where(probabilities[..., None] > 0.5, class_1, class_0)
    pixels = np.concatenate([colours, 0.06 + 0.34 * confidence], 2)
    axis.imshow(
        pixels, origin="lower", extent=extent, interpolation="none", aspect="auto"
    )  # the browser smooths it
    if probabilities.min() < 0.5 < probabilities.max():
        axis.contour(
            np.linspace(extent[0], extent[1], probabilities.shape[1]),
            np.linspace(extent[2], extent[3], probabilities.shape[0]),
            probabilities, levels=[0.5], colors=[INK], linewidths=1.6,
        )  # fmt: skip


def _channels(colour: str) -> NDArray[np.float64]:
    return np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])


def signed_map(axis: Any, values: NDArray[np.floating], limit: float = 1.0) -> None:
    """Draw (H, W) values: the model's colour above zero, the other below, full at `limit`."""
    colours = np.where(values[..., None] > 0, _channels(MODEL), _channels(OTHER))
    _draw_cells(axis, colours, np.abs(values) / limit)


def ink_map(axis: Any, image: NDArray[np.uint8]) -> None:
    """Draw an (H, W) uint8 image as ink on the page: 255 is full ink."""
    _draw_cells(axis, np.broadcast_to(_channels(INK), (*image.shape, 3)), image / 255)


def heatmap(axis: Any, shares: NDArray[np.floating]) -> None:
    """Draw (H, W) shares from 0 to 1 as a heat map; the first row is at the bottom."""
    colours = np.broadcast_to(_channels(OTHER), (*shares.shape, 3))
    _draw_cells(axis, colours, 0.04 + 0.9 * shares**0.6)
    axis.set(ylim=(0, shares.shape[0]), aspect="auto")


def _draw_cells(axis: Any, colours: NDArray[np.float64], opacity: NDArray[np.floating]) -> None:
    # Vectors instead of a bitmap: the page can replace their colours in light and dark mode.
    pixels = np.concatenate([colours, np.clip(opacity, 0, 1)[..., None]], 2)
    small = opacity.shape[0] <= 12
    axis.pcolormesh(pixels, edgecolors=LINE if small else "none", linewidth=0.4)
    axis.set(xlim=(0, opacity.shape[1]), ylim=(opacity.shape[0], 0), aspect="equal")
    axis.grid(visible=False)


def points(
    axis: Any, locations: NDArray[np.floating], labels: NDArray[np.integer], size: float = 22
) -> None:
    """Draw (N, 2) points by their (N,) labels: squares for class 0, circles for class 1."""
    for label, colour, marker in ((0, OTHER, "s"), (1, MODEL, "o")):
        x, y = locations[labels == label].T
        axis.scatter(x, y, s=size, c=colour, marker=marker, lw=0.7, edgecolors="#ffffff", zorder=3)


def hide_axes(axis: Any, title: str = "") -> None:
    """Remove ticks and grid, and set the title."""
    axis.set(xticks=[], yticks=[], title=title)
    axis.grid(visible=False)


def pixel_image(image: NDArray[np.uint8], alt: str, width: int = 160) -> str:
    """Return an (H, W) or (H, W, 3) uint8 image with sharp pixels, `width` CSS pixels wide."""
    from PIL import Image

    uri = pillow_data_uri(Image.fromarray(image), "PNG")
    return f'<img class="pixels" src="{uri}" alt="{escape(alt)}" style="width: {width}px">'


def gallery(*images: tuple[NDArray[np.uint8], str, str]) -> str:
    """Return images in a grid, two per row on a phone.

    Args:
        images: An (H, W, 3) uint8 image, its description, and the HTML caption below it.
    """
    from PIL import Image

    cells = []
    for image, alt, below in images:
        # A page holds hundreds of these, so each is stored with few colours.
        uri = pillow_data_uri(Image.fromarray(image).quantize(96), "PNG")
        cells.append(
            f'<figure><img src="{uri}" alt="{escape(alt)}">'
            f"<figcaption>{below}</figcaption></figure>"
        )
    return f'<div class="gallery">{"".join(cells)}</div>'


class ControlState(NamedTuple):
    """One control of an interactive figure.

    Attributes:
        name: The label beside the control.
        options: The text of each option.
        selected: The index of the selected option.
        is_static: Whether a static page offers the control.
        is_radio: Whether it is a group of radio buttons instead of a slider.
    """

    name: str
    options: list[str]
    selected: int
    is_static: bool
    is_radio: bool


class InteractiveFigure(mo.Html):
    """A figure that the reader changes with sliders and radio buttons.

    Args:
        draw: Maps one value per control to HTML.
        controls: marimo's sliders (with steps) and radios by their label.
        static_controls: How many of the first controls a static page offers; by default all. The
            page holds a frame for each combination of their options, so keep it below a hundred.
    """

    def __init__(
        self,
        draw: Callable[..., str],
        controls: Mapping[str, Any],
        static_controls: int | None = None,
    ):
        self.draw, self.controls = cache(draw), dict(controls)
        self.static_controls = len(controls) if static_controls is None else static_controls
        inputs = "".join(
            f'<div class="control"><span>{name}</span>{control.text}</div>'
            for name, control in controls.items()
        )
        super().__init__(
            f'<div class="lesson interactive"><div class="controls">{inputs}</div>'
            f'<div class="stage">{self.current()}</div></div>'
        )

    def current(self) -> str:
        """Return the HTML for the present value of every control."""
        return self.draw(*(control.value for control in self.controls.values()))

    def states(self) -> list[ControlState]:
        """Return the state of each control."""
        states = []
        for index, (name, control) in enumerate(self.controls.items()):
            values = options(control)
            selected = list(values.values()).index(control.value)
            is_radio = not hasattr(control, "steps")
            states.append(
                ControlState(name, list(values), selected, index < self.static_controls, is_radio)
            )
        return states

    def frames(self) -> list[str]:
        """Return the HTML of every static position; the last control varies fastest."""
        rows: list[list[Any]] = [[]]
        for index, control in enumerate(self.controls.values()):
            is_static = index < self.static_controls
            values = list(options(control).values()) if is_static else [control.value]
            rows = [[*row, value] for row in rows for value in values]
        return [self.draw(*row) for row in rows]


def options(control: Any) -> dict[str, Any]:
    """Return the values of a slider with steps, or of a radio, by their text."""
    if isinstance(control, mo.ui.slider):
        return {f"{value:g}": value for value in control.steps or ()}
    return dict(control.options)


def slider(steps: Sequence[float], value: float) -> mo.ui.slider:
    """Return a slider over these steps that displays its value."""
    return mo.ui.slider(steps=list(steps), value=value, show_value=True, full_width=True)


def formula(math: str, code: str) -> mo.Html:
    """Return an HTML formula beside the line of code that computes it."""
    return html(
        f'<div class="formula"><div class="math">{math}</div>'
        f"<pre><code>{escape(code)}</code></pre></div>"
    )


def source_line(source: Any, text: str, count: int = 1) -> str:
    """Return a line of real source code, so that the lesson displays the code that runs.

    Args:
        source: A module, class or function.
        text: Text in the line.
        count: How many lines to return, from the first one that contains the text.

    Raises:
        ValueError: If no line contains the text.
    """
    lines = inspect.getsource(source).splitlines()
    for number, line in enumerate(lines):
        if text in line:
            margin = len(line) - len(line.lstrip())
            excerpt = lines[number : number + count]
            return "\n".join(re.sub(r"\s+# noqa.*", "", one[margin:]) for one in excerpt)
    raise ValueError(f"{text!r} is not in the source of {source!r}")


def terminal(command: str, output: str) -> str:
    """Return a command and foveate's literal output as HTML."""
    return (
        f'<div class="terminal"><pre><code>{escape(command)}</code></pre>'
        f"<pre>{escape(output)}</pre></div>"
    )


def claim(text: str, measured: str) -> mo.Html:
    """Return a claim as HTML with the numbers behind it; the same cell asserts it first."""
    return html(
        '<div class="claim"><div class="tick" aria-hidden="true">✓</div>'
        f'<div><p>{text}</p><p class="measured">Checked each time this page is made: {measured}'
        "</p></div></div>"
    )
