"""The pieces that most nets here are made of."""

from __future__ import annotations

from torch import Tensor, nn


def convolution(
    channels: int, width: int, kernel: int = 3, stride: int = 1, pooled: bool = False
) -> nn.Sequential:
    """A convolution, batch normalisation in place of its bias (Ioffe and Szegedy, 2015), and ReLU; pooled: with the largest
    of each 2 x 2.
    """
    layer = nn.Conv2d(channels, width, kernel, stride, (kernel - 1) // 2, bias=False)
    pool = (
        [nn.MaxPool2d(2)] if pooled else []
    )  # before the normalisation, which then has a quarter of the work
    return nn.Sequential(layer, *pool, nn.BatchNorm2d(width), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """x + two convolutions of x, with so many channels between them (He et al., "Deep residual learning", 2016)."""

    def __init__(self, width: int, between: int):
        super().__init__()
        self.branch = nn.Sequential(convolution(width, between), convolution(between, width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) -> the same."""
        out: Tensor = x + self.branch(x)
        return out
