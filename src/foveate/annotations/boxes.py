"""A box and a class for each object."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from foveate.annotations.annotation import Annotation, Change
from foveate.errors import FoveateError
from foveate.ops.orientation import SIDEWAYS, turn_points

EDGE_TOLERANCE = 1.0
"""Pixels that a box or an outline may leave its image by: tools round differently."""
DUPLICATE_IOU = 0.95
"""IoU from which two boxes are the same box drawn twice."""


@dataclass(frozen=True, slots=True, eq=False)
class Boxes(Annotation):
    """N boxes, each with a class.

    Attributes:
        corners: (N, 4) float64 pixels: left, top, right, bottom.
        classes: (N,) int64, each from 0 to K-1.
        scores: (N,) float64 from 0 to 1; None for a target.
        crowd: (N,) bool, a region of many objects at once: a prediction there counts neither for
            nor against the model (COCO's iscrowd).
        difficult: (N,) bool, likewise (Pascal VOC).
        size: (height, width) of the image that was annotated; None if the data does not say.
    """

    task: ClassVar[str] = "detection"
    default_format: ClassVar[str | None] = "coco"
    has_boxes: ClassVar[bool] = True

    corners: NDArray[np.float64]
    classes: NDArray[np.int64]
    scores: NDArray[np.float64] | None = None
    crowd: NDArray[np.bool_] = None  # type: ignore[assignment]
    difficult: NDArray[np.bool_] = None  # type: ignore[assignment]
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        corners = np.asarray(self.corners, np.float64).reshape(-1, 4)
        count = len(corners)
        columns = {
            "corners": corners,
            "classes": np.asarray(self.classes, np.int64),
            "crowd": _flags(self.crowd, count),
            "difficult": _flags(self.difficult, count),
        }
        if self.scores is not None:
            columns["scores"] = np.asarray(self.scores, np.float64)
        for name, column in columns.items():
            if len(column) != count or column.ndim != (2 if name == "corners" else 1):
                raise FoveateError(
                    f"{name} of {count} boxes are expected, got the shape {column.shape}"
                )
            if not np.isfinite(column).all():
                raise FoveateError(f"{name} of boxes are expected to be finite numbers")
            object.__setattr__(self, name, column)
        if count and self.classes.min() < 0:
            raise FoveateError(
                f"class indices are expected to be 0 or more, got {self.classes.min()}"
            )

    def __len__(self) -> int:
        return len(self.corners)

    def __getitem__(self, rows: NDArray[np.int64] | NDArray[np.bool_] | slice) -> Boxes:
        """A selection of the boxes."""
        scores = None if self.scores is None else self.scores[rows]
        flags = self.crowd[rows], self.difficult[rows]
        return Boxes(self.corners[rows], self.classes[rows], scores, *flags, self.size)

    @classmethod
    def concatenate(cls, boxes: Sequence[Boxes], size: tuple[int, int] | None) -> Boxes:
        """The targets of several images as the target of one image of (height, width)."""
        names = ("corners", "classes", "crowd", "difficult")
        return cls(
            **{name: np.concatenate([getattr(one, name) for one in boxes]) for name in names},
            size=size,
        )

    @property
    def xyxy(self) -> NDArray[np.float64]:
        """The corners, by the name that torchvision and other libraries have for this order."""
        return self.corners

    @property
    def ignored(self) -> NDArray[np.bool_]:
        """(N,) bool: crowds and difficult boxes, which count neither for nor against a model."""
        return self.crowd | self.difficult

    @property
    def shapes(self) -> tuple[None, ...]:
        """Boxes have no shapes: None for each."""
        return (None,) * len(self)

    def present(self) -> tuple[int, ...]:
        """The classes that occur, each once, in ascending order."""
        return tuple(np.unique(self.classes).tolist())

    def as_boxes(self) -> Boxes:
        """The boxes themselves."""
        return self

    def resize(self, before: tuple[int, int], after: tuple[int, int]) -> Boxes:
        """Scale the corners."""
        down, across = after[0] / before[0], after[1] / before[1]
        corners = self.corners * [across, down, across, down]
        return Boxes(corners, self.classes, self.scores, self.crowd, self.difficult, size=after)

    def fits(self, size: tuple[int, int]) -> bool:
        """Whether no box leaves an image of (height, width)."""
        low = self.corners.min(initial=0)
        high = self.corners.reshape(-1, 2).max(0, initial=0)
        return bool(low >= -EDGE_TOLERANCE and (high <= np.add(size, EDGE_TOLERANCE)[::-1]).all())

    def with_size(self, size: tuple[int, int]) -> Boxes:
        """With this (height, width) as the recorded size of the image."""
        return replace(self, size=size)

    def turned(self, orientation: int, size: tuple[int, int]) -> Boxes:
        """Turn the corners."""
        points = turn_points(self.corners.reshape(-1, 2), orientation, size).reshape(-1, 2, 2)
        corners = np.concatenate([points.min(1), points.max(1)], 1)
        return replace(self, corners=corners, size=size[::-1] if orientation in SIDEWAYS else size)

    def map_classes(self, change: Callable[[NDArray[np.int64]], NDArray[np.int64]]) -> Boxes:
        """With other class indices."""
        return replace(self, classes=change(self.classes))

    def repair(
        self, size: tuple[int, int], class_index: NDArray[np.int64]
    ) -> tuple[Boxes, list[Change]]:
        """Order the corners, clip to the image, remove boxes without area or class."""
        corners, valid, changes = self.repaired_corners(size, len(class_index))
        boxes = replace(self, corners=corners)[valid]
        return replace(boxes, classes=class_index[boxes.classes]), changes

    def repaired_corners(
        self, size: tuple[int, int], num_classes: int
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_], list[Change]]:
        """(N, 4) corrected corners, (N,) bool which boxes remain, and every change."""
        original = self.corners
        low, high = original[:, :2], original[:, 2:]
        ordered = np.concatenate([np.minimum(low, high), np.maximum(low, high)], 1)
        clipped = np.clip(ordered, 0, [size[1], size[0], size[1], size[0]])
        outside = np.abs(clipped - ordered).max(1, initial=0) > EDGE_TOLERANCE
        corners = np.where(outside[:, None], clipped, ordered)
        valid = (corners[:, 2:] > corners[:, :2]).all(1)
        unknown = valid & (self.classes >= num_classes)

        def removed(row: int, why: str) -> Change:
            return Change(f"box {row + 1}: removed, {why}", corners_text(original[row]))

        def moved(rows: NDArray[np.bool_], what: str) -> list[Change]:
            return [
                Change(
                    f"box {row + 1}: {what}",
                    corners_text(original[row]),
                    corners_text(corners[row]),
                )
                for row in np.flatnonzero(rows).tolist()
            ]

        changes = moved(valid & (ordered != original).any(1), "corners put in order")
        changes += moved(valid & outside, "clipped to the image")
        for lost, why in (
            (~valid, "it has no area in the image"),
            (unknown, "its class is none of the dataset's"),
        ):
            changes += [removed(row, why) for row in np.flatnonzero(lost).tolist()]
        valid &= ~unknown
        rows = np.flatnonzero(valid & ~self.crowd)
        for one, other in duplicate_boxes(corners[rows]):
            first, second = rows[one], rows[other]
            if valid[first] and valid[second] and self.classes[first] == self.classes[second]:
                valid[second] = False
                changes.append(removed(second, f"it duplicates box {first + 1}"))
        return corners, valid, changes

    def as_target(self, size: tuple[int, int]) -> Boxes:
        """The boxes without their scores."""
        return replace(self, scores=None, size=size)

    def min_confidence(self, shown: Any) -> float:
        """The lowest score of a box shown, or of the decision not to show one."""
        scores, all_scores = (
            [] if one.scores is None else one.scores.tolist() for one in (shown, self)
        )
        hidden = sorted(all_scores, reverse=True)[len(scores) :]
        return min([*scores, *(1 - score for score in hidden)], default=1.0)

    def without_flagged(self, flag: Literal["crowd", "difficult"]) -> Boxes:
        """Without the boxes that have this flag."""
        return self[~getattr(self, flag)]


def corners_text(corners: NDArray[np.float64]) -> str:
    """Write (4,) corners as "left, top, right, bottom"."""
    return ", ".join(f"{value:.6g}" for value in corners)


def boxes_of(annotation: Any) -> Boxes:
    """The boxes of an annotation that is known to have some."""
    boxes: Boxes | None = annotation.as_boxes()
    assert boxes is not None, f"{type(annotation).__name__} has no boxes"
    return boxes


def duplicate_boxes(corners: NDArray[np.float64]) -> Iterator[tuple[int, int]]:
    """Pairs of rows of (N, 4) corners with an IoU of DUPLICATE_IOU or more."""
    # Sorted by their left edge, so that few pairs are compared.
    order = np.argsort(corners[:, 0], kind="stable")
    left, top, right, bottom = corners[order].T
    area = (right - left) * (bottom - top)
    for i in range(len(order) - 1):
        # A box that begins further right than 5% of this one's width cannot cover it so well.
        limit = left[i] + (1 - DUPLICATE_IOU) * (right[i] - left[i]) + 1e-9
        rest = slice(i + 1, int(np.searchsorted(left, limit, "right")))
        width = np.minimum(right[i], right[rest]) - np.maximum(left[i], left[rest])
        height = np.minimum(bottom[i], bottom[rest]) - np.maximum(top[i], top[rest])
        common = np.maximum(width, 0) * np.maximum(height, 0)
        for j in np.flatnonzero(common >= DUPLICATE_IOU * (area[i] + area[rest] - common)):
            a, b = sorted((int(order[i]), int(order[i + 1 + j])))
            yield a, b


def _flags(values: NDArray[np.bool_] | None, count: int) -> NDArray[np.bool_]:
    return np.zeros(count, bool) if values is None else np.asarray(values, bool)
