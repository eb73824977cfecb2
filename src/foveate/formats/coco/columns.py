"""Gather the objects of a COCO instances file in columns.

An array per annotation would take minutes for a million annotations, so the numbers of all
annotations share a few arrays.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from reprlib import repr as brief
from typing import Any

from foveate.annotations import Shape
from foveate.errors import DataError
from foveate.formats._shared.documents.json_file import (
    are_numbers,
    optional_text,
    read_size,
    required_text,
)
from foveate.formats.coco.segmentation import outlines, run_lengths

KEYS = ("images", "annotations", "categories")
"""The keys of a COCO instances file."""

VALID_NUMBERS = "finite numbers up to 1,000,000,000 are expected"

_MAX_AREA = 1e18

_NOT_ROTATED = (None, 0, 0.0, 360, "0", "")

Outlines = tuple[int, int]
"""The outlines of an object: the first in `Columns.ends`, and the one after the last."""


@dataclass
class Columns:
    """The content of one file.

    Attributes:
        file: The file.
        images: (name, group, time, size) of each image.
        image_rows: The row in `images` of each image id.
        names: The name of each category id.
        supercategories: The supercategory of each class name, where there is one.
        ids: The id of each annotation.
        image_ids: The image id of each annotation.
        category_ids: The category id of each annotation.
        crowd: Whether each annotation is a crowd.
        ignored: The rows of annotations to be ignored, as VOC's difficult objects often are.
        shapes: The shape of each annotation: run lengths, a range of outlines, or None.
        boxes: Left, top, width and height of each annotation in turn.
        areas: The area of each annotation, NaN without one.
        boxless: The rows of annotations without a box.
        shapeless: The rows of annotations with neither a box nor a shape.
        corners: x and y of all outlines in turn.
        ends: The end of each outline in `corners`, in points; the first entry is 0.
        too_short: The ids of annotations with an outline of fewer than three corners, once for
            each.
        unusual: The ids of annotations whose polygons are not written as COCO does.
        rotated: The ids of annotations whose attributes say that the box is rotated.
        image_keys: The keys of all image records.
        annotation_keys: The keys of all annotations.
    """

    file: Path
    images: list[tuple[str, str | None, str | None, tuple[int, int] | None]] = field(
        default_factory=list
    )
    image_rows: dict[Any, int] = field(default_factory=dict)
    names: dict[int | str, str] = field(default_factory=dict)
    ids: list[Any] = field(default_factory=list)
    image_ids: list[Any] = field(default_factory=list)
    category_ids: list[Any] = field(default_factory=list)
    crowd: list[bool] = field(default_factory=list)
    ignored: list[int] = field(default_factory=list)
    shapes: list[Shape | Outlines | None] = field(default_factory=list)
    boxes: array[float] = field(default_factory=lambda: array("d"))
    areas: array[float] = field(default_factory=lambda: array("d"))
    boxless: list[int] = field(default_factory=list)
    shapeless: list[int] = field(default_factory=list)
    corners: array[float] = field(default_factory=lambda: array("d"))
    ends: list[int] = field(default_factory=lambda: [0])
    too_short: list[Any] = field(default_factory=list)
    unusual: list[Any] = field(default_factory=list)
    rotated: list[Any] = field(default_factory=list)
    image_keys: set[str] = field(default_factory=set)
    annotation_keys: set[str] = field(default_factory=set)
    supercategories: dict[str, str] = field(default_factory=dict)
    _known_names: set[str] = field(default_factory=set)

    def add_image(self, image: dict[str, Any]) -> None:
        """Add an image record; raise DataError if it cannot be understood."""
        self.image_keys.update(image)
        if type(id := plain_id(image.get("id"))) not in (int, str):
            raise DataError(
                f"a number or a text is expected as id of an image record, got {brief(id)}"
            )
        if self.image_rows.setdefault(id, len(self.images)) != len(self.images):
            raise DataError(f"one image record per id is expected, {brief(id)} has two")
        what = f"image {brief(id)}"
        name = required_text(image.get("file_name"), f"file_name of {what}", self.file)
        group, time = (optional_text(image, key, what, self.file) for key in ("group", "time"))
        size = read_size(image, "height", "width", what, self.file)
        self.images.append((name, group, time, size))

    def add_category(self, category: dict[str, Any]) -> None:
        """Add a category; raise DataError if it cannot be understood."""
        id = plain_id(category.get("id"))
        if type(id) not in (int, str):
            raise DataError(f"a number or a text is expected as id of a category, got {brief(id)}")
        name = category.get("name")
        name = str(name) if type(name) is int else name
        name = required_text(name, f"name of category {brief(id)}", self.file)
        if id in self.names or name in self._known_names:
            repeated = f"the id {brief(id)}" if id in self.names else repr(name)
            raise DataError(
                f"each category is expected once, found {repeated} twice",
                remedy="Rename one, or merge the two if they are the same.",
            )
        self.names[id] = name
        self._known_names.add(name)
        if isinstance(parent := category.get("supercategory"), str):
            self.supercategories[name] = parent

    def add_annotation(self, annotation: dict[str, Any]) -> None:
        """Add an annotation; raise DataError, with its id, if it cannot be understood."""
        self.annotation_keys.update(annotation)
        id, row = annotation.get("id"), len(self.ids)
        if self._flag(annotation, "ignore"):
            self.ignored.append(row)
        if annotation.get("score") is not None:
            raise DataError(
                f"labels are expected, but annotation {brief(id)} has a score like a prediction",
                remedy="Give the file with the labels.",
            )
        bbox, shape = annotation.get("bbox"), self._add_shape(annotation.get("segmentation"), id)
        if bbox in (None, []):
            (self.shapeless if shape is None else self.boxless).append(row)
            bbox = [0, 0, 0, 0]
        if not are_numbers(bbox) or len(bbox) != 4:
            raise self.error(id, f"four numbers are expected as its bbox, got {brief(bbox)}")
        self._extend(self.boxes, bbox, id, "bbox")
        self.ids.append(id)
        self.image_ids.append(annotation.get("image_id"))
        self.category_ids.append(annotation.get("category_id"))
        area: Any = annotation.get("area")
        is_number = type(area) in (int, float) and 0 < area < _MAX_AREA
        self.areas.append(area if is_number else math.nan)
        if "attributes" in annotation and _is_rotated(annotation["attributes"]):
            self.rotated.append(id)
        self.crowd.append(self._flag(annotation, "iscrowd"))
        self.shapes.append(shape)

    def ids_of(self, rows: list[int]) -> list[Any]:
        """Return the ids of the annotations in some rows."""
        return [self.ids[row] for row in rows]

    def error(self, id: Any, message: str) -> DataError:
        """Return an error that names an annotation by its id."""
        return DataError(f"annotation {brief(id)}: {message}", where=self.file)

    def _flag(self, annotation: dict[str, Any], key: str) -> bool:
        value = annotation.get(key)
        if value is None:
            return False
        if value not in (0, 1):
            raise self.error(
                annotation.get("id"), f"0 or 1 is expected as {key}, got {brief(value)}"
            )
        return bool(value)

    def _add_shape(self, segmentation: Any, id: Any) -> Shape | Outlines | None:
        if segmentation in (None, []):
            return None
        try:
            if isinstance(segmentation, dict):
                return run_lengths(segmentation)
            polygons, usual = outlines(segmentation)
        except ValueError as error:
            raise self.error(id, str(error)) from None
        if not usual:
            self.unusual.append(id)
        first = len(self.ends) - 1
        for outline in polygons:
            if len(outline) < 6:  # a line, drawn by mistake
                self.too_short.append(id)
            else:
                self._extend(self.corners, outline, id, "segmentation")
                self.ends.append(len(self.corners) // 2)
        return (first, len(self.ends) - 1) if len(self.ends) - 1 > first else None

    def _extend(self, column: array[float], numbers: list[float], id: Any, key: str) -> None:
        try:
            column.extend(numbers)
        except OverflowError:  # an integer of hundreds of digits
            raise self.error(id, f"{VALID_NUMBERS} as its {key}") from None


def plain_id(id: Any) -> Any:
    """Return an id, a whole number as int: some tools write 1.0."""
    return int(id) if type(id) is float and id.is_integer() else id


def _is_rotated(attributes: Any) -> bool:
    return isinstance(attributes, dict) and attributes.get("rotation") not in _NOT_ROTATED
