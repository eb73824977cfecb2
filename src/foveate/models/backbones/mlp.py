"""The multilayer perceptron: each pixel is an independent input."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NoReturn

from torch import Tensor, nn

from foveate.errors import SettingError
from foveate.models import registry
from foveate.models.backbone import Backbone
from foveate.models.catalog import entry
from foveate.models.registry import PLAIN, Model, Weights, refuse_if_huge

DEFAULT_WIDTHS = (256, 256)


class MLP(Backbone):
    """Hidden layers with ReLU between them, and one map of (B, width, 1, 1).

    Args:
        channels: Channels of the images.
        size: Side of the images in pixels.
        widths: Units of each hidden layer.
    """

    def __init__(self, channels: int, size: int, widths: tuple[int, ...]):
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        for inputs, outputs in pairwise((channels * size * size, *widths)):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.channels, self.strides = (widths[-1],), (size,)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the last hidden layer, (B, C, S, S) -> one map (B, width, 1, 1)."""
        return [self.layers(images)[:, :, None, None]]

    def classifier(self, classes: int) -> nn.Module:
        """Build one linear layer."""
        return nn.Sequential(nn.Flatten(), nn.Linear(self.channels[-1], classes))

    def detector(self, classes: int) -> NoReturn:  # noqa: ARG002 - see Backbone
        """Raise SettingError: the first layer discards positions."""
        raise _no_positions("boxes", ("mlp", "unet"))

    def segmenter(self, outputs: int) -> NoReturn:  # noqa: ARG002 - see Backbone
        """Raise SettingError: the first layer discards positions."""
        raise _no_positions("masks", ("mlp",))


def _no_positions(output: str, unfit: tuple[str, ...]) -> SettingError:
    fit = ", ".join(model.name for model in registry.all() if not model.name.startswith(unfit))
    return SettingError(
        f"mlp has no feature maps with positions, so it cannot predict {output}",
        where="model",
        remedy=f"Use one of: {fit}.",
    )


def _widths(name: str) -> tuple[int, ...]:
    _, colon, text = name.partition(":")
    if not colon:
        return DEFAULT_WIDTHS
    if not re.fullmatch("[1-9][0-9]{0,8}(-[1-9][0-9]{0,8})*", text):
        raise SettingError(
            f"widths of hidden layers are expected after 'mlp:', like mlp:512-256, got {text!r}",
            where="model",
        )
    return tuple(int(width) for width in text.split("-"))


def _resolve(name: str) -> Model:
    _widths(name)
    return MODELS[1]


def _build(name: str, channels: int, size: int, _weights: Weights) -> MLP:
    widths = _widths(name)
    refuse_if_huge(name, sum(a * b for a, b in pairwise((channels * size * size, *widths))), size)
    return MLP(channels, size, widths)


MODELS = (
    Model(*entry("mlp"), _build, default_recipe=PLAIN),
    Model(
        *entry("mlp:*"),
        _build,
        default_recipe=PLAIN,
        example="mlp:512-256",
        resolve=_resolve,
    ),
)
