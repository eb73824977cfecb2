"""What all architectures have in common: pictures in, feature maps out."""

from __future__ import annotations

from torch import Tensor, nn


class Backbone(nn.Module):
    """Turns (B, C, H, W) float into a list of feature maps, fine to coarse.

    channels: of each map; strides: picture pixels to one pixel of each map
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, C, H, W) -> maps of about (B, channels[i], H / strides[i], W / strides[i])."""
        raise NotImplementedError

    def classifier(self, classes: int) -> nn.Module:
        """From the last map to (B, K) logits. Where a paper has its own classifier, its architecture overrides this
        mean over the map and one linear layer (Lin et al., "Network in network", 2014)."""
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(self.channels[-1], classes))
