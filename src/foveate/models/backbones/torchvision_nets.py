"""AlexNet, VGG and ResNet on torchvision's own modules: there is no second copy of an architecture here.

On pictures up to 64 pixels a side their first layers, made for 224, would leave nothing to look at. There they get a
stem that fits: for ResNet a 3x3 convolution without stride and no max-pooling, as He et al. did on CIFAR-10; for VGG no
first max-pooling; for AlexNet a 5x5 convolution without stride instead of 11x11 with stride 4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from foveate.models import pretrained
from foveate.models.backbone import Backbone
from foveate.models.registry import PLAIN, SMALL, Model, Weights

IMAGENET_CLASSES = 1000


class Stacked(Backbone):
    """A net of which torchvision knows `features` and a `classifier`: AlexNet and VGG. One map."""

    def __init__(self, net: Any, stride: int):
        super().__init__()
        self.features = net.features
        self._end = (
            net.avgpool,
            net.classifier,
        )  # a tuple, so that these are not weights of the backbone too
        last = next(layer for layer in reversed(net.features) if isinstance(layer, nn.Conv2d))
        self.channels, self.strides = (last.out_channels,), (stride,)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, C, H, W) -> one map."""
        return [self.features(images)]

    def classifier(self, classes: int) -> nn.Module:
        """The paper's own, with the weights the net was built with; only for 1000 classes with its last layer too."""
        pool, (*layers, last) = self._end
        if classes != IMAGENET_CLASSES:
            last = nn.Linear(last.in_features, classes)
        return nn.Sequential(pool, nn.Flatten(), nn.Sequential(*layers, last))


class Residual(Backbone):
    """A ResNet: a pyramid of four maps."""

    flexible = True

    def __init__(self, net: Any, first_stride: int):
        super().__init__()
        self.stem = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool)
        self.stages = nn.ModuleList([net.layer1, net.layer2, net.layer3, net.layer4])
        self._end = (net.avgpool, net.fc)
        self.strides = tuple(first_stride * 2**depth for depth in range(4))
        width = net.fc.in_features
        self.channels = (width // 8, width // 4, width // 2, width)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, C, H, W) -> four maps, fine to coarse."""
        x, maps = self.stem(images), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps

    def classifier(self, classes: int) -> nn.Module:
        """Mean over the map and one linear layer; for 1000 classes the one the net was built with."""
        pool, last = self._end
        if classes != IMAGENET_CLASSES:
            last = nn.Linear(last.in_features, classes)
        return nn.Sequential(pool, nn.Flatten(), last)


def _build(name: str, channels: int, size: int, weights: Weights) -> Backbone:
    net, small = _whole(name, weights), size <= SMALL
    # torchvision draws AlexNet's weights as torch does by default, those of the others after He et al., 2015.
    fill = _adapt if weights is not None else _leave if name == "alexnet" else _draw
    if name.startswith("resnet"):
        if small:
            net.maxpool = nn.Identity()
        net.conv1 = _first(net.conv1, channels, 3 if small else None, fill)
        return Residual(net, 1 if small else 4)
    if name == "alexnet":
        net.features[0] = _first(net.features[0], channels, 5 if small else None, fill)
        stride = 8 if small else 32
    else:
        if small:
            pool = next(
                i for i, layer in enumerate(net.features) if isinstance(layer, nn.MaxPool2d)
            )
            net.features[pool] = nn.Identity()
        net.features[0] = _first(net.features[0], channels, None, fill)
        stride = 16 if small else 32
    return Stacked(net, stride)


def _whole(name: str, weights: Weights) -> Any:
    """Torchvision's own net, with random weights or with the published ones."""
    import torchvision.models  # takes a second, which only these nets need to wait for

    make = getattr(torchvision.models, name)
    if weights is None:
        return make(weights=None)
    with torch.device(
        "meta"
    ):  # first values for 140 million weights take seconds, and are about to be overwritten
        net = make(weights=None)
    state = pretrained.download(name) if weights == "download" else pretrained.read(weights)
    state = pretrained.fitted(state, net, name, weights)
    net = net.to_empty(device="cpu")
    net.load_state_dict(state)
    return net


def _first(
    old: nn.Conv2d, channels: int, kernel: int | None, fill: Callable[[nn.Conv2d, nn.Conv2d], None]
) -> nn.Conv2d:
    """The first convolution for another number of channels; with a kernel given: of that size, and without stride."""
    if channels == old.in_channels and kernel is None:
        return old
    width, bias = old.out_channels, old.bias is not None
    if kernel is None:
        new = nn.Conv2d(channels, width, old.kernel_size, old.stride, old.padding, bias=bias)  # type: ignore[arg-type]
    else:
        new = nn.Conv2d(channels, width, kernel, padding=kernel // 2, bias=bias)
    with torch.no_grad():
        fill(new, old)
    return new


def _adapt(new: nn.Conv2d, old: nn.Conv2d) -> None:
    """Trained filters answer to a grey picture as they did to one whose three colours are equal, so they are summed over
    colour. For other counts they are repeated, and scaled so that the sum stays alike: what follows was trained on
    answers of that size. (timm does the same.)
    """
    count = new.in_channels
    if count == 1:
        new.weight.copy_(old.weight.sum(1, keepdim=True))
    else:
        repeated = old.weight.repeat(1, -(-count // old.in_channels), 1, 1)[:, :count]
        new.weight.copy_(repeated * (old.in_channels / count))
    if new.bias is not None and old.bias is not None:
        new.bias.copy_(old.bias)


def _draw(new: nn.Conv2d, old: nn.Conv2d) -> None:
    del old
    nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
    if new.bias is not None:
        nn.init.zeros_(new.bias)


def _leave(new: nn.Conv2d, old: nn.Conv2d) -> None:
    del new, old


_ALEX, _VGG, _HE = (
    "Krizhevsky, Sutskever and Hinton, 2012",
    "Simonyan and Zisserman, 2015",
    "He et al., 2016",
)
MODELS = (
    Model(
        "alexnet",
        "five convolutions, three linear layers",
        _ALEX,
        15,
        _build,
        published=True,
        trained=PLAIN,
    ),
    *(
        Model(
            f"vgg{depth}",
            f"{depth} layers of 3x3 convolutions",
            _VGG,
            16,
            _build,
            published=True,
            trained=PLAIN,
        )
        for depth in (11, 13, 16, 19)
    ),
    *(
        Model(
            f"resnet{depth}",
            f"{depth} layers with residual connections",
            _HE,
            8,
            _build,
            published=True,
        )
        for depth in (18, 34, 50, 101, 152)
    ),
)
