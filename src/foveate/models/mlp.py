"""The multilayer perceptron: every pixel is an input of its own, and a picture shifted by one pixel is a new world."""

from __future__ import annotations

from torch import Tensor, nn

from foveate.errors import SettingError
from foveate.models.backbone import Backbone
from foveate.models.registry import PLAIN, Model, Weights

DEFAULT = (256, 256)


class MLP(Backbone):
    """Hidden layers of the given widths with ReLU between; one map of (B, width, 1, 1)."""

    def __init__(self, channels: int, size: int, widths: tuple[int, ...]):
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        inputs = channels * size * size
        for width in widths:
            layers += [nn.Linear(inputs, width), nn.ReLU()]
            inputs = width
        self.layers = nn.Sequential(*layers)
        self.channels, self.strides = (inputs,), (size,)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, C, S, S) -> one map of (B, width, 1, 1)."""
        return [self.layers(images)[:, :, None, None]]


def _build(name: str, channels: int, size: int, weights: Weights) -> MLP:
    del weights
    told = name.partition(":")[2]
    try:
        widths = tuple(int(width) for width in told.split("-")) if told else DEFAULT
        if min(widths) < 1:
            raise ValueError
    except ValueError:
        raise SettingError(
            f"widths of hidden layers are expected after 'mlp:', like mlp:512-256, got {told!r}", where="model"
        ) from None
    return MLP(channels, size, widths)


_PAPER = "Rumelhart, Hinton and Williams, 1986"
MODELS = (
    Model("mlp", "two hidden layers of 256 units", _PAPER, 1, _build, trained=PLAIN),
    Model("mlp:*", "hidden layers of any widths: mlp:512-256", _PAPER, 1, _build, trained=PLAIN),
)
