"""The convolutional net that tutorials begin with: two 3x3 convolutions, max-pooling, two dropouts, two linear layers."""

from __future__ import annotations

from torch import Tensor, nn

from foveate.models.backbone import Backbone
from foveate.models.registry import PLAIN, Model, Weights, refuse_if_huge


class CNN(Backbone):
    """One map of 64 channels. With its classifier for 10 classes on 28 x 28 grey pictures: 1,199,882 weights."""

    def __init__(self, channels: int, size: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)
        )
        self.channels, self.strides = (64,), (2,)
        self.side = (size - 4) // 2

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, C, S, S) -> one map of (B, 64, (S - 4) // 2, (S - 4) // 2); the convolutions are not padded."""
        return [self.layers(images)]

    def classifier(self, classes: int) -> nn.Module:
        return nn.Sequential(
            nn.Dropout(0.25),
            nn.Flatten(),
            nn.Linear(64 * self.side * self.side, 128),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(128, classes),
        )


def _build(name: str, channels: int, size: int, weights: Weights) -> CNN:
    del weights
    net = CNN(channels, size)
    refuse_if_huge(name, 64 * net.side**2 * 128, size)
    return net


MODELS = (
    Model(
        "cnn",
        "two 3x3 convolutions of 32 and 64, max-pool, dropout, 128 units",
        "LeCun et al., 1998, in today's parts",
        6,
        _build,
        trained=PLAIN,
    ),
)
