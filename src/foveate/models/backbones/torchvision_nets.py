"""AlexNet, VGG and ResNet, built from torchvision's modules.

Their first layers are made for 224 pixels; on images up to 64 pixels a side they would leave
almost nothing. There they get a smaller stem: ResNet a 3x3 convolution without stride and no
max-pooling, as He et al. used on CIFAR-10; VGG no first max-pooling; AlexNet a 5x5 convolution
without stride instead of 11x11 with stride 4.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from foveate.models import pretrained
from foveate.models.backbone import Backbone
from foveate.models.catalog import entry
from foveate.models.registry import PLAIN, SMALL, Model, Weights

IMAGENET_CLASSES = 1000


class FeaturesBackbone(Backbone):
    """AlexNet or VGG: one map.

    Args:
        net: A torchvision net with `features`, `avgpool` and `classifier`.
        stride: Stride of the map.
    """

    def __init__(self, net: Any, stride: int):
        super().__init__()
        self.features = net.features
        # A tuple is not registered: these layers belong to the classifier.
        self._last_layers = (net.avgpool, net.classifier)
        last = next(layer for layer in reversed(net.features) if isinstance(layer, nn.Conv2d))
        self.channels, self.strides = (last.out_channels,), (stride,)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the map, (B, C, H, W) -> one map."""
        return [self.features(images)]

    def classifier(self, classes: int) -> nn.Module:
        """Return the paper's classifier; its last layer is new unless there are 1000 classes."""
        pool, (*layers, last) = self._last_layers
        if classes != IMAGENET_CLASSES:
            last = nn.Linear(last.in_features, classes)
        return nn.Sequential(pool, nn.Flatten(), nn.Sequential(*layers, last))


class ResNet(Backbone):
    """A ResNet: four maps.

    Args:
        net: A torchvision ResNet.
        first_stride: Stride of the finest map.
    """

    flexible = True

    def __init__(self, net: Any, first_stride: int):
        super().__init__()
        self.stem = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool)
        self.stages = nn.ModuleList([net.layer1, net.layer2, net.layer3, net.layer4])
        self._last_layers = (net.avgpool, net.fc)
        self.strides = tuple(first_stride * 2**depth for depth in range(4))
        width = net.fc.in_features
        self.channels = (width // 8, width // 4, width // 2, width)

    def layer_groups(self) -> list[nn.Module]:
        """Return the stem and the stages."""
        return [self.stem, *self.stages]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the maps, (B, C, H, W) -> four maps, fine to coarse."""
        x, maps = self.stem(images), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps

    def classifier(self, classes: int) -> nn.Module:
        """Return average pooling and a linear layer, new unless there are 1000 classes."""
        pool, last = self._last_layers
        if classes != IMAGENET_CLASSES:
            last = nn.Linear(last.in_features, classes)
        return nn.Sequential(pool, nn.Flatten(), last)


def _build(name: str, channels: int, size: int, weights: Weights) -> Backbone:
    net, small = _torchvision_net(name, weights), size <= SMALL
    # torchvision initialises AlexNet with torch's defaults, the others after He et al., 2015.
    fill = None if weights is not None else _keep if name == "alexnet" else _initialise
    if name.startswith("resnet"):
        if small:
            net.maxpool = nn.Identity()
        net.conv1 = _first_layer(net.conv1, channels, 3 if small else None, fill)
        return ResNet(net, 1 if small else 4)
    if name == "alexnet":
        net.features[0] = _first_layer(net.features[0], channels, 5 if small else None, fill)
        stride = 8 if small else 32
    else:
        if small:
            pool = next(
                i for i, layer in enumerate(net.features) if isinstance(layer, nn.MaxPool2d)
            )
            net.features[pool] = nn.Identity()
        net.features[0] = _first_layer(net.features[0], channels, None, fill)
        stride = 16 if small else 32
    return FeaturesBackbone(net, stride)


def _torchvision_net(name: str, weights: Weights) -> Any:
    """Torchvision's net, with random weights or the published ones."""
    import torchvision.models  # takes a second to import

    make = getattr(torchvision.models, name)
    if weights is None:
        return make(weights=None)
    with torch.device("meta"):  # the initial values would be overwritten at once
        net = make(weights=None)
    state = pretrained.download(name) if weights == "download" else pretrained.read(Path(weights))
    state = pretrained.match_state_dict(state, net, name, weights)
    net = net.to_empty(device="cpu")
    net.load_state_dict(state)
    return net


def _first_layer(
    old: nn.Conv2d,
    channels: int,
    kernel: int | None,
    fill: Callable[[nn.Conv2d, nn.Conv2d], None] | None,
) -> nn.Conv2d:
    """The first convolution for other channels, and with a kernel for small images."""
    if fill is None:
        pretrained.adapt_to_channels(old, channels)
    if channels == old.in_channels and kernel is None:
        return old
    assert fill is not None, "trained weights have no stem for small images"
    width, bias = old.out_channels, old.bias is not None
    if kernel is None:
        new = nn.Conv2d(channels, width, old.kernel_size, old.stride, old.padding, bias=bias)  # type: ignore[arg-type]
    else:
        new = nn.Conv2d(channels, width, kernel, padding=kernel // 2, bias=bias)
    with torch.no_grad():
        fill(new, old)
    return new


def _initialise(new: nn.Conv2d, _old: nn.Conv2d) -> None:
    nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
    if new.bias is not None:
        nn.init.zeros_(new.bias)


def _keep(_new: nn.Conv2d, _old: nn.Conv2d) -> None:
    """Leave torch's default initialisation."""


MODELS = (
    Model(
        *entry("alexnet"),
        _build,
        has_weights=True,
        default_recipe=PLAIN,
    ),
    *(
        Model(
            *entry(f"vgg{depth}"),
            _build,
            has_weights=True,
            default_recipe=PLAIN,
        )
        for depth in (11, 13, 16, 19)
    ),
    *(
        Model(
            *entry(f"resnet{depth}"),
            _build,
            has_weights=True,
        )
        for depth in (18, 34, 50, 101, 152)
    ),
)
