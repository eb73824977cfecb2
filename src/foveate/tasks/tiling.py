"""Predictions of large images from overlapping tiles, by a net in torch or by an exported file.

Nothing here imports torch. A task says how it predicts for the image and for its tiles; how these
predictions become one is the same for both.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Annotation, Boxes, Instances, Mask
from foveate.data import label_maps
from foveate.data.dataset import Image, Images
from foveate.errors import SettingError
from foveate.ops.boxes import suppress
from foveate.ops.tiles import tiles, touches_cut
from foveate.tasks.capabilities import Capability
from foveate.tasks.presenters.semantic import MAX_PALETTE_CLASSES
from foveate.tasks.suppression import NMS_IOU

if TYPE_CHECKING:
    from foveate.data.subset import Subset

A = TypeVar("A", bound=Annotation)
N = TypeVar("N")

MAX_SIDE = 2048
"""Pixels a side that a network sees at once: its feature maps of that take a gigabyte or more. See
benchmarks/README.md."""


class Tiled(Capability, Generic[A, N]):
    """Images larger than the training size can be predicted from tiles, by a net of type N."""

    lacking = "predicts for whole images"
    option = "tile"
    remedy = "Leave out --tile."

    @abstractmethod
    def predict_tiled(self, net: N, image: Image, side: int) -> A:
        """Predict for one image from overlapping tiles of `side` pixels.

        Args:
            net: The network.
            image: (H, W, C) uint8; or a large image that gives the pixels of its slices, see
                `data.windows`.
            side: Of the tiles.

        Raises:
            SettingError: The tiles show too little.
        """

    def tile_targets(
        self, pixels: Subset, targets: Sequence[A], ids: Sequence[str]
    ) -> tuple[Subset, Sequence[A], Sequence[str]]:
        """A split cut into tiles if its images are too large for the network to validate on."""
        return pixels, targets, ids


def check_tile(size: int, side: int) -> None:
    """Raise SettingError for tiles that show too little.

    Args:
        size: Pixels a side of the training images.
        side: Of the tiles.
    """
    smallest = min(size, MAX_SIDE) // 4
    if side < smallest:
        raise SettingError(
            f"tiles of at least {smallest} px are expected, got {side}", where="tile"
        )


def merge_boxes(
    predict: Callable[[Images], Sequence[Boxes]], image: Image, side: int, batch: int
) -> Boxes:
    """Boxes from the whole image and from its tiles.

    A box that is cut by the edge of a tile is left to the neighbouring tile.

    Args:
        predict: Predicts for images of any size.
        image: See `Tiled.predict_tiled`.
        side: Of the tiles.
        batch: Tiles that are predicted at once.
    """
    height, width = image.shape[:2]
    found = [*predict([image])]
    places = tiles(height, width, side)
    for first in range(0, len(places) if len(places) > 1 else 0, batch):
        some = places[first : first + batch]
        crops = [image[top:bottom, left:right] for left, top, right, bottom in some]
        for place, boxes in zip(some, predict(crops), strict=True):
            corners = boxes.corners + [place[0], place[1]] * 2
            is_cut = touches_cut(corners, place, (height, width), 0.01 * side)
            found.append(Boxes(corners, boxes.classes, boxes.scores)[~is_cut])
    corners = np.concatenate([one.corners for one in found])
    classes = np.concatenate([one.classes for one in found])
    scores = np.concatenate([one.scores for one in found if one.scores is not None])
    rows = suppress(corners, scores, classes, NMS_IOU)
    return Boxes(corners[rows], classes[rows], scores[rows], size=(height, width))


def merge_instances(
    predict: Callable[[Image], Instances], image: Image, small: Image, side: int
) -> Instances:
    """Merge the predictions for overlapping tiles with that for the whole image.

    An object that is cut by the edge of a tile is left to the neighbouring tile, or to the
    whole image (see `label_maps.merge_tiles`).

    Args:
        predict: Predicts for an image of any size.
        image: See `Tiled.predict_tiled`.
        small: The image at the size that the net sees at once.
        side: Of the tiles.
    """
    size = height, width = image.shape[0], image.shape[1]
    places = tiles(height, width, side)
    tiled = []
    for place in places if len(places) > 1 else []:
        left, top, right, bottom = place
        instances = predict(image[top:bottom, left:right])
        corners = instances.boxes.corners + [left, top] * 2
        tiled.append((place, instances[~touches_cut(corners, place, size, 2)]))
    whole = predict(small).resize((small.shape[0], small.shape[1]), size)
    return label_maps.merge_tiles(tiled, whole, size)


def blend_classes(
    probabilities: Callable[[Image], NDArray[np.float32]], image: Image, side: int, count: int
) -> Mask:
    """Blend the probabilities of overlapping tiles, which count less towards their edges.

    Rows of the image that no further tile touches are finished, so that memory holds a strip
    of probabilities and not a whole image of them.

    Args:
        probabilities: Of each class, (K, h, w), for a tile of h by w pixels.
        image: See `Tiled.predict_tiled`.
        side: Of the tiles.
        count: Of the classes.
    """
    height, width = image.shape[:2]
    classes = np.empty((height, width), np.uint8 if count <= MAX_PALETTE_CLASSES else np.int32)
    strip, start = np.zeros((count, 0, width), np.float32), 0
    for top, row in groupby(tiles(height, width, side), key=lambda place: place[1]):
        places = list(row)
        classes[start:top] = strip[:, : top - start].argmax(0)
        strip = strip[:, top - start :]
        new_rows = places[0][3] - top - strip.shape[1]
        strip = np.concatenate([strip, np.zeros((count, new_rows, width), np.float32)], 1)
        start = top
        for left, _, right, bottom in places:
            tile = probabilities(image[top:bottom, left:right])
            strip[:, :, left:right] += tile * _window(tile.shape[1:])
    classes[start:] = strip.argmax(0)
    return Mask.from_array(classes)


def _window(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """(h, w) weights: 1 in the centre, falling to the edges, never 0."""
    down, across = (1 - np.abs(2 * (np.arange(side) + 0.5) / side - 1) for side in shape)
    weights: NDArray[np.float32] = (np.multiply.outer(down, across) + 1e-4).astype(np.float32)
    return weights
