"""Augmentation of a whole batch at once, each picture by its own draws.

Every transform keeps the label: that is what makes it an augmentation. Which ones do depends on the data, so the
policy is chosen from it (`suited`): a mirrored 3 is no 3, and on 28 pixels a shift of one pixel is already much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from foveate.data.dataset import Images
from foveate.data.rng import SampleRNG

SMALL = 64
"""Pictures up to this side (pixels) are treated as small: shifted by whole pixels, never resampled."""


@dataclass(frozen=True)
class ImageAugment:
    """What is done to each train picture, each time it is seen.

    shift: pixels; moved by up to so many, rows and columns apart, edges repeated
    flip: mirrored left to right, half of the time
    zoom: 0.2 shows between 80% and 100% of each side, anywhere in the picture, and stretches by up to as much
    colour: 0.2 changes brightness, contrast and (where there is colour) saturation by up to 20%
    erase: the share of pictures of which a box is painted over with the picture's mean (Zhong et al., "Random erasing
        data augmentation", 2017)
    """

    shift: int = 0
    flip: bool = False
    zoom: float = 0.0
    colour: float = 0.0
    erase: float = 0.0
    repeats: ClassVar[int] = 1

    def __call__(self, images: Tensor, rng: SampleRNG) -> Tensor:
        """(B, H, W, C) uint8 in, the same out."""
        if self.flip:
            images = _flip(images, rng)
        if self.shift:
            images = _shift(images, self.shift, rng)
        if self.zoom:
            images = _zoom(images, self.zoom, rng)
        if self.colour:
            images = _colour(images, self.colour, rng)
        if self.erase:
            images = _erase(images, self.erase, rng)
        return images

    def batch(
        self, images: Images, targets: Sequence[Any], rng: SampleRNG, progress: float
    ) -> tuple[Tensor, Sequence[Any]]:
        """The same with truths, which stay as they are."""
        del progress
        return self(torch.as_tensor(images), rng), targets

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


FEW_EPOCHS = 5
"""Up to so many, small pictures are not shifted: a picture that is seen a few times only need not be varied."""


def suited(
    size: int,
    *,
    hflip_safe: bool | None,
    classes: tuple[str, ...],
    kind: str = "auto",
    epochs: float | None = None,
) -> ImageAugment:
    """The policy that suits pictures of `size` pixels; kind is "auto", "none" or "strong".

    epochs: of the run, where they are known

    symmetric says whether a mirrored picture is still a good example of its class. Where nobody said (None) it is
    assumed, unless the classes are named like characters, or tell left from right.
    """
    if kind == "none":
        return ImageAugment()
    if hflip_safe is None:
        words = {
            word
            for name in classes
            for word in name.lower().replace("-", " ").replace("_", " ").split()
        }
        hflip_safe = not (
            all(len(name) <= 1 or name.isdigit() for name in classes) or words & {"left", "right"}
        )
    shift = (
        0
        if epochs is not None and epochs <= FEW_EPOCHS and kind == "auto"
        else max(1, round(size / 24))
    )
    policy = ImageAugment(shift=shift, flip=hflip_safe)
    if size > SMALL:
        policy = replace(policy, shift=0, zoom=0.25, colour=0.2)
    if kind == "strong":
        policy = replace(
            policy, shift=2 * policy.shift, zoom=1.5 * policy.zoom, colour=0.3, erase=0.5
        )
    return policy


def _flip(images: Tensor, rng: SampleRNG) -> Tensor:
    mirrored = torch.from_numpy(rng.uniform(1) < 0.5)
    return torch.where(mirrored[:, :, None, None], images.flip(2), images)


def _shift(images: Tensor, reach: int, rng: SampleRNG) -> Tensor:
    batch, height, width, _ = images.shape
    by = (torch.from_numpy(rng.uniform(2)) * (2 * reach + 1)).long() - reach
    rows = (torch.arange(height) + by[:, :1]).clamp_(0, height - 1)
    columns = (torch.arange(width) + by[:, 1:]).clamp_(0, width - 1)
    return images[torch.arange(batch)[:, None, None], rows[:, :, None], columns[:, None, :]]


def _zoom(images: Tensor, reach: float, rng: SampleRNG) -> Tensor:
    draw = torch.from_numpy(rng.uniform(4))
    side = 1 - reach * draw[:, :2]  # the share of width and height that is shown
    centre = (2 * draw[:, 2:] - 1) * (
        1 - side
    )  # in grid_sample's coordinates, where the picture spans -1..1
    theta = torch.zeros(len(images), 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = side[:, 0], side[:, 1], centre
    floats = images.permute(0, 3, 1, 2).float()
    grid = F.affine_grid(theta, list(floats.shape), align_corners=False)
    seen = F.grid_sample(floats, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return seen.round_().to(torch.uint8).permute(0, 2, 3, 1)


def _colour(images: Tensor, reach: float, rng: SampleRNG) -> Tensor:
    factor = 1 + reach * (2 * torch.from_numpy(rng.uniform(3)) - 1)
    brightness, contrast, saturation = (column.view(-1, 1, 1, 1) for column in factor.unbind(1))
    floats = images.float() * brightness
    mean = floats.mean((1, 2, 3), keepdim=True)
    floats = mean + (floats - mean) * contrast
    if images.shape[3] == 3:
        grey = floats.mean(3, keepdim=True)
        floats = grey + (floats - grey) * saturation
    return floats.round_().clamp_(0, 255).to(torch.uint8)


def _erase(images: Tensor, share: float, rng: SampleRNG) -> Tensor:
    _, height, width, _ = images.shape
    draw = torch.from_numpy(rng.uniform(5))
    side = 0.15 + 0.3 * draw[:, 1:3]  # of the picture's own sides
    top, left = draw[:, 3] * (1 - side[:, 0]) * height, draw[:, 4] * (1 - side[:, 1]) * width
    rows, columns = torch.arange(height), torch.arange(width)
    inside = (
        ((rows >= top[:, None]) & (rows < (top + side[:, 0] * height)[:, None]))[:, :, None]
        & ((columns >= left[:, None]) & (columns < (left + side[:, 1] * width)[:, None]))[
            :, None, :
        ]
        & (draw[:, 0] < share)[:, None, None]
    )
    mean = images.float().mean((1, 2), keepdim=True).round_().to(torch.uint8)
    return torch.where(inside[..., None], mean, images)
