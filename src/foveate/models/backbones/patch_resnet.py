"""A small net of residual blocks without any pooling, for making pictures: each place keeps all that is known of its pixels.

Pictures are cut into squares of 2 x 2 pixels (4 x 4 from 64 px on), whose pixels are channels: on a processor the largest map of all
would take most of the time.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from foveate.models.backbone import Backbone
from foveate.models.heads.flow_matching import Residual
from foveate.models.registry import Model, Recipe, Weights

WIDTHS = (64, 128)


class PatchResNet(Backbone):
    """channels: of the picture; size: its side in pixels. Two maps, of 64 and 128 channels."""

    flexible = True
    bends = WIDTHS

    def __init__(self, channels: int, size: int):
        super().__init__()
        self.cut = 4 if size >= 64 else 2
        fine, coarse = WIDTHS
        self.stem = nn.Conv2d(channels * self.cut**2, fine, 3, padding=1)
        self.fine = Residual(fine)
        self.halve = nn.Conv2d(fine, coarse, 3, 2, 1)
        self.coarse = Residual(coarse)
        self.channels, self.strides = WIDTHS, (self.cut, 2 * self.cut)

    def forward(
        self, images: Tensor, bends: Sequence[Tensor | None] = (None, None)
    ) -> list[Tensor]:
        """(B, C, H, W), and (B, 2 c, h, w) of scales and shifts for each map -> (B, 64, H / 2, W / 2), (B, 128, H / 4, W / 4)."""
        down, across = (-side % self.cut for side in images.shape[2:])
        squares = F.pixel_unshuffle(F.pad(images, (0, across, 0, down)), self.cut)
        fine = self.fine(self.stem(squares), bends[0])
        return [fine, self.coarse(self.halve(fine), bends[1])]


def _build(name: str, channels: int, size: int, weights: Weights) -> PatchResNet:
    del name, weights
    return PatchResNet(channels, size)


MODELS = (
    Model(
        "patch_resnet",
        "small residual net, for making pictures",
        "He et al., 2016",
        8,
        _build,
        trained=Recipe("muon", 3e-3, half=True),
    ),
)
