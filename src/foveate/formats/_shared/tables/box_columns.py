"""Find the columns of boxes in a table with one row an object, by their headings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from foveate.formats._shared.layout import has_image_suffix
from foveate.formats._shared.tables.csv_table import plain


class Layout(Enum):
    """What the four numbers of a box are."""

    CORNERS = "left, top, right and bottom"
    SIZES = "left, top, width and height"
    CENTRES = "the centre's x and y, width and height"


_CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x1", "y1", "x2", "y2"),
    ("x0", "y0", "x1", "y1"),
    ("left", "top", "right", "bottom"),
    ("minx", "miny", "maxx", "maxy"),
    ("xtl", "ytl", "xbr", "ybr"),
    ("xleft", "ytop", "xright", "ybottom"),
    ("startx", "starty", "endx", "endy"),
    ("xstart", "ystart", "xend", "yend"),
)
_CENTRES = (
    ("xcenter", "ycenter"),
    ("xcentre", "ycentre"),
    ("centerx", "centery"),
    ("centrex", "centrey"),
    ("cx", "cy"),
    ("xc", "yc"),
)
_STARTS = (("x", "y"), *(four[:2] for four in _CORNERS))
_SIDES = (("width", "height"), ("w", "h"))
_LISTS = {
    "bbox": None,
    "box": None,
    "boundingbox": None,
    "bndbox": None,
    "xyxy": Layout.CORNERS,
    "bboxxyxy": Layout.CORNERS,
    "bboxvoc": Layout.CORNERS,
    "bboxpascalvoc": Layout.CORNERS,
    "xywh": Layout.SIZES,
    "bboxxywh": Layout.SIZES,
    "bboxcoco": Layout.SIZES,
    "bboxcxcywh": Layout.CENTRES,
    "bboxyolo": Layout.CENTRES,
}
_PREFIX = re.compile(r"(boundingbox|bndbox|bbox|box|roi|rect)[._]?(?=.)")
_IMAGE_SIDES = (
    ("imagewidth", "imageheight"),
    ("imgwidth", "imgheight"),
    ("imwidth", "imheight"),
    ("width", "height"),
)
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
FOUR_NUMBERS = re.compile(
    rf"\s*[\[({{]?\s*({_NUMBER})[\s,;]+({_NUMBER})[\s,;]+({_NUMBER})[\s,;]+({_NUMBER})\s*[\])}}]?\s*"
)
"""The text of four numbers in one field, with or without brackets."""


@dataclass(frozen=True, slots=True)
class BoxColumns:
    """Where the boxes of a table are.

    Attributes:
        indices: The four columns of numbers, or the one column with all four.
        layout: What the numbers are; None if the heading does not tell.
        sides: The columns of the image's width and height, if there are any.
        has_header: Whether the first line is a header.
        is_named: Whether the headings leave no doubt: x and y could also be the centre.
    """

    indices: tuple[int, ...]
    layout: Layout | None
    sides: tuple[int, int] | None = None
    has_header: bool = True
    is_named: bool = True

    @property
    def all(self) -> frozenset[int]:
        """All these columns."""
        return frozenset((*self.indices, *(self.sides or ())))


def box_columns(rows: list[list[str]]) -> BoxColumns | None:
    """Return the columns of boxes in a table with these first rows, or None if it has none.

    Without a header, as keras-retinanet reads it, the columns are: path, left, top, right, bottom,
    class; images without an object have empty fields.
    """
    if not rows:
        return None
    header = [plain(cell) for cell in rows[0]]
    bare = [_PREFIX.sub("", name, count=1) for name in header]
    layout, columns = _four(bare)
    if columns:
        is_named = bare[columns[0]] != "x"
        return BoxColumns(columns, layout, _image_sides(header, columns), is_named=is_named)
    lists = [index for index, name in enumerate(header) if name in _LISTS]
    for index in lists:
        fields = [row[index] for row in rows[1:] if index < len(row) and row[index].strip()]
        if fields and all(map(FOUR_NUMBERS.fullmatch, fields)):
            layout_of_list = _LISTS[header[index]]
            sides = _image_sides(header, (index,))
            return BoxColumns((index,), layout_of_list, sides, is_named=layout_of_list is not None)
    if _is_bare(rows):
        return BoxColumns((1, 2, 3, 4), Layout.CORNERS, has_header=False)
    return None


def _four(names: list[str]) -> tuple[Layout, tuple[int, ...]]:
    for four in _CORNERS:
        if columns := _indices(names, four):
            return Layout.CORNERS, columns
    for layout, starts in ((Layout.CENTRES, _CENTRES), (Layout.SIZES, _STARTS)):
        for start in starts:
            for sides in _SIDES:
                if columns := _indices(names, (*start, *sides)):
                    return layout, columns
    return Layout.CORNERS, ()


def _indices(names: list[str], wanted: tuple[str, ...]) -> tuple[int, ...]:
    """Return where the names are, each being there once, or () if one is not."""
    found = tuple(names.index(name) for name in wanted if names.count(name) == 1)
    return found if len(found) == len(wanted) else ()


def _image_sides(header: list[str], boxes: tuple[int, ...]) -> tuple[int, int] | None:
    for width, height in _IMAGE_SIDES:
        columns = _indices(header, (width, height))
        if columns and not set(columns) & set(boxes):
            return columns[0], columns[1]
    return None


def _is_bare(rows: list[list[str]]) -> bool:
    """Return whether all rows, the first included, are: path, four numbers or nothing, class."""
    numbers = re.compile(_NUMBER)
    for row in rows:
        if len(row) != 6 or not row[0].strip():
            return False
        four = [field.strip() for field in row[1:5]]
        if any(four) and not all(map(numbers.fullmatch, four)):
            return False
    return any(has_image_suffix(row[0].strip()) for row in rows) and any(row[1] for row in rows)
