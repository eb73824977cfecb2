"""Read the shapes of one LabelMe file, and the image that may be embedded in it."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from reprlib import repr as brief
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Polygon, RunLengths
from foveate.data.dataset import Image
from foveate.data.image_reading import DEFAULT_READING, DeepPixels, ImageReading
from foveate.data.images import FileInfo, deep_pixels, examine_bytes
from foveate.errors import BadImage, DataError
from foveate.formats._shared.documents.json_file import (
    are_numbers,
    as_numbers,
    read_json,
    required_text,
)
from foveate.formats._shared.outlines import CORNERS_OF_CIRCLE, ellipse
from foveate.formats.labelme.masks import join, mask_pixels
from foveate.ops import polygons

_FLAGS = ("crowd", "difficult")
_NO_AREA = ("point", "points", "line", "linestrip")  # no objects of any task
_TURNED = ("rotation", "oriented_rectangle")  # X-AnyLabeling's and LabelMe's names
_FOUR_CORNERS = (*_TURNED, "quadrilateral")
_AREAS = ("polygon", "rectangle", "circle", "mask", *_FOUR_CORNERS)


@dataclass(frozen=True, slots=True)
class EmbeddedSource:
    """The image in a LabelMe file (imageData, in base64), decoded anew on each read.

    Attributes:
        path: The file.
        reading: As of a `FileSource`.
    """

    path: Path
    reading: ImageReading = DEFAULT_READING

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
        return examine_bytes(self._data(), self.path, self.reading)

    def deep_pixels(self) -> DeepPixels | None:
        """Return the image without scaling it to 8 bits; None if it has 8 bits.

        Raises:
            BadImage: If there is no readable image.
        """
        return deep_pixels(BytesIO(self._data()), self.path, self.reading)

    def _data(self) -> bytes:
        try:
            return b64decode(read_json(self.path)["imageData"])
        except (DataError, OSError, KeyError, TypeError, ValueError, binascii.Error) as error:
            reason = getattr(error, "message", error)
            raise BadImage(
                f"an image in base64 is expected as imageData ({reason})", where=self.path
            ) from None


@dataclass(slots=True)
class LabelmeShape:
    """The shapes drawn for one object.

    Attributes:
        label: Its class.
        outlines: The polygons, (M, 2) float64 x and y in pixels each; none if only a box was drawn.
        masks: The pixels of each mask, (M,) int64 row * width + column.
        box: Left, top, right and bottom in pixels, if only a box was drawn.
        crowd: Whether it is flagged as a crowd.
        difficult: Whether it is flagged as difficult.
    """

    label: str
    outlines: list[NDArray[np.float64]] = field(default_factory=list)
    masks: list[NDArray[np.int64]] = field(default_factory=list)
    box: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    crowd: bool = False
    difficult: bool = False

    def shape(self, size: tuple[int, int] | None) -> Polygon | RunLengths | None:
        """Return the pixels of the object, None where only a box was drawn.

        Args:
            size: Height and width of the image, which masks need.
        """
        if self.masks and size:
            return join(self.masks, self.outlines, size)
        return Polygon(tuple(self.outlines)) if self.outlines else None


def read_shapes(
    content: dict[str, Any], file: Path, size: Callable[[], tuple[int, int]], notes: Counter[str]
) -> list[LabelmeShape]:
    """Read the objects of a file, in the order of their first shapes.

    Args:
        content: The JSON object.
        file: The file, for messages.
        size: Returns the height and width of the image; called where there is a mask.
        notes: A counter of what is not read, or read as something else.

    Raises:
        DataError: If a shape, which is named by its number, cannot be understood.
    """
    shapes = content["shapes"]
    if not isinstance(shapes, list):
        raise DataError("a list is expected as shapes", where=file)
    _count_flags(content, (), "flags of images, not read", notes)
    merged: dict[object, LabelmeShape] = {}
    for number, record in enumerate(shapes, 1):
        what = f"shape {number}"
        if not isinstance(record, dict):
            raise DataError(f"an object is expected as {what}", where=file)
        label = required_text(record.get("label"), f"label of {what}", file)
        shape_type = _shape_type(record, what, file)
        if shape_type in _NO_AREA:
            notes[f"shapes of type {shape_type!r}, left out"] += 1
            continue
        points = _points(record, what, file)
        if shape_type == "polygon" and len(points) < 3:
            notes["polygons with fewer than three corners, left out"] += 1
            continue
        masks = []
        if shape_type == "mask":
            masks = [mask_pixels(record.get("mask"), points, size(), what, file)]
            if not masks[0].size:
                notes["masks without a pixel in the image, left out"] += 1
                continue
        joins = record.get("group_id") is not None and shape_type != "rectangle"
        key = (label, _group(record, what, file)) if joins else number
        shape = merged.setdefault(key, LabelmeShape(label))
        _read_flags(record, shape, notes)
        if shape_type == "rectangle":
            _group(record, what, file)
            shape.box = _rectangle(points, what, file)
            if record.get("group_id") is not None:
                notes["rectangles with a group_id, which is not read"] += 1
        elif shape_type == "mask":
            shape.masks += masks
        else:
            shape.outlines.append(_outline(shape_type, points, what, file, notes))
    return list(merged.values())


def _shape_type(record: dict[str, Any], what: str, file: Path) -> str:
    """Return the type of a shape; raise DataError for one that foveate does not know."""
    shape_type = required_text(record.get("shape_type", "polygon"), f"shape_type of {what}", file)
    if shape_type not in (*_AREAS, *_NO_AREA):
        raise DataError(
            f"one of {', '.join((*_AREAS, *_NO_AREA))} is expected as shape_type of {what}, got "
            f"{brief(shape_type)}",
            where=file,
            remedy="Draw the object as a polygon, or remove the shape.",
        )
    return shape_type


def _group(record: dict[str, Any], what: str, file: Path) -> int | str | None:
    group = record.get("group_id")
    if group is None or isinstance(group, str) or type(group) is int:
        return group
    raise DataError(f"a number, a text or null is expected as group_id of {what}", where=file)


def _read_flags(record: dict[str, Any], shape: LabelmeShape, notes: Counter[str]) -> None:
    """Read what is marked on a shape, and count what is not read.

    X-AnyLabeling marks difficult objects by a key of the shape, LabelMe's users by a flag.
    """
    flags = _count_flags(record, _FLAGS, "flags of shapes, not read", notes)
    shape.crowd |= "crowd" in flags
    shape.difficult |= "difficult" in flags or record.get("difficult") is True
    for key in ("descriptions", "attributes"):
        if record.get(key) or record.get(key.removesuffix("s")):
            notes[f"{key} of shapes, not read"] += 1
    if record.get("score") is not None:
        notes["scores of shapes, not read: they look like predictions"] += 1


def _outline(
    shape_type: str, points: NDArray[np.float64], what: str, file: Path, notes: Counter[str]
) -> NDArray[np.float64]:
    """Return the polygon of a shape: (M, 2) float64."""
    if shape_type == "circle":
        notes[f"circles, read as polygons of {CORNERS_OF_CIRCLE} corners"] += 1
        return _circle(points, what, file)
    if shape_type in _FOUR_CORNERS and len(points) != 4:
        raise DataError(
            f"four corners are expected as points of {what}, a shape of type {shape_type!r}",
            where=file,
        )
    if shape_type in _TURNED:
        notes["rotated rectangles, read as polygons of four corners"] += 1
    return points


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
    (x, y), radius = points[0], float(np.hypot(*(points[1] - points[0])))
    return ellipse(float(x), float(y), radius, radius)


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
