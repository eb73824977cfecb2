"""Read the shapes of one LabelMe file, and the image that may be embedded in it."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from reprlib import repr as brief
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.data.dataset import Image
from foveate.data.images import FileInfo, examine_bytes
from foveate.errors import BadImage, DataError
from foveate.formats._shared.json_file import are_numbers, as_numbers, read_json, required_text
from foveate.ops import polygons

_CIRCLE_CORNERS = 64
_FLAGS = ("crowd", "difficult")


@dataclass(frozen=True, slots=True)
class EmbeddedSource:
    """The image in a LabelMe file (imageData, in base64), decoded anew on each read.

    Attributes:
        path: The file.
    """

    path: Path

    def read(self) -> Image:
        """Return the image: (H, W, C) uint8.

        Raises:
            BadImage: If there is no readable image.
        """
        return self.examine()[0]

    def examine(self) -> tuple[Image, FileInfo]:
        """Return the image, and what its file says about it.

        Raises:
            BadImage: If there is no readable image.
        """
        try:
            data = b64decode(read_json(self.path)["imageData"])
        except (DataError, OSError, KeyError, TypeError, ValueError, binascii.Error) as error:
            reason = getattr(error, "message", error)
            raise BadImage(
                f"an image in base64 is expected as imageData ({reason})", where=self.path
            ) from None
        return examine_bytes(data, self.path)


@dataclass(slots=True)
class LabelmeShape:
    """The shapes drawn for one object.

    Attributes:
        label: Its class.
        outlines: The polygons, (M, 2) float64 x and y in pixels each; none if only a box was drawn.
        box: Left, top, right and bottom in pixels, if only a box was drawn.
        crowd: Whether it is flagged as a crowd.
        difficult: Whether it is flagged as difficult.
    """

    label: str
    outlines: list[NDArray[np.float64]] = field(default_factory=list)
    box: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    crowd: bool = False
    difficult: bool = False

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom in pixels."""
        return polygons.bounds(tuple(self.outlines)) if self.outlines else self.box


def read_shapes(content: dict[str, Any], file: Path, left_out: Counter[str]) -> list[LabelmeShape]:
    """Read the objects of a file, in the order of their first shapes.

    Args:
        content: The JSON object.
        file: The file, for messages.
        left_out: A counter of what is not read.

    Raises:
        DataError: If a shape, which is named by its number, cannot be understood.
    """
    shapes = content["shapes"]
    if not isinstance(shapes, list):
        raise DataError("a list is expected as shapes", where=file)
    _count_flags(content, (), "flags of images, not read", left_out)
    merged: dict[object, LabelmeShape] = {}
    for number, record in enumerate(shapes, 1):
        what = f"shape {number}"
        if not isinstance(record, dict):
            raise DataError(f"an object is expected as {what}", where=file)
        label = required_text(record.get("label"), f"label of {what}", file)
        shape_type = required_text(
            record.get("shape_type", "polygon"), f"shape_type of {what}", file
        )
        if shape_type not in ("polygon", "circle", "rectangle"):
            left_out[f"shapes of type {brief(shape_type)}, left out"] += 1
            continue
        points = _points(record, what, file)
        if shape_type == "polygon" and len(points) < 3:
            left_out["polygons with fewer than three corners, left out"] += 1
            continue
        flags = _count_flags(record, _FLAGS, "flags of shapes, not read", left_out)
        left_out.update(["descriptions of shapes, not read"] if record.get("description") else [])
        group = record.get("group_id")
        if not (group is None or type(group) in (int, str)):
            raise DataError(
                f"a number, a text or null is expected as group_id of {what}", where=file
            )
        joins = group is not None and shape_type != "rectangle"
        shape = merged.setdefault((label, group) if joins else number, LabelmeShape(label))
        shape.crowd, shape.difficult = (
            shape.crowd or "crowd" in flags,
            shape.difficult or "difficult" in flags,
        )
        if shape_type == "rectangle":
            shape.box = _rectangle(points, what, file)
            left_out.update(
                ["rectangles with a group_id, which is not read"] if group is not None else []
            )
        elif shape_type == "circle":
            shape.outlines.append(_circle(points, what, file))
            left_out[f"circles, read as polygons of {_CIRCLE_CORNERS} corners"] += 1
        else:
            shape.outlines.append(points)
    return list(merged.values())


def _points(shape: dict[str, Any], what: str, file: Path) -> NDArray[np.float64]:
    """Return (M, 2) float64: x and y."""
    points = shape.get("points")
    if isinstance(points, list) and all(are_numbers(point) and len(point) == 2 for point in points):
        numbers = as_numbers([number for point in points for number in point])
        if numbers is not None:
            return numbers.reshape(-1, 2)
    raise DataError(
        f"a list of x and y, finite and up to 1,000,000,000, is expected as points of {what}",
        where=file,
    )


def _rectangle(
    points: NDArray[np.float64], what: str, file: Path
) -> tuple[float, float, float, float]:
    """Return the box with two opposite corners, or with all four."""
    if len(points) not in (2, 4) or any(len(np.unique(column)) > 2 for column in points.T):
        raise DataError(
            f"two opposite corners are expected as points of {what}, a rectangle", where=file
        )
    return polygons.bounds((points,))


def _circle(points: NDArray[np.float64], what: str, file: Path) -> NDArray[np.float64]:
    """Return the polygon of a circle, given by its centre and a point on it."""
    if len(points) != 2:
        raise DataError(
            f"the centre and a point on the circle are expected as points of {what}, a circle",
            where=file,
        )
    radius = float(np.hypot(*(points[1] - points[0])))
    angles = 2 * np.pi * np.arange(_CIRCLE_CORNERS) / _CIRCLE_CORNERS
    outline: NDArray[np.float64] = points[0] + radius * np.stack(
        [np.cos(angles), np.sin(angles)], 1
    )
    return outline


def _count_flags(
    record: dict[str, Any], read: tuple[str, ...], what: str, left_out: Counter[str]
) -> list[str]:
    """Return the flags that are set, and count those that are not in `read` as `what`."""
    flags = record.get("flags")
    names = (
        [name for name, value in flags.items() if value is True] if isinstance(flags, dict) else []
    )
    if unread := [name for name in names if name not in read]:
        left_out[what] += len(unread)
    return names
