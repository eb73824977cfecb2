"""An encoder for masks on a processor without a GPU: maps at strides 2 to 32, each from a convolution, pooling, a convolution.

The stages are those of airbench (Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024), as in `tiny_cnn`; here the strides
do not depend on the picture's size, so that fine maps tell where things end. On `scenes` it tells classes apart in two thirds of the
epochs that `yolo` takes, whose convolutions stride instead (benchmarks/README.md).
"""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from foveate.models.backbone import Staged
from foveate.models.convolution import convolution
from foveate.models.registry import Model, Recipe, Weights

WIDTHS = (16, 32, 96, 96, 96)


class TinyEncoder(Staged):
    """channels: of the picture. Five maps."""

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


def _build(name: str, channels: int, size: int, weights: Weights) -> TinyEncoder:
    del name, size, weights
    return TinyEncoder(channels)


MODELS = (
    Model(
        "tiny_encoder",
        "small net of five maps, for masks",
        "Jordan, 2024",
        32,
        _build,
        trained=Recipe("muon", 3e-3, half=True),
    ),
)
