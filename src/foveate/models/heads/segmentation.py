"""An answer for each pixel, from feature maps: coarse ones are enlarged step by step, and joined by finer ones.

Ronneberger, Fischer and Brox, "U-Net: Convolutional networks for biomedical image segmentation", 2015: what a pixel shows is
known by the coarse maps, where exactly it ends by the fine ones.
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

WIDEST, NARROWEST = 256, 16
"""Channels of a joined map."""
EDGES = 4
"""Channels that the finest maps speak through: where something ends needs few, and what it is they do not know."""
MANY = 32
"""Outputs from which on training asks for one pixel in four."""
ODD = 2
"""Pixels that an answer can be off by where odd sides were halved; by more where a net does not pad, whose answer is stretched."""
Place = tuple[int, int]
"""Row and column of a pixel of every 2 x 2, 0 or 1."""
Size = tuple[int, int]
"""(height, width) in pixels."""
FOCUS = 1.0
"""How much less a pixel counts that is nearly right already (Lin et al., "Focal loss", 2017; benchmarks/README.md)."""


class Decoder(nn.Module):
    """Maps, fine to coarse -> joined maps, fine to coarse, the finest of stride 2 or less: the largest map of all would take half
    of the time (benchmarks/README.md). Coarse ones, down to a quarter of the coarsest one's stride, are thought about
    twice more once they are joined, which costs little there.

    channels, strides: of the given maps, of which those of one stride count by the last alone
    channels, strides (attributes): of the joined maps; the coarsest is the given one
    """

    def __init__(self, channels: Sequence[int], strides: Sequence[int]):
        super().__init__()
        self.used = sorted({stride: level for level, stride in enumerate(strides)}.values())
        coarsest = self.used[-1]
        widths, steps = [channels[coarsest]], [strides[coarsest]]
        self.up, self.lateral, self.joins = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for level in self.used[-2::-1]:
            width = min(channels[level], WIDEST)
            # Narrowed before they are added: half of the time of a convolution over both (Lin et al., "Feature pyramid
            # networks for object detection", 2017; benchmarks/README.md).
            self.up.append(nn.Conv2d(widths[-1], width, 1))
            self.lateral.append(nn.Conv2d(channels[level], width, 1))
            more = (
                [Residual(width, width) for _ in range(2)]
                if 4 * strides[level] >= strides[coarsest]
                else []
            )
            self.joins.append(nn.Sequential(convolution(width, width), *more))
            widths.append(width)
            steps.append(strides[level])
        self.times = [before / after for before, after in pairwise(steps)]
        self.enlarged = nn.ModuleList()  # beyond the finest map
        while steps[-1] > 2:
            width = max(NARROWEST, min(WIDEST, widths[-1] // 2))
            self.enlarged.append(convolution(widths[-1], width))
            widths.append(width)
            steps.append(-(-steps[-1] // 2))
        self.channels, self.strides = tuple(widths[::-1]), tuple(steps[::-1])

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        joined = [maps[self.used[-1]]]
        levels = zip(self.up, self.lateral, self.joins, self.used[-2::-1], self.times, strict=True)
        for up, lateral, join, level, times in levels:
            finer = lateral(maps[level])
            joined.append(
                join(reaching(F.interpolate(up(joined[-1]), scale_factor=times), finer) + finer)
            )
        for layer in self.enlarged:
            joined.append(layer(F.interpolate(joined[-1], scale_factor=2.0)))
        return joined[::-1]


def reaching(coarse: Tensor, finer: Tensor) -> Tensor:
    """An enlarged map, as large as the finer one: its last lines again where that is larger, as where odd sides were halved. To
    stretch it instead would move what it shows by up to a pixel.
    """
    down, across = (new - old for new, old in zip(finer.shape[2:], coarse.shape[2:], strict=True))
    if down > 0 or across > 0:
        coarse = F.pad(coarse, (0, max(0, across), 0, max(0, down)), mode="replicate")
    return coarse[:, :, : finer.shape[2], : finer.shape[3]]


class Head(nn.Module, ABC):
    """Maps -> (B, outputs, h, w)."""

    def __init__(self, outputs: int):
        super().__init__()
        self.outputs = outputs

    @abstractmethod
    def thinned(self, maps: Sequence[Tensor], which: Place) -> tuple[Tensor, Size]:
        """Of one pixel of every 2 x 2, (B, outputs, h / 2, w / 2), and h and w."""


class Segmenter(Head):
    """Maps -> (B, outputs, h, w), by a decoder and the sum of what each joined map says."""

    def __init__(self, channels: Sequence[int], strides: Sequence[int], outputs: int):
        super().__init__(outputs)
        self.decoder = Decoder(channels, strides)
        self.said = SkipSumHead(self.decoder.channels, self.decoder.strides, outputs)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        logits: Tensor = self.said(self.decoder(maps))
        return logits

    def thinned(self, maps: Sequence[Tensor], which: Place) -> tuple[Tensor, Size]:
        return self.said.thinned(self.decoder(maps), which)


class SkipSumHead(Head):
    """Joined maps, fine to coarse -> (B, outputs, H, W): a linear layer at each place of each, enlarged and added (Long, Shelhamer
    and Darrell, "Fully convolutional networks", 2015). So what something is need not pass through the few channels of the finest
    maps, which tell where it ends (benchmarks/README.md). A place of the finest map speaks for each of its pixels (Shi et al.,
    "Real-time single image super-resolution", 2016).
    """

    def __init__(self, channels: Sequence[int], strides: Sequence[int], outputs: int):
        super().__init__(outputs)
        self.stride, self.times = (
            strides[0],
            [after / before for before, after in pairwise(strides)],
        )
        layers = []
        for level, (width, stride) in enumerate(zip(channels, strides, strict=True)):
            few = min(EDGES, outputs) if 8 * stride <= strides[-1] else outputs
            own = self.stride if level == 0 else 1
            more = [nn.Conv2d(few, outputs, 1)] if few < outputs else []
            layers.append(
                nn.Sequential(nn.Conv2d(width, few * own**2, 1), nn.PixelShuffle(own), *more)
            )
        self.layers = nn.ModuleList(layers)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        return self._added(self.layers[0](maps[0]), maps)

    def thinned(self, maps: Sequence[Tensor], which: Place) -> tuple[Tensor, Size]:
        layer, finest = self.layers[0], maps[0]
        assert isinstance(layer, nn.Sequential)
        if self.stride == 1:
            logits = layer(_thin(finest, which))
        else:  # what PixelShuffle would lay there
            logits = layer[2:](layer[0](finest)[:, 2 * which[0] + which[1] :: 4])
        size = finest.shape[2] * self.stride, finest.shape[3] * self.stride
        return self._added(logits, maps, step=2), size

    def _added(self, logits: Tensor, maps: Sequence[Tensor], step: int = 1) -> Tensor:
        """The finest map's answer, of one pixel in each `step` x `step`, and that of the coarser ones."""
        coarser = [layer(one) for layer, one in zip(self.layers[1:], maps[1:], strict=True)]
        if coarser:
            said = coarser.pop()
            for finer, times in zip(reversed(coarser), reversed(self.times[1:]), strict=True):
                said = (
                    reaching(F.interpolate(said, scale_factor=times, mode="bilinear"), finer)
                    + finer
                )
            logits = logits + reaching(
                F.interpolate(said, scale_factor=self.times[0] * self.stride / step), logits
            )
        return logits


class FinestMapHead(Head):
    """The finest map alone -> (B, outputs, H, W), as the U-Net paper has it."""

    def __init__(self, channels: int, outputs: int):
        super().__init__(outputs)
        self.last = nn.Conv2d(channels, outputs, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        logits: Tensor = self.last(maps[0])
        return logits

    def thinned(self, maps: Sequence[Tensor], which: Place) -> tuple[Tensor, Size]:
        return self.last(_thin(maps[0], which)), (maps[0].shape[2], maps[0].shape[3])


class SubsampledLogits(NamedTuple):
    """What a net says of one pixel of every 2 x 2, (B, outputs, h, w), and of which."""

    logits: Tensor
    which: Place


def _thin(pixels: Tensor, which: Place) -> Tensor:
    """(..., H, W) -> one pixel of every 2 x 2."""
    return pixels[..., which[0] :: 2, which[1] :: 2]


def seen(output: Tensor | SubsampledLogits, *targets: Tensor) -> tuple[Tensor, ...]:
    """Logits, and what of (..., H, W) truths they are about."""
    if isinstance(output, SubsampledLogits):
        return output.logits, *(_thin(target, output.which) for target in targets)
    return output, *targets


class Segmentation(nn.Module):
    """backbone: pictures -> maps; head: maps -> (B, outputs, h, w).

    Where there are MANY outputs, one pixel of every 2 x 2 is answered for in training, another at each step: neighbours tell a net little
    that is new, and answers at every pixel, with their gradients, would take most of a step (benchmarks/README.md).
    """

    def __init__(self, backbone: nn.Module, head: Head):
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, images: Tensor) -> Tensor | SubsampledLogits:
        """(B, C, H, W) -> (B, outputs, H, W), exactly; in training it may be thinned."""
        maps = self.backbone(images)
        if not self.training or self.head.outputs < MANY:
            return self._whole(maps, images)
        row, column = (int(torch.randint(min(2, side), ())) for side in images.shape[2:])
        which = row, column
        logits, size = self.head.thinned(maps, which)
        fits = _fits(size, images)
        return SubsampledLogits(
            reaching(logits, _thin(images, which))
            if fits
            else _thin(self._whole(maps, images), which),
            which,
        )

    def _whole(self, maps: Sequence[Tensor], images: Tensor) -> Tensor:
        found: Tensor = self.head(maps)
        if _fits(found.shape[2:], images):
            return reaching(found, images)
        return F.interpolate(found, size=images.shape[2:], mode="bilinear")


def _fits(size: Sequence[int], images: Tensor) -> bool:
    return max(abs(new - old) for new, old in zip(images.shape[2:], size, strict=True)) <= ODD


def pixel_losses(
    output: Tensor, target: Tensor, class_weights: Tensor | None = None
) -> dict[str, Tensor]:
    """(B, K, H, W) logits and (B, H, W) int64, IGNORE among them -> the mean over pictures of focal cross-entropy and of 1 -
    Dice over the classes that a picture shows (Milletari et al., "V-Net", 2016). Each picture counts the same, however many of
    its pixels are labelled, so that how pictures are cut into batches changes nothing.

    class_weights: (K,) factors on each pixel's cross-entropy, by which the mean is not divided
    """
    batch, classes = output.shape[:2]
    if not batch:
        return {"focal": output.sum() * 0, "dice": output.sum() * 0}
    target = target.to(output.device)
    known = (target != IGNORE).flatten(1).float()
    flat = target.clamp(min=0).flatten(1)
    logs = output.flatten(2).float().log_softmax(1)
    own = logs.gather(1, flat[:, None])[:, 0] * known  # of each pixel's true class
    weighted = own * (1 - own.exp()) ** FOCUS
    if class_weights is not None:
        weighted = weighted * class_weights.to(own)[flat]
    focal = -weighted.sum(1) / known.sum(1).clamp(min=1)
    # Sums over each class's true pixels, without a picture of ones and zeros for each class.
    nothing = own.new_zeros(batch, classes)
    right = nothing.scatter_add(1, flat, own.exp() * known)
    true = nothing.scatter_add(1, flat, known)
    dice = 2 * right / (torch.einsum("bkp,bp->bk", logs.exp(), known) + true).clamp(min=1e-6)
    present = true > 0
    missed = ((1 - dice) * present).sum(1) / present.sum(1).clamp(min=1)
    return {"focal": focal.mean(), "dice": missed.mean()}
