"""The backbone of YOLO v1, small: five convolutions with max-pooling between them.

Redmon et al., "You only look once: Unified, real-time object detection", 2016. The paper has 24
convolutions; here they are fewer, and followed by batch normalisation. The head in
`heads/yolo_v1.py` is the paper's.
"""

from __future__ import annotations

from torch import Tensor, nn

from foveate.models.backbone import Backbone
from foveate.models.catalog import entry
from foveate.models.heads.yolo_v1 import YoloV1Head
from foveate.models.registry import Model, Recipe, Weights

WIDTHS = (16, 32, 64, 128, 256)


class Darknet(Backbone):
    """One map of stride 32.

    Args:
        channels: Channels of the images.
        size: Side of the images in pixels, at least 32.
    """

    def __init__(self, channels: int, size: int):
        super().__init__()
        layers: list[nn.Module] = []
        for width in WIDTHS:
            layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)]
            layers += [nn.LeakyReLU(0.1, inplace=True), nn.MaxPool2d(2)]
            channels = width
        self.features, self.size = nn.Sequential(*layers), size
        self.channels, self.strides = (WIDTHS[-1],), (2 ** len(WIDTHS),)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the map, (B, C, H, W) -> one map of stride 32."""
        return [self.features(images)]

    def detector(self, classes: int) -> nn.Module:
        """Build the paper's fully connected head."""
        return YoloV1Head(self.channels[-1], self.size, classes)


def _build(_name: str, channels: int, size: int, _weights: Weights) -> Darknet:
    return Darknet(channels, size)


MODELS = (
    Model(
        *entry("yolo_v1"),
        _build,
        default_recipe=Recipe("adamw", 1e-3),
    ),
)
