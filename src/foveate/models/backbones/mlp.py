"""The multilayer perceptron: every pixel is an input of its own, and a picture shifted by one pixel is a new world."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NoReturn

from torch import Tensor, nn

from foveate.errors import SettingError
from foveate.models.backbone import Backbone
from foveate.models.registry import PLAIN, Model, Weights, all, refuse_if_huge

DEFAULT = (256, 256)


class MLP(Backbone):
    """Hidden layers of the given widths with ReLU between; one map of (B, width, 1, 1)."""

    def __init__(self, channels: int, size: int, widths: tuple[int, ...]):
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        for inputs, outputs in pairwise((channels * size * size, *widths)):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.channels, self.strides = (widths[-1],), (size,)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, C, S, S) -> one map of (B, width, 1, 1)."""
        return [self.layers(images)[:, :, None, None]]

    def classifier(self, classes: int) -> nn.Module:
        """One linear layer."""
        return nn.Sequential(nn.Flatten(), nn.Linear(self.channels[-1], classes))

    def detector(self, classes: int) -> nn.Module:
        del classes
        raise _placeless("boxes", ("mlp", "unet"))

    def segmenter(self, outputs: int) -> NoReturn:
        del outputs
        raise _placeless("masks", ("mlp",))


def _placeless(what: str, others: tuple[str, ...]) -> SettingError:
    """What was where is lost in its first layer."""
    fit = ", ".join(model.name for model in all() if not model.name.startswith(others))
    return SettingError(
        f"mlp has no map of places, so it cannot tell {what}",
        where="model",
        remedy=f"Use one of: {fit}.",
    )


def _widths(name: str) -> tuple[int, ...]:
    _, colon, told = name.partition(":")
    if not colon:
        return DEFAULT
    if not re.fullmatch("[1-9][0-9]{0,8}(-[1-9][0-9]{0,8})*", told):
        raise SettingError(
            f"widths of hidden layers are expected after 'mlp:', like mlp:512-256, got {told!r}",
            where="model",
        )
    return tuple(int(width) for width in told.split("-"))


def _build(name: str, channels: int, size: int, weights: Weights) -> MLP:
    del weights
    widths = _widths(name)
    refuse_if_huge(name, sum(a * b for a, b in pairwise((channels * size * size, *widths))), size)
    return MLP(channels, size, widths)


_PAPER = "Rumelhart, Hinton and Williams, 1986"
MODELS = (
    Model("mlp", "two hidden layers of 256 units", _PAPER, 1, _build, trained=PLAIN),
    Model(
        "mlp:*",
        "hidden layers of any widths: mlp:512-256",
        _PAPER,
        1,
        _build,
        trained=PLAIN,
        example="mlp:512-256",
        verify=_widths,
    ),
)
