"""A small residual net without pooling, for generating images.

Images are cut into patches of 2x2 pixels (4x4 from 64 px), whose pixels become channels: on a CPU
the map at full resolution would take most of the time.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from foveate.models.backbone import Backbone
from foveate.models.catalog import entry
from foveate.models.film import FilmResidual
from foveate.models.registry import Model, Recipe, Weights

WIDTHS = (64, 128)


class PatchResNet(Backbone):
    """Two maps, of 64 and 128 channels.

    Args:
        channels: Channels of the images.
        size: Side of the images in pixels.
    """

    flexible = True
    film_channels = WIDTHS

    def __init__(self, channels: int, size: int):
        super().__init__()
        self.patch = 4 if size >= 64 else 2
        fine, coarse = WIDTHS
        self.stem = nn.Conv2d(channels * self.patch**2, fine, 3, padding=1)
        self.fine = FilmResidual(fine)
        self.halve = nn.Conv2d(fine, coarse, 3, 2, 1)
        self.coarse = FilmResidual(coarse)
        self.channels, self.strides = WIDTHS, (self.patch, 2 * self.patch)

    def forward(self, images: Tensor, film: Sequence[Tensor | None] = (None, None)) -> list[Tensor]:
        """Compute the maps.

        Args:
            images: (B, C, H, W) float.
            film: Scales and shifts of each map, (B, 2 c, h, w), or None.

        Returns:
            (B, 64, H / patch, W / patch) and (B, 128, H / (2 patch), W / (2 patch)).
        """
        down, across = (-side % self.patch for side in images.shape[2:])
        patches = F.pixel_unshuffle(F.pad(images, (0, across, 0, down)), self.patch)
        fine = self.fine(self.stem(patches), film[0])
        return [fine, self.coarse(self.halve(fine), film[1])]


def _build(_name: str, channels: int, size: int, _weights: Weights) -> PatchResNet:
    return PatchResNet(channels, size)


MODELS = (
    Model(
        *entry("patch_resnet"),
        _build,
        default_recipe=Recipe("muon", 3e-3, bf16=True),
    ),
)
