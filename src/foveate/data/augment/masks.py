"""Augmentation of images together with their masks: random crops, rotated, scaled and warped.

The source position of each output pixel is computed once, so an image and its target move alike:
colours are interpolated, classes and instances take the nearest pixel. Images continue beyond
their edges by reflection.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, ClassVar, Generic, TypeVar

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
"""Control points a side of the elastic deformation, interpolated smoothly (Simard et al., "Best
practices for convolutional neural networks", 2003; the U-Net paper has 3)."""
MOSAIC_SHRINK = 1.6
"""Factor by which a mosaic shrinks its images: 1.28 to 2 with a `scale_jitter` of 0.25."""
MAX_WHOLE_SIDE = 256
"""Images up to this side (pixels) are shown whole; larger ones in crops of this side."""


@dataclass(frozen=True)
class MaskAugment(Generic[A]):
    """Augmentation of images with masks.

    Attributes:
        to_label_map: Target -> (h, w) integers of the pixels, from the top left of the canvas.
        paste: Crops that fill a square, and its side -> the target of that square.
        crop: Pixels a side of the output.
        crops_per_image: Crops of each image in an epoch.
        flip: Mirror half of the crops left to right.
        rot90: Rotate by 0, 90, 180 or 270 degrees, for images without an up and a down.
        rotation: Largest rotation in degrees, either way.
        scale_jitter: 0.25 resizes by a factor between 1 / 1.25 and 1.25.
        elastic_sigma: Standard deviation, in pixels, of the knots' displacement.
        colour: See `ImageAugment`.
        mosaic: Probability of composing a canvas from four images of the batch, each smaller by
            MOSAIC_SHRINK (Bochkovskiy et al., "YOLOv4", 2020).
        mosaic_until: Fraction of the run after which mosaics end, so that training finishes on
            whole images, as they are at test time.
    """

    to_label_map: Callable[[A], NDArray[np.integer]]
    paste: Callable[[Sequence[CropLabel[A]], int], A]
    crop: int
    crops_per_image: int = 1
    flip: bool = False
    rot90: bool = False
    rotation: float = 0.0
    scale_jitter: float = 0.0
    elastic_sigma: float = 0.0
    colour: float = 0.0
    mosaic: float = 0.0
    mosaic_until: float = 1.0
    neighbours: ClassVar[int] = 3

    def batch(
        self, images: Images, targets: Sequence[A], rng: SampleRNG, progress: float
    ) -> tuple[Tensor, list[A]]:
        """Augment one batch.

        Args:
            images: (B, S, S, C) uint8, on any device, each image at the top left, as large as its
                target; if `crops_per_image` exceeds 1, a list of B images without padding.
            targets: B targets.
            rng: A stream for each image.
            progress: The fraction of the run that is done, 0 to 1.

        Returns:
            (B, crop, crop, C) uint8 and B targets of the same size.
        """
        label_maps, batch = [self.to_label_map(target) for target in targets], len(targets)
        mosaics: NDArray[np.bool_] | None = None
        if self.mosaic and progress < self.mosaic_until:
            mosaics = (rng.uniform(1)[:, 0] < self.mosaic) & (batch >= 4)
        crops: list[list[CropLabel[A]]] = [[] for _ in targets]
        plain = images if self.crops_per_image > 1 else torch.as_tensor(images)
        channels = plain.shape[3] if isinstance(plain, Tensor) else images[0].shape[2]
        device = plain.device if isinstance(plain, Tensor) else torch.device("cpu")
        canvas = torch.empty(
            batch, self.crop, self.crop, channels, dtype=torch.uint8, device=device
        )
        for rows, step, side, (top, left) in self._layout(batch, mosaics):
            # Neighbours in the batch: its order is shuffled in each epoch.
            sources = (rows + step) % max(1, batch)
            # Drawn although no row may need them: what is drawn next must not depend on the batch.
            draws = torch.from_numpy(rng.uniform(6 + 3 * 2 * KNOTS**2 * (self.elastic_sigma > 0)))
            if not len(rows):
                continue
            sizes = [label_maps[source].shape for source in sources]
            pixels, nearest = self._sample(plain, sources, sizes, draws[rows], side)
            on_canvas = torch.from_numpy(rows).to(device)
            canvas[on_canvas, top : top + side, left : left + side] = pixels
            for row, source, (down, across) in zip(
                rows.tolist(), sources.tolist(), nearest, strict=True
            ):
                labels = label_maps[source]
                height, width = labels.shape
                cropped = labels[np.minimum(down, height - 1), np.minimum(across, width - 1)]
                crops[row].append(CropLabel(targets[source], cropped, top, left))
        if self.colour:
            canvas = ImageAugment(colour=self.colour)(canvas, rng)
        return canvas, [self.paste(labels, self.crop) for labels in crops]

    def _layout(
        self, batch: int, mosaics: NDArray[np.bool_] | None
    ) -> list[tuple[NDArray[np.int64], int, int, tuple[int, int]]]:
        """Rows of the batch, the distance to their source, the side and the top left of a crop."""
        half = (self.crop + 1) // 2
        corners = [(top, left) for top in (0, self.crop - half) for left in (0, self.crop - half)]
        if mosaics is None:
            return [(np.arange(batch), 0, self.crop, (0, 0))]
        rows = np.flatnonzero(mosaics)
        return [
            (np.flatnonzero(~mosaics), 0, self.crop, (0, 0)),
            *((rows, step, half, corner) for step, corner in enumerate(corners)),
        ]

    def _sample(
        self,
        images: Images | Tensor,
        sources: NDArray[np.int64],
        sizes: Sequence[tuple[int, ...]],
        draws: Tensor,
        side: int,
    ) -> tuple[Tensor, NDArray[np.int64]]:
        """Sample a crop of each source.

        Args:
            images: As in `batch`.
            sources: (N,) indices of the images.
            sizes: N heights and widths of the images.
            draws: (N, 6 or 102) uniform in [0, 1).
            side: Pixels a side of the crops.

        Returns:
            (N, side, side, C) uint8, and (N, 2, side, side) int64: the row and the column of the
            source pixel nearest to each pixel.
        """
        extents = torch.tensor(sizes, dtype=torch.float32).reshape(-1, 2)
        positions = self._positions(extents, draws, side)
        # Beyond the last pixel's centre the canvas's padding would be mixed in.
        within = torch.minimum(positions, extents[:, None, None] - 0.5)
        if isinstance(images, Tensor):
            chosen = images[torch.from_numpy(sources).to(images.device)]
            pixels = _interpolate(chosen, within.to(images.device))
        else:
            pixels = torch.cat(
                [
                    _interpolate(*_read_window(images[source], within[row]))
                    for row, source in enumerate(sources)
                ]
            )
        # Pixels are half open; a reflected position can be the far edge itself.
        nearest = positions.floor().to(torch.int64).numpy()
        return pixels, np.moveaxis(nearest, -1, 1)

    def _positions(self, sizes: Tensor, draws: Tensor, side: int) -> Tensor:
        """(N, side, side, 2): row and column in the source of each output pixel's centre."""
        count = len(sizes)
        # In double precision: the rounding of vectorised float32 depends on the place in a batch.
        jitter, turn, mirror, quarter, *middle = draws[:, :6].double().unbind(1)
        scale = (1 + self.scale_jitter) ** (1 - 2 * jitter)  # source pixels per output pixel
        if side < self.crop:
            scale = scale * MOSAIC_SHRINK
        angle = math.radians(self.rotation) * (2 * turn - 1)
        if self.rot90:
            angle = angle + math.pi / 2 * (4 * quarter).floor()
        sign = torch.ones(count).double()
        if self.flip:
            sign = torch.where(mirror < 0.5, -1.0, 1.0).double()
        offsets = torch.arange(side) + 0.5 - side / 2
        axes = torch.meshgrid(offsets, offsets, indexing="ij")
        grid = torch.stack(axes, -1).expand(count, -1, -1, -1)
        if self.elastic_sigma:
            grid = grid + self.elastic_sigma * side / self.crop * _displacements(draws[:, 6:], side)
        cos, sin = scale * angle.cos(), scale * angle.sin()
        matrix = torch.stack(
            [torch.stack([cos, -sin * sign], -1), torch.stack([sin, cos * sign], -1)], -2
        )
        # The centre leaves the crop within the image, or the image within the crop.
        room = sizes - scale[:, None] * side
        centre = sizes / 2 + (torch.stack(middle, -1) - 0.5) * room.abs()
        if not (self.scale_jitter or self.rotation or self.elastic_sigma or side < self.crop):
            centre = (centre - side / 2).round() + side / 2  # whole pixels need no interpolation
        matrix, centre = matrix.float(), centre.float()
        positions = torch.einsum("bij,bhwj->bhwi", matrix, grid) + centre[:, None, None]
        return _reflect(positions, sizes[:, None, None])

    def to_dict(self) -> dict[str, Any]:
        """Return the settings without the two functions, for the run's record."""
        settings = asdict(self)
        del settings["to_label_map"], settings["paste"]
        return settings


def default_mask_policy(size: int, kind: str, flip: bool) -> dict[str, Any]:
    """Choose the settings of a `MaskAugment`.

    Args:
        size: Pixels a side of the images.
        kind: "auto", "none", or "strong", which also rotates by quarter turns: for images without
            an up and a down, such as those of microscopes and from the air.
        flip: Whether a mirrored image is a good example.
    """
    crop = min(size, MAX_WHOLE_SIDE)
    settings: dict[str, Any] = {
        "crop": crop,
        "crops_per_image": max(1, round((size / crop) ** 2)),
    }
    if kind == "none":
        return settings
    settings |= {
        "flip": flip,
        "rotation": 10.0,
        "scale_jitter": 0.25,
        "elastic_sigma": crop / 64,
        "colour": 0.2,
    }
    if crop == size:  # a crop of a larger image is random anyway
        settings |= {"mosaic": 0.7, "mosaic_until": 0.85}
    if kind == "strong":
        settings |= {
            "rot90": True,
            "rotation": 45.0,
            "scale_jitter": 0.4,
            "elastic_sigma": crop / 32,
            "colour": 0.3,
        }
    return settings


def _reflect(positions: Tensor, sizes: Tensor) -> Tensor:
    """Reflect positions at the edges of their image."""
    # Only positions beyond the first reflection need the remainder.
    far = ((positions < -sizes) | (positions > 2 * sizes)).flatten(1).any(1)
    if bool(far.any()):
        positions = torch.where(far[:, None, None, None], positions.remainder(2 * sizes), positions)
    return sizes - (sizes - positions.abs()).abs()


def _interpolate(images: Tensor, positions: Tensor) -> Tensor:
    """(N, H, W, C) uint8 at (N, h, w, 2) rows and columns -> (N, h, w, C) uint8, bilinear."""
    grid = 2 * positions / torch.tensor(images.shape[1:3], device=positions.device) - 1
    floats = images.permute(0, 3, 1, 2).float()
    sampled = F.grid_sample(floats, grid.flip(-1), padding_mode="border", align_corners=False)
    return sampled.round_().to(torch.uint8).permute(0, 2, 3, 1)


def _read_window(image: Image, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Read the part of a large (H, W, C) image that (h, w, 2) positions need, (1, ...) each."""
    flat = positions.flatten(0, 1)
    top, left = (flat.amin(0).floor().long() - 1).clamp(min=0).tolist()
    bottom, right = (flat.amax(0).ceil().long() + 1).tolist()
    window = torch.from_numpy(np.array(image[top:bottom, left:right]))[None]
    return window, (positions - torch.tensor([top, left]))[None]


def _displacements(draws: Tensor, side: int) -> Tensor:
    """(N, 96) uniform draws -> (N, side, side, 2) smooth displacements of unit variance."""
    terms = draws.view(-1, 3, 2, KNOTS, KNOTS)
    normal = 2 * (terms.sum(1) - 1.5)  # nearly normal, of variance 1
    weights = _knot_weights(side)
    return (weights @ normal @ weights.T).permute(0, 2, 3, 1)


@cache
def _knot_weights(side: int) -> Tensor:
    """(side, KNOTS) cubic weights of the knots; seven times as fast as resizing by torch."""
    knots = torch.eye(KNOTS)[None, :, :, None]
    return F.interpolate(knots, size=(side, 1), mode="bicubic", align_corners=True)[0, :, :, 0].T
