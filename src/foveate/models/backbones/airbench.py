"""A net for small images that learns much from few epochs: the airbench94 net.

Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024 (arXiv:2404.00498). The first layer
is not learnt: it whitens patches of 2x2 pixels, so that all their directions of variation, strong
or weak, reach the next layer with the same strength. Three groups of two convolutions follow, which
begin as the identity; each group halves the map as early as it can.

For images of more than 48 px the patches grow with the image, so that the first map has about 24 to
48 pixels a side; of their directions only the leading ones are kept.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foveate.models.backbone import StagedBackbone
from foveate.models.catalog import entry
from foveate.models.registry import Model, Recipe, Weights

WIDTHS = (64, 256, 256)
MAX_MAP_SIDE = 48
"""Largest side of the whitened map in pixels."""
MAX_STRIDE = 8
"""Largest stride of the patches. Larger images are first reduced by averaging: the covariance of
patches of 16x16 pixels is the largest that is computed in a moment."""
BATCH_NORM_MOMENTUM = 0.4
"""Share of each batch in the running statistics: they follow weights that move fast."""
EPSILON = 5e-4
"""Added to the variance of each direction: directions without variation are not amplified."""


class WhiteningConvolution(nn.Module):
    """Whitens patches: the directions of largest variance, scaled to the same variance.

    Each direction comes with both signs, since the activation that follows drops one of them.

    Args:
        channels: C, the channels of the images.
        stride: Image pixels from one patch to the next; a patch has twice as many a side.

    Attributes:
        weight: (8 C, C, side, side), computed from images by `fit`; a buffer, as it is never
            trained. Until then its directions are random.
        bias: (8 C,), trained.
    """

    weight: Tensor

    def __init__(self, channels: int, stride: int):
        super().__init__()
        self.reduction = max(1, stride // MAX_STRIDE)
        self.stride = stride // self.reduction
        half = torch.randn(4 * channels, channels, 2 * self.stride, 2 * self.stride)
        half /= math.sqrt(half[0].numel())
        self.register_buffer("weight", torch.cat((half, -half)))
        self.bias = nn.Parameter(torch.zeros(len(self.weight)))

    def _reduced(self, images: Tensor) -> Tensor:
        return F.avg_pool2d(images, self.reduction) if self.reduction > 1 else images

    @torch.no_grad()
    def fit(self, images: Tensor) -> None:
        """Compute the directions and their scales from all patches of some images.

        Args:
            images: (N, C, S, S) float, normalised.
        """
        size = self.weight[0].numel()
        # In float64: small variances are differences of large numbers.
        moments, count = torch.zeros(size, size, dtype=torch.float64), 0
        for some in torch.split(self._reduced(images).cpu(), 500):
            patches = F.unfold(some.double(), 2 * self.stride, stride=self.stride)
            patches = patches.transpose(0, 1).flatten(1)  # (C side^2, all patches)
            moments += patches @ patches.T
            count += patches.shape[1]
        variances, directions = torch.linalg.eigh(moments / max(1, count))  # in ascending order
        scaled = directions.T / (variances.clamp(min=0) + EPSILON).sqrt()[:, None]
        half = scaled[-(len(self.weight) // 2) :].view(-1, *self.weight.shape[1:])
        self.weight.copy_(torch.cat((half, -half)))

    def forward(self, images: Tensor) -> Tensor:
        """Whiten, (B, C, H, W) -> (B, 8 C, about H / stride - 1, about W / stride - 1)."""
        return F.conv2d(self._reduced(images), self.weight, self.bias, self.stride)


class Group(nn.Sequential):
    """Convolution, max-pooling and convolution, the convolutions followed by normalisation.

    Args:
        channels: Input channels.
        width: Output channels.
    """

    def __init__(self, channels: int, width: int):
        super().__init__(
            _convolution(channels, width),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(width, momentum=BATCH_NORM_MOMENTUM),
            nn.GELU(),
            _convolution(width, width),
            nn.BatchNorm2d(width, momentum=BATCH_NORM_MOMENTUM),
            nn.GELU(),
        )


def _convolution(channels: int, width: int) -> nn.Conv2d:
    """A 3x3 convolution whose first outputs are its inputs (a Dirac initialisation)."""
    layer = nn.Conv2d(channels, width, 3, padding=1, bias=False)
    with torch.no_grad():
        nn.init.dirac_(layer.weight[:channels])
    return layer


class Airbench(StagedBackbone):
    """Three maps, of 64, 256 and 256 channels.

    Args:
        channels: Channels of the images.
        size: Side of the images in pixels, at least 9.
    """

    flexible = True

    def __init__(self, channels: int, size: int):
        super().__init__()
        stride = 2 ** max(0, math.ceil(math.log2(size / MAX_MAP_SIDE)))
        whitening = WhiteningConvolution(channels, stride)
        width, groups = len(whitening.weight), []
        for wide in WIDTHS:
            groups.append(Group(width, wide))
            width = wide
        first = nn.Sequential(whitening, nn.GELU(), groups[0])
        self.stages = nn.ModuleList([first, *groups[1:]])
        self.channels = WIDTHS
        self.strides = tuple(stride * 2**depth for depth in range(1, len(WIDTHS) + 1))

    def fit(self, images: Tensor) -> None:
        """Compute the first layer.

        Args:
            images: (N, C, S, S) float, normalised.
        """
        whitening = self.stages[0].get_submodule("0")
        assert isinstance(whitening, WhiteningConvolution)
        whitening.fit(images)

    def classifier(self, classes: int) -> nn.Module:
        """Build global max-pooling and one linear layer, whose output is small at first."""
        return nn.Sequential(
            nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(self.channels[-1], classes)
        )


def _build(_name: str, channels: int, size: int, _weights: Weights) -> Airbench:
    return Airbench(channels, size)


MODELS = (
    Model(
        *entry("airbench"),
        _build,
        default_recipe=Recipe("muon", 0.02, bf16=True),
    ),
)
