"""Decide what the four numbers of boxes mean: pixels or fractions, corners or sizes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from foveate.errors import DataError
from foveate.formats._shared.tables.box_columns import Layout
from foveate.formats.box_table.rows import Row
from foveate.wording import count_noun

Four = NDArray[np.float64]
"""(N, 4): the numbers of boxes."""

SideFinder = Callable[[Row], tuple[int, int] | None]
"""It gives the width and height of a row's image, None if they cannot be read."""

_EDGE = 1.01  # fractions may exceed 1 by rounding
_TOLERANCE = 1.5  # pixels that a box may leave its image by
_RARE, _OFTEN = 0.01, 0.05
_MAX_LOOKED_AT = 2000  # boxes whose images are opened to see whether they fit
# What a list of four numbers usually is.
_LISTED = {Layout.CORNERS, Layout.SIZES}
_NAMES = {
    Layout.CORNERS: "four columns xmin,ymin,xmax,ymax, or one column bbox_xyxy",
    Layout.SIZES: "four columns xmin,ymin,w,h, or one column bbox_xywh",
    Layout.CENTRES: "four columns x_center,y_center,w,h, or one column bbox_cxcywh",
}


def pixel_corners(rows: list[Row], sides_of: SideFinder) -> tuple[Four, list[bool], list[str]]:
    """Return the corners of boxes in pixels.

    Args:
        rows: The rows with boxes, of all tables.
        sides_of: It finds the size of an image.

    Returns:
        (N, 4) left, top, right and bottom; for each whether it can be used, which it cannot where
        it is a fraction of an image whose size cannot be read; and notes on what was decided.

    Raises:
        DataError: If the numbers can be understood in several ways.
    """
    four = np.array([row.four for row in rows], np.float64).reshape(-1, 4)
    if not len(rows):
        return four, [], []
    is_fraction, notes = _are_fractions(rows, four)
    scale = np.ones((len(rows), 2))
    usable = [True] * len(rows)
    if is_fraction:
        for index, row in enumerate(rows):
            sides = sides_of(row)
            usable[index] = sides is not None
            scale[index] = sides or (1, 1)
    corners = np.empty_like(four)
    kinds = [(row.table.boxes.layout, row.table.boxes.is_named) for row in rows]
    for layout, is_named in dict.fromkeys(kinds):
        chosen = np.array([one == (layout, is_named) for one in kinds])
        own = [row for row, mine in zip(rows, chosen, strict=True) if mine]
        decided, layout_notes = _decided(own, four[chosen], layout, sides_of, is_fraction)
        notes += layout_notes
        corners[chosen] = _to_corners(four[chosen], decided)
    return corners * np.concatenate([scale, scale], 1), usable, notes


def _are_fractions(rows: list[Row], four: Four) -> tuple[bool, list[str]]:
    """Return whether all numbers are fractions of the image's width and height, with a note."""
    within = ((four >= 1 - _EDGE) & (four <= _EDGE)).all(1) & (np.abs(four).sum(1) > 0)
    broken = within & (four % 1 != 0).any(1)
    if not broken.any():
        if within.all():
            raise rows[0].error(
                "boxes in pixels or in fractions of the image are expected, but all their numbers "
                "are 0 or 1, which can be both",
                "Write fractions as 0.0 and 1.0 with a smaller box among them, or pixels.",
            )
        return False, []
    if within.all():
        return True, [
            f"the numbers of {count_noun(len(rows), 'box', 'boxes')} are read as fractions of the "
            "image's width and height, since all lie between 0 and 1"
        ]
    if broken.mean() > 0.5:
        row, numbers = next((r, n) for r, n, ok in zip(rows, four, within, strict=True) if not ok)
        raise row.error(
            "boxes in fractions of the image are expected, as most of them are, "
            f"got {', '.join(f'{number:g}' for number in numbers)}",
            "Write all boxes in pixels, or all as fractions from 0 to 1.",
        )
    return False, []


def _decided(
    rows: list[Row],
    four: Four,
    layout: Layout | None,
    sides_of: SideFinder,
    is_fraction: bool,
) -> tuple[Layout, list[str]]:
    """Return what the numbers are, by their headings or by whether the boxes fit the images."""
    if layout and rows[0].table.boxes.is_named:
        return layout, []
    wrong = _wrong(rows, four, sides_of, is_fraction)
    if layout is Layout.SIZES:
        if wrong[layout] > _OFTEN and wrong[Layout.CENTRES] <= _RARE:
            raise _unclear(rows[0], [layout, Layout.CENTRES], wrong)
        return layout, ["x and y are read as the left and top of each box, as COCO has them"]
    likely = [one for one, fraction in wrong.items() if fraction <= _RARE]
    if not is_fraction and len(likely) > 1:
        likely = [one for one in likely if one is not Layout.CENTRES]  # nobody writes these
    if len(likely) != 1 or any(wrong[one] <= _OFTEN for one in wrong if one in _LISTED - {*likely}):
        raise _unclear(rows[0], likely or list(wrong), wrong)
    others = " and ".join(
        f"{fraction:.0%} as {one.value}" for one, fraction in wrong.items() if one is not likely[0]
    )
    return likely[0], [
        f"four numbers in one field are read as {likely[0].value}, with which the boxes lie in "
        f"their images; {others} would leave them or have no area"
    ]


def _wrong(
    rows: list[Row], four: Four, sides_of: SideFinder, is_fraction: bool
) -> dict[Layout, float]:
    """Return for each meaning the fraction of boxes without an area or beyond their image."""
    step = max(1, len(rows) // _MAX_LOOKED_AT)
    rows, four = rows[::step], four[::step]
    sides = np.array([(1, 1) if is_fraction else sides_of(row) or (0, 0) for row in rows], float)
    known = sides.all(1)
    tolerance = 0.01 if is_fraction else _TOLERANCE
    result = {}
    for layout in Layout:
        corners = _to_corners(four, layout)
        wrong = (corners[:, 2:] <= corners[:, :2]).any(1) | (corners < -tolerance).any(1)
        wrong |= known & (corners[:, 2:] > sides + tolerance).any(1)
        result[layout] = float(wrong.mean())
    return result


def _unclear(row: Row, choices: list[Layout], wrong: dict[Layout, float]) -> DataError:
    index = row.table.boxes.indices
    heading = ", ".join(row.table.header[column].strip() for column in index)
    return DataError(
        f"boxes are expected in {heading}, but it is unclear what their numbers are",
        where=row.table.path,
        line=row.line,
        details=[
            f"{layout.value}: {wrong[layout]:.0%} of the boxes leave their image or have no area; "
            f"name {_NAMES[layout]}"
            for layout in choices
        ],
        remedy="Name the columns by what they are, in the first line of the table.",
    )


def _to_corners(four: Four, layout: Layout) -> Four:
    if layout is Layout.CORNERS:
        return four
    start, sides = four[:, :2], four[:, 2:]
    if layout is Layout.CENTRES:
        start = start - sides / 2
    return np.concatenate([start, start + sides], 1)
