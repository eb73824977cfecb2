"""Augmentation of pictures together with what each of their pixels is: a piece of the picture, turned, scaled and bent.

Where each pixel of the piece comes from is computed once, so that a picture and its truth are moved alike: colours are
interpolated, classes and things are those of the nearest pixel. Beyond its edges a picture goes on as in a mirror.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from foveate.data.augment import Augment
from foveate.data.draws import Draws

A = TypeVar("A")

KNOTS = 4
"""Points a side that are moved by themselves, those between them smoothly with them (Simard et al., "Best practices for
convolutional neural networks", 2003; the U-Net paper has 3)."""


@dataclass(frozen=True)
class Warped(Generic[A]):
    """What is done to each train picture and its truth, each time it is seen.

    read: truth -> (h, w) whole numbers, of what lies at the top left of the canvas; made: truth, other numbers -> truth
    crop: pixels a side of the piece that is shown
    repeats: pieces of a picture that an epoch shows
    flip: mirrored left to right, half of the time
    quarters: turned by 0, 90, 180 or 270 degrees: where there is no up and down
    turn: degrees, either way; scale: 0.25 shows it between 1 / 1.25 and 1.25 times as large
    bend: pixels that the knots are moved by (standard deviation)
    colour: see `Augment`
    """

    read: Callable[[A], NDArray[np.integer]]
    made: Callable[[A, NDArray[np.integer]], A]
    crop: int
    repeats: int = 1
    flip: bool = False
    quarters: bool = False
    turn: float = 0.0
    scale: float = 0.0
    bend: float = 0.0
    colour: float = 0.0

    def batch(self, images: Tensor, truths: Sequence[A], draws: Draws, progress: float) -> tuple[Tensor, list[A]]:
        """(B, S, S, C) uint8, each picture at the top left and as large as its truth, and B truths; (B, crop, crop, C) and
        B truths of the same size out."""
        del progress
        rasters = [self.read(truth) for truth in truths]
        sizes = torch.tensor([raster.shape for raster in rasters], dtype=torch.float32).reshape(-1, 2)
        places = self._places(sizes, draws)
        side = images.shape[1]
        floats = images.permute(0, 3, 1, 2).float()
        own = torch.minimum(places, sizes[:, None, None] - 0.5)  # or the canvas would be mixed in at the far edges
        shown = F.grid_sample(floats, (2 * own / side - 1).flip(-1), padding_mode="border", align_corners=False)
        canvas = shown.round_().to(torch.uint8).permute(0, 2, 3, 1)
        if self.colour:
            canvas = Augment(colour=self.colour)(canvas, draws)
        # Half open as pixels are; a mirrored place can be the far edge itself.
        nearest = places.floor().to(torch.int64).numpy()
        moved = []
        for truth, raster, (rows, columns) in zip(truths, rasters, np.moveaxis(nearest, -1, 1), strict=True):
            here = raster[np.minimum(rows, raster.shape[0] - 1), np.minimum(columns, raster.shape[1] - 1)]
            moved.append(self.made(truth, here))
        return canvas, moved

    def _places(self, sizes: Tensor, draws: Draws) -> Tensor:
        """(B, crop, crop, 2): row and column in the picture that each pixel of the piece shows, between pixels."""
        batch, crop = len(sizes), self.crop
        # In double precision, whose rounding is not seen in the end: that of vectors differs by the place in a batch.
        zoom, turn, mirror, quarter, *middle = torch.from_numpy(draws.uniform(6)).double().unbind(1)
        scale = (1 + self.scale) ** (1 - 2 * zoom)  # picture pixels to a pixel of the piece
        angle = math.radians(self.turn) * (2 * turn - 1)
        if self.quarters:
            angle = angle + math.pi / 2 * (4 * quarter).floor()
        across = torch.where(mirror < 0.5, -1.0, 1.0).double() if self.flip else torch.ones(batch).double()
        offsets = torch.arange(crop) + 0.5 - crop / 2
        grid = torch.stack(torch.meshgrid(offsets, offsets, indexing="ij"), -1).expand(batch, -1, -1, -1)
        if self.bend:
            grid = grid + self._bent(batch, draws)
        cos, sin = scale * angle.cos(), scale * angle.sin()
        matrix = torch.stack([torch.stack([cos, -sin * across], -1), torch.stack([sin, cos * across], -1)], -2)
        # The middle of the piece: anywhere that leaves it within the picture, or the picture within it.
        room = sizes - scale[:, None] * crop
        centre = sizes / 2 + (torch.stack(middle, -1) - 0.5) * room.abs()
        if not (self.scale or self.turn or self.bend):  # whole pixels, so that nothing is interpolated
            centre = (centre - crop / 2).round() + crop / 2
        matrix, centre = matrix.float(), centre.float()
        places = torch.einsum("bij,bhwj->bhwi", matrix, grid) + centre[:, None, None]
        whole = sizes[:, None, None]
        far = ((places < -whole) | (places > 2 * whole)).flatten(1).any(1)  # more than one mirror away
        if bool(far.any()):
            places = torch.where(far[:, None, None, None], places.remainder(2 * whole), places)
        return whole - (whole - places.abs()).abs()

    def _bent(self, batch: int, draws: Draws) -> Tensor:
        """(B, crop, crop, 2) pixels."""
        parts = torch.from_numpy(draws.uniform(3 * 2 * KNOTS**2)).view(batch, 3, 2, KNOTS, KNOTS)
        normal = 2 * (parts.sum(1) - 1.5)  # of variance 1, and nearly normal
        smooth = F.interpolate(normal, size=(self.crop, self.crop), mode="bicubic", align_corners=True)
        return self.bend * smooth.permute(0, 2, 3, 1)

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name not in ("read", "made")}


WHOLE = 256
"""Pixels a side up to which pictures are shown whole; of larger ones pieces of this side."""


def pieces(size: int, kind: str, flip: bool) -> dict[str, Any]:
    """What suits pictures of `size` pixels; kind is "auto", "none" or "strong", which also turns by quarters: for pictures that
    have no up and down, such as those of microscopes and from the air."""
    crop = min(size, WHOLE)
    shown: dict[str, Any] = {"crop": crop, "repeats": max(1, round((size / crop) ** 2))}
    if kind == "none":
        return shown
    shown |= {"flip": flip, "turn": 10.0, "scale": 0.25, "bend": crop / 64, "colour": 0.2}
    if kind == "strong":
        shown |= {"quarters": True, "turn": 45.0, "scale": 0.4, "bend": crop / 32, "colour": 0.3}
    return shown
