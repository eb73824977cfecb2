"""AlexNet, VGG and ResNet on torchvision's own modules: there is no second copy of an architecture here.

On pictures up to 64 pixels a side their first layers, made for 224, would leave nothing to look at. There they get a
stem that fits: for ResNet a 3x3 convolution without stride and no max-pooling, as He et al. did on CIFAR-10; for VGG no
first max-pooling; for AlexNet a 5x5 convolution without stride instead of 11x11 with stride 4.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from foveate.errors import SettingError
from foveate.models.backbone import Backbone
from foveate.models.registry import PLAIN, SMALL, Model, Weights

IMAGENET = 1000


class Stacked(Backbone):
    """A net of which torchvision knows `features` and a `classifier`: AlexNet and VGG."""

    def __init__(self, net: Any, strides: int):
        super().__init__()
        self.features, self._rest = net.features, [net.avgpool, net.classifier]
        last = next(layer for layer in reversed(net.features) if isinstance(layer, nn.Conv2d))
        self.channels, self.strides = (last.out_channels,), (strides,)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, C, H, W) -> one map."""
        return [self.features(images)]

    def classifier(self, classes: int) -> nn.Module:
        pool, layers = self._rest
        if classes != IMAGENET:
            layers[-1] = nn.Linear(layers[-1].in_features, classes)
        return nn.Sequential(pool, nn.Flatten(), layers)


class Residual(Backbone):
    """A ResNet: a pyramid of four maps."""

    def __init__(self, net: Any, first_stride: int):
        super().__init__()
        self.stem = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool)
        self.stages = nn.ModuleList([net.layer1, net.layer2, net.layer3, net.layer4])
        self._rest = [net.avgpool, net.fc]
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
        pool, last = self._rest
        if classes != IMAGENET:
            last = nn.Linear(last.in_features, classes)
        return nn.Sequential(pool, nn.Flatten(), last)


def _build(name: str, channels: int, size: int, weights: Weights) -> Backbone:
    import torchvision.models  # takes a second, which only these nets need to wait for

    net: Any = getattr(torchvision.models, name)(weights=None)
    if weights is not None:
        net.load_state_dict(_published(name, weights, net))
    small = size <= SMALL
    if name.startswith("resnet"):
        if small:
            net.conv1, net.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
            nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
        net.conv1 = _for_channels(net.conv1, channels, weights is not None)
        return Residual(net, 1 if small else 4)
    if small and name == "alexnet":
        net.features[0] = nn.Conv2d(3, 64, 5, padding=2)
    if small and name.startswith("vgg"):
        first = next(i for i, layer in enumerate(net.features) if isinstance(layer, nn.MaxPool2d))
        net.features[first] = nn.Identity()
    net.features[0] = _for_channels(net.features[0], channels, weights is not None)
    strides = {"alexnet": 8 if small else 32}.get(name, 16 if small else 32)
    return Stacked(net, strides)


def _for_channels(layer: nn.Conv2d, channels: int, trained: bool) -> nn.Conv2d:
    """The same convolution for another number of channels. Trained filters answer to a grey picture as they did to one
    whose three colours are equal (their sum); for other counts they are repeated, scaled so that the sum stays alike."""
    if channels == layer.in_channels:
        return layer
    bias = layer.bias is not None
    new = nn.Conv2d(channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding, bias=bias)  # type: ignore[arg-type]
    if not trained:
        nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
        if new.bias is not None:
            nn.init.zeros_(new.bias)
        return new
    with torch.no_grad():
        if channels == 1:
            new.weight.copy_(layer.weight.sum(1, keepdim=True))
        else:
            repeated = layer.weight.repeat(1, -(-channels // layer.in_channels), 1, 1)[:, :channels]
            new.weight.copy_(repeated * layer.in_channels / channels)
        if new.bias is not None and layer.bias is not None:
            new.bias.copy_(layer.bias)
    return new


def _published(name: str, weights: Path | str, net: nn.Module) -> dict[str, Tensor]:
    """The published state of torchvision's net, from a local file or, if asked for, by torchvision's own download."""
    if weights == "download":
        import torchvision.models

        try:
            found = torchvision.models.get_model_weights(name).DEFAULT.get_state_dict(progress=False, check_hash=True)
        except OSError as error:
            raise SettingError(
                f"the published weights of {name} could not be downloaded ({error})",
                where="pretrained",
                remedy="Give a local file with --weights FILE, or train without.",
            ) from None
        return dict(found)
    path = Path(weights)
    state = _read(path)
    wanted = net.state_dict()
    missing, strange = wanted.keys() - state.keys(), state.keys() - wanted.keys()
    wrong = [key for key in wanted.keys() & state.keys() if wanted[key].shape != state[key].shape]
    if missing or strange or wrong:
        example = sorted(missing or strange or wrong)[0]
        raise SettingError(
            f"these are not the published weights of {name}: {len(missing)} tensors are missing, {len(strange)} are "
            f"unknown, {len(wrong)} have another shape, e.g. {example}",
            where=path,
            remedy=f"Give the file of torchvision's {name} for ImageNet.",
        )
    return state


def _read(path: Path) -> dict[str, Tensor]:
    """A .safetensors file, or a .pth one without code in it."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)  # refuses pickled code
        if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
            raise ValueError("it holds no state dict")
        return state
    except FileNotFoundError:
        raise SettingError(
            "there is no such file of weights", where=path, remedy="Give a local file, or --pretrained."
        ) from None
    except Exception as error:  # what a damaged file raises differs from library to library
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise SettingError(
            f"these weights cannot be read safely ({reason})",
            where=path,
            remedy="Give a .safetensors file, or a .pth file of tensors alone.",
        ) from None


_ALEX, _VGG, _HE = "Krizhevsky, Sutskever and Hinton, 2012", "Simonyan and Zisserman, 2015", "He et al., 2016"
MODELS = (
    Model("alexnet", "five convolutions, three linear layers", _ALEX, 16, _build, published=True, trained=PLAIN),
    *(
        Model(f"vgg{depth}", f"{depth} layers of 3x3 convolutions", _VGG, 16, _build, published=True, trained=PLAIN)
        for depth in (11, 13, 16, 19)
    ),
    *(
        Model(f"resnet{depth}", f"{depth} layers with residual connections", _HE, 8, _build, published=True)
        for depth in (18, 34, 50, 101, 152)
    ),
)
