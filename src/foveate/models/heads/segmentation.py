"""Per-pixel logits from feature maps: a decoder, heads, and losses.

Ronneberger, Fischer and Brox, "U-Net: Convolutional networks for biomedical image segmentation",
2015: coarse maps are enlarged and joined by finer ones. Coarse maps classify; fine maps locate
boundaries.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foveate.annotations import IGNORE
from foveate.models.convolution import Residual, convolution

MAX_WIDTH, MIN_WIDTH = 256, 16
"""Bounds on the channels of the decoder's maps."""
FINE_WIDTH = 4
"""Bottleneck width of the fine levels: they carry boundaries, not semantics."""
MIN_OUTPUTS_TO_SUBSAMPLE = 32
"""From this many outputs on, training computes the loss on one pixel in four."""
MAX_SIZE_DIFFERENCE = 2
"""Pixels by which the logits may differ from the image where odd sides were halved. They differ by
more if a net uses unpadded convolutions; then its logits are stretched."""
Offset = tuple[int, int]
"""Row and column of a pixel in its 2x2 block, each 0 or 1."""
Size = tuple[int, int]
"""(height, width) in pixels."""
FOCUS = 1.0
"""Exponent of the focal term (Lin et al., "Focal loss", 2017; benchmarks/README.md)."""


class Decoder(nn.Module):
    """Joins maps from coarse to fine, up to stride 2 or less.

    A map at full resolution would take half of the time (benchmarks/README.md). Coarse maps, down
    to a quarter of the coarsest stride, get two more residual blocks, which cost little there.

    Args:
        channels: Channels of the maps, fine to coarse.
        strides: Strides of the maps; of several maps with one stride only the last is used.

    Attributes:
        channels: Channels of the joined maps, fine to coarse.
        strides: Strides of the joined maps; the coarsest map is passed through unchanged.
    """

    def __init__(self, channels: Sequence[int], strides: Sequence[int]):
        super().__init__()
        self.levels = sorted({stride: level for level, stride in enumerate(strides)}.values())
        coarsest = self.levels[-1]
        widths, steps = [channels[coarsest]], [strides[coarsest]]
        self.up, self.lateral, self.joins = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for level in self.levels[-2::-1]:
            width = min(channels[level], MAX_WIDTH)
            # 1x1 convolutions before the addition take half of the time of a convolution over
            # both maps (Lin et al., "Feature pyramid networks", 2017; benchmarks/README.md).
            self.up.append(nn.Conv2d(widths[-1], width, 1))
            self.lateral.append(nn.Conv2d(channels[level], width, 1))
            coarse = 4 * strides[level] >= strides[coarsest]
            blocks = [Residual(width, width) for _ in range(2)] if coarse else []
            self.joins.append(nn.Sequential(convolution(width, width), *blocks))
            widths.append(width)
            steps.append(strides[level])
        self.factors = [before / after for before, after in pairwise(steps)]
        self.enlarge = nn.ModuleList()  # beyond the finest map
        while steps[-1] > 2:
            width = max(MIN_WIDTH, min(MAX_WIDTH, widths[-1] // 2))
            self.enlarge.append(convolution(widths[-1], width))
            widths.append(width)
            steps.append(-(-steps[-1] // 2))
        self.channels, self.strides = tuple(widths[::-1]), tuple(steps[::-1])

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Join the maps, fine to coarse -> fine to coarse."""
        joined = [maps[self.levels[-1]]]
        for up, lateral, join, level, factor in zip(
            self.up, self.lateral, self.joins, self.levels[-2::-1], self.factors, strict=True
        ):
            finer = lateral(maps[level])
            enlarged = F.interpolate(up(joined[-1]), scale_factor=factor)
            joined.append(join(crop_or_extend(enlarged, finer) + finer))
        for layer in self.enlarge:
            joined.append(layer(F.interpolate(joined[-1], scale_factor=2.0)))
        return joined[::-1]


def crop_or_extend(x: Tensor, reference: Tensor) -> Tensor:
    """Crop or extend an enlarged map to the size of another, where odd sides were halved.

    The last rows and columns are repeated. Stretching would shift the content by up to a pixel.

    Args:
        x: (B, C, h, w).
        reference: (..., H, W).

    Returns:
        (B, C, H, W).
    """
    down, across = (new - old for new, old in zip(reference.shape[2:], x.shape[2:], strict=True))
    if down > 0 or across > 0:
        x = F.pad(x, (0, max(0, across), 0, max(0, down)), mode="replicate")
    return x[:, :, : reference.shape[2], : reference.shape[3]]


class SegmentationHead(nn.Module, ABC):
    """A head from maps to logits (B, outputs, h, w).

    Args:
        outputs: Number of logits per pixel.
    """

    def __init__(self, outputs: int):
        super().__init__()
        self.outputs = outputs

    @abstractmethod
    def subsampled(self, maps: Sequence[Tensor], offset: Offset) -> tuple[Tensor, Size]:
        """Compute the logits of one pixel in each 2x2 block.

        Args:
            maps: Feature maps.
            offset: The pixel in each block.

        Returns:
            Logits (B, outputs, h / 2, w / 2), and (h, w).
        """


class DecoderHead(SegmentationHead):
    """A decoder and a linear layer on each of its maps.

    Args:
        channels: Channels of the maps.
        strides: Strides of the maps.
        outputs: Number of logits per pixel.
    """

    def __init__(self, channels: Sequence[int], strides: Sequence[int], outputs: int):
        super().__init__(outputs)
        self.decoder = Decoder(channels, strides)
        self.logits = SkipSumHead(self.decoder.channels, self.decoder.strides, outputs)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Compute the logits of all pixels, (B, outputs, h, w)."""
        logits: Tensor = self.logits(self.decoder(maps))
        return logits

    def subsampled(self, maps: Sequence[Tensor], offset: Offset) -> tuple[Tensor, Size]:
        """Compute the logits of one pixel in each 2x2 block."""
        return self.logits.subsampled(self.decoder(maps), offset)


class SkipSumHead(SegmentationHead):
    """A linear layer on each map; their logits are enlarged and added.

    As in Long, Shelhamer and Darrell, "Fully convolutional networks", 2015: class evidence need
    not pass through the few channels of the finest maps (benchmarks/README.md). Each point of the
    finest map predicts all of its pixels (Shi et al., "Real-time single image super-resolution",
    2016).

    Args:
        channels: Channels of the joined maps, fine to coarse.
        strides: Strides of the joined maps.
        outputs: Number of logits per pixel.
    """

    def __init__(self, channels: Sequence[int], strides: Sequence[int], outputs: int):
        super().__init__(outputs)
        self.stride = strides[0]
        self.factors = [after / before for before, after in pairwise(strides)]
        layers = []
        for level, (width, stride) in enumerate(zip(channels, strides, strict=True)):
            bottleneck = min(FINE_WIDTH, outputs) if 8 * stride <= strides[-1] else outputs
            shuffle = self.stride if level == 0 else 1
            last = [nn.Conv2d(bottleneck, outputs, 1)] if bottleneck < outputs else []
            first = nn.Conv2d(width, bottleneck * shuffle**2, 1)
            layers.append(nn.Sequential(first, nn.PixelShuffle(shuffle), *last))
        self.layers = nn.ModuleList(layers)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Compute the logits of all pixels, (B, outputs, h, w)."""
        return self._add_coarser(self.layers[0](maps[0]), maps)

    def subsampled(self, maps: Sequence[Tensor], offset: Offset) -> tuple[Tensor, Size]:
        """Compute the logits of one pixel in each 2x2 block."""
        layer, finest = self.layers[0], maps[0]
        assert isinstance(layer, nn.Sequential)
        if self.stride == 1:
            logits = layer(_subsample(finest, offset))
        else:  # the channels that PixelShuffle would move to this offset
            logits = layer[2:](layer[0](finest)[:, 2 * offset[0] + offset[1] :: 4])
        size = finest.shape[2] * self.stride, finest.shape[3] * self.stride
        return self._add_coarser(logits, maps, step=2), size

    def _add_coarser(self, logits: Tensor, maps: Sequence[Tensor], step: int = 1) -> Tensor:
        """Add the coarser maps' logits to the finest map's, which has one pixel per step x step."""
        coarser = [layer(one) for layer, one in zip(self.layers[1:], maps[1:], strict=True)]
        if coarser:
            total = coarser.pop()
            for finer, factor in zip(reversed(coarser), reversed(self.factors[1:]), strict=True):
                total = F.interpolate(total, scale_factor=factor, mode="bilinear")
                total = crop_or_extend(total, finer) + finer
            enlarged = F.interpolate(total, scale_factor=self.factors[0] * self.stride / step)
            logits = logits + crop_or_extend(enlarged, logits)
        return logits


class FinestMapHead(SegmentationHead):
    """A 1x1 convolution on the finest map, as in the U-Net paper.

    Args:
        channels: Channels of the finest map.
        outputs: Number of logits per pixel.
    """

    def __init__(self, channels: int, outputs: int):
        super().__init__(outputs)
        self.last = nn.Conv2d(channels, outputs, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Compute the logits of all pixels, (B, outputs, h, w)."""
        logits: Tensor = self.last(maps[0])
        return logits

    def subsampled(self, maps: Sequence[Tensor], offset: Offset) -> tuple[Tensor, Size]:
        """Compute the logits of one pixel in each 2x2 block."""
        return self.last(_subsample(maps[0], offset)), (maps[0].shape[2], maps[0].shape[3])


class SubsampledLogits(NamedTuple):
    """Logits (B, outputs, h, w) of one pixel in each 2x2 block, and its offset."""

    logits: Tensor
    offset: Offset


def _subsample(pixels: Tensor, offset: Offset) -> Tensor:
    """(..., H, W) -> one pixel of each 2x2 block."""
    return pixels[..., offset[0] :: 2, offset[1] :: 2]


def align_targets(output: Tensor | SubsampledLogits, *targets: Tensor) -> tuple[Tensor, ...]:
    """Return the logits, and of each target (..., H, W) the pixels that the logits belong to."""
    if isinstance(output, SubsampledLogits):
        return output.logits, *(_subsample(target, output.offset) for target in targets)
    return output, *targets


class SegmentationModel(nn.Module):
    """A backbone and a segmentation head.

    With many outputs, training computes one pixel of each 2x2 block, at an offset that changes
    with each step: neighbours add little information, and logits at every pixel, with their
    gradients, would take most of a step (benchmarks/README.md).

    Args:
        backbone: A module from images to maps.
        head: A head from maps to logits.
    """

    def __init__(self, backbone: nn.Module, head: SegmentationHead):
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, images: Tensor) -> Tensor | SubsampledLogits:
        """Compute logits.

        Args:
            images: (B, C, H, W) float.

        Returns:
            (B, outputs, H, W); in training with many outputs, a subsample of them.
        """
        maps = self.backbone(images)
        if not self.training or self.head.outputs < MIN_OUTPUTS_TO_SUBSAMPLE:
            return self._all_pixels(maps, images)
        row, column = (int(torch.randint(min(2, side), ())) for side in images.shape[2:])
        offset = row, column
        logits, size = self.head.subsampled(maps, offset)
        if _nearly_equal(size, images):
            logits = crop_or_extend(logits, _subsample(images, offset))
        else:
            logits = _subsample(self._all_pixels(maps, images), offset)
        return SubsampledLogits(logits, offset)

    def _all_pixels(self, maps: Sequence[Tensor], images: Tensor) -> Tensor:
        logits: Tensor = self.head(maps)
        if _nearly_equal(logits.shape[2:], images):
            return crop_or_extend(logits, images)
        return F.interpolate(logits, size=images.shape[2:], mode="bilinear")


def _nearly_equal(size: Sequence[int], images: Tensor) -> bool:
    differences = (abs(new - old) for new, old in zip(images.shape[2:], size, strict=True))
    return max(differences) <= MAX_SIZE_DIFFERENCE


def pixel_losses(
    output: Tensor, target: Tensor, class_weights: Tensor | None = None
) -> dict[str, Tensor]:
    """Compute focal cross-entropy and Dice loss (Milletari et al., "V-Net", 2016).

    Each image counts the same, however many of its pixels are labelled: batching changes nothing.

    Args:
        output: (B, K, H, W) logits.
        target: (B, H, W) int64 classes, or IGNORE.
        class_weights: (K,) factors on each pixel's cross-entropy; the mean is not divided by them.

    Returns:
        Scalars, means over images: "focal", and "dice", which is 1 - Dice over the classes in
        the image.
    """
    batch, classes = output.shape[:2]
    if not batch:
        return {"focal": output.sum() * 0, "dice": output.sum() * 0}
    target = target.to(output.device)
    labelled = (target != IGNORE).flatten(1).float()
    flat = target.clamp(min=0).flatten(1)
    logs = output.flatten(2).float().log_softmax(1)
    target_logs = logs.gather(1, flat[:, None])[:, 0] * labelled
    weighted = target_logs * (1 - target_logs.exp()) ** FOCUS
    if class_weights is not None:
        weighted = weighted * class_weights.to(target_logs)[flat]
    focal = -weighted.sum(1) / labelled.sum(1).clamp(min=1)
    # scatter_add sums over each class's pixels without a one-hot mask per class.
    zeros = target_logs.new_zeros(batch, classes)
    overlap = zeros.scatter_add(1, flat, target_logs.exp() * labelled)
    area = zeros.scatter_add(1, flat, labelled)
    predicted = torch.einsum("bkp,bp->bk", logs.exp(), labelled)
    dice = 2 * overlap / (predicted + area).clamp(min=1e-6)
    present = area > 0
    missed = ((1 - dice) * present).sum(1) / present.sum(1).clamp(min=1)
    return {"focal": focal.mean(), "dice": missed.mean()}
