"""Augmentation of a batch of images, vectorised; each image has its own random stream.

An augmentation keeps the label. Which transforms do depends on the data, so the policy is chosen
from it (`default_policy`): a mirrored 3 is no 3, and on 28 pixels a shift of one pixel is large.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from foveate.data.dataset import Images
from foveate.data.mirroring import mirror_keeps_class
from foveate.data.rng import SampleRNG

MAX_SMALL_SIDE = 64
"""Images up to this side (pixels) are shifted by whole pixels and never resampled."""
MAX_EPOCHS_WITHOUT_SHIFT = 5
"""Small images are not shifted in runs up to this length: few repetitions need no variation."""


@dataclass(frozen=True)
class ImageAugment:
    """Augmentation of images whose targets do not depend on position.

    Attributes:
        shift: Largest translation in pixels, along rows and columns; edges are repeated.
        flip: Mirror half of the images left to right, and the other half in the next epoch: every
            two epochs show each image both ways (Jordan, "94% on CIFAR-10", 2024).
        scale_jitter: 0.2 crops each side independently to between 80% and 100%, anywhere in the
            image, and resizes the crop to the whole.
        colour: 0.2 changes brightness, contrast and (for RGB) saturation by up to 20%.
        erase: Probability of filling a random rectangle with the image's mean (Zhong et al.,
            "Random erasing data augmentation", 2017).
    """

    shift: int = 0
    flip: bool = False
    scale_jitter: float = 0.0
    colour: float = 0.0
    erase: float = 0.0
    crops_per_image: ClassVar[int] = 1
    neighbours: ClassVar[int] = 0

    def __call__(self, images: Tensor, rng: SampleRNG) -> Tensor:
        """Augment images.

        Args:
            images: (B, H, W, C) uint8, on any device.
            rng: A stream for each image.

        Returns:
            (B, H, W, C) uint8, on the same device.
        """
        if self.flip:
            images = _flip(images, rng)
        if self.shift:
            images = _shift(images, self.shift, rng)
        if self.scale_jitter:
            images = _crop_and_resize(images, self.scale_jitter, rng)
        if self.colour:
            images = _colour(images, self.colour, rng)
        if self.erase:
            images = _erase(images, self.erase, rng)
        return images

    def batch(
        self, images: Images, targets: Sequence[Any], rng: SampleRNG, _progress: float = 0.0
    ) -> tuple[Tensor, Sequence[Any]]:
        """Augment (B, H, W, C) uint8 images; the targets are returned as they are."""
        return self(torch.as_tensor(images), rng), targets

    def to_dict(self) -> dict[str, Any]:
        """Return the settings, for the run's record."""
        return asdict(self)


def default_policy(
    size: int,
    *,
    hflip_safe: bool | None,
    classes: tuple[str, ...],
    kind: str = "auto",
    epochs: float | None = None,
) -> ImageAugment:
    """Choose the augmentation for a dataset.

    Args:
        size: Pixels a side of the images.
        hflip_safe: Whether a mirrored image is a good example of its class. If unknown (None), it
            is assumed to be, unless the classes are named like characters or distinguish left from
            right.
        classes: The class names.
        kind: "auto", "none" or "strong".
        epochs: Epochs of the run, if known.
    """
    if kind == "none":
        return ImageAugment()
    hflip_safe = mirror_keeps_class(hflip_safe, classes)
    few_epochs = epochs is not None and epochs <= MAX_EPOCHS_WITHOUT_SHIFT and kind == "auto"
    shift = 0 if few_epochs else max(1, round(size / 24))
    policy = ImageAugment(shift=shift, flip=hflip_safe)
    if size > MAX_SMALL_SIDE:
        policy = replace(policy, shift=0, scale_jitter=0.25, colour=0.2)
    if kind == "strong":
        policy = replace(
            policy,
            shift=2 * policy.shift,
            scale_jitter=1.5 * policy.scale_jitter,
            colour=0.3,
            erase=0.5,
        )
    return policy


def _uniform(rng: SampleRNG, count: int, images: Tensor) -> Tensor:
    """(B, count) uniform draws, where the images are."""
    return torch.from_numpy(rng.uniform(count)).to(images.device)


def _flip(images: Tensor, rng: SampleRNG) -> Tensor:
    mirrored = torch.from_numpy(rng.alternating).to(images.device)
    return torch.where(mirrored[:, None, None, None], images.flip(2), images)


def _shift(images: Tensor, max_shift: int, rng: SampleRNG) -> Tensor:
    batch, height, width, _ = images.shape
    device = images.device
    by = (_uniform(rng, 2, images) * (2 * max_shift + 1)).long() - max_shift
    rows = (torch.arange(height, device=device) + by[:, :1]).clamp_(0, height - 1)
    columns = (torch.arange(width, device=device) + by[:, 1:]).clamp_(0, width - 1)
    every = torch.arange(batch, device=device)[:, None, None]
    return images[every, rows[:, :, None], columns[:, None, :]]


def _crop_and_resize(images: Tensor, jitter: float, rng: SampleRNG) -> Tensor:
    draws = _uniform(rng, 4, images)
    side = 1 - jitter * draws[:, :2]  # of the crop, as a fraction of width and height
    # In the coordinates of grid_sample, where the image spans -1 to 1.
    centre = (2 * draws[:, 2:] - 1) * (1 - side)
    theta = torch.zeros(len(images), 2, 3, device=images.device)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = side[:, 0], side[:, 1], centre
    floats = images.permute(0, 3, 1, 2).float()
    grid = F.affine_grid(theta, list(floats.shape), align_corners=False)
    crops = F.grid_sample(floats, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return crops.round_().to(torch.uint8).permute(0, 2, 3, 1)


def _colour(images: Tensor, strength: float, rng: SampleRNG) -> Tensor:
    factors = 1 + strength * (2 * _uniform(rng, 3, images) - 1)
    brightness, contrast, saturation = (column.view(-1, 1, 1, 1) for column in factors.unbind(1))
    floats = images.float() * brightness
    mean = floats.mean((1, 2, 3), keepdim=True)
    floats = mean + (floats - mean) * contrast
    if images.shape[3] == 3:
        grey = floats.mean(3, keepdim=True)
        floats = grey + (floats - grey) * saturation
    return floats.round_().clamp_(0, 255).to(torch.uint8)


def _erase(images: Tensor, probability: float, rng: SampleRNG) -> Tensor:
    _, height, width, _ = images.shape
    draws = _uniform(rng, 5, images)
    side = 0.15 + 0.3 * draws[:, 1:3]  # of the rectangle, as a fraction of height and width
    top, left = draws[:, 3] * (1 - side[:, 0]) * height, draws[:, 4] * (1 - side[:, 1]) * width
    bottom, right = top + side[:, 0] * height, left + side[:, 1] * width
    rows, columns = (torch.arange(side, device=images.device) for side in (height, width))
    in_rows = (rows >= top[:, None]) & (rows < bottom[:, None])
    in_columns = (columns >= left[:, None]) & (columns < right[:, None])
    erased = (
        in_rows[:, :, None] & in_columns[:, None, :] & (draws[:, 0] < probability)[:, None, None]
    )
    mean = images.float().mean((1, 2), keepdim=True).round_().to(torch.uint8)
    return torch.where(erased[..., None], mean, images)
