"""What one file of LabelMe says: the shapes that were drawn, and the picture that may lie within it."""

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
from foveate.formats._shared.json_file import are_numbers, as_numbers, read_json, text_in
from foveate.ops import polygons

_CIRCLE = 64  # corners of the polygon that stands for one
_FLAGS = ("crowd", "difficult")


@dataclass(frozen=True, slots=True)
class EmbeddedSource:
    """The picture within a LabelMe file (imageData, in base64). It is taken out anew each time, so that a set is not in
    memory whole. path: the file
    """

    path: Path

    def read(self) -> Image:
        return self.examine()[0]

    def examine(self) -> tuple[Image, FileInfo]:
        """The picture, and what it says of itself. Raises BadImage."""
        try:
            data = b64decode(read_json(self.path)["imageData"])
        except (DataError, OSError, KeyError, TypeError, ValueError, binascii.Error) as error:
            reason = getattr(error, "message", error)
            raise BadImage(
                f"a picture in base64 is expected as imageData ({reason})", where=self.path
            ) from None
        return examine_bytes(data, self.path)


@dataclass(slots=True)
class LabelmeShape:
    """What was drawn of one thing. outlines: (M, 2) each; none where only its box was drawn, which is `corners` then."""

    label: str
    outlines: list[NDArray[np.float64]] = field(default_factory=list)
    box: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    crowd: bool = False
    difficult: bool = False

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom."""
        return polygons.bounds(tuple(self.outlines)) if self.outlines else self.box


def shapes_in(content: dict[str, Any], file: Path, left_out: Counter[str]) -> list[LabelmeShape]:
    """The things of a file, in the order they were begun. What is not read of it is counted in `left_out`.

    Raises DataError, naming the shape, for one that has no meaning.
    """
    shapes = content["shapes"]
    if not isinstance(shapes, list):
        raise DataError("a list is expected as shapes", where=file)
    _count_flags(content, (), "flags of pictures that are not read", left_out)
    merged: dict[object, LabelmeShape] = {}
    for number, record in enumerate(shapes, 1):
        what = f"shape {number}"
        if not isinstance(record, dict):
            raise DataError(f"an object is expected as {what}", where=file)
        label = text_in(record.get("label"), f"label of {what}", file)
        kind = text_in(record.get("shape_type", "polygon"), f"shape_type of {what}", file)
        if kind not in ("polygon", "circle", "rectangle"):
            left_out[f"shapes of the kind {brief(kind)} that are left out"] += 1
            continue
        points = _points(record, what, file)
        if kind == "polygon" and len(points) < 3:
            left_out["polygons of fewer than three corners that are left out"] += 1
            continue
        flags = _count_flags(record, _FLAGS, "flags of shapes that are not read", left_out)
        left_out.update(
            ["descriptions of shapes that are not read"] if record.get("description") else []
        )
        group = record.get("group_id")
        if not (group is None or type(group) in (int, str)):
            raise DataError(f"a number or nothing is expected as group_id of {what}", where=file)
        joins = group is not None and kind != "rectangle"
        shape = merged.setdefault((label, group) if joins else number, LabelmeShape(label))
        shape.crowd, shape.difficult = (
            shape.crowd or "crowd" in flags,
            shape.difficult or "difficult" in flags,
        )
        if kind == "rectangle":
            shape.box = _rectangle(points, what, file)
            left_out.update(
                ["rectangles with a group_id, which is not read"] if group is not None else []
            )
        elif kind == "circle":
            shape.outlines.append(_circle(points, what, file))
            left_out[f"circles that are read as polygons of {_CIRCLE} corners"] += 1
        else:
            shape.outlines.append(points)
    return list(merged.values())


def _points(shape: dict[str, Any], what: str, file: Path) -> NDArray[np.float64]:
    """(M, 2): x and y."""
    points = shape.get("points")
    if isinstance(points, list) and all(are_numbers(point) and len(point) == 2 for point in points):
        numbers = as_numbers([number for point in points for number in point])
        if numbers is not None:
            return numbers.reshape(-1, 2)
    raise DataError(
        f"a list of x and y, numbers that a picture can have, is expected as points of {what}",
        where=file,
    )


def _rectangle(
    points: NDArray[np.float64], what: str, file: Path
) -> tuple[float, float, float, float]:
    """From two corners that lie opposite, or from all four."""
    if len(points) not in (2, 4) or any(len(np.unique(column)) > 2 for column in points.T):
        raise DataError(
            f"two opposite corners are expected as points of {what}, a rectangle", where=file
        )
    return polygons.bounds((points,))


def _circle(points: NDArray[np.float64], what: str, file: Path) -> NDArray[np.float64]:
    """From the middle and a point on the line."""
    if len(points) != 2:
        raise DataError(
            f"the middle and a point on the line are expected as points of {what}, a circle",
            where=file,
        )
    radius = float(np.hypot(*(points[1] - points[0])))
    turn = 2 * np.pi * np.arange(_CIRCLE) / _CIRCLE
    return points[0] + radius * np.stack([np.cos(turn), np.sin(turn)], 1)


def _count_flags(
    record: dict[str, Any], read: tuple[str, ...], what: str, left_out: Counter[str]
) -> list[str]:
    """The flags that are set. Those that are not in `read` are counted as `what`."""
    flags = record.get("flags")
    flagged = (
        [name for name, value in flags.items() if value is True] if isinstance(flags, dict) else []
    )
    if unread := [name for name in flagged if name not in read]:
        left_out[what] += len(unread)
    return flagged
