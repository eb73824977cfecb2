"""Augmentation of images together with their boxes: scaled, moved, mirrored, mosaicked.

Every output image is composed of crops: a rectangle of one image, in whole pixels, is resized into
a rectangle of the canvas, also in whole pixels. The boxes therefore move exactly as the pixels do.
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
from foveate.data.resizing import PADDING
from foveate.data.rng import SampleRNG
from foveate.ops.boxes import area

MIN_VISIBLE = 0.3
"""Visible fraction of a box below which it is marked difficult, so training ignores it."""
_DRAWS_PER_CROP = 5

Window = tuple[tuple[int, int], tuple[int, int]]
"""(first, last) rows and columns of a rectangle of the canvas; `last` is exclusive."""


class AxisCrop(NamedTuple):
    """One axis of a crop.

    Attributes:
        start: First pixel of the image.
        source: Pixels of the image.
        place: First pixel of the canvas.
        length: Pixels of the canvas.
    """

    start: int
    source: int
    place: int
    length: int


@dataclass(frozen=True)
class BoxAugment:
    """Augmentation of images with boxes.

    Attributes:
        flip: Mirror half of the images left to right.
        scale_jitter: 0.5 resizes by a factor between 1 / 1.5 and 1.5.
        aspect_jitter: 0.1 changes the ratio of width to height by up to 10%.
        colour: See `ImageAugment`.
        mosaic: Probability of composing a canvas from four images (Bochkovskiy et al., "YOLOv4",
            2020).
        mosaic_until: Fraction of the run after which mosaics end, so that training finishes on
            whole images, as they are at test time.
    """

    flip: bool = False
    scale_jitter: float = 0.0
    aspect_jitter: float = 0.0
    colour: float = 0.0
    mosaic: float = 0.0
    mosaic_until: float = 1.0
    crops_per_image: ClassVar[int] = 1
    neighbours: ClassVar[int] = 3

    def batch(
        self, images: Images, targets: Sequence[Boxes], rng: SampleRNG, progress: float
    ) -> tuple[Tensor, list[Boxes]]:
        """Augment one batch.

        Args:
            images: (B, S, S, C) uint8, on any device, each image at the top left, as large as its
                target's `size`.
            targets: B targets in pixels of these images.
            rng: A stream for each image.
            progress: The fraction of the run that is done, 0 to 1.

        Returns:
            (B, S, S, C) uint8 and B targets in pixels of these images.
        """
        plain, batch = torch.as_tensor(images), len(images)
        side = plain.shape[1]
        draws = rng.uniform(3)
        mosaics = (draws[:, 0] < self.mosaic) & (progress < self.mosaic_until)
        crop_draws = [rng.uniform(_DRAWS_PER_CROP) for _ in range(4)]
        canvas = torch.full_like(plain, PADDING)
        out = []
        for row in range(batch):
            windows: list[Window] = [((0, side), (0, side))]
            sources = [row]
            if mosaics[row]:
                windows = _quadrants(side, draws[row, 1:])
                # Neighbours in the batch: its order is shuffled in each epoch.
                sources = [(row + step) % batch for step in range(4)]
            crops = [
                self._paste(canvas[row], window, plain[source], targets[source], crop[row])
                for window, source, crop in zip(windows, sources, crop_draws, strict=False)
            ]
            out.append(Boxes.concatenate(crops, (side, side)))
        if self.colour:
            canvas = ImageAugment(colour=self.colour)(canvas, rng)
        return canvas, out

    def _paste(
        self,
        canvas: Tensor,
        window: Window,
        image: Tensor,
        target: Boxes,
        draws: NDArray[np.float32],
    ) -> Boxes:
        """Paste a crop of the image into a window of the canvas; return its boxes there."""
        height, width = target.size or image.shape[:2]
        scale = (1 + self.scale_jitter) ** (2 * draws[0] - 1)
        aspect = (1 + self.aspect_jitter) ** (draws[1] - 0.5)
        # Without scaling or mosaics, images stay at the top left.
        move = float(self.scale_jitter > 0 or self.mosaic > 0)
        down = _crop_axis(height, float(scale / aspect), window[0], move * draws[2])
        across = _crop_axis(width, float(scale * aspect), window[1], move * draws[3])
        crop = image[
            down.start : down.start + down.source, across.start : across.start + across.source
        ]
        mirrored = self.flip and draws[4] < 0.5
        if mirrored:
            crop = crop.flip(1)
        rows = slice(down.place, down.place + down.length)
        columns = slice(across.place, across.place + across.length)
        canvas[rows, columns] = _resize(crop, (down.length, across.length))
        return _transform_boxes(target, down, across, mirrored)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings, for the run's record."""
        return asdict(self)


def _quadrants(side: int, draws: NDArray[np.float32]) -> list[Window]:
    """The four windows of a mosaic around a random centre."""
    down, across = (side * (0.3 + 0.4 * draws)).round().astype(int).tolist()
    return [
        (rows, columns)
        for rows in ((0, down), (down, side))
        for columns in ((0, across), (across, side))
    ]


def _crop_axis(length: int, scale: float, window: tuple[int, int], draw: float) -> AxisCrop:
    """Place `length` scaled pixels anywhere in the window, or crop as many as fit, anywhere."""
    first, last = window
    space = max(1, last - first)
    scaled = max(1, round(length * scale))
    if scaled <= space:
        return AxisCrop(0, length, first + int(draw * (space - scaled + 1)), scaled)
    source = min(length, max(1, round(space / scale)))
    return AxisCrop(int(draw * (length - source + 1)), source, first, space)


def _resize(crop: Tensor, shape: tuple[int, int]) -> Tensor:
    """(h, w, C) uint8 -> (*shape, C) uint8."""
    if crop.shape[:2] == shape:
        return crop
    channels_first = crop.permute(2, 0, 1)[None]
    resized = F.interpolate(channels_first, size=shape, mode="bilinear", antialias=True)
    return resized[0].permute(1, 2, 0)


def _transform_boxes(target: Boxes, down: AxisCrop, across: AxisCrop, mirrored: bool) -> Boxes:
    """Move an image's boxes with its crop, clip them to it, and drop the invisible ones."""
    corners = target.corners.copy()
    for axis, crop in ((0, across), (1, down)):
        corners[:, axis::2] = (corners[:, axis::2] - crop.start) * (crop.length / crop.source)
        if axis == 0 and mirrored:
            corners[:, [0, 2]] = crop.length - corners[:, [2, 0]]
        corners[:, axis::2] += crop.place
    full_area = area(corners)
    for axis, crop in ((0, across), (1, down)):
        corners[:, axis::2] = corners[:, axis::2].clip(crop.place, crop.place + crop.length)
    visible = area(corners) / np.maximum(full_area, 1e-9)
    difficult = target.difficult | (visible < MIN_VISIBLE)
    return Boxes(corners, target.classes, None, target.crowd, difficult)[visible > 0]
