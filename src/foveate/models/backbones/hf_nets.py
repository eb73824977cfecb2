"""A vision transformer from a folder of transformers, as `hf:DIR`: ViT, DINOv2, with registers.

Dosovitskiy et al., "An image is worth 16x16 words", 2021; Oquab et al., "DINOv2", 2023; Darcet et
al., "Vision transformers need registers", 2024. It always starts from the folder's weights: frozen
under a linear layer (`--set freeze=true`), or fine-tuned.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from foveate import record_io
from foveate.errors import SettingError
from foveate.models import hf_config, hf_folder
from foveate.models.backbone import IMAGENET, Backbone, ChannelStatistics
from foveate.models.catalog import entry
from foveate.models.pretrained import reason
from foveate.models.registry import PLAIN, Model, Weights

HALVES: ChannelStatistics = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True)
class _Family:
    """A family of nets.

    Attributes:
        net: Name of the class in transformers.
        config: Name of its configuration class.
        options: Arguments of the class.
        interpolates: Whether another image size needs `interpolate_pos_encoding`.
        statistics: Channel statistics, for a folder without a preprocessor.
    """

    net: str
    config: str
    options: dict[str, Any]
    interpolates: bool
    statistics: ChannelStatistics


FAMILIES = {
    "vit": _Family("ViTModel", "ViTConfig", {"add_pooling_layer": False}, True, HALVES),
    "dinov2": _Family("Dinov2Model", "Dinov2Config", {}, False, IMAGENET),
    "dinov2_with_registers": _Family(
        "Dinov2WithRegistersModel", "Dinov2WithRegistersConfig", {}, False, IMAGENET
    ),
}


class VisionTransformer(Backbone):
    """One map: at each patch its token, and next to it the class token of the image.

    The mean over the map is therefore the input of DINOv2's linear probe: the mean patch token
    and the class token.

    Args:
        net: A net of transformers.
        interpolates: Whether another image size needs `interpolate_pos_encoding`.
    """

    flexible = True

    def __init__(self, net: Any, interpolates: bool):
        super().__init__()
        self.net, self.interpolates = net, interpolates
        self.channels, self.strides = (2 * net.config.hidden_size,), (net.config.patch_size,)
        self.other_tokens = 1 + getattr(net.config, "num_register_tokens", 0)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the map.

        Args:
            images: (B, 1 or 3, H, W) float.

        Returns:
            One map (B, 2 D, H / patch, W / patch), rounded down.
        """
        count, _, height, width = images.shape
        rows, columns = height // self.strides[0], width // self.strides[0]
        options = {"interpolate_pos_encoding": True} if self.interpolates else {}
        tokens = self.net(images.expand(count, 3, height, width), **options).last_hidden_state
        patches = tokens[:, self.other_tokens :].transpose(1, 2)
        patches = patches.reshape(count, -1, rows, columns)
        whole = tokens[:, 0, :, None, None].expand(-1, -1, rows, columns)
        return [torch.cat([patches, whole], 1)]


def _resolve(name: str) -> Model:
    """The model of this folder, or of the configuration that a run's name holds instead."""
    location = name.partition(":")[2]
    transformers = hf_folder.import_library("transformers", "hf:DIR")
    if location.startswith("{"):
        folder, config = None, _parse_config(location)
    elif location:
        folder, config = location, hf_config.net_config(hf_config.read_description(Path(location)))
    else:
        raise SettingError(
            "a folder is expected after hf:", where="model", remedy="Use --model hf:DIR."
        )
    model_type = config.get("model_type")
    if model_type not in FAMILIES:
        raise SettingError(
            f"a model of type {', '.join(FAMILIES)} is expected, got {model_type!r}",
            where=folder or "model",
            remedy=_REMEDY,
        )
    family = FAMILIES[model_type]
    try:
        patch = int(getattr(transformers, family.config).from_dict(dict(config)).patch_size)
    except Exception as error:  # the library checks each key in its own way
        raise SettingError(
            f"its config.json describes no net ({reason(error)})", where=folder or "model"
        ) from None
    model = replace(MODELS[0], min_size=patch, min_size_pretrained=patch)
    if folder is None:
        return model
    text = json.dumps(config, separators=(",", ":"))
    return replace(model, own_weights=folder, config=text)


def _parse_config(text: str) -> dict[str, Any]:
    try:
        config: dict[str, Any] = record_io.parse_json(text)
    except ValueError as error:
        raise SettingError(
            f"this description of a net cannot be read ({error})", where="model"
        ) from None
    hf_config.check_numbers(config, "model")
    return config


def _build(name: str, channels: int, _size: int, weights: Weights) -> VisionTransformer:
    if channels not in (1, 3):
        raise SettingError(
            f"grey or colour images are expected, got {channels} channels",
            where="model",
            remedy="Use another model.",
        )
    transformers = hf_folder.import_library("transformers", "hf:DIR")
    location = name.partition(":")[2]
    folder = None if location.startswith("{") else Path(location)
    config = (
        _parse_config(location)
        if folder is None
        else hf_config.net_config(hf_config.read_description(folder))
    )
    family = FAMILIES[config["model_type"]]
    kind = getattr(transformers, family.net)
    if weights is None or folder is None:
        with hf_folder.quiet():
            settings = getattr(transformers, family.config).from_dict(dict(config))
            settings._attn_implementation = "sdpa"
            net = kind(settings, **family.options)
    else:
        net = hf_folder.load_net(kind, folder, config, **family.options).requires_grad_(True)
    backbone = VisionTransformer(net, family.interpolates)
    # Only masked pre-training uses the mask token; it would get no gradient.
    if getattr(net.embeddings, "mask_token", None) is not None:
        net.embeddings.mask_token.requires_grad_(False)
    backbone.statistics = (
        family.statistics if folder is None else _statistics(folder, family.statistics)
    )
    return backbone.train()


def _statistics(folder: Path, default: ChannelStatistics) -> ChannelStatistics:
    """The statistics that the folder's preprocessor normalises with."""
    if not (folder / "preprocessor_config.json").is_file():
        return default
    preprocessor = hf_config.read_description(folder, "preprocessor_config.json")
    try:
        mean, std = (
            tuple(map(float, preprocessor.get(key) or values))
            for key, values in zip(("image_mean", "image_std"), default, strict=True)
        )
    except (TypeError, ValueError):
        raise SettingError(
            "this file is damaged (numbers are expected as image_mean and image_std)",
            where=folder / "preprocessor_config.json",
            remedy="Download the folder again, complete.",
        ) from None
    return (mean, std) if len(mean) == len(std) == 3 and min(std) > 0 else default


_REMEDY = (
    "CLIP, SAM and Stable Diffusion have names of their own: see docs/how-to/foundation-models.md."
)
MODELS = (
    Model(
        *entry("hf:*"),
        _build,
        has_weights=True,
        min_size_pretrained=14,
        default_recipe=PLAIN,
        resolve=_resolve,
    ),
)
