"""What is wrong with boxes and outlines. All boxes of a set are looked at as one array."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import EDGE_TOLERANCE, Boxes, boxes_of, duplicate_boxes
from foveate.audit.finding import Finding
from foveate.audit.quality import far
from foveate.data.dataset import Dataset

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
    out = whole & ~away & (beyond > EDGE_TOLERANCE)
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
        for one, other in duplicate_boxes(target.corners[rows]):
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
