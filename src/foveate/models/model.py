"""A net that takes pictures as they are: uint8 in, normalised inside, so that preprocessing travels with the weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foveate.data.dataset import Images
from foveate.data.images import fit, inside, padded, reduced
from foveate.data.subset import Pixels
from foveate.models.backbone import IMAGENET, Backbone, Statistics

_AT_ONCE = 2**22  # pixels that are counted at once


class VisionModel(nn.Module):
    """Normalisation, then the body.

    body: (B, C, S, S) float -> output
    size: S, the side in pixels that it was trained at
    mean, std: (C,) of the train part, in the units of uint8 pixels
    """

    mean: Tensor
    std: Tensor

    def __init__(self, body: nn.Module, *, size: int, mean: Sequence[float], std: Sequence[float]):
        super().__init__()
        self.body, self.size, self.channels = body, size, len(mean)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, -1, 1, 1))

    def forward(self, images: Tensor, *others: Tensor) -> Any:
        """(B, C, S, S) uint8, and what else the body is asked by -> the body's output."""
        return self.body(self.normalised(images), *others)

    def normalised(self, images: Tensor) -> Tensor:
        """(B, C, S, S) uint8 -> float, as the body takes them."""
        return (images.float() - self.mean) / self.std

    def batch(self, images: Images) -> Tensor:
        """Pictures of any size and kind -> (B, C, S, S) uint8 on the net's device, as training saw them."""
        fitted = np.stack([fit(image, self.size, self.channels) for image in images])
        return torch.from_numpy(fitted).permute(0, 3, 1, 2).to(self.mean.device)

    def canvases(self, images: Images, pixels: int) -> Iterator[tuple[list[int], Tensor]]:
        """Pictures of any size with their aspect kept, some of one shape at a time: which ones, and (b, C, h, w) uint8 on the
        net's device, each at the top left of a canvas with no more padding than the strides ask for. pixels: of a batch.
        """
        shapes: dict[tuple[int, int], list[int]] = {}
        for row in range(len(images)):
            shapes.setdefault(self.canvas(images[row].shape), []).append(row)
        for shape, rows in shapes.items():
            at_once = max(1, pixels // (shape[0] * shape[1]))
            for start in range(0, len(rows), at_once):
                some = rows[start : start + at_once]
                laid = [
                    padded(reduced(images[row], self.size, self.channels), *shape) for row in some
                ]
                batch = np.stack(laid)
                yield some, torch.from_numpy(batch).permute(0, 3, 1, 2).to(self.mean.device)

    def canvas(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Height and width of what is shown of a picture of this shape."""
        backbone = next(module for module in self.modules() if isinstance(module, Backbone))
        if not backbone.flexible:
            return self.size, self.size
        step = backbone.strides[-1]
        height, width = inside(shape[0], shape[1], self.size)
        return min(self.size, -(-height // step) * step), min(self.size, -(-width // step) * step)


def pixel_statistics(pixels: Pixels) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel of (N, H, W, C) uint8; a constant channel gets a deviation of 1.

    Exact and in little memory: a channel of uint8 is its 256 counts, which are taken some pictures at a time.
    """
    values, counts = np.arange(256), np.zeros((pixels.shape[3], 256), np.int64)
    for flat in _blocks(pixels):
        for channel, count in enumerate(counts):
            count += np.bincount(flat[:, channel], minlength=256)
    means, deviations = [], []
    for count in counts:
        share = count / max(1, count.sum())
        mean = float(share @ values)
        means.append(mean)
        deviations.append(float(share @ (values - mean) ** 2) ** 0.5 or 1.0)
    return means, deviations


def _blocks(pixels: Pixels) -> Iterator[NDArray[np.uint8]]:
    """All pixels, (M, C) at a time."""
    count, height, width, channels = pixels.shape
    many = max(1, _AT_ONCE // (height * width))
    for start in range(0, count, many):
        some = pixels[
            start : start + many
        ]  # where pictures are letterboxed, a list of them without padding
        if many > 1:
            yield np.concatenate([image.reshape(-1, channels) for image in some])
        else:
            flat = some[0].reshape(-1, channels)
            yield from (flat[first : first + _AT_ONCE] for first in range(0, len(flat), _AT_ONCE))


def published_statistics(
    channels: int, statistics: Statistics = IMAGENET
) -> tuple[list[float], list[float]]:
    """Mean and deviation of each channel, in uint8 units, that published weights were trained with.

    statistics: of the backbone. Pictures that are not of three colours get the mean over the colours in every channel.
    """
    mean, std = statistics
    if channels == 3:
        return [255 * m for m in mean], [255 * s for s in std]
    return [255 * sum(mean) / 3] * channels, [255 * sum(std) / 3] * channels
