"""Read one COCO instances file as image records."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as brief
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Boxes, Polygon, Shape
from foveate.data.dataset import SplitName
from foveate.errors import DataError
from foveate.formats._shared.bboxes import corners_of
from foveate.formats._shared.documents.json_file import out_of_range
from foveate.formats._shared.documents.json_lists import read_lists
from foveate.formats._shared.layout import printable
from foveate.formats.coco.columns import KEYS, VALID_NUMBERS, Columns
from foveate.wording import count_noun

# The area follows from the rest.
_ANNOTATION_KEYS = {"id", "image_id", "category_id", "bbox", "segmentation", "iscrowd", "area"}
_ANNOTATION_KEYS |= {"ignore"}
_IMAGE_KEYS = {"id", "file_name", "width", "height", "group", "time"}
# The origin of an image, which COCO records and no reader needs.
_IMAGE_KEYS |= {"license", "coco_url", "flickr_url", "date_captured"}


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """An image as the file describes it.

    Attributes:
        written: The file name of the image, as written.
        group: Its group, or None.
        time: When it was taken, or None.
        boxes: The boxes of its N objects.
        shapes: The N shapes, None where an object has only a box.
        problem: Why the image cannot be used, or None.
    """

    written: str
    group: str | None
    time: str | None
    boxes: Boxes
    shapes: tuple[Shape | None, ...]
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """The content of an annotation file.

    Attributes:
        file: The file.
        split: The split that its name or its folder gives, or None.
        records: The images in the order of the file.
        notes: What had to be decided.
        classes: The supercategory of each class name, None where it has none.
    """

    file: Path
    split: SplitName | None
    records: list[ImageRecord]
    notes: list[str]
    classes: dict[str, str | None]


def parse(file: Path, classes: dict[str, int], split: SplitName | None) -> ParsedFile:
    """Read a COCO instances file.

    Args:
        file: The file.
        classes: The index of each class name; the categories of this file are added to it, in the
            order of their ids.
        split: The split that its name or its folder gives, or None.

    Raises:
        DataError: If it is not a COCO file, or if an annotation, which is named by its id, cannot
            be understood.
    """
    columns = Columns(file)
    add = (columns.add_image, columns.add_annotation, columns.add_category)
    read_lists(file, dict(zip(KEYS, add, strict=True)))
    for key, entries in (("images", columns.images), ("categories", columns.names)):
        if not entries:
            raise DataError(f"something is expected under {key!r}, the list is empty", where=file)
    if columns.ids and len(columns.shapeless) == len(columns.ids):
        raise _no_objects(columns)
    records, notes = _build_records(columns, classes)
    notes = [f"{printable(file.name)}: {note}" for note in (*notes, *_notes(columns))]
    supercategories = {name: columns.supercategories.get(name) for name in columns.names.values()}
    return ParsedFile(file, split, records, notes, supercategories)


def _build_records(
    columns: Columns, classes: dict[str, int]
) -> tuple[list[ImageRecord], list[str]]:
    """Sort the annotations by image; the notes tell what was decided about ids and bboxes."""
    class_of = {
        id: classes.setdefault(columns.names[id], len(classes)) for id in _in_order(columns.names)
    }
    categories, category_notes = _look_up(columns, columns.category_ids, class_of, "category")
    images, image_notes = _look_up(columns, columns.image_ids, columns.image_rows, "image")
    shapes = _build_shapes(columns)
    _check_mask_sizes(columns, images, shapes)
    corners, box_notes = _corners(columns, images, shapes)
    problems = {
        int(images[row]): f"annotation {brief(columns.ids[row])} has neither a bbox nor a shape"
        for row in reversed(columns.shapeless)
    }
    order = np.argsort(images, kind="stable")
    starts = np.searchsorted(images[order], np.arange(len(columns.images) + 1)).tolist()
    rows, corners, categories = order.tolist(), corners[order], categories[order]
    crowd = np.array(columns.crowd, bool)[order]
    ignored = np.isin(order, columns.ignored)
    records = []
    for index, (name, group, time, size) in enumerate(columns.images):
        here = slice(starts[index], starts[index + 1])
        boxes = Boxes(
            corners[here], categories[here], crowd=crowd[here], difficult=ignored[here], size=size
        )
        record_shapes = tuple([shapes[row] for row in rows[here]])
        records.append(ImageRecord(name, group, time, boxes, record_shapes, problems.get(index)))
    return records, [*category_notes, *image_notes, *box_notes]


def _in_order(ids: Iterable[int | str]) -> list[int | str]:
    """Return ids in their order as numbers; as they are written if they are not all numbers."""
    try:
        return sorted(ids, key=int)
    except ValueError:
        return list(ids)


def _corners(
    columns: Columns, images: NDArray[np.int64], shapes: list[Shape | None]
) -> tuple[NDArray[np.float64], list[str]]:
    """Return the (N, 4) corners of all boxes, and notes on how they were read."""
    bboxes = np.array(columns.boxes).reshape(-1, 4)
    if len(bad := out_of_range(bboxes.ravel())):
        raise columns.error(columns.ids[bad[0] // 4], f"{VALID_NUMBERS} as its bbox")
    sizes = np.array([size or (np.nan, np.nan) for *_, size in columns.images], np.float64)
    known = np.ones(len(bboxes), bool)
    known[columns.boxless + columns.shapeless] = False
    areas = np.array(columns.areas)
    corners, notes = corners_of(bboxes, areas, sizes[images], shapes, known, columns.file)
    for row in columns.boxless:
        shape = shapes[row]
        assert shape is not None
        corners[row] = shape.bounds()
    return corners, notes


def _no_objects(columns: Columns) -> DataError:
    """Return the error for annotations of which none has a bbox or a segmentation."""
    keys = columns.annotation_keys
    found, remedy = "a bbox, or a segmentation with an area, is expected", None
    if "segments_info" in keys:
        found += "; this is a file of panoptic segmentation, which is not read"
        remedy = "Give the file of the instances (instances_....json)."
    elif "caption" in keys:
        found += "; this is a file of captions"
        remedy = "Give the file of captions itself, or leave out its categories."
    elif "keypoints" in keys:
        found += "; keypoints alone are not read"
        remedy = "Export the boxes of the objects as well."
    else:
        found += ", and no annotation has one: these are classes of whole images"
        remedy = "For classification, write a table: labels.csv with the columns path,label."
    return DataError(
        f"annotation {brief(columns.ids[0])}: {found}", where=columns.file, remedy=remedy
    )


def _look_up(
    columns: Columns, ids: list[Any], known: Mapping[Any, int], what: str
) -> tuple[NDArray[np.int64], list[str]]:
    """Return the index of each id, and a note on ids of another type than those listed.

    Raises:
        DataError: For the first id that is unknown.
    """
    indices, converted = [], 0
    for row, id in enumerate(ids):
        if type(id) in (bool, dict, list) or (index := known.get(id)) is None:  # True equals 1
            index, converted = known.get(_other_type(id)), converted + 1
        if index is None:
            raise columns.error(
                columns.ids[row],
                f"the {what}_id of a listed {what} is expected, got {brief(id)}",
            )
        indices.append(index)
    note = (
        f"{count_noun(converted, f'{what}_id')} written as text where the {what} has a number, or "
        "the other way round"
    )
    return np.array(indices, np.int64), [note] if converted else []


def _other_type(id: Any) -> int | str | None:
    """Return a number as text, and the text of a number as number; None for anything else."""
    if type(id) is int:
        return str(id)
    return int(id) if isinstance(id, str) and re.fullmatch(r"\d{1,18}", id) else None


def _build_shapes(columns: Columns) -> list[Shape | None]:
    points, ends = np.array(columns.corners), columns.ends
    if len(bad := out_of_range(points)):
        outline = int(np.searchsorted(ends, bad[0] // 2, "right")) - 1
        row = next(
            row
            for row, shape in enumerate(columns.shapes)
            if isinstance(shape, tuple) and outline < shape[1]
        )
        raise columns.error(columns.ids[row], f"{VALID_NUMBERS} as its segmentation")
    points = points.reshape(-1, 2)
    return [
        _unchecked_polygon(tuple([points[ends[k] : ends[k + 1]] for k in range(*shape)]))
        if isinstance(shape, tuple)
        else shape
        for shape in columns.shapes
    ]


def _unchecked_polygon(outlines: tuple[NDArray[np.float64], ...]) -> Polygon:
    """Build a polygon without its checks, which would take most of the time; all are checked."""
    polygon = object.__new__(Polygon)
    object.__setattr__(polygon, "outlines", outlines)
    return polygon


def _check_mask_sizes(
    columns: Columns, images: NDArray[np.int64], shapes: list[Shape | None]
) -> None:
    """Raise DataError if run lengths have another size than their image."""
    for row, shape in enumerate(shapes):
        if (
            shape is not None
            and shape.size is not None
            and (size := columns.images[images[row]][3] or shape.size) != shape.size
        ):
            raise columns.error(
                columns.ids[row],
                f"run lengths of {size[1]} x {size[0]} pixels are expected, as its image has, "
                f"got {shape.size[1]} x {shape.size[0]}",
            )


def _notes(columns: Columns) -> list[str]:
    """Return what had to be decided and the user should know."""
    notes = []
    counts = Counter(id for id in columns.ids if type(id) in (int, str))
    if repeated := [id for id, count in counts.items() if count > 1]:
        notes.append(
            f"{count_noun(len(repeated), 'annotation id')} used more than once "
            f"(such as {brief(repeated[0])}); each of these annotations is read"
        )
    if columns.boxless:
        example = brief(columns.ids[columns.boxless[0]])
        notes.append(
            f"{count_noun(len(columns.boxless), 'annotation')} without a bbox, read with the "
            f"bounds of the segmentation (such as annotation {example})"
        )
    for ids, what in (
        (columns.unusual, "with a polygon that is not a list of outlines, each of x and y in turn"),
        (columns.rotated, "with a rotation, which is not read: the boxes are upright"),
        (columns.ids_of(columns.shapeless), "with neither a bbox nor a shape"),
        (columns.ids_of(columns.ignored), "with ignore, read as difficult"),
    ):  # fmt: skip
        if ids:
            number = count_noun(len(ids), "annotation")
            notes.append(f"{number} {what} (such as annotation {brief(ids[0])})")
    if columns.too_short:
        notes.append(
            f"{count_noun(len(columns.too_short), 'outline')} with fewer than three corners, "
            f"left out (such as one of annotation {brief(columns.too_short[0])})"
        )
    if unsized := sum(size is None for *_, size in columns.images):
        notes.append(f"{count_noun(unsized, 'image record')} without height and width")
    for what, unread in (
        ("annotations", columns.annotation_keys - _ANNOTATION_KEYS),
        ("image records", columns.image_keys - _IMAGE_KEYS),
    ):
        if unread:
            notes.append(f"keys of {what} not read: {', '.join(map(brief, sorted(unread)[:9]))}")
    return notes
