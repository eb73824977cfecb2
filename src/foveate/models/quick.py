"""A small strided net with batch normalisation, made to train in a minute on two CPU cores.

Three stages of two 3x3 convolutions each, as in the nets of airbench (Jordan, "94% on CIFAR-10 in 3.29 seconds on a
single GPU", 2024). The stem halves the picture until the first stage sees 10 to 20 pixels a side: most of the work of
a convolutional net lies in its first, largest maps, and a processor without a GPU can't afford it.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from foveate.models.backbone import Backbone
from foveate.models.registry import Model, Weights

WIDTHS = (32, 64, 128)
LARGEST_MAP = 20
"""Pixels a side of the first stage's map, at most."""


def _convolution(channels: int, width: int, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    padding = (kernel - 1) // 2
    return [
        nn.Conv2d(channels, width, kernel, stride, padding, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    ]


class Quick(Backbone):
    """channels: of the picture; size: its side in pixels, at least 8. One map a stage, of 32, 64 and 128 channels."""

    def __init__(self, channels: int, size: int):
        super().__init__()
        halvings = max(0, math.ceil(math.log2(size / LARGEST_MAP)))
        stem: list[nn.Module] = []
        for left in range(halvings, 0, -1):
            width = max(8, WIDTHS[0] >> (left - 1))
            stem += _convolution(channels, width, kernel=4, stride=2)
            channels = width
        self.stem = nn.Sequential(*stem)
        self.stages = nn.ModuleList()
        for depth, width in enumerate(WIDTHS):
            first = _convolution(channels, width)
            if depth > 0:  # pooled before it is normalised: a quarter of the work, the same answer up to order
                first.insert(1, nn.MaxPool2d(2, ceil_mode=True))
            self.stages.append(nn.Sequential(*first, *_convolution(width, width)))
            channels = width
        self.channels = WIDTHS
        self.strides = tuple(2 ** (halvings + depth) for depth in range(len(WIDTHS)))

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, C, H, W) -> three maps, fine to coarse."""
        x, maps = self.stem(images), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps

    def classifier(self, classes: int) -> nn.Module:
        """The strongest answer anywhere in the last map counts: global maximum, then one linear layer."""
        return nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(self.channels[-1], classes))


def _build(name: str, channels: int, size: int, weights: Weights) -> Quick:
    del name, weights
    return Quick(channels, size)


MODELS = (Model("quick", "six small convolutions; the default: good in a minute on a CPU", "Jordan, 2024", 8, _build),)
