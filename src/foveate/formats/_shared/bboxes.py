"""Decide what the four numbers of the bboxes of a file are.

COCO's are left, top, width and height in pixels. Files from other tools have corners (left, top,
right, bottom), or fractions of the image's sides. Nothing in the file says so, but the numbers do:
the `area` and the segmentation of an object fit only one reading, and so does the image's size.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Shape
from foveate.errors import DataError
from foveate.wording import count_noun

_MAX_SHAPES = 200  # shapes that are compared with their bboxes, spread over the file
_CLOSE = 0.02  # of a number; two measures of one object differ less
_OVER = 1.1  # sides of the image; a box drawn by hand does not end beyond it
_MIN_SHARE = 0.2  # of the boxes that end there, so that corners are likelier than wrong boxes
_MIN_COUNT = 3
_MIN_SIDE = 16  # pixels; in an image with shorter sides 0 to 1 may be meant as pixels

Numbers = NDArray[np.float64]


def corners_of(
    bboxes: Numbers,
    areas: Numbers,
    sizes: Numbers,
    shapes: Sequence[Shape | None],
    known: NDArray[np.bool_],
    file: Path,
) -> tuple[Numbers, list[str]]:
    """Return the corners of the boxes, and notes on what was decided.

    Args:
        bboxes: (N, 4) the numbers as written.
        areas: (N,) the areas as written, NaN where there is none.
        sizes: (N, 2) the height and width of the image of each, NaN where they are unknown.
        shapes: The N shapes, None where an object has none.
        known: (N,) whether there is a bbox.
        file: The file, for messages.

    Returns:
        (N, 4) left, top, right, bottom in pixels, and the notes.

    Raises:
        DataError: If the numbers can be read in two ways and nothing tells which is meant.
    """
    notes: list[str] = []
    if scaled := _fractions(bboxes[known], sizes[known], file):
        bboxes = bboxes.copy()
        bboxes[known], note = scaled
        notes.append(note)
    as_sizes = bboxes.copy()
    as_sizes[:, 2:] += bboxes[:, :2]
    evidence = _evidence(bboxes, as_sizes, areas, sizes, shapes, known, file)
    if evidence is None:
        return as_sizes, notes
    return bboxes.copy(), [
        *notes,
        f"the bboxes are read as corners (left, top, right, bottom), not as left, top, width and "
        f"height: {evidence}",
    ]


def _fractions(bboxes: Numbers, sizes: Numbers, file: Path) -> tuple[Numbers, str] | None:
    """Return the bboxes in pixels and a note, if they are fractions of the images' sides."""
    wide = bboxes[:, 2:]
    if not len(bboxes) or bboxes.min() < 0 or bboxes.max() > 1 or not (wide % 1).any():
        return None
    if np.isnan(sizes).any():
        raise DataError(
            "bboxes in pixels are expected, these look like fractions of the images' sides",
            where=file,
            remedy="Add width and height to each image record, so that they can be converted.",
        )
    if sizes.min() < _MIN_SIDE:
        return None
    note = (
        f"the bboxes are read as fractions of the images' sides, since none of their "
        f"{bboxes.size:,} numbers is above 1"
    )
    return bboxes * sizes[:, [1, 0, 1, 0]], note


def _evidence(
    corners: Numbers,
    as_sizes: Numbers,
    areas: Numbers,
    sizes: Numbers,
    shapes: Sequence[Shape | None],
    known: NDArray[np.bool_],
    file: Path,
) -> str | None:
    """Return why the bboxes are corners, None if they are sizes."""
    measured = {
        "segmentations": _bounds(shapes, known),
        "areas": _areas_without_shape(areas, shapes, known),
    }
    votes = {name: _votes(corners, as_sizes, *other) for name, other in measured.items()}
    for_corners, for_sizes = map(sum, zip(*votes.values(), strict=True))
    if (
        for_corners
        and for_sizes
        and min(for_corners, for_sizes) >= _MIN_SHARE * (for_corners + for_sizes)
    ):
        raise _mixed(for_corners, for_sizes, file)
    if for_corners > for_sizes:
        return " and ".join(
            f"{count:,} of {count + other:,} {name} fit only that"
            for name, (count, other) in votes.items()
            if count
        )
    return None if for_sizes else _leaving(corners[known], as_sizes[known], sizes[known], file)


def _bounds(
    shapes: Sequence[Shape | None], known: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], Numbers]:
    """Return the rows of some objects with a shape, and what it spans: (M, 4) corners."""
    rows = np.array([row for row, shape in enumerate(shapes) if shape and known[row]], np.int64)
    rows = rows[:: len(rows) // _MAX_SHAPES + 1]
    spans = [shape.bounds() for row in rows if (shape := shapes[row])]
    return rows, np.array(spans, np.float64).reshape(-1, 4)


def _areas_without_shape(
    areas: Numbers, shapes: Sequence[Shape | None], known: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], Numbers]:
    """Return the rows of objects without a shape, whose area is the box's, and their (M, 1) areas.

    The area of an object with a shape is usually the shape's.
    """
    no_shape = np.array([shape is None for shape in shapes], bool)
    rows = np.flatnonzero(known & no_shape & (areas > 0))
    return rows, areas[rows, None]


def _votes(
    corners: Numbers, as_sizes: Numbers, rows: NDArray[np.int64], measured: Numbers
) -> tuple[int, int]:
    """Return how many objects fit only corners, and how many only sizes."""
    fits = []
    for boxes in (corners[rows], as_sizes[rows]):
        if measured.shape[1] == 1:
            sides = boxes[:, 2:] - boxes[:, :2]
            # A product of two negative sides is no area.
            area = np.where((sides > 0).all(1), sides.prod(1), np.nan)[:, None]
            fits.append(np.abs(area - measured) <= _CLOSE * measured)
        else:
            # Polygons through the centres of pixels end up to a pixel earlier than their bbox.
            longest = np.abs(measured[:, 2:] - measured[:, :2]).max(1, initial=0)[:, None]
            fits.append(np.abs(boxes - measured) <= 2 + _CLOSE * longest)
    by_corners, by_sizes = (fit.all(1) for fit in fits)
    return int((by_corners & ~by_sizes).sum()), int((by_sizes & ~by_corners).sum())


def _leaving(corners: Numbers, as_sizes: Numbers, sizes: Numbers, file: Path) -> str | None:
    """Return why bboxes without a fitting area or segmentation are corners, None if they are sizes.

    As corners all must be boxes within their images. Of real sizes that happens to few boxes only:
    those in the left and the upper half of the image.
    """
    limits = sizes[:, ::-1]
    if (
        not len(corners)
        or np.isnan(limits).any()
        or not (corners[:, 2:] > corners[:, :2]).all()
        or (corners[:, 2:] > limits + 1).any()
        or corners.min() < -1
    ):
        return None
    over = int((as_sizes[:, 2:] > _OVER * limits).any(1).sum())
    if over < _MIN_SHARE * len(corners):
        return None
    boxes = f"{over:,} of {count_noun(len(corners), 'box', 'boxes')}"
    if over >= _MIN_COUNT:
        return f"otherwise {boxes} would end far outside of the image, as corners none does"
    raise DataError(
        f"the bboxes can be read as left, top, width and height, with which {boxes} would end far "
        "outside of the image, or as corners (left, top, right, bottom)",
        where=file,
        remedy="Add the `area` of each annotation, which tells the two apart, or correct the boxes "
        "that leave the image.",
    )


def _mixed(for_corners: int, for_sizes: int, file: Path) -> DataError:
    return DataError(
        f"one kind of bbox is expected: {for_corners:,} fit their area or segmentation only as "
        f"corners (left, top, right, bottom), and {for_sizes:,} only as left, top, width, height",
        where=file,
        remedy="Write all as left, top, width and height.",
    )
