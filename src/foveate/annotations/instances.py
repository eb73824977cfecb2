"""A class and the pixels of each object."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from foveate.annotations.annotation import Annotation, Change, Problem
from foveate.annotations.boxes import Boxes, corners_text
from foveate.annotations.shapes import LabelMapShape, RunLengths, Shape, Size
from foveate.errors import DataError, FoveateError
from foveate.ops import rle
from foveate.ops.masks import mask_bounds, resize_nearest, smallest_dtype


@dataclass(frozen=True, slots=True, eq=False)
class Instances(Annotation):
    """N objects, each with a box and a shape.

    Attributes:
        boxes: Boxes, classes, scores and flags of the N objects.
        shapes: The pixels of each object; None where only its box was annotated, which it fills.
    """

    task: ClassVar[str] = "instance"
    default_format: ClassVar[str | None] = "coco"
    has_boxes: ClassVar[bool] = True

    boxes: Boxes
    shapes: tuple[Shape | None, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shapes", tuple(self.shapes))
        if len(self.shapes) != len(self.boxes):
            raise FoveateError(
                f"{len(self.boxes)} shapes are expected, one a box, got {len(self.shapes)}"
            )

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: NDArray[np.int64] | NDArray[np.bool_] | slice) -> Instances:
        """A selection of the objects."""
        selected = np.arange(len(self))[rows]
        return Instances(self.boxes[rows], tuple(self.shapes[row] for row in selected))

    # --- from and to arrays

    @classmethod
    def from_label_map(cls, ids: NDArray[np.integer], like: Boxes) -> Instances:
        """The objects of a label map: the inverse of `label_map`.

        Args:
            ids: (H, W) integers: 0 for background, 1 + its row of `like` for each object.
            like: Classes, scores and flags; rows whose number does not occur are left out.
        """
        from scipy.ndimage import find_objects

        boxes_of_ids = find_objects(ids.astype(np.int32))
        numbers = [number for number, box in enumerate(boxes_of_ids, 1) if box is not None]
        shapes: list[Shape] = [
            LabelMapShape(ids, number, boxes_of_ids[number - 1])  # type: ignore[arg-type]
            for number in numbers
        ]
        rows = np.array(numbers, np.int64) - 1
        corners = np.array([shape.bounds() for shape in shapes]).reshape(-1, 4)
        size = ids.shape[0], ids.shape[1]
        return cls(replace(like[rows], corners=corners, size=size), tuple(shapes))

    @classmethod
    def from_masks(
        cls, masks: NDArray[np.bool_], scores: NDArray[np.float64] | None = None
    ) -> Instances:
        """(N, H, W) bool masks, which may overlap, as N objects of the first class."""
        size = (masks.shape[1], masks.shape[2])
        corners = np.array([mask_bounds(mask) for mask in masks]).reshape(-1, 4)
        boxes = Boxes(corners, np.zeros(len(masks), np.int64), scores, size=size)
        return cls(boxes, tuple(RunLengths(rle.encode(mask), size) for mask in masks))

    @property
    def image_size(self) -> Size:
        """(height, width) of the image. Raises DataError if the annotation does not say."""
        if self.boxes.size is None:
            raise DataError(
                "the image's size is expected with each annotation, to turn outlines into pixels"
            )
        return self.boxes.size

    def label_map(self, size: Size | None = None) -> NDArray[np.integer]:
        """(H, W) integers: 0 for background, 1 + its row for each object.

        Of objects that overlap, the smaller one lies on top.

        Args:
            size: (height, width) of the image, by default `image_size`.
        """
        if (ids := self._common_label_map()) is not None:
            return ids
        size = size or self.image_size
        ids = np.zeros(size, np.int32)
        indices = self.pixel_indices(size)
        for row in sorted(range(len(self)), key=lambda row: -len(indices[row])):
            ids.ravel()[indices[row]] = row + 1
        return ids

    def _common_label_map(self) -> NDArray[np.integer] | None:
        """The label map that all shapes share, renumbered to their rows; None if there is none."""
        shapes = [shape for shape in self.shapes if isinstance(shape, LabelMapShape)]
        if not shapes or len(shapes) < len(self) or any(s.ids is not shapes[0].ids for s in shapes):
            return None
        ids = shapes[0].ids
        numbers, largest = [shape.number for shape in shapes], int(ids.max())
        if numbers == list(range(1, largest + 1)):
            return ids
        row_of = np.zeros(largest + 1, np.int32)
        row_of[numbers] = np.arange(1, len(shapes) + 1)
        renumbered: NDArray[np.int32] = row_of[ids]
        return renumbered

    def masks(self, size: Size) -> NDArray[np.bool_]:
        """(N, H, W) bool for an image of this height and width."""
        masks = np.zeros((len(self), *size), bool)
        for mask, shape, (rows, columns) in zip(
            masks, self.shapes, self._box_slices(size), strict=True
        ):
            if shape is not None:
                mask[:] = shape.mask(size)
            else:
                mask[rows, columns] = True
        return masks

    def pixel_indices(self, size: Size) -> list[NDArray[np.int64]]:
        """For each object (M,) row * W + column of its pixels: see `Shape.pixel_indices`."""
        return [
            (np.arange(size[0])[rows, None] * size[1] + np.arange(size[1])[columns]).ravel()
            if shape is None
            else shape.pixel_indices(size)
            for shape, (rows, columns) in zip(self.shapes, self._box_slices(size), strict=True)
        ]

    def _box_slices(self, size: Size) -> list[tuple[slice, slice]]:
        whole = np.clip(np.rint(self.boxes.corners), 0, [size[1], size[0]] * 2).astype(int).tolist()
        return [(slice(top, bottom), slice(left, right)) for left, top, right, bottom in whole]

    def to_records(self) -> list[dict[str, Any]]:
        """For JSON: each object's box, score, pixels, mask (compressed run lengths) and flags."""
        boxes, size, records = self.boxes, self.image_size, []
        for row, (corners, indices) in enumerate(
            zip(boxes.corners.tolist(), self.pixel_indices(size), strict=True)
        ):
            counts = rle.from_indices(indices, size)
            record: dict[str, Any] = {"box": [round(value, 2) for value in corners]}
            if boxes.scores is not None:
                record["score"] = round(float(boxes.scores[row]), 6)
            record |= {"pixels": rle.area(counts), "mask": rle.to_coco_string(counts)}
            flags = {name: True for name in ("crowd", "difficult") if getattr(boxes, name)[row]}
            records.append(record | flags)
        return records

    # --- several guesses about one object share its shape

    def unique_shapes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(M,) the first row of each shape, and (N,) which of these M shapes each row has.

        A row without a shape counts as a shape of its own, its box.
        """
        number: dict[int, int] = {}
        keys = [-row - 1 if shape is None else id(shape) for row, shape in enumerate(self.shapes)]
        shape_of = np.array([number.setdefault(key, len(number)) for key in keys], np.int64)
        return np.unique(shape_of, return_index=True)[1], shape_of

    def best_per_shape(self) -> NDArray[np.bool_]:
        """(N,) bool: the highest score of the rows that share a shape; all rows of a target."""
        if self.boxes.scores is None:
            return np.ones(len(self), bool)
        order = np.argsort(-self.boxes.scores, kind="stable")
        best = np.zeros(len(self), bool)
        best[order[self[order].unique_shapes()[0]]] = True
        return best

    # --- what every annotation can be asked

    def map_classes(self, change: Callable[[NDArray[np.int64]], NDArray[np.int64]]) -> Instances:
        """With other class indices."""
        return replace(self, boxes=self.boxes.map_classes(change))

    def present(self) -> tuple[int, ...]:
        """The classes that occur, each once, in ascending order."""
        return self.boxes.present()

    def object_map(self, size: Size) -> NDArray[np.integer]:
        """See `label_map`."""
        return self.label_map(size)

    def as_boxes(self) -> Boxes:
        """The boxes of the objects."""
        return self.boxes

    def resize(self, before: Size, after: Size) -> Instances:
        """Resize the label map; rows that share a shape still do, vanished shapes are dropped."""
        first, shape_of = self.unique_shapes()
        ids = smallest_dtype(resize_nearest(self[first].label_map(before), after))
        numbered = Boxes(np.zeros((len(first), 4)), np.arange(len(first)))
        resized = Instances.from_label_map(ids, numbered)
        remaining = resized.boxes.classes  # shapes that still have a pixel, in order
        kept = np.isin(shape_of, remaining)
        index = np.searchsorted(remaining, shape_of[kept])
        boxes = replace(self.boxes[kept], corners=resized.boxes.corners[index], size=after)
        return Instances(boxes, tuple(resized.shapes[row] for row in index))

    def fits(self, size: Size) -> bool:
        """Whether no box and no shape leaves an image of (height, width); may read files."""
        return self.boxes.fits(size) and all(s is None or s.fits(size) for s in self.shapes)

    def with_size(self, size: Size) -> Instances:
        """With this (height, width) as the recorded size of the image."""
        return replace(self, boxes=self.boxes.with_size(size))

    def turned(self, orientation: int, size: Size) -> Instances:
        """Turn the boxes and the shapes."""
        shapes = tuple(s and s.turned(orientation, size) for s in self.shapes)
        return Instances(self.boxes.turned(orientation, size), shapes)

    def image_problems(self, size: Size, num_classes: int) -> Iterator[Problem]:
        """Faults of the shapes."""
        for row, shape in enumerate(self.shapes):
            if shape is not None:
                for one in shape.problems(self.boxes.corners[row], size):
                    reason = f"instance {row + 1}: {one.reason}"
                    yield replace(one, reason=reason, rows=(row,))

    def repair(self, size: Size, class_index: NDArray[np.int64]) -> tuple[Instances, list[Change]]:
        """Repair the boxes (see `Boxes.repair`) and clip the shapes to the image."""
        corners, valid, changes = self.boxes.repaired_corners(size, len(class_index))
        shapes = list(self.shapes)
        for row, shape in enumerate(shapes):
            if shape is None:
                continue
            clipped, changed = shape.clip(size)
            if clipped is not None and changed:
                shapes[row] = clipped
                corners[row] = clipped.bounds()
                before, after = (corners_text(np.array(one.bounds())) for one in (shape, clipped))
                changes.append(
                    Change(f"instance {row + 1}: outline clipped to the image", before, after)
                )
            if clipped is None and valid[row]:
                valid[row] = False
                before = corners_text(self.boxes.corners[row])
                changes.append(Change(f"instance {row + 1}: removed, it has no area", before))
        boxes = replace(self.boxes, corners=corners)[valid]
        boxes = replace(boxes, classes=class_index[boxes.classes])
        rows: list[int] = np.flatnonzero(valid).tolist()
        return Instances(boxes, tuple(shapes[row] for row in rows)), changes

    def as_target(self, size: Size) -> Instances:
        """The objects without their scores."""
        return replace(self, boxes=self.boxes.as_target(size))

    def min_confidence(self, shown: Any) -> float:
        """The lowest score of an object shown, or of the decision not to show one."""
        return self.boxes.min_confidence(shown.boxes)

    def without_flagged(self, flag: Literal["crowd", "difficult"]) -> Instances:
        """Without the objects that have this flag."""
        return self[~getattr(self.boxes, flag)]

    def with_tight_boxes(self) -> Instances:
        """With each box as the bounds of its shape."""
        corners = self.boxes.corners.copy()
        for row, shape in enumerate(self.shapes):
            if shape is not None:
                corners[row] = shape.bounds()
        return Instances(replace(self.boxes, corners=corners), self.shapes)

    def rasterised(self) -> Instances:
        """With run lengths in place of outlines and the boxes fitted to them."""
        size = self.image_size
        shapes = [RunLengths(rle.encode(mask), size) for mask in self.masks(size)]
        return Instances(self.boxes, tuple(shapes)).with_tight_boxes()
