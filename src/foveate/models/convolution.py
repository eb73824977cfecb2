"""Building blocks shared by several architectures."""

from __future__ import annotations

from torch import Tensor, nn


def convolution(
    channels: int, width: int, kernel: int = 3, stride: int = 1, pooled: bool = False
) -> nn.Sequential:
    """Build a convolution, batch normalisation (Ioffe and Szegedy, 2015) and ReLU.

    Args:
        channels: Input channels.
        width: Output channels.
        kernel: Side of the kernel in pixels.
        stride: Stride of the convolution.
        pooled: Whether 2x2 max-pooling follows the convolution.
    """
    layer = nn.Conv2d(channels, width, kernel, stride, (kernel - 1) // 2, bias=False)
    # Pooling comes before the normalisation, which then has a quarter of the work.
    pool = [nn.MaxPool2d(2)] if pooled else []
    return nn.Sequential(layer, *pool, nn.BatchNorm2d(width), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """A residual block of two convolutions (He et al., "Deep residual learning", 2016).

    Args:
        width: Input and output channels.
        between: Channels between the two convolutions.
    """

    def __init__(self, width: int, between: int):
        super().__init__()
        self.branch = nn.Sequential(convolution(width, between), convolution(between, width))

    def forward(self, x: Tensor) -> Tensor:
        """Add the branch to its input, (B, width, H, W) -> (B, width, H, W)."""
        out: Tensor = x + self.branch(x)
        return out
