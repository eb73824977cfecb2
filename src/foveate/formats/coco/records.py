"""Read one COCO instances file as image records."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as brief
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Boxes, Polygon, Shape
from foveate.errors import DataError
from foveate.formats._shared.json_file import gc_paused, out_of_range
from foveate.formats._shared.json_lists import read_lists
from foveate.formats._shared.layout import printable
from foveate.formats.coco.columns import KEYS, VALID_NUMBERS, Columns
from foveate.wording import count_noun

# The area follows from the rest.
_ANNOTATION_KEYS = {"id", "image_id", "category_id", "bbox", "segmentation", "iscrowd", "area"}
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
    """

    written: str
    group: str | None
    time: str | None
    boxes: Boxes
    shapes: tuple[Shape | None, ...]


def parse(file: Path, classes: dict[str, int]) -> tuple[list[ImageRecord], list[str]]:
    """Read a COCO instances file.

    Args:
        file: The file.
        classes: The index of each class name; the categories of this file are added to it, in the
            order of their ids.

    Returns:
        The images in the order of the file, and notes on what had to be decided.

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
    with gc_paused():
        return _build_records(columns, classes), _notes(columns)


def _build_records(columns: Columns, classes: dict[str, int]) -> list[ImageRecord]:
    """Sort the annotations by image."""
    class_of = {
        id: classes.setdefault(columns.names[id], len(classes)) for id in sorted(columns.names)
    }
    categories = _look_up(columns, columns.category_ids, class_of, "category")
    images = _look_up(columns, columns.image_ids, columns.image_rows, "image")
    shapes = _build_shapes(columns)
    _check_mask_sizes(columns, images, shapes)
    corners = np.array(columns.boxes).reshape(-1, 4)
    if len(bad := out_of_range(corners.ravel())):
        raise columns.error(columns.ids[bad[0] // 4], f"{VALID_NUMBERS} as its bbox")
    corners[:, 2:] += corners[:, :2]
    for row in columns.boxless:
        shape = shapes[row]
        assert shape is not None
        corners[row] = shape.bounds()
    order = np.argsort(images, kind="stable")
    starts = np.searchsorted(images[order], np.arange(len(columns.images) + 1)).tolist()
    rows, corners, categories = order.tolist(), corners[order], categories[order]
    crowd = np.array(columns.crowd, bool)[order]
    records = []
    for (name, group, time, size), start, end in zip(
        columns.images, starts[:-1], starts[1:], strict=True
    ):
        here = slice(start, end)
        boxes = Boxes(corners[here], categories[here], crowd=crowd[here], size=size)
        record_shapes = tuple([shapes[row] for row in rows[here]])
        records.append(ImageRecord(name, group, time, boxes, record_shapes))
    return records


def _look_up(
    columns: Columns, ids: list[Any], known: dict[Any, int], what: str
) -> NDArray[np.int64]:
    """Return the index of each id; raise DataError for the first that is unknown."""
    indices = []
    for row, id in enumerate(ids):
        if type(id) in (bool, dict, list) or id not in known:  # True equals 1
            raise columns.error(
                columns.ids[row],
                f"the {what}_id of a listed {what} is expected, got {brief(id)}",
            )
        indices.append(known[id])
    return np.array(indices, np.int64)


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
    return [f"{printable(columns.file.name)}: {note}" for note in notes]
