"""An encoder for masks on a CPU: maps at strides 2 to 32.

The stages are those of airbench (Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024),
as in `tiny_cnn`, but the strides do not depend on the image's size, so that fine maps locate
boundaries. On `scenes` it separates the classes in two thirds of the epochs that `yolo` takes,
which uses strided convolutions instead of pooling (benchmarks/README.md).
"""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from foveate.models.backbone import StagedBackbone
from foveate.models.catalog import entry
from foveate.models.convolution import convolution
from foveate.models.registry import Model, Recipe, Weights

WIDTHS = (16, 32, 96, 96, 96)


class TinyEncoder(StagedBackbone):
    """Five maps at strides 2 to 32.

    Args:
        channels: Channels of the images.
    """

    channels = WIDTHS
    strides = (2, 4, 8, 16, 32)
    flexible = True

    def __init__(self, channels: int):
        super().__init__()
        fine, coarser, *others = WIDTHS
        self.stages = nn.ModuleList(
            [convolution(channels, fine, 4, 2), convolution(fine, coarser, 4, 2)]
        )
        for before, width in pairwise((coarser, *others)):
            self.stages.append(
                nn.Sequential(convolution(before, width, pooled=True), convolution(width, width))
            )


def _build(_name: str, channels: int, _size: int, _weights: Weights) -> TinyEncoder:
    return TinyEncoder(channels)


MODELS = (
    Model(
        *entry("tiny_encoder"),
        _build,
        default_recipe=Recipe("muon", 3e-3, bf16=True),
    ),
)
