"""Augmentation of pictures together with the boxes in them: scaled, moved, mirrored, and four put into one.

Each picture that is shown is laid out of pieces: a rectangle of one picture, in whole pixels, is resized into a rectangle of
the canvas, in whole pixels too, so that the boxes in it go exactly where the pixels go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from foveate.annotations import Boxes
from foveate.data.augment.images import ImageAugment
from foveate.data.dataset import Images
from foveate.data.images import PADDING
from foveate.data.rng import SampleRNG
from foveate.ops.boxes import area

LEAST_SEEN = 0.3
"""The share of a box that must be in sight for it to be demanded still; with less it is spared, as nobody could tell."""
_DRAWS = 5  # of each piece


class Axis(NamedTuple):
    """One axis of a piece: `source` pixels of the picture from `start` on, resized to `length` from `place` on."""

    start: int
    source: int
    place: int
    length: int


@dataclass(frozen=True)
class BoxAugment:
    """What is done to each train picture and its boxes, each time it is seen.

    flip: mirrored left to right, half of the time
    scale: 0.5 shows pictures between 1 / 1.5 and 1.5 times as large
    stretch: 0.1 changes the ratio of width to height by up to 10%
    colour: see `Augment`
    mosaic: the share of canvases that four pictures of the batch are put together in (Bochkovskiy et al., "YOLOv4", 2020)
    until: how far (0 to 1) a run is when that ends, as whole pictures are what it will be asked about
    """

    flip: bool = False
    scale: float = 0.0
    stretch: float = 0.0
    colour: float = 0.0
    mosaic: float = 0.0
    until: float = 1.0
    repeats: ClassVar[int] = 1

    def batch(
        self, images: Images, targets: Sequence[Boxes], rng: SampleRNG, progress: float
    ) -> tuple[Tensor, list[Boxes]]:
        """(B, S, S, C) uint8, each picture at the top left and as large as its truth's `size`, and B truths in these
        pixels; the same out, the pictures anywhere. progress: of the run, from 0 to 1.
        """
        plain, batch = torch.as_tensor(images), len(images)
        side = plain.shape[1]
        chosen = rng.uniform(3)
        four = (chosen[:, 0] < self.mosaic) & (progress < self.until)
        others = [rng.uniform(_DRAWS) for _ in range(4)]
        canvas = torch.full_like(plain, PADDING)
        boxes = []
        for row in range(batch):
            rooms, sources = [((0, side), (0, side))], [row]
            if four[row]:
                down, across = (side * (0.3 + 0.4 * chosen[row, 1:])).round().astype(int).tolist()
                rooms = [
                    (up, along)
                    for up in ((0, down), (down, side))
                    for along in ((0, across), (across, side))
                ]
                # Neighbours in the batch, whose order is drawn anew in each epoch.
                sources = [(row + step) % batch for step in range(4)]
            found = []
            for room, source, draw in zip(rooms, sources, others, strict=False):
                found.append(
                    self._lay(canvas[row], room, plain[source], targets[source], draw[row])
                )
            boxes.append(Boxes.joined(found, (side, side)))
        if self.colour:
            canvas = ImageAugment(colour=self.colour)(canvas, rng)
        return canvas, boxes

    def _lay(
        self,
        canvas: Tensor,
        room: tuple[tuple[int, int], tuple[int, int]],
        image: Tensor,
        target: Boxes,
        draw: NDArray[np.float32],
    ) -> Boxes:
        """Put a piece of the picture into a room (rows, columns) of the canvas; returns its boxes there."""
        height, width = target.size or image.shape[:2]
        scale = (1 + self.scale) ** (2 * draw[0] - 1)
        aspect = (1 + self.stretch) ** (draw[1] - 0.5)
        move = float(
            self.scale > 0 or self.mosaic > 0
        )  # a picture that is as it was stays where it was
        down = _along(height, float(scale / aspect), room[0], move * draw[2])
        across = _along(width, float(scale * aspect), room[1], move * draw[3])
        piece = image[
            down.start : down.start + down.source, across.start : across.start + across.source
        ]
        mirrored = self.flip and draw[4] < 0.5
        if mirrored:
            piece = piece.flip(1)
        resized = _resized(piece, (down.length, across.length))
        canvas[
            down.place : down.place + down.length, across.place : across.place + across.length
        ] = resized
        return _moved(target, down, across, mirrored)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def _along(length: int, scale: float, room: tuple[int, int], draw: float) -> Axis:
    """Where `length` pixels go that are to be scaled: all of them anywhere in the room, or as many as fit, from anywhere."""
    first, last = room
    space = max(1, last - first)
    wanted = max(1, round(length * scale))
    if wanted <= space:
        return Axis(0, length, first + int(draw * (space - wanted + 1)), wanted)
    source = min(length, max(1, round(space / scale)))
    return Axis(int(draw * (length - source + 1)), source, first, space)


def _resized(piece: Tensor, shape: tuple[int, int]) -> Tensor:
    """(h, w, C) uint8 -> (*shape, C)."""
    if piece.shape[:2] == shape:
        return piece
    moved = piece.permute(2, 0, 1)[None]
    return F.interpolate(moved, size=shape, mode="bilinear", antialias=True)[0].permute(1, 2, 0)


def _moved(target: Boxes, down: Axis, across: Axis, mirrored: bool) -> Boxes:
    """The boxes of a picture where its piece lies now: cut at the piece's edges, those out of sight left out."""
    corners = target.corners.copy()
    for axis, along in ((0, across), (1, down)):
        corners[:, axis::2] = (corners[:, axis::2] - along.start) * (along.length / along.source)
        if axis == 0 and mirrored:
            corners[:, [0, 2]] = along.length - corners[:, [2, 0]]
        corners[:, axis::2] += along.place
    whole = area(corners)
    for axis, along in ((0, across), (1, down)):
        corners[:, axis::2] = corners[:, axis::2].clip(along.place, along.place + along.length)
    seen = area(corners) / np.maximum(whole, 1e-9)
    kept = seen > 0
    difficult = target.difficult | (seen < LEAST_SEEN)
    return Boxes(corners, target.classes, None, target.crowd, difficult)[kept]
