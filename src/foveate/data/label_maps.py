"""Truths that say something of each pixel, as arrays: which class, or which thing; and back; and what tiles found, joined."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import ArrayPixels, Boxes, Instances, Mask, RunLengths, Shape, mask_bounds
from foveate.errors import DataError
from foveate.ops import rle
from foveate.ops.tiles import Tile

Size = tuple[int, int]
"""(height, width) in pixels."""
A = TypeVar("A")


@dataclass(frozen=True, slots=True, eq=False)
class LabelMapShape:
    """The pixels of one number in a picture that numbers all its things. box: (rows, columns) that hold them all."""

    ids: NDArray[np.int32]
    number: int
    box: tuple[slice, slice]

    def mask(self, size: Size) -> NDArray[np.bool_]:
        mask = np.zeros(size, bool)
        mask[self.box] = self.ids[self.box] == self.number
        return mask

    def places(self, size: Size) -> NDArray[np.int64]:
        rows, columns = self.box
        down, across = np.nonzero(self.ids[self.box] == self.number)
        return (down + rows.start) * size[1] + across + columns.start

    def bounds(self) -> tuple[float, float, float, float]:
        rows, columns = self.box
        return float(columns.start), float(rows.start), float(columns.stop), float(rows.stop)


class CropLabel(NamedTuple, Generic[A]):
    """What is shown of one truth. numbers: (h, w), what each pixel is; top, left: where they lie in what is shown in all"""

    target: A
    numbers: NDArray[np.integer]
    top: int
    left: int


def nearest(values: NDArray[np.integer], size: Size) -> NDArray[np.integer]:
    """(H, W) -> (*size): each pixel as the one that its middle falls on."""
    if values.shape == size:
        return values
    rows, columns = (
        ((np.arange(new) + 0.5) * (old / new)).astype(np.int64)
        for new, old in zip(size, values.shape, strict=True)
    )
    return values[rows[:, None], columns]


def compact(values: NDArray[np.integer]) -> NDArray[np.integer]:
    """The same whole numbers (-1 among them) in as few bytes as hold them: training keeps all of them in memory."""
    most = int(values.max(initial=0))
    return values.astype(np.int8 if most < 2**7 else np.int16 if most < 2**15 else np.int32)


def mask(values: NDArray[np.integer]) -> Mask:
    """Classes, (H, W), as an annotation, in as few bytes as they need."""
    return Mask(ArrayPixels(compact(values)))  # type: ignore[arg-type]


def numbered(instances: Instances, size: Size) -> NDArray[np.integer]:
    """(H, W): 1 for the pixels of the first thing, 2 for those of the second, ..., 0 where nothing is. Of things that lie
    on each other the smaller one is seen.
    """
    shapes = instances.shapes
    if shapes and all(
        isinstance(shape, LabelMapShape) and shape.ids is shapes[0].ids for shape in shapes
    ):  # type: ignore[union-attr]
        ids: NDArray[np.int32] = shapes[0].ids  # type: ignore[union-attr]
        own, most = [shape.number for shape in shapes], int(ids.max())  # type: ignore[union-attr]
        if own == list(range(1, most + 1)):
            return ids
        row_of = np.zeros(most + 1, np.int32)
        row_of[own] = np.arange(1, len(shapes) + 1)
        return row_of[ids]
    ids = np.zeros(size, np.int32)
    places = instances.places(size)
    for row in sorted(range(len(instances)), key=lambda row: -len(places[row])):
        ids.ravel()[places[row]] = row + 1
    return ids


def instances(ids: NDArray[np.integer], like: Boxes) -> Instances:
    """The inverse: each number that occurs is a thing, with class, score and flags of that row of `like`; numbers that do
    not occur are left out.
    """
    from scipy.ndimage import find_objects

    found = find_objects(ids.astype(np.int32))
    numbers = [number for number, box in enumerate(found, 1) if box is not None]
    shapes: list[Shape] = [LabelMapShape(ids, number, found[number - 1]) for number in numbers]  # type: ignore[arg-type]
    rows = np.array(numbers, np.int64) - 1
    corners = np.array([shape.bounds() for shape in shapes]).reshape(-1, 4)
    scores = None if like.scores is None else like.scores[rows]
    height, width = ids.shape
    boxes = Boxes(
        corners, like.classes[rows], scores, like.crowd[rows], like.difficult[rows], (height, width)
    )
    return Instances(boxes, tuple(shapes))


def from_masks(masks: NDArray[np.bool_], scores: NDArray[np.float64] | None = None) -> Instances:
    """(N, H, W) -> N things of the first class, which may lie on each other."""
    size = (masks.shape[1], masks.shape[2])
    corners = np.array([mask_bounds(mask) for mask in masks]).reshape(-1, 4)
    boxes = Boxes(corners, np.zeros(len(masks), np.int64), scores, size=size)
    return Instances(boxes, tuple(RunLengths(rle.encode(mask), size) for mask in masks))


def size(instances: Instances) -> Size:
    """Of their picture. Raises DataError where it is not told."""
    if instances.boxes.size is None:
        raise DataError(
            "the picture's size is expected with each annotation, to turn outlines into pixels"
        )
    return instances.boxes.size


def numbers(target: Instances) -> NDArray[np.integer]:
    """As `numbered`, at its picture's own size."""
    return numbered(target, size(target))


def laid(pieces: Sequence[CropLabel[Instances]], side: int) -> Instances:
    """The things of some truths where their numbers lie now, in a picture of (side, side)."""
    ids, boxes = np.zeros((side, side), np.int32), [piece.target.boxes for piece in pieces]
    for (_, numbers, top, left), before in zip(
        pieces, np.cumsum([0, *map(len, boxes)]), strict=False
    ):
        height, width = numbers.shape
        ids[top : top + height, left : left + width] = np.where(numbers > 0, numbers + before, 0)
    return instances(compact(ids), Boxes.joined(boxes, (side, side)))


def paste_mask(pieces: Sequence[CropLabel[Mask]], side: int) -> Mask:
    """The same of classes."""
    values = np.empty((side, side), np.int32)
    for _, numbers, top, left in pieces:
        height, width = numbers.shape
        values[top : top + height, left : left + width] = numbers
    return mask(values)


def resized(annotation: Instances, before: Size, after: Size) -> Instances:
    """The things of a picture of one size once it is of another. What shares a shape, as guesses about one thing do, still does."""
    first, shape_of = distinct(annotation)
    ids = compact(nearest(numbered(annotation[first], before), after))
    apart = instances(ids, Boxes(np.zeros((len(first), 4)), np.arange(len(first))))
    left = apart.boxes.classes  # the shapes of which there is a pixel still, in order
    kept = np.isin(shape_of, left)
    where = np.searchsorted(left, shape_of[kept])
    boxes = replace(annotation.boxes[kept], corners=apart.boxes.corners[where], size=after)
    return Instances(boxes, tuple(apart.shapes[place] for place in where))


def surest(found: Instances) -> NDArray[np.bool_]:
    """(N,) whether each is the surest of those that share one shape, which may be of more classes than one. Of truths all are."""
    if found.boxes.scores is None:
        return np.ones(len(found), bool)
    order = np.argsort(-found.boxes.scores, kind="stable")
    kept = np.zeros(len(found), bool)
    kept[order[distinct(found[order])[0]]] = True
    return kept


def distinct(instances: Instances) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(M,) the first thing of each shape, and (N,) which of these M shapes each thing has. A thing without a shape has its own, which is
    its box.
    """
    number: dict[int, int] = {}
    told = [-row - 1 if shape is None else id(shape) for row, shape in enumerate(instances.shapes)]
    shape_of = np.array([number.setdefault(one, len(number)) for one in told], np.int64)
    return np.unique(shape_of, return_index=True)[1], shape_of


def told(instances: Instances) -> list[dict[str, Any]]:
    """Of each thing, as JSON: box, score, pixels, mask (COCO's compressed run lengths), and its flags."""
    boxes, all_told = instances.boxes, []
    for row, (corners, places) in enumerate(
        zip(boxes.corners.tolist(), instances.places(size(instances)), strict=True)
    ):
        runs = rle.of_places(places, size(instances))
        one: dict[str, Any] = {"box": [round(at, 2) for at in corners]}
        if boxes.scores is not None:
            one["score"] = round(float(boxes.scores[row]), 6)
        one |= {"pixels": rle.area(runs), "mask": rle.to_text(runs)}
        all_told.append(
            one | {flag: True for flag in ("crowd", "difficult") if getattr(boxes, flag)[row]}
        )
    return all_told


def joined(tiled: Sequence[tuple[Tile, Instances]], whole: Instances, size: Size) -> Instances:
    """What was found in tiles of a picture, and in it as a whole, each thing once: what lies mostly where a surer thing is, or
    one from a tile, is that thing seen again. All have scores.
    """
    from_tiles = [(*instance, tile) for tile, found in tiled for instance in _each(found)]
    from_whole = [(*instance, (0, 0, size[1], size[0])) for instance in _each(whole)]
    in_turn = [
        one
        for seen in (from_tiles, from_whole)
        for one in sorted(seen, key=itemgetter(0), reverse=True)
    ]
    ids, kept = np.zeros(size, np.int32), []
    for score, shape, k, (left, top, right, bottom) in in_turn:
        down, across = np.divmod(shape.places((bottom - top, right - left)), right - left)
        free = ids[down + top, across + left] == 0
        if 2 * free.sum() > len(free):
            kept.append((score, k))
            ids[down[free] + top, across[free] + left] = len(kept)
    scores, classes = np.array(kept).reshape(-1, 2).T
    return instances(ids, Boxes(np.zeros((len(kept), 4)), classes.astype(np.int64), scores))


def _each(found: Instances) -> Iterator[tuple[float, Shape, int]]:
    """Score, shape and class of each thing found."""
    assert found.boxes.scores is not None
    for score, shape, k in zip(found.boxes.scores, found.shapes, found.boxes.classes, strict=True):
        assert shape is not None
        yield float(score), shape, int(k)
