"""What a page draws over an image, drawn over an image in a matplotlib figure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.patheffects import Normal, Stroke
from matplotlib.transforms import Affine2D

from foveate.report.drawing import TARGET_COLOUR, Colour
from foveate.report.overlays import Layer

_WIDTH, _THIN = 1.5, 0.8  # points
_CODES = {"M": int(Path.MOVETO), "Z": int(Path.CLOSEPOLY)}
_EDGE = 1.6  # points of the dark edge of targets, which are white


def draw_layers(axis: Axes, layers: Sequence[Layer], size: tuple[int, int]) -> None:
    """Draw the outlines of layers that a page shows at first.

    Args:
        axis: It shows an image.
        layers: The layers.
        size: Height and width of the image.
    """
    for layer in layers:
        if not layer.shown:
            continue
        scale = Affine2D().scale(size[1] / layer.size[1], size[0] / layer.size[0])
        place = scale.translate(-0.5, -0.5)  # pixels are centred at whole numbers
        for shape in layer.shapes:
            if shape.shown and shape.path:
                path = place.transform_path(read_path(shape.path))
                axis.add_patch(_outline(path, shape.colour, _THIN if layer.thin else _WIDTH))


def _outline(path: Path, colour: Colour, width: float) -> PathPatch:
    effects: list[Any] = []
    if colour == TARGET_COLOUR:
        effects = [Stroke(linewidth=width + _EDGE, foreground="black"), Normal()]
    edge = tuple(value / 255 for value in colour)
    return PathPatch(path, fill=False, edgecolor=edge, linewidth=width, path_effects=effects)


def read_path(text: str) -> Path:
    """SVG path data of `overlays` as a matplotlib path."""
    points: list[tuple[float, float]] = []
    codes: list[int] = []
    x = y = 0.0
    for command, numbers in re.findall(r"([MHVhvZz])([-\d. ]*)", text):
        values = [float(number) for number in numbers.split()]
        match command:
            case "M":
                x, y = values
            case "H":
                (x,) = values
            case "V":
                (y,) = values
            case "h":
                x += values[0]
            case "v":
                y += values[0]
        points.append((x, y))
        codes.append(_CODES.get(command.upper(), int(Path.LINETO)))
    return Path(points, codes)
