"""Outlines of the shapes that annotation tools draw: turned rectangles, circles and ellipses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foveate.formats._shared.layout import MAX_COORDINATE
from foveate.ops import polygons

CORNERS_OF_CIRCLE = 64
"""Circles and ellipses are read as polygons of so many corners."""

Outline = NDArray[np.float64]
"""(M, 2) x and y of corners in pixels."""


def rectangle(
    left: float, top: float, right: float, bottom: float, degrees: float = 0.0
) -> Outline:
    """Return the corners of a rectangle that is turned clockwise about its centre."""
    outline = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    return turned_rectangle(outline, ((left + right) / 2, (top + bottom) / 2), degrees)


def turned_rectangle(outline: Outline, about: tuple[float, float], degrees: float) -> Outline:
    """Return the corners of a rectangle turned clockwise; by quarters it is upright again."""
    if not degrees % 360:
        return outline
    result = _turned(outline, about, degrees)
    return result if degrees % 90 else rectangle(*polygons.bounds((result,)))


def ellipse(x: float, y: float, across: float, down: float, degrees: float = 0.0) -> Outline:
    """Return the outline of an ellipse with this centre and radii, turned clockwise about it."""
    angles = 2 * np.pi * np.arange(CORNERS_OF_CIRCLE) / CORNERS_OF_CIRCLE
    outline = np.stack([x + across * np.cos(angles), y + down * np.sin(angles)], 1)
    return _turned(outline, (x, y), degrees) if degrees else outline


def _turned(outline: Outline, about: tuple[float, float], degrees: float) -> Outline:
    """Return an outline turned clockwise, as it is seen with y downwards."""
    angle = np.deg2rad(degrees)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    result: Outline = (outline - about) @ rotation + about
    return result


def is_coordinate(value: object) -> bool:
    """Return whether a value is a number that can be a coordinate."""
    return type(value) in (int, float) and abs(value) <= MAX_COORDINATE  # type: ignore[arg-type]
