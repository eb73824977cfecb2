"""Read the shapes of CVAT's XML: boxes, polygons, ellipses, masks in run lengths, and tags."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import RunLengths
from foveate.errors import DataError
from foveate.formats._shared.documents.xml_elements import Element
from foveate.formats._shared.drawn import DrawnObject
from foveate.formats._shared.layout import MAX_COORDINATE
from foveate.formats._shared.outlines import CORNERS_OF_CIRCLE, Outline, ellipse, rectangle
from foveate.ops import rle

SHAPES = frozenset({"box", "polygon", "ellipse", "mask"})
LEFT_OUT = frozenset({"polyline", "points", "cuboid", "skeleton"})

_MAX_PIXELS = 1 << 30  # of a mask; no image has more


def read_shapes(
    elements: Iterable[Element],
    size: tuple[int, int] | None,
    file: Path,
    left_out: Counter[str],
) -> tuple[list[DrawnObject], list[str]]:
    """Read the objects and the tags of one image.

    Polygons of one group with the same label are one object, as in CVAT's own export to COCO.

    Args:
        elements: The elements of the image.
        size: (height, width) of the image, None if unknown.
        file: The file, for messages.
        left_out: A counter of what is not read.

    Raises:
        DataError: If a shape cannot be understood; the error names the line.
    """
    objects: list[DrawnObject] = []
    tags: list[str] = []
    groups: dict[tuple[str, str], DrawnObject] = {}
    for element in elements:
        if element.tag == "tag":
            tags.append(_label(element, file))
        elif element.tag in LEFT_OUT:
            left_out[f"shapes of type {element.tag}, left out"] += 1
        elif element.tag in SHAPES and (one := read_shape(element, size, file, left_out)):
            group = element.attributes.get("group_id", "0")
            joins = group not in ("", "0") and element.tag == "polygon"
            first = groups.setdefault((group, one.label), one) if joins else one
            if first is one:
                objects.append(one)
            else:
                first.outlines += one.outlines
                left_out["polygons joined with another one of their group"] += 1
    return objects, tags


def read_shape(
    element: Element, size: tuple[int, int] | None, file: Path, left_out: Counter[str]
) -> DrawnObject | None:
    """Read one shape; return None for one without an area, which is counted.

    Args:
        element: The element.
        size: (height, width) of the image, None if unknown.
        file: The file, for messages.
        left_out: A counter of what is not read.

    Raises:
        DataError: If it cannot be understood; the error names the line.
    """
    label = _label(element, file)
    if element.tag == "box":
        four = [number(element, key, file) for key in ("xtl", "ytl", "xbr", "ybr")]
        degrees = number(element, "rotation", file, 0.0)
        return DrawnObject(
            label, [rectangle(four[0], four[1], four[2], four[3], degrees)], is_box=True
        )
    if element.tag == "polygon":
        outline = _points(element, file)
        if len(outline) < 3:
            left_out["polygons with fewer than three corners, left out"] += 1
            return None
        return DrawnObject(label, [outline])
    if element.tag == "ellipse":
        x, y, across, down = (number(element, key, file) for key in ("cx", "cy", "rx", "ry"))
        left_out[f"ellipses, read as polygons of {CORNERS_OF_CIRCLE} corners"] += 1
        degrees = number(element, "rotation", file, 0.0)
        return DrawnObject(label, [ellipse(x, y, across, down, degrees)])
    return DrawnObject(label, mask=_mask(element, size, file))


def number(element: Element, key: str, file: Path, default: float | None = None) -> float:
    """Return an attribute that is a number.

    Raises:
        DataError: If it is none, or is missing without a default.
    """
    text = element.attributes.get(key)
    if text is None and default is not None:
        return default
    try:
        value = float(text if text is not None and "_" not in text else "nan")
    except ValueError:
        value = math.nan
    if not abs(value) <= MAX_COORDINATE:
        raise DataError(
            f"a number is expected as {key} of <{element.tag}>, got {(text or 'nothing')[:100]!r}",
            where=file,
            line=element.line,
        )
    return value


def _label(element: Element, file: Path) -> str:
    label = element.attributes.get("label", "")
    if not label.strip():
        raise DataError(
            f"a label is expected for <{element.tag}>, got nothing", where=file, line=element.line
        )
    return label


def _points(element: Element, file: Path) -> Outline:
    """Return (M, 2) float64 from "x,y;x,y"."""
    text = element.attributes.get("points", "")
    try:
        pairs = [[float(value) for value in pair.split(",")] for pair in text.split(";") if pair]
        points = np.array(pairs, np.float64).reshape(len(pairs), 2)
        if "_" in text or not (np.abs(points) <= MAX_COORDINATE).all():
            raise ValueError
    except ValueError:
        raise DataError(
            f"points x,y;x,y are expected for <{element.tag}>, got {text[:100]!r}",
            where=file,
            line=element.line,
        ) from None
    return points


def _mask(element: Element, size: tuple[int, int] | None, file: Path) -> RunLengths:
    """Return the mask: runs along the rows of a rectangle, beginning with background."""
    left, top, width, height = (
        int(number(element, key, file)) for key in ("left", "top", "width", "height")
    )
    try:
        runs = np.array(
            [int(run) for run in element.attributes.get("rle", "").split(",")], np.int64
        )
    except (ValueError, OverflowError):
        runs = np.array([-1], np.int64)
    if size is None or not (
        left >= 0 and top >= 0 and left + width <= size[1] and top + height <= size[0]
    ):
        raise DataError(
            "a mask within its image is expected, got the rectangle "
            f"{left}, {top}, {left + width}, {top + height} in "
            f"{'an image of unknown size' if size is None else f'{size[1]} x {size[0]} pixels'}",
            where=file,
            line=element.line,
        )
    if (
        (runs < 0).any()
        or runs.sum(dtype=np.float64) != width * height
        or size[0] * size[1] > _MAX_PIXELS
    ):
        raise DataError(
            f"run lengths that sum to {width} x {height} pixels are expected as the rle of <mask>",
            where=file,
            line=element.line,
        )
    inside: NDArray[np.int64] = np.flatnonzero(np.repeat(np.arange(len(runs)) % 2 == 1, runs))
    indices = (inside // max(1, width) + top) * size[1] + inside % max(1, width) + left
    return RunLengths(rle.from_indices(indices, size), size)
