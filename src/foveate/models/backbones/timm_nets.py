"""Any net of timm that gives feature maps, as `timm:NAME`.

Wightman, "PyTorch Image Models", 2019.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from foveate.errors import SettingError
from foveate.models import pretrained, weight_file
from foveate.models.backbone import Backbone
from foveate.models.catalog import entry
from foveate.models.registry import PLAIN, Model, Weights
from foveate.models.timm_import import import_timm


class TimmBackbone(Backbone):
    """The maps after each stage of a timm net, without its last layer.

    Args:
        net: A timm net created with `features_only=True`.
    """

    def __init__(self, net: Any):
        super().__init__()
        self.net = net
        self.channels = tuple(net.feature_info.channels())
        self.strides = tuple(net.feature_info.reduction())
        self.channels_last = getattr(net, "output_fmt", "NCHW") == "NHWC"

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the maps, fine to coarse; a transformer's maps all have the same stride."""
        maps = self.net(images)
        return [one.permute(0, 3, 1, 2) for one in maps] if self.channels_last else list(maps)


def _resolve(name: str) -> Model:
    _import_timm(name)
    return MODELS[0]


def _import_timm(name: str) -> Any:
    """Import timm and check that it has this net.

    A name such as hf-hub:... would use the network; only names of timm's own registry pass.
    """
    timm = import_timm()

    net = name.removeprefix("timm:")
    architecture, _, tag = net.partition(".")
    if not timm.is_model(architecture):
        near = difflib.get_close_matches(architecture, timm.list_models(), n=5)
        raise SettingError(
            f"timm has no net called {net!r}"
            + (f"; did you mean {' or '.join(near)}?" if near else ""),
            where="model",
            remedy="List its names with: python -c 'import timm; print(timm.list_models())'",
        )
    if tag and net not in timm.list_models(f"{architecture}.*", pretrained=True):
        tags = ", ".join(timm.list_models(f"{architecture}.*", pretrained=True))
        raise SettingError(
            f"timm has no weights called {net!r}",
            where="model",
            remedy=f"It has: {tags or 'none for this net'}.",
        )
    return timm


def _build(name: str, channels: int, size: int, weights: Weights) -> TimmBackbone:
    timm, net = _import_timm(name), name.removeprefix("timm:")
    config = timm.models.get_pretrained_cfg(net)
    options: dict[str, Any] = {"model_name": net, "in_chans": channels}
    if config is not None and config.fixed_input_size:
        options["img_size"] = size
    backbone = _random(timm, options, name, channels, size)
    if weights == "download":
        backbone = _downloaded(timm, options, name)
    elif weights is not None:
        backbone = _from_file(timm, options, name, Path(weights))
    if config is not None:
        backbone.statistics = (tuple(config.mean), tuple(config.std))
    return backbone


def _random(
    timm: Any, options: dict[str, Any], name: str, channels: int, size: int
) -> TimmBackbone:
    """Build it with random weights and try one image: no net lists the sizes that it takes."""
    try:
        backbone = TimmBackbone(timm.create_model(features_only=True, **options))
        with torch.no_grad():
            maps = backbone.eval()(torch.zeros(1, channels, size, size))
        if any(
            one.ndim != 4 or one.shape[1] != width
            for one, width in zip(maps, backbone.channels, strict=True)
        ):
            raise ValueError(f"its features have the shapes {[tuple(one.shape) for one in maps]}")
    except weight_file.TooLargeError:
        raise
    except Exception as error:  # each net has its own way to fail
        if torch.get_default_device().type == "meta":  # `weight_file.filled` tries it with numbers
            raise
        raise SettingError(
            f"{name} gives no feature maps for images of {channels} x {size} x {size} "
            f"({pretrained.reason(error)})",
            where="model",
            remedy="Try --size 224, or another model.",
        ) from None
    return backbone.train()


def _downloaded(timm: Any, options: dict[str, Any], name: str) -> TimmBackbone:
    try:
        return TimmBackbone(timm.create_model(features_only=True, pretrained=True, **options))
    except Exception as error:  # the hub's client has its own errors for network, disk and names
        raise SettingError(
            f"the published weights of {name} could not be downloaded ({pretrained.reason(error)})",
            where="weights",
            remedy="Download the file elsewhere and give it with --weights FILE, "
            "or train without it.",
        ) from None


def _from_file(timm: Any, options: dict[str, Any], name: str, path: Path) -> TimmBackbone:
    state = pretrained.read(path)

    def load(**more: Any) -> nn.Module:
        source = {"state_dict": dict(state), "source": "", "url": "", "file": "", "hf_hub_id": ""}
        net: nn.Module = timm.create_model(
            pretrained=True, pretrained_cfg_overlay=source, **options, **more
        )
        return net

    try:
        # The whole net is loaded strictly; features_only would silently skip what does not match.
        load()
    except Exception as error:
        raise SettingError(
            f"these are not the published weights of {name} ({pretrained.reason(error)})",
            where=path,
            remedy="Give the file that timm publishes for this name, with its last layer.",
        ) from None
    net = load(features_only=True)
    for module in net.modules():
        # timm keeps the state dict that it loaded, and every copy of the net would copy it too.
        getattr(module, "pretrained_cfg", {}).pop("state_dict", None)
    return TimmBackbone(net)


MODELS = (
    Model(
        *entry("timm:*"),
        _build,
        has_weights=True,
        min_size_pretrained=32,
        default_recipe=PLAIN,
        example="timm:convnext_atto",
        resolve=_resolve,
    ),
)
