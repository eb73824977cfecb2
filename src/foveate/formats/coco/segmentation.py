"""Read segmentations: polygons, as COCO and as others write them, and run lengths."""

from __future__ import annotations

from typing import Any

from foveate.annotations import RunLengths
from foveate.formats._shared.documents.json_file import are_numbers
from foveate.ops import rle

POLYGONS = (
    "a list of polygons, each of x and y in turn, or run lengths are expected as its segmentation"
)


def outlines(segmentation: Any) -> tuple[list[list[float]], bool]:
    """Return the outlines of a polygon, each of x and y in turn.

    COCO writes a list of outlines. A single outline without the outer list, and outlines of [x, y]
    pairs, can be meant in one way only, so they are read too.

    Returns:
        The outlines, and whether they are written as COCO does.

    Raises:
        ValueError: If it is something else.
    """
    if not isinstance(segmentation, list):
        raise ValueError(POLYGONS)
    for outline in segmentation:
        if not are_numbers(outline) or len(outline) % 2 or len(outline) == 2:
            break
    else:
        return segmentation, True
    if are_numbers(segmentation):
        flat = [segmentation]
    elif _are_points(segmentation):
        flat = [[number for point in segmentation for number in point]]
    elif all(_are_points(outline) for outline in segmentation):
        flat = [[number for point in outline for number in point] for outline in segmentation]
    else:
        raise ValueError(POLYGONS)
    if any(len(outline) % 2 for outline in flat):
        raise ValueError(POLYGONS)
    return flat, False


def run_lengths(segmentation: dict[str, Any]) -> RunLengths:
    """Return run lengths.

    Raises:
        ValueError: If they are invalid.
    """
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if not are_numbers(size) or len(size) != 2 or not all(isinstance(side, int) for side in size):
        raise ValueError("height and width are expected as the size of its run lengths")
    mask_size = int(size[0]), int(size[1])
    if isinstance(counts, str):
        return RunLengths(rle.from_coco_string(counts, mask_size), mask_size)
    if are_numbers(counts):
        return RunLengths(rle.validated(counts, mask_size), mask_size)  # type: ignore[arg-type]
    raise ValueError(
        "a text or a list of whole numbers is expected as the counts of its run lengths"
    )


def _are_points(outline: Any) -> bool:
    return (
        isinstance(outline, list)
        and len(outline) > 2
        and all(are_numbers(point) and len(point) == 2 for point in outline)
    )
