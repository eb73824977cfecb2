"""The convolutional net of most tutorials: two 3x3 convolutions, max-pooling, two linear layers."""

from __future__ import annotations

from torch import Tensor, nn

from foveate.models.backbone import Backbone
from foveate.models.catalog import entry
from foveate.models.registry import PLAIN, Model, Weights, refuse_if_huge


class CNN(Backbone):
    """One map of 64 channels.

    With its classifier for 10 classes on 28x28 grey images it has 1,199,882 weights.

    Args:
        channels: Channels of the images.
        size: Side of the images in pixels.
    """

    def __init__(self, channels: int, size: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)
        )
        self.channels, self.strides = (64,), (2,)
        self.side = (size - 4) // 2

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the map; the convolutions are not padded.

        Args:
            images: (B, C, S, S) float.

        Returns:
            One map (B, 64, (S - 4) // 2, (S - 4) // 2).
        """
        return [self.layers(images)]

    def classifier(self, classes: int) -> nn.Module:
        """Build a hidden layer of 128 units and a linear layer, each after dropout."""
        return nn.Sequential(
            nn.Dropout(0.25),
            nn.Flatten(),
            nn.Linear(64 * self.side * self.side, 128),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(128, classes),
        )


def _build(name: str, channels: int, size: int, _weights: Weights) -> CNN:
    net = CNN(channels, size)
    refuse_if_huge(name, 64 * net.side**2 * 128, size)
    return net


MODELS = (
    Model(
        *entry("cnn"),
        _build,
        default_recipe=PLAIN,
    ),
)
