"""Targets of several crops pasted into one image; predictions of several tiles merged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Boxes, Instances, Mask, Shape
from foveate.ops.masks import smallest_dtype
from foveate.ops.tiles import Tile

A = TypeVar("A")


class CropLabel(NamedTuple, Generic[A]):
    """A crop of one target.

    Attributes:
        target: The whole target.
        numbers: (h, w) integers of the crop: classes, or 1 + rows of instances.
        top: First row of the image that the crop is pasted to.
        left: First column.
    """

    target: A
    numbers: NDArray[np.integer]
    top: int
    left: int


def paste_instances(crops: Sequence[CropLabel[Instances]], side: int) -> Instances:
    """The instances of all crops in one image of side x side pixels."""
    ids, boxes = np.zeros((side, side), np.int32), [crop.target.boxes for crop in crops]
    for (_, numbers, top, left), first in zip(
        crops, np.cumsum([0, *map(len, boxes)]), strict=False
    ):
        height, width = numbers.shape
        ids[top : top + height, left : left + width] = np.where(numbers > 0, numbers + first, 0)
    return Instances.from_label_map(smallest_dtype(ids), Boxes.concatenate(boxes, (side, side)))


def paste_mask(crops: Sequence[CropLabel[Mask]], side: int) -> Mask:
    """The classes of all crops, which cover one image of side x side pixels."""
    values = np.empty((side, side), np.int32)
    for _, numbers, top, left in crops:
        height, width = numbers.shape
        values[top : top + height, left : left + width] = numbers
    return Mask.from_array(values)


def merge_tiles(
    tiled: Sequence[tuple[Tile, Instances]], whole: Instances, size: tuple[int, int]
) -> Instances:
    """Merge the predictions for the tiles of an image with those for the image as a whole.

    Predictions for tiles come first, then those for the whole image, each by falling score. One
    that mostly lies on pixels already taken is the same object seen again, and is dropped.

    Args:
        tiled: Each tile with its predictions, which have scores.
        whole: Predictions for the whole image, which have scores.
        size: (height, width) of the image.
    """
    from_tiles = [(*one, tile) for tile, instances in tiled for one in _each(instances)]
    from_whole = [(*one, (0, 0, size[1], size[0])) for one in _each(whole)]
    candidates = [
        one
        for group in (from_tiles, from_whole)
        for one in sorted(group, key=itemgetter(0), reverse=True)
    ]
    ids, kept = np.zeros(size, np.int32), []
    for score, shape, k, (left, top, right, bottom) in candidates:
        indices = shape.pixel_indices((bottom - top, right - left))
        down, across = np.divmod(indices, right - left)
        free = ids[down + top, across + left] == 0
        if 2 * free.sum() > len(free):
            kept.append((score, k))
            ids[down[free] + top, across[free] + left] = len(kept)
    scores, classes = np.array(kept).reshape(-1, 2).T
    like = Boxes(np.zeros((len(kept), 4)), classes.astype(np.int64), scores)
    return Instances.from_label_map(ids, like)


def _each(instances: Instances) -> Iterator[tuple[float, Shape, int]]:
    """Score, shape and class of each instance."""
    boxes = instances.boxes
    assert boxes.scores is not None
    for score, shape, k in zip(boxes.scores, instances.shapes, boxes.classes, strict=True):
        assert shape is not None
        yield float(score), shape, int(k)
