"""A net that takes uint8 images: normalisation is part of the net and travels with its weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from foveate.data.batches import MAX_BATCH_PIXELS
from foveate.data.dataset import Image, Images
from foveate.data.image_reading import DEFAULT_READING, ImageReading
from foveate.data.resizing import fit, fit_within, letterbox_size, pad
from foveate.data.subset import ImageArray
from foveate.models.backbone import IMAGENET, Backbone, ChannelStatistics

_PIXELS_PER_BLOCK = 2**22
_CACHED_PIXELS = 2**18
"""Pixels of a batch without gradients on a CPU."""
_MAX_FIT_PIXELS = 5_000_000
"""Pixels from which a backbone computes what it does not learn: 5,000 images of 32 px."""


class VisionModel(nn.Module):
    """Normalisation, then the body.

    Args:
        body: A module from (B, C, S, S) float to the output.
        size: S, the side in pixels that the net was trained at.
        mean: (C,) channel means of the train split, for pixels from 0 to 255.
        std: (C,) channel standard deviations, likewise.
        reading: How the image files were read, so that others are read in the same way.

    Attributes:
        keeps_statistics: Whether the pretrained normalisation layers use their running statistics
            in training too. A last layer that was fitted on these features needs them, and batches
            may be small.
    """

    mean: Tensor
    std: Tensor
    keeps_statistics: bool = False

    def __init__(
        self,
        body: nn.Module,
        *,
        size: int,
        mean: Sequence[float],
        std: Sequence[float],
        reading: ImageReading = DEFAULT_READING,
    ):
        super().__init__()
        self.reading = reading
        self.body, self.size, self.channels = body, size, len(mean)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, -1, 1, 1))

    @property
    def images_at_once(self) -> int:
        """Images in a batch that is computed fastest without gradients.

        On a CPU the maps of a layer then fit its cache. In larger batches a pretrained net takes up
        to 1.6 times as long for each image (benchmarks/README.md).
        """
        pixels = _CACHED_PIXELS if self.mean.device.type == "cpu" else MAX_BATCH_PIXELS
        return max(1, pixels // self.size**2)

    def train(self, mode: bool = True) -> Self:
        """Set training mode, but for normalisation layers that keep their statistics."""
        super().train(mode)
        if self.keeps_statistics:
            for group in self.backbone.layer_groups():
                for module in group.modules():
                    if isinstance(module, nn.BatchNorm2d):
                        module.eval()
        return self

    def forward(self, images: Tensor, *others: Tensor) -> Any:
        """Compute the body's output.

        Args:
            images: (B, C, S, S) uint8.
            others: Further inputs of the body.
        """
        return self.body(self.normalise(images), *others)

    def normalise(self, images: Tensor) -> Tensor:
        """Normalise images, (B, C, S, S) uint8 -> float."""
        if not images.is_contiguous(memory_format=torch.channels_last):
            return (images.float() - self.mean) / self.std
        # In channels_last the innermost axis is the channels: whole rows are four times as fast.
        width = images.shape[3]
        rows = images.permute(0, 2, 3, 1).flatten(2)
        mean, std = (values.flatten().repeat(width) for values in (self.mean, self.std))
        normalised = (rows.float() - mean).div_(std)
        return normalised.view(*rows.shape[:2], width, self.channels).permute(0, 3, 1, 2)

    def encode(self, images: Tensor) -> list[Tensor]:
        """Encode images for prompts; see `heads.promptable.PromptableHead`.

        Args:
            images: (B, C, H, W) uint8.
        """
        maps: list[Tensor] = self.body.encode(self.normalise(images))  # type: ignore[operator]
        return maps

    @property
    def backbone(self) -> Backbone:
        """The backbone in the body."""
        return next(module for module in self.modules() if isinstance(module, Backbone))

    def fit(self, pixels: ImageArray) -> None:
        """Let the backbone compute what comes from the data and is not learnt.

        Args:
            pixels: (N, S, S, C) uint8, the train split; some images are taken, evenly spread.
        """
        count = min(len(pixels), max(1, _MAX_FIT_PIXELS // self.size**2))
        rows = np.linspace(0, len(pixels) - 1, count).astype(np.int64)
        images = torch.from_numpy(pixels[rows]).permute(0, 3, 1, 2)
        self.backbone.fit(self.normalise(images.to(self.mean.device)))

    def batch(self, images: Images) -> Tensor:
        """Prepare images of any size as in training.

        Args:
            images: (H, W, C) uint8 each.

        Returns:
            (B, C, S, S) uint8 on the net's device.
        """
        fitted = np.stack([fit(image, self.size, self.channels) for image in images])
        return torch.from_numpy(fitted).permute(0, 3, 1, 2).to(self.mean.device)

    def padded_batches(self, images: Images, pixels: int) -> Iterator[tuple[list[int], Tensor]]:
        """Prepare images of any size with their aspect kept, grouped by padded size.

        Each image lies at the top left, with no more padding than the strides require.

        Args:
            images: (H, W, C) uint8 each.
            pixels: Largest number of pixels in a batch.

        Yields:
            Indices of the images in the batch, and (b, C, h, w) uint8 on the net's device.
        """
        by_size: dict[tuple[int, int], list[int]] = {}
        for row in range(len(images)):
            by_size.setdefault(self.padded_size(images[row].shape), []).append(row)
        for size, rows in by_size.items():
            batch_size = max(1, pixels // (size[0] * size[1]))
            for start in range(0, len(rows), batch_size):
                some = rows[start : start + batch_size]
                batch = np.stack(
                    [pad(_fit_within(images[row], self.size, self.channels), *size) for row in some]
                )
                yield some, torch.from_numpy(batch).permute(0, 3, 1, 2).to(self.mean.device)

    def padded_size(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Return (height, width) that an image of this shape has after scaling and padding."""
        backbone = self.backbone
        if not backbone.flexible:
            return self.size, self.size
        step = backbone.strides[-1]
        height, width = letterbox_size(shape[0], shape[1], self.size)
        return min(self.size, -(-height // step) * step), min(self.size, -(-width // step) * step)


def _fit_within(image: Image, size: int, channels: int) -> Image:
    """The pixels of `fit_within`; where both sides are halved, in a third of its time.

    torch calculates in integers as Pillow does, but with weights of fewer bits. Those of this
    scale, eighths and at the edges sevenths, round to the same grey levels. Pillow resizes the
    columns of tall images first, and those of others last, as torch does.
    """
    height, width = letterbox_size(image.shape[0], image.shape[1], size)
    halved = image.shape == (2 * height, 2 * width, channels)
    if not halved or not isinstance(image, np.ndarray) or height > 2 * width:
        return fit_within(image, size, channels)
    whole = np.require(image, requirements=["C", "W"])  # torch warns of others
    planes = torch.from_numpy(whole).permute(2, 0, 1)[None]
    resized = F.interpolate(planes, size=(height, width), mode="bilinear", antialias=True)
    return np.ascontiguousarray(resized[0].permute(1, 2, 0).numpy())


def pixel_statistics(pixels: ImageArray) -> tuple[list[float], list[float]]:
    """Compute the mean and standard deviation of each channel.

    The result is exact and needs little memory: it comes from the histogram of each channel,
    which is counted in blocks.

    Args:
        pixels: (N, H, W, C) uint8.

    Returns:
        Means and standard deviations in uint8 units; a constant channel has a deviation of 1.
    """
    values, counts = np.arange(256), np.zeros((pixels.shape[3], 256), np.int64)
    for block in _blocks(pixels):
        for channel, count in enumerate(counts):
            count += np.bincount(block[:, channel], minlength=256)
    means, deviations = [], []
    for count in counts:
        share = count / max(1, count.sum())
        mean = float(share @ values)
        means.append(mean)
        deviations.append(float(share @ (values - mean) ** 2) ** 0.5 or 1.0)
    return means, deviations


def _blocks(pixels: ImageArray) -> Iterator[NDArray[np.uint8]]:
    """All pixels, (M, C) at a time."""
    count, height, width, channels = pixels.shape
    images = max(1, _PIXELS_PER_BLOCK // (height * width))
    for start in range(0, count, images):
        # Letterboxed images come as a list without their padding.
        some = pixels[start : start + images]
        if images > 1:
            yield np.concatenate([image.reshape(-1, channels) for image in some])
        else:
            flat = some[0].reshape(-1, channels)
            yield from (
                flat[first : first + _PIXELS_PER_BLOCK]
                for first in range(0, len(flat), _PIXELS_PER_BLOCK)
            )


def published_statistics(
    channels: int, statistics: ChannelStatistics = IMAGENET
) -> tuple[list[float], list[float]]:
    """Return the channel statistics that published weights were trained with, in uint8 units.

    Args:
        channels: Channels of the images. If they are not three, each gets the mean over colours.
        statistics: Statistics of the backbone.
    """
    mean, std = statistics
    if channels == 3:
        return [255 * m for m in mean], [255 * s for s in std]
    return [255 * sum(mean) / 3] * channels, [255 * sum(std) / 3] * channels
