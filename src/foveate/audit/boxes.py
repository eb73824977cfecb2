"""Checks of boxes: invalid, outside the image, of unusual size, duplicated.

All boxes of a dataset are checked as one array.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import EDGE_TOLERANCE, Boxes, boxes_of, corners_text, duplicate_boxes
from foveate.audit.finding import Finding, Severity
from foveate.audit.quality import outliers
from foveate.data.dataset import Dataset
from foveate.ops.orientation import SIDEWAYS

MIN_SIDE = 2.0
"""Pixels of the shorter side below which a box shows nothing."""

_DRAW_AGAIN = "Draw it again or remove it."
_LOOK = "Look at it; draw it again or remove it if it is wrong."


@dataclass(frozen=True)
class _AllBoxes:
    """Every box of a dataset.

    Attributes:
        corners: (M, 4).
        classes: (M,).
        crowd: (M,).
        sample: (M,) row of the box's sample.
        row: (M,) row of the box in the sample's annotation.
        size: (M, 2) height and width of the image.
    """

    corners: NDArray[np.float64]
    classes: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    sample: NDArray[np.int64]
    row: NDArray[np.int64]
    size: NDArray[np.float64]


def check(dataset: Dataset[Any], image_stats: NDArray[Any]) -> Iterator[Finding]:
    """Check a dataset whose targets are Boxes or Instances; samples without one are left out.

    Args:
        dataset: The readable samples.
        image_stats: (N,) of IMAGE_STATS.
    """
    rows = [row for row, sample in enumerate(dataset) if sample.target is not None]
    dataset, image_stats = replace(dataset, samples=[dataset[r] for r in rows]), image_stats[rows]
    targets = [boxes_of(sample.target) for sample in dataset]
    yield from _check_image_sizes(dataset, targets, image_stats)
    boxes = _concatenate(targets, image_stats)
    yield from _check_positions(dataset, boxes)
    yield from _check_sizes(dataset, boxes)
    yield from _check_duplicates(dataset, targets)


def _concatenate(targets: Sequence[Boxes], image_stats: NDArray[Any]) -> _AllBoxes:
    counts = np.array([len(target) for target in targets], np.int64)
    sample = np.repeat(np.arange(len(targets)), counts)
    sizes = np.stack([image_stats["height"], image_stats["width"]], 1).astype(np.float64)
    return _AllBoxes(
        np.concatenate([np.zeros((0, 4)), *(target.corners for target in targets)]),
        np.concatenate([np.zeros(0, np.int64), *(target.classes for target in targets)]),
        np.concatenate([np.zeros(0, bool), *(target.crowd for target in targets)]),
        sample,
        np.arange(len(sample)) - np.repeat(np.cumsum(counts) - counts, counts),
        sizes[sample],
    )


def _check_image_sizes(
    dataset: Dataset[Any], targets: Sequence[Boxes], image_stats: NDArray[Any]
) -> Iterator[Finding]:
    """Compare the image size in the annotation with the image's."""
    for sample, target, stats in zip(dataset, targets, image_stats, strict=True):
        height, width = int(stats["height"]), int(stats["width"])
        if target.size is None or target.size == (height, width):
            continue
        reason = (
            f"the annotation is of an image of {target.size[1]} x {target.size[0]} px, "
            f"this one has {width} x {height}"
        )
        remedy = "Find the image that was annotated, or scale the annotation."
        if stats["orientation"] in SIDEWAYS and target.size == (width, height):
            reason += " once EXIF turns it upright; its boxes do not tell which is meant"
            remedy = "Rotate the image's pixels and remove the EXIF tag, or correct the annotation."
        yield Finding("error", "annotation of another size", (sample.id,), reason, remedy)


def _check_positions(dataset: Dataset[Any], boxes: _AllBoxes) -> Iterator[Finding]:
    left, top, right, bottom = boxes.corners.T
    height, width = boxes.size.T
    swapped = (right < left) | (bottom < top)
    empty = ((right == left) | (bottom == top)) & ~swapped
    valid = ~swapped & ~empty
    outside = valid & ((right <= 0) | (bottom <= 0) | (left >= width) | (top >= height))
    excess = np.max([-left, -top, right - width, bottom - height], axis=0, initial=0)
    crossing = valid & ~outside & (excess > EDGE_TOLERANCE)
    faults: list[tuple[Severity, str, NDArray[np.bool_], str, str]] = [
        ("error", "box with swapped corners", swapped,
         "left and top are expected before right and bottom",
         "Swap them, if the tool wrote them so; else draw it again."),
        ("error", "box without area", empty, "a box with an area is expected", _DRAW_AGAIN),
        ("error", "box outside its image", outside, "no part of it lies in the image", _DRAW_AGAIN),
        ("warning", "box leaves its image", crossing, "it reaches beyond the image's edge",
         "Clip it to the image."),
    ]  # fmt: skip
    for severity, check, rows, reason, remedy in faults:
        for row in np.flatnonzero(rows):
            score = float(excess[row])
            yield _finding(severity, check, dataset, boxes, int(row), reason, remedy, score)


def _check_sizes(dataset: Dataset[Any], boxes: _AllBoxes) -> Iterator[Finding]:
    """Find boxes too small to show anything, or of a size unlike their class."""
    sides = boxes.corners[:, 2:] - boxes.corners[:, :2]
    valid = (sides > 0).all(1) & ~boxes.crowd
    tiny = valid & (sides.min(1, initial=np.inf) < MIN_SIDE)
    reason = f"it has a side below {MIN_SIDE:g} px"
    for row in np.flatnonzero(tiny):
        yield _finding("warning", "tiny box", dataset, boxes, int(row), reason, _LOOK)
    share = np.where(valid, sides.prod(1), 1) / np.maximum(boxes.size.prod(1), 1)
    for k in np.unique(boxes.classes):
        rows = np.flatnonzero(valid & ~tiny & (boxes.classes == k))
        small, large = outliers(np.log(share[rows]), 0.3)
        for word, found in (("small", rows[small]), ("large", rows[large])):
            for row in found:
                reason = f"it covers {share[row]:.3%} of the image, unlike others of its class"
                check = f"unusually {word} box"
                yield _finding("note", check, dataset, boxes, int(row), reason, _LOOK)


def _check_duplicates(dataset: Dataset[Any], targets: Sequence[Boxes]) -> Iterator[Finding]:
    """Find two boxes at one place."""
    for sample, target in zip(dataset, targets, strict=True):
        has_area = (target.corners[:, 2:] > target.corners[:, :2]).all(1)
        rows = np.flatnonzero(~target.crowd & has_area)
        for one, other in duplicate_boxes(target.corners[rows]):
            a, b = int(rows[one]), int(rows[other])
            check, names = "duplicate box", ""
            if target.classes[a] != target.classes[b]:
                check = "one place, two classes"
                names = " and ".join(_name(dataset, int(target.classes[row])) for row in (a, b))
            reason = f"boxes {a + 1} and {b + 1} coincide" + (f", as {names}" if names else "")
            remedy = "Remove one of them."
            yield Finding("warning", check, (sample.id,), reason, remedy, rows=(a, b))


def _finding(
    severity: Severity,
    check: str,
    dataset: Dataset[Any],
    boxes: _AllBoxes,
    row: int,
    reason: str,
    remedy: str,
    score: float = 0.0,
) -> Finding:
    corners = corners_text(boxes.corners[row])
    name = _name(dataset, int(boxes.classes[row]))
    reason = f"box {boxes.row[row] + 1} ({name} at {corners}): {reason}"
    id = dataset[int(boxes.sample[row])].id
    return Finding(severity, check, (id,), reason, remedy, (int(boxes.row[row]),), score)


def _name(dataset: Dataset[Any], k: int) -> str:
    return repr(dataset.classes[k]) if k < len(dataset.classes) else f"class {k}"
