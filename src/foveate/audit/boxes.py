"""What is wrong with boxes and outlines. All boxes of a set are looked at as one array."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import (
    Boxes,
    Instances,
    MaskFileShape,
    Polygon,
    RunLengths,
    boxes_of,
    mask_bounds,
)
from foveate.audit.finding import Finding
from foveate.audit.quality import far
from foveate.data.dataset import Dataset
from foveate.errors import FoveateError
from foveate.ops import polygons, rle

SLACK = 1.0
"""Pixels that a box may leave its picture by: tools round differently."""
SAME = 0.95
"""Intersection over union from which two boxes are one."""
TINY = 2.0
"""Pixels of the shorter side below which nothing can be seen."""


@dataclass(frozen=True)
class _All:
    """Every box of a set. sample: (M,) its row; row: (M,) its place in the sample's annotation; size: (M, 2) h, w."""

    corners: NDArray[np.float64]
    classes: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    sample: NDArray[np.int64]
    row: NDArray[np.int64]
    size: NDArray[np.float64]


def check(dataset: Dataset[Any], image_stats: NDArray[Any]) -> Iterator[Finding]:
    """Findings of a set whose truths are Boxes or Instances. looks: (N,) of LOOK."""
    targets = [boxes_of(sample.target) for sample in dataset]
    yield from _sizes(dataset, targets, image_stats)
    every = _gathered(targets, image_stats)
    yield from _places(dataset, every)
    yield from _extremes(dataset, every)
    yield from _repeated(dataset, targets)
    for sample, look in zip(dataset, image_stats, strict=True):
        if isinstance(sample.target, Instances):
            yield from _shapes(sample.id, sample.target, (int(look["height"]), int(look["width"])))


def _gathered(targets: Sequence[Boxes], image_stats: NDArray[Any]) -> _All:
    counts = np.array([len(target) for target in targets], np.int64)
    sample = np.repeat(np.arange(len(targets)), counts)
    sizes = np.stack([image_stats["height"], image_stats["width"]], 1).astype(np.float64)
    return _All(
        np.concatenate([np.zeros((0, 4)), *(target.corners for target in targets)]),
        np.concatenate([np.zeros(0, np.int64), *(target.classes for target in targets)]),
        np.concatenate([np.zeros(0, bool), *(target.crowd for target in targets)]),
        sample,
        np.arange(len(sample)) - np.repeat(np.cumsum(counts) - counts, counts),
        sizes[sample],
    )


def _sizes(
    dataset: Dataset[Any], targets: Sequence[Boxes], image_stats: NDArray[Any]
) -> Iterator[Finding]:
    """The picture that the annotation tells of, against the one that is there."""
    for sample, target, look in zip(dataset, targets, image_stats, strict=True):
        height, width = int(look["height"]), int(look["width"])
        if target.size in (None, (height, width)):
            continue
        on_its_side = look["orientation"] >= 5 and target.size == (width, height)
        yield Finding(
            "error",
            "annotation of another size",
            (sample.id,),
            f"the annotation is of a picture of {target.size[1]} x {target.size[0]} px, this one has {width} x {height}"
            + (" once it is turned upright, as its EXIF says" if on_its_side else ""),
            "Turn the picture's pixels and remove the EXIF tag, or turn the boxes."
            if on_its_side
            else "Find the picture that was annotated, or scale the annotation.",
        )


def _places(dataset: Dataset[Any], every: _All) -> Iterator[Finding]:
    left, top, right, bottom = every.corners.T
    height, width = every.size.T
    turned = (right < left) | (bottom < top)
    empty = ((right == left) | (bottom == top)) & ~turned
    whole = ~turned & ~empty
    away = whole & ((right <= 0) | (bottom <= 0) | (left >= width) | (top >= height))
    beyond = np.max([-left, -top, right - width, bottom - height], axis=0, initial=0)
    out = whole & ~away & (beyond > SLACK)
    faults: list[tuple[str, str, NDArray[np.bool_], str, str]] = [
        (
            "error",
            "box with swapped corners",
            turned,
            "left and top are expected before right and bottom",
            _SWAP,
        ),
        (
            "error",
            "box without area",
            empty,
            "a box with an area is expected",
            "Draw it again or remove it.",
        ),
        (
            "error",
            "box outside its picture",
            away,
            "no part of it lies in the picture",
            "Draw it again or remove it.",
        ),
        (
            "warning",
            "box leaves its picture",
            out,
            "it reaches beyond the picture's edge",
            "Cut it at the edge.",
        ),
    ]
    for severity, name, found, reason, remedy in faults:
        for at in np.flatnonzero(found):
            yield _finding(
                severity, name, dataset, every, int(at), reason, remedy, float(beyond[at])
            )


_SWAP = "Swap them, if the tool wrote them so; else draw it again."


def _extremes(dataset: Dataset[Any], every: _All) -> Iterator[Finding]:
    """Boxes of a size that their class does not have."""
    sides = every.corners[:, 2:] - every.corners[:, :2]
    good = (sides > 0).all(1) & ~every.crowd
    tiny = good & (sides.min(1, initial=np.inf) < TINY)
    for at in np.flatnonzero(tiny):
        yield _finding(
            "warning",
            "tiny box",
            dataset,
            every,
            int(at),
            f"it has a side below {TINY:g} px",
            _CHECK,
        )
    share = np.where(good, sides.prod(1), 1) / np.maximum(every.size.prod(1), 1)
    for k in np.unique(every.classes):
        own = np.flatnonzero(good & ~tiny & (every.classes == k))
        small, large = far(np.log(share[own]), 0.3)
        for word, rows in (("small", own[small]), ("large", own[large])):
            for at in rows:
                reason = f"it covers {share[at]:.3%} of the picture, far from what its class does"
                yield _finding(
                    "note", f"unusually {word} box", dataset, every, int(at), reason, _CHECK
                )


_CHECK = "Look at it; draw it again or remove it if it is wrong."


def _repeated(dataset: Dataset[Any], targets: Sequence[Boxes]) -> Iterator[Finding]:
    """One place with two boxes."""
    for sample, target in zip(dataset, targets, strict=True):
        rows = np.flatnonzero(
            ~target.crowd & (target.corners[:, 2:] > target.corners[:, :2]).all(1)
        )
        for one, other in overlapping(target.corners[rows]):
            a, b = int(rows[one]), int(rows[other])
            same = target.classes[a] == target.classes[b]
            names = " and ".join(_name(dataset, int(target.classes[row])) for row in (a, b))
            yield Finding(
                "warning",
                "box drawn twice" if same else "one place, two classes",
                (sample.id,),
                f"boxes {a + 1} and {b + 1} lie on each other" + ("" if same else f", as {names}"),
                "Remove one of them.",
                rows=(a, b),
            )


def overlapping(corners: NDArray[np.float64]) -> Iterator[tuple[int, int]]:
    """Pairs of (N, 4) boxes with an IoU of SAME or more. Sorted by their left edge, so that few pairs are compared."""
    order = np.argsort(corners[:, 0], kind="stable")
    left, top, right, bottom = corners[order].T
    area = (right - left) * (bottom - top)
    for i in range(len(order) - 1):
        # A box that begins further right than 5% of this one's width cannot cover it so well.
        end = int(
            np.searchsorted(left, left[i] + (1 - SAME) * (right[i] - left[i]) + 1e-9, "right")
        )
        rest = slice(i + 1, end)
        wide = np.minimum(right[i], right[rest]) - np.maximum(left[i], left[rest])
        high = np.minimum(bottom[i], bottom[rest]) - np.maximum(top[i], top[rest])
        shared = np.maximum(wide, 0) * np.maximum(high, 0)
        for j in np.flatnonzero(shared >= SAME * (area[i] + area[rest] - shared)):
            a, b = sorted((int(order[i]), int(order[i + 1 + j])))
            yield a, b


def _shapes(id: str, target: Instances, size: tuple[int, int]) -> Iterator[Finding]:
    for row, shape in enumerate(target.shapes):
        for severity, name, reason, remedy in _shape(shape, target.boxes.corners[row], size):
            yield Finding(severity, name, (id,), f"thing {row + 1}: {reason}", remedy, rows=(row,))  # type: ignore[arg-type]


def _shape(
    shape: Any, corners: NDArray[np.float64], size: tuple[int, int]
) -> Iterator[tuple[str, str, str, str]]:
    height, width = size
    if isinstance(shape, Polygon):
        if any(polygons.crosses_itself(outline) for outline in shape.outlines):
            yield (
                "warning",
                "outline crosses itself",
                "its sides cross, so inside and outside swap",
                "Draw it again.",
            )
        elif sum(polygons.area(outline) for outline in shape.outlines) < 1e-6:
            yield (
                "error",
                "outline without area",
                "an outline with an area is expected",
                "Draw it again or remove it.",
            )
        left, top, right, bottom = shape.bounds()
        if max(-left, -top, right - width, bottom - height) > SLACK:
            yield (
                "warning",
                "outline leaves its picture",
                "it reaches beyond the picture's edge",
                "Cut it at the edge.",
            )
        if np.abs(np.array(shape.bounds()) - corners).max() > max(
            5.0, 0.1 * max(right - left, bottom - top)
        ):
            yield (
                "warning",
                "box and outline differ",
                "its box is not that of its outline",
                "Trust the outline.",
            )
    elif isinstance(shape, RunLengths):
        if shape.size != size:
            yield _OTHER_SIZE[0], _OTHER_SIZE[1], _sized(shape.size, size), _OTHER_SIZE[2]
        elif not rle.area(shape.counts):
            yield _NO_PIXEL
    elif isinstance(shape, MaskFileShape):
        try:
            mask = shape.pixels.read() != 0
        except FoveateError as error:
            yield "error", "mask cannot be read", error.message, "Repair the file or remove it."
            return
        if mask.shape != size:
            yield _OTHER_SIZE[0], _OTHER_SIZE[1], _sized(mask.shape, size), _OTHER_SIZE[2]
        elif mask_bounds(mask) == (0, 0, 0, 0):
            yield _NO_PIXEL


_OTHER_SIZE = ("error", "mask of another size", "Make it again from the picture that is here.")
_NO_PIXEL = (
    "error",
    "mask without a pixel",
    "a mask with a pixel is expected, this is empty",
    "Remove it.",
)


def _sized(got: Sequence[int], wanted: tuple[int, int]) -> str:
    return f"the mask has {got[1]} x {got[0]} px, the picture {wanted[1]} x {wanted[0]}"


def _finding(
    severity: str,
    name: str,
    dataset: Dataset[Any],
    every: _All,
    at: int,
    reason: str,
    remedy: str,
    score: float = 0.0,
) -> Finding:
    told = ", ".join(f"{value:.6g}" for value in every.corners[at])
    where = f"box {every.row[at] + 1} ({_name(dataset, int(every.classes[at]))} at {told}): "
    id = dataset[int(every.sample[at])].id
    return Finding(severity, name, (id,), where + reason, remedy, (int(every.row[at]),), score)  # type: ignore[arg-type]


def _name(dataset: Dataset[Any], k: int) -> str:
    return repr(dataset.classes[k]) if k < len(dataset.classes) else f"class {k}"
