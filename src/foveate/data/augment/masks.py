"""Augmentation of pictures together with what each of their pixels is: a piece of the picture, turned, scaled and bent.

Where each pixel of the piece comes from is computed once, so that a picture and its truth are moved alike: colours are
interpolated, classes and things are those of the nearest pixel. Beyond its edges a picture goes on as in a mirror.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, Generic, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from foveate.data.augment.images import ImageAugment
from foveate.data.dataset import Image, Images
from foveate.data.label_maps import CropLabel
from foveate.data.rng import SampleRNG

A = TypeVar("A")

KNOTS = 4
"""Points a side that are moved by themselves, those between them smoothly with them (Simard et al., "Best practices for
convolutional neural networks", 2003; the U-Net paper has 3)."""
SMALLER = 1.6
"""Times that pictures are smaller in a mosaic: between 1.28 and twice, at a scale of 0.25."""


@dataclass(frozen=True)
class MaskAugment(Generic[A]):
    """What is done to each train picture and its truth, each time it is seen.

    read: truth -> (h, w) whole numbers, of what lies at the top left of the canvas; laid: pieces that fill so many pixels a side ->
        truth of what is shown
    crop: pixels a side of the piece that is shown
    repeats: pieces of a picture that an epoch shows
    flip: mirrored left to right, half of the time
    quarters: turned by 0, 90, 180 or 270 degrees: where there is no up and down
    turn: degrees, either way; scale: 0.25 shows it between 1 / 1.25 and 1.25 times as large
    bend: pixels that the knots are moved by (standard deviation)
    colour: see `Augment`
    mosaic: the share of canvases that four pictures of the batch are put together in, each SMALLER (Bochkovskiy et al., "YOLOv4", 2020)
    until: how far (0 to 1) a run is when that ends, as whole pictures are what it will be asked about
    """

    read: Callable[[A], NDArray[np.integer]]
    laid: Callable[[Sequence[CropLabel[A]], int], A]
    crop: int
    repeats: int = 1
    flip: bool = False
    quarters: bool = False
    turn: float = 0.0
    scale: float = 0.0
    bend: float = 0.0
    colour: float = 0.0
    mosaic: float = 0.0
    until: float = 1.0

    def batch(
        self, images: Images, targets: Sequence[A], rng: SampleRNG, progress: float
    ) -> tuple[Tensor, list[A]]:
        """(B, S, S, C) uint8, each picture at the top left and as large as its truth (or, where it is shown in pieces, a list of them
        without padding), and B truths; (B, crop, crop, C) and B truths of the same size out.
        """
        rasters, batch = [self.read(target) for target in targets], len(targets)
        four = np.zeros(batch, bool)
        if self.mosaic and progress < self.until and batch >= 4:
            four = rng.uniform(1)[:, 0] < self.mosaic
        pieces: list[list[CropLabel[A]]] = [[] for _ in targets]
        plain = images if self.repeats > 1 else torch.as_tensor(images)
        channels = plain.shape[3] if isinstance(plain, Tensor) else images[0].shape[2]
        canvas = torch.empty(batch, self.crop, self.crop, channels, dtype=torch.uint8)
        half = (self.crop + 1) // 2
        corners = [(top, left) for top in (0, self.crop - half) for left in (0, self.crop - half)]
        # Neighbours in the batch, whose order is drawn anew in each epoch.
        each = [(np.flatnonzero(~four), 0, self.crop, (0, 0))]
        each += [
            (np.flatnonzero(four), step, half, corner)
            for step, corner in enumerate(corners)
            if four.any()
        ]
        for rows, step, side, (top, left) in each:
            sources = (rows + step) % max(1, batch)
            numbers = torch.from_numpy(rng.uniform(6 + 3 * 2 * KNOTS**2 * (self.bend > 0)))[rows]
            shown, nearest = self._shown(
                plain, sources, [rasters[row] for row in sources], numbers, side
            )
            canvas[rows, top : top + side, left : left + side] = shown
            for row, source, (down, across) in zip(
                rows.tolist(), sources.tolist(), nearest, strict=True
            ):
                raster = rasters[source]
                here = raster[
                    np.minimum(down, raster.shape[0] - 1), np.minimum(across, raster.shape[1] - 1)
                ]
                pieces[row].append(CropLabel(targets[source], here, top, left))
        if self.colour:
            canvas = ImageAugment(colour=self.colour)(canvas, rng)
        return canvas, [self.laid(own, self.crop) for own in pieces]

    def _shown(
        self,
        images: Images | Tensor,
        sources: NDArray[np.int64],
        rasters: Sequence[NDArray[np.integer]],
        numbers: Tensor,
        side: int,
    ) -> tuple[Tensor, NDArray[np.int64]]:
        """Pieces of the pictures `sources`, (N, side, side, C) uint8, and (N, 2, side, side): which row and column each of their pixels is
        nearest to. rasters: (N) what each of their pixels is; numbers: drawn ones
        """
        sizes = torch.tensor([raster.shape for raster in rasters], dtype=torch.float32).reshape(
            -1, 2
        )
        places = self._places(sizes, numbers, side)
        own = torch.minimum(
            places, sizes[:, None, None] - 0.5
        )  # or the canvas would be mixed in at the far edges
        if isinstance(images, Tensor):
            shown = _sampled(images[sources], own)
        else:
            shown = torch.cat(
                [_sampled(*_window(images[source], own[row])) for row, source in enumerate(sources)]
            )
        # Half open as pixels are; a mirrored place can be the far edge itself.
        nearest = places.floor().to(torch.int64).numpy()
        return shown, np.moveaxis(nearest, -1, 1)

    def _places(self, sizes: Tensor, numbers: Tensor, side: int) -> Tensor:
        """(N, side, side, 2): row and column in the picture that each pixel of the piece shows, between pixels."""
        count = len(sizes)
        # In double precision, whose rounding is not seen in the end: that of vectors differs by the place in a batch.
        zoom, turn, mirror, quarter, *middle = numbers[:, :6].double().unbind(1)
        scale = (1 + self.scale) ** (1 - 2 * zoom)  # picture pixels to a pixel of the piece
        if side < self.crop:
            scale = scale * SMALLER
        angle = math.radians(self.turn) * (2 * turn - 1)
        if self.quarters:
            angle = angle + math.pi / 2 * (4 * quarter).floor()
        across = (
            torch.where(mirror < 0.5, -1.0, 1.0).double()
            if self.flip
            else torch.ones(count).double()
        )
        offsets = torch.arange(side) + 0.5 - side / 2
        grid = torch.stack(torch.meshgrid(offsets, offsets, indexing="ij"), -1).expand(
            count, -1, -1, -1
        )
        if self.bend:
            grid = grid + self.bend * side / self.crop * _bent(numbers[:, 6:], side)
        cos, sin = scale * angle.cos(), scale * angle.sin()
        matrix = torch.stack(
            [torch.stack([cos, -sin * across], -1), torch.stack([sin, cos * across], -1)], -2
        )
        # The middle of the piece: anywhere that leaves it within the picture, or the picture within it.
        room = sizes - scale[:, None] * side
        centre = sizes / 2 + (torch.stack(middle, -1) - 0.5) * room.abs()
        if not (
            self.scale or self.turn or self.bend or side < self.crop
        ):  # whole pixels, so that nothing is interpolated
            centre = (centre - side / 2).round() + side / 2
        matrix, centre = matrix.float(), centre.float()
        places = torch.einsum("bij,bhwj->bhwi", matrix, grid) + centre[:, None, None]
        whole = sizes[:, None, None]
        far = (
            ((places < -whole) | (places > 2 * whole)).flatten(1).any(1)
        )  # more than one mirror away
        if bool(far.any()):
            places = torch.where(far[:, None, None, None], places.remainder(2 * whole), places)
        return whole - (whole - places.abs()).abs()

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name not in ("read", "laid")}


def _sampled(images: Tensor, places: Tensor) -> Tensor:
    """(N, H, W, C) uint8 and (N, h, w, 2) rows and columns between pixels -> (N, h, w, C) uint8, interpolated."""
    grid = 2 * places / torch.tensor(images.shape[1:3]) - 1
    floats = images.permute(0, 3, 1, 2).float()
    shown = F.grid_sample(floats, grid.flip(-1), padding_mode="border", align_corners=False)
    return shown.round_().to(torch.uint8).permute(0, 2, 3, 1)


def _window(image: Image, places: Tensor) -> tuple[Tensor, Tensor]:
    """What of a large (H, W, C) picture these (h, w, 2) places need, (1, ...) each."""
    flat = places.flatten(0, 1)
    top, left = (flat.amin(0).floor().long() - 1).clamp(min=0).tolist()
    bottom, right = (flat.amax(0).ceil().long() + 1).tolist()
    return torch.from_numpy(np.array(image[top:bottom, left:right]))[None], (
        places - torch.tensor([top, left])
    )[None]


def _bent(numbers: Tensor, side: int) -> Tensor:
    """(N, 96) drawn ones -> (N, side, side, 2), of deviation 1."""
    parts = numbers.view(-1, 3, 2, KNOTS, KNOTS)
    normal = 2 * (parts.sum(1) - 1.5)  # of variance 1, and nearly normal
    between = _between(side)
    return (between @ normal @ between.T).permute(0, 2, 3, 1)


@cache
def _between(side: int) -> Tensor:
    """(side, KNOTS): what each knot counts at each pixel of a side, by a cubic. As a matrix a seventh of the time of torch's own."""
    knots = torch.eye(KNOTS)[None, :, :, None]
    return F.interpolate(knots, size=(side, 1), mode="bicubic", align_corners=True)[0, :, :, 0].T


WHOLE = 256
"""Pixels a side up to which pictures are shown whole; of larger ones pieces of this side."""


def pieces(size: int, kind: str, flip: bool) -> dict[str, Any]:
    """What suits pictures of `size` pixels; kind is "auto", "none" or "strong", which also turns by quarters: for pictures that
    have no up and down, such as those of microscopes and from the air.
    """
    crop = min(size, WHOLE)
    shown: dict[str, Any] = {"crop": crop, "repeats": max(1, round((size / crop) ** 2))}
    if kind == "none":
        return shown
    shown |= {"flip": flip, "turn": 10.0, "scale": 0.25, "bend": crop / 64, "colour": 0.2}
    if crop == size:  # other pictures are cut anyhow
        shown |= {"mosaic": 0.7, "until": 0.85}
    if kind == "strong":
        shown |= {"quarters": True, "turn": 45.0, "scale": 0.4, "bend": crop / 32, "colour": 0.3}
    return shown
