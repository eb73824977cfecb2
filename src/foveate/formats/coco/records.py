"""One file of COCO instances, read whole. Its numbers are gathered in columns for all annotations together, since an array
for each of a million objects would take minutes.
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from reprlib import repr as brief
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Boxes, Polygon, RunLengths, Shape
from foveate.errors import DataError
from foveate.formats._shared.json_file import (
    are_numbers,
    no_collection,
    optional_text,
    senseless,
    size_in,
    text_in,
)
from foveate.formats._shared.json_lists import read_lists
from foveate.formats._shared.layout import printable
from foveate.ops import rle

KEYS = ("images", "annotations", "categories")
"""What a file of COCO instances has."""

_READ = {
    "id",
    "image_id",
    "category_id",
    "bbox",
    "segmentation",
    "iscrowd",
    "area",
}  # the area follows from the rest
_ABOUT = {"id", "file_name", "width", "height", "group", "time"}
_ABOUT |= {
    "license",
    "coco_url",
    "flickr_url",
    "date_captured",
}  # where a picture comes from, as COCO says it
_NUMBERS = "numbers that a picture can have are expected"

_Pieces = tuple[int, int]  # the first of a thing's outlines, and the one after its last


@dataclass(frozen=True, slots=True)
class Record:
    """A picture as the file describes it.

    written: its file name; boxes: its N things; shapes: one for each, None where there is only a box
    """

    written: str
    group: str | None
    time: str | None
    boxes: Boxes
    shapes: tuple[Shape | None, ...]


def parse(file: Path, classes: dict[str, int]) -> tuple[list[Record], list[str]]:
    """The pictures that a file describes, in its order, and notes.

    classes: the index of each class by its name; the file's own are added, in the order of their ids
    Raises DataError for what is not COCO, and for the first annotation, by its id, that has no meaning.
    """
    columns = _Columns(file)
    read_lists(
        file,
        dict(
            zip(
                KEYS, (columns.add_image, columns.add_annotation, columns.add_category), strict=True
            )
        ),
    )
    for key, entries in (("images", columns.images), ("categories", columns.names)):
        if not entries:
            raise DataError(f"something is expected under {key!r}, the list is empty", where=file)
    with no_collection():
        return columns.records(classes), columns.notes()


@dataclass
class _Columns:
    """What a file says.

    images: name, group, time and size of each picture; image_rows: their places by id; names: of categories by id;
    named: the same names

    A row for each annotation: ids, image_ids, category_ids, crowd, shapes (a shape, its outlines as a range of `ends`, or
    None), boxes (left, top, width, height in turn). boxless: rows whose box is yet to be taken from their shape.
    corners: of all outlines, x and y in turn; ends: of each outline in `corners`
    """

    file: Path
    images: list[tuple[str, str | None, str | None, tuple[int, int] | None]] = field(
        default_factory=list
    )
    image_rows: dict[Any, int] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)
    ids: list[Any] = field(default_factory=list)
    image_ids: list[Any] = field(default_factory=list)
    category_ids: list[Any] = field(default_factory=list)
    crowd: list[bool] = field(default_factory=list)
    shapes: list[Shape | _Pieces | None] = field(default_factory=list)
    boxes: array[float] = field(default_factory=lambda: array("d"))
    boxless: list[int] = field(default_factory=list)
    corners: array[float] = field(default_factory=lambda: array("d"))
    ends: list[int] = field(default_factory=lambda: [0])
    too_few: list[Any] = field(default_factory=list)
    image_keys: set[str] = field(default_factory=set)
    annotation_keys: set[str] = field(default_factory=set)

    def add_image(self, image: dict[str, Any]) -> None:
        self.image_keys.update(image)
        if type(id := image.get("id")) not in (int, str):
            raise DataError(
                f"a number or a text is expected as id of an image record, got {brief(id)}"
            )
        if self.image_rows.setdefault(id, len(self.images)) != len(self.images):
            raise DataError(f"one image record an id is expected, {brief(id)} has two")
        what = f"image {brief(id)}"
        name = text_in(image.get("file_name"), f"file_name of {what}", self.file)
        group, time = (optional_text(image, key, what, self.file) for key in ("group", "time"))
        self.images.append((name, group, time, size_in(image, "height", "width", what, self.file)))

    def add_category(self, category: dict[str, Any]) -> None:
        id = category.get("id")
        if type(id) is not int:
            raise DataError(f"a whole number is expected as id of a category, got {brief(id)}")
        name = text_in(category.get("name"), f"name of category {brief(id)}", self.file)
        if id in self.names or name in self.named:
            twice = f"the id {brief(id)}" if id in self.names else repr(name)
            remedy = "Rename one, or give both one category if they are the same."
            raise DataError(
                f"each category is expected once, {twice} is there twice", remedy=remedy
            )
        self.names[id] = name
        self.named.add(name)

    def add_annotation(self, annotation: dict[str, Any]) -> None:
        self.annotation_keys.update(annotation)
        id = annotation.get("id")
        crowd = annotation.get("iscrowd", 0)
        if crowd not in (0, 1):
            raise self.wrong(id, f"0 or 1 is expected as iscrowd, got {brief(crowd)}")
        if "score" in annotation:
            raise DataError(
                f"the truth is expected, but annotation {brief(id)} has a score, as a model's answer has",
                remedy="Give the file with the labels.",
            )
        bbox, shape = annotation.get("bbox"), self.shape(annotation.get("segmentation"), id)
        if bbox in (None, []):
            if shape is None:
                raise self.wrong(id, "a bbox, or a segmentation with an inside, is expected")
            self.boxless.append(len(self.ids))
            bbox = [0, 0, 0, 0]
        if not are_numbers(bbox) or len(bbox) != 4:
            raise self.wrong(id, f"four numbers are expected as its bbox, got {brief(bbox)}")
        self.extend(self.boxes, bbox, id, "bbox")
        self.ids.append(id)
        self.image_ids.append(annotation.get("image_id"))
        self.category_ids.append(annotation.get("category_id"))
        self.crowd.append(bool(crowd))
        self.shapes.append(shape)

    def shape(self, segmentation: Any, id: Any) -> Shape | _Pieces | None:
        if isinstance(segmentation, dict):
            return self.runs(segmentation, id)
        if segmentation in (None, []):
            return None
        first = len(self.ends) - 1
        for outline in segmentation if isinstance(segmentation, list) else [None]:
            if not are_numbers(outline) or len(outline) % 2 or len(outline) == 2:
                raise self.wrong(
                    id,
                    "a list of outlines, each of x and y in turn, or run lengths are expected as its segmentation",
                )
            if len(outline) < 6:  # a slip of the hand: a line has no inside
                self.too_few.append(id)
            else:
                self.extend(self.corners, outline, id, "segmentation")
                self.ends.append(len(self.corners) // 2)
        return (first, len(self.ends) - 1) if len(self.ends) - 1 > first else None

    def extend(self, column: array[float], numbers: list[float], id: Any, key: str) -> None:
        try:
            column.extend(numbers)
        except OverflowError:  # an integer of hundreds of digits
            raise self.wrong(id, f"{_NUMBERS} as its {key}") from None

    def runs(self, segmentation: dict[str, Any], id: Any) -> RunLengths:
        size, counts = segmentation.get("size"), segmentation.get("counts")
        if (
            not are_numbers(size)
            or len(size) != 2
            or not all(isinstance(side, int) for side in size)
        ):
            raise self.wrong(id, "height and width are expected as the size of its run lengths")
        own = int(size[0]), int(size[1])
        try:
            if isinstance(counts, str):
                return RunLengths(rle.from_text(counts, own), own)
            if are_numbers(counts):
                return RunLengths(rle.checked(counts, own), own)  # type: ignore[arg-type]
        except ValueError as error:
            raise self.wrong(id, str(error)) from None
        raise self.wrong(
            id, "a text or a list of whole numbers is expected as the counts of its run lengths"
        )

    def records(self, classes: dict[str, int]) -> list[Record]:
        """What was added, picture by picture."""
        indices = {
            id: classes.setdefault(self.names[id], len(classes)) for id in sorted(self.names)
        }
        categories = self.rows(self.category_ids, indices, "category")
        images = self.rows(self.image_ids, self.image_rows, "image")
        shapes = self.all_shapes()
        for row, shape in enumerate(shapes):
            if (
                isinstance(shape, RunLengths)
                and (size := self.images[images[row]][3] or shape.size) != shape.size
            ):
                raise self.wrong(
                    self.ids[row],
                    f"run lengths of {size[1]} x {size[0]} pixels are expected, as its picture has, "
                    f"got {shape.size[1]} x {shape.size[0]}",
                )
        corners = np.array(self.boxes).reshape(-1, 4)
        if len(bad := senseless(corners.ravel())):
            raise self.wrong(self.ids[bad[0] // 4], f"{_NUMBERS} as its bbox")
        corners[:, 2:] += corners[:, :2]
        for row in self.boxless:
            corners[row] = _bounds(shapes[row])
        order = np.argsort(images, kind="stable")
        starts = np.searchsorted(images[order], np.arange(len(self.images) + 1)).tolist()
        rows, corners, categories = order.tolist(), corners[order], categories[order]
        crowd = np.array(self.crowd, bool)[order]
        records = []
        for (name, group, time, size), start, end in zip(
            self.images, starts[:-1], starts[1:], strict=True
        ):
            here = slice(start, end)
            boxes = Boxes(corners[here], categories[here], crowd=crowd[here], size=size)
            records.append(
                Record(name, group, time, boxes, tuple([shapes[row] for row in rows[here]]))
            )
        return records

    def rows(self, ids: list[Any], known: dict[Any, int], what: str) -> NDArray[np.int64]:
        """The place of each id. Raises DataError for the first that is not known."""
        places = []
        for row, id in enumerate(ids):
            if type(id) in (bool, dict, list) or id not in known:  # true would be taken for 1
                raise self.wrong(
                    self.ids[row], f"the {what}_id of a listed {what} is expected, got {brief(id)}"
                )
            places.append(known[id])
        return np.array(places, np.int64)

    def all_shapes(self) -> list[Shape | None]:
        points, ends = np.array(self.corners), self.ends
        if len(bad := senseless(points)):
            outline = int(np.searchsorted(ends, bad[0] // 2, "right")) - 1
            row = next(
                row
                for row, one in enumerate(self.shapes)
                if isinstance(one, tuple) and outline < one[1]
            )
            raise self.wrong(self.ids[row], f"{_NUMBERS} as its segmentation")
        points = points.reshape(-1, 2)
        return [
            _polygon(tuple([points[ends[k] : ends[k + 1]] for k in range(*one)]))
            if isinstance(one, tuple)
            else one
            for one in self.shapes
        ]

    def notes(self) -> list[str]:
        """What had to be decided."""
        notes = []
        ids = Counter(id for id in self.ids if type(id) in (int, str))
        if again := [id for id, times in ids.items() if times > 1]:
            notes.append(
                f"{len(again):,} ids of annotations are there more than once (such as {brief(again[0])}); "
                "each of these annotations is read"
            )
        if self.boxless:
            notes.append(
                f"{len(self.boxless):,} annotations have no bbox and take the bounds of their segmentation "
                f"(such as annotation {brief(self.ids[self.boxless[0]])})"
            )
        if self.too_few:
            notes.append(
                f"{len(self.too_few):,} outlines of fewer than three corners are left out "
                f"(such as one of annotation {brief(self.too_few[0])})"
            )
        if unsized := sum(size is None for *_, size in self.images):
            notes.append(f"{unsized:,} image records have no height and width")
        for what, unread in (
            ("annotations", self.annotation_keys - _READ),
            ("image records", self.image_keys - _ABOUT),
        ):
            if unread:
                notes.append(f"not read of {what}: {', '.join(map(brief, sorted(unread)[:9]))}")
        return [f"{printable(self.file.name)}: {note}" for note in notes]

    def wrong(self, id: Any, message: str) -> DataError:
        return DataError(f"annotation {brief(id)}: {message}", where=self.file)


def _polygon(outlines: tuple[NDArray[np.float64], ...]) -> Polygon:
    """Without the checks of each, which would take longer than all else here: all corners were checked together."""
    polygon = object.__new__(Polygon)
    object.__setattr__(polygon, "outlines", outlines)
    return polygon


def _bounds(shape: Shape | None) -> tuple[float, float, float, float]:
    if isinstance(shape, RunLengths):
        return rle.bounds(shape.counts, shape.size)
    assert shape is not None
    return shape.bounds()
