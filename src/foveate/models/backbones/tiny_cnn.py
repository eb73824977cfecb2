"""A small strided net with batch normalisation that trains in a minute on two CPU cores.

Each stage is a convolution, max-pooling and a convolution, as in the nets of airbench (Jordan,
"94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024). The stem halves the image until 10 to 20
pixels a side are left: most of the work of a convolutional net lies in its first, largest maps,
and a CPU cannot afford them.
"""

from __future__ import annotations

import math

from torch import nn

from foveate.models.backbone import StagedBackbone
from foveate.models.catalog import entry
from foveate.models.convolution import convolution
from foveate.models.registry import Model, Weights

WIDTHS = (32, 64, 128)
MAX_STEM_SIDE = 20
"""Largest side of the stem's map in pixels."""


class TinyCNN(StagedBackbone):
    """Three maps, of 32, 64 and 128 channels.

    Args:
        channels: Channels of the images.
        size: Side of the images in pixels, at least 8.
    """

    flexible = True

    def __init__(self, channels: int, size: int):
        super().__init__()
        halvings = max(0, math.ceil(math.log2(size / MAX_STEM_SIDE)))
        widths = [max(8, WIDTHS[0] >> left) for left in reversed(range(max(1, halvings)))]
        layers = []
        for width in widths:
            layers.append(
                convolution(channels, width, 4, 2) if halvings else convolution(channels, width)
            )
            channels = width
        self.stages = nn.ModuleList([nn.Sequential(*layers)])
        for width in WIDTHS[1:]:
            self.stages.append(
                nn.Sequential(convolution(channels, width, pooled=True), convolution(width, width))
            )
            channels = width
        self.channels = WIDTHS
        self.strides = tuple(2 ** (halvings + depth) for depth in range(len(WIDTHS)))

    def classifier(self, classes: int) -> nn.Module:
        """Build global max-pooling and one linear layer."""
        return nn.Sequential(
            nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(self.channels[-1], classes)
        )


def _build(_name: str, channels: int, size: int, _weights: Weights) -> TinyCNN:
    return TinyCNN(channels, size)


MODELS = (
    Model(
        *entry("tiny_cnn"),
        _build,
    ),
)
