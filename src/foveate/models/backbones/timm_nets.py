"""Any net of timm that gives feature maps, as `timm:NAME` (Wightman, "PyTorch Image Models", 2019)."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from foveate.errors import SettingError
from foveate.models import pretrained
from foveate.models.backbone import Backbone
from foveate.models.registry import PLAIN, Model, Weights


class TinyEncoder(Backbone):
    """What timm calls `features_only`: the maps after each stage, without the published last layer."""

    def __init__(self, net: Any):
        super().__init__()
        self.net = net
        self.channels = tuple(net.feature_info.channels())
        self.strides = tuple(net.feature_info.reduction())
        self.channels_last = getattr(net, "output_fmt", "NCHW") == "NHWC"

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, C, H, W) -> the maps, fine to coarse; those of a transformer are all of one stride."""
        maps = self.net(images)
        return [found.permute(0, 3, 1, 2) for found in maps] if self.channels_last else list(maps)


def _known(name: str) -> Any:
    """Timm itself, if it has this net."""
    try:
        import timm
    except ImportError:
        raise SettingError(
            f"{name} needs timm, which is not installed",
            where="model",
            remedy="pip install 'foveate[timm]'",
        ) from None
    wanted = name.removeprefix("timm:")
    architecture, _, tag = wanted.partition(".")
    # A name such as hf-hub:... would fetch from the network; what is not in timm's own register is refused here.
    if not timm.is_model(architecture):
        near = difflib.get_close_matches(architecture, timm.list_models(), n=5)
        raise SettingError(
            f"timm has no net called {wanted!r}"
            + (f"; did you mean {' or '.join(near)}?" if near else ""),
            where="model",
            remedy="Its names are listed by: python -c 'import timm; print(timm.list_models())'",
        )
    if tag and wanted not in timm.list_models(f"{architecture}.*", pretrained=True):
        tags = ", ".join(timm.list_models(f"{architecture}.*", pretrained=True))
        raise SettingError(
            f"timm has no weights called {wanted!r}",
            where="model",
            remedy=f"It has: {tags or 'none for this net'}.",
        )
    return timm


def _build(name: str, channels: int, size: int, weights: Weights) -> TinyEncoder:
    timm, wanted = _known(name), name.removeprefix("timm:")
    about = timm.models.get_pretrained_cfg(wanted)
    given: dict[str, Any] = {"model_name": wanted, "in_chans": channels}
    if about is not None and about.fixed_input_size:
        given["img_size"] = size
    backbone = _tried(timm, given, name, channels, size)
    if weights == "download":
        backbone = _downloaded(timm, given, name)
    elif weights is not None:
        backbone = _from_file(timm, given, name, weights)
    if about is not None:
        backbone.statistics = (tuple(about.mean), tuple(about.std))
    return backbone


def _tried(timm: Any, given: dict[str, Any], name: str, channels: int, size: int) -> TinyEncoder:
    """With random weights, and shown one picture: not every net takes every size, and none says so beforehand."""
    try:
        backbone = TinyEncoder(timm.create_model(features_only=True, **given))
        with torch.no_grad():
            maps = backbone.eval()(torch.zeros(1, channels, size, size))
        if any(
            found.ndim != 4 or found.shape[1] != width
            for found, width in zip(maps, backbone.channels, strict=True)
        ):
            raise ValueError(
                f"its features have the shapes {[tuple(found.shape) for found in maps]}"
            )
    except Exception as error:  # each net has its own way to fail
        raise SettingError(
            f"{name} gives no feature maps for pictures of {channels} x {size} x {size} ({pretrained.reason(error)})",
            where="model",
            remedy="Try --size 224, or another model.",
        ) from None
    return backbone.train()


def _downloaded(timm: Any, given: dict[str, Any], name: str) -> TinyEncoder:
    try:
        return TinyEncoder(timm.create_model(features_only=True, pretrained=True, **given))
    except Exception as error:  # the hub's client has its own errors for network, disk and names
        raise SettingError(
            f"the published weights of {name} could not be had ({pretrained.reason(error)})",
            where="weights",
            remedy="Fetch the file elsewhere and give it with --weights FILE, or train without.",
        ) from None


def _from_file(timm: Any, given: dict[str, Any], name: str, path: Path) -> TinyEncoder:
    state = pretrained.read(path)

    def loaded(**more: Any) -> nn.Module:
        source = {"state_dict": dict(state), "source": "", "url": "", "file": "", "hf_hub_id": ""}
        return timm.create_model(pretrained=True, pretrained_cfg_overlay=source, **given, **more)

    try:
        loaded()  # the whole net is loaded strictly, the features alone would leave out in silence what does not match
    except Exception as error:
        raise SettingError(
            f"these are not the published weights of {name} ({pretrained.reason(error)})",
            where=path,
            remedy="Give the file that timm publishes for this name, with its last layer.",
        ) from None
    net = loaded(features_only=True)
    for (
        module
    ) in net.modules():  # timm keeps what it loaded; every copy of the net would copy that too
        getattr(module, "pretrained_cfg", {}).pop("state_dict", None)
    return TinyEncoder(net)


MODELS = (
    Model(
        "timm:*",
        "any of timm's nets: timm:convnext_atto (pip install 'foveate[timm]')",
        "Wightman, 2019, and each net's own",
        32,
        _build,
        published=True,
        smallest_published=32,
        trained=PLAIN,
        example="timm:convnext_atto",
        verify=_known,
    ),
)
