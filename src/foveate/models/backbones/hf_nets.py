"""A vision transformer from a folder that transformers saved, as `hf:DIR`: ViT, DINOv2, DINOv2 with registers.

Dosovitskiy et al., "An image is worth 16x16 words", 2021; Oquab et al., "DINOv2", 2023; Darcet et al., "Vision transformers need
registers", 2024. Its weights are always those of the folder: frozen (`--set freeze=true`) under a linear layer, or fine-tuned.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from foveate.errors import SettingError
from foveate.models import hf_folder
from foveate.models.backbone import IMAGENET, Backbone, Statistics
from foveate.models.pretrained import reason
from foveate.models.registry import PLAIN, Model, Weights

HALVES: Statistics = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True)
class _Family:
    """net, config: transformers' classes; given: to the net; sized: whether a picture's size must be told to be another;
    statistics: of the pictures, where the folder does not say
    """

    net: str
    config: str
    given: dict[str, Any]
    sized: bool
    statistics: Statistics


FAMILIES = {
    "vit": _Family("ViTModel", "ViTConfig", {"add_pooling_layer": False}, True, HALVES),
    "dinov2": _Family("Dinov2Model", "Dinov2Config", {}, False, IMAGENET),
    "dinov2_with_registers": _Family(
        "Dinov2WithRegistersModel", "Dinov2WithRegistersConfig", {}, False, IMAGENET
    ),
}


class Patches(Backbone):
    """One map, a place a patch: its own token, and beside it the token of the whole picture. The mean over the map is therefore
    what a linear probe of DINOv2 gets: the mean of all patches, and the class token.
    """

    flexible = True

    def __init__(self, net: Any, sized: bool):
        super().__init__()
        self.net, self.sized = net, sized
        self.channels, self.strides = (2 * net.config.hidden_size,), (net.config.patch_size,)
        self.others = 1 + getattr(net.config, "num_register_tokens", 0)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 1 or 3, H, W) -> one map, (B, 2 D, H / patch, W / patch), rounded down."""
        count, _, height, width = images.shape
        rows, columns = height // self.strides[0], width // self.strides[0]
        options = {"interpolate_pos_encoding": True} if self.sized else {}
        tokens = self.net(images.expand(count, 3, height, width), **options).last_hidden_state
        own = tokens[:, self.others :].transpose(1, 2).reshape(count, -1, rows, columns)
        whole = tokens[:, 0, :, None, None].expand(-1, -1, rows, columns)
        return [torch.cat([own, whole], 1)]


def _of(name: str) -> Model:
    """The model as its folder describes it; its name may hold the description itself, as a run's weights do."""
    told = name.partition(":")[2]
    transformers = hf_folder.library("transformers", "hf:DIR")
    if told.startswith("{"):
        folder, described = None, _parsed(told)
    elif told:
        folder, described = told, hf_folder.described(hf_folder.read_json(Path(told)))
    else:
        raise SettingError(
            "hf: is expected to be followed by a folder",
            where="model",
            remedy="Use --model hf:DIR.",
        )
    kind = described.get("model_type")
    if kind not in FAMILIES:
        raise SettingError(
            f"a model of type {', '.join(FAMILIES)} is expected, got {kind!r}",
            where=folder or "model",
            remedy=_REMEDY,
        )
    family = FAMILIES[kind]
    try:
        patch = int(getattr(transformers, family.config).from_dict(dict(described)).patch_size)
    except Exception as error:  # the library checks each key in its own way
        raise SettingError(
            f"its config.json describes no net ({reason(error)})", where=folder or "model"
        ) from None
    own = replace(MODELS[0], smallest=patch, smallest_published=patch)
    if folder is None:
        return own
    return replace(own, folder=folder, definition=json.dumps(described, separators=(",", ":")))


def _parsed(told: str) -> dict[str, Any]:
    try:
        described: dict[str, Any] = json.loads(told)
    except ValueError as error:
        raise SettingError(
            f"this description of a net cannot be read ({error})", where="model"
        ) from None
    return described


def _build(name: str, channels: int, size: int, weights: Weights) -> Patches:
    if channels not in (1, 3):
        raise SettingError(
            f"grey or colour pictures are expected, got {channels} channels",
            where="model",
            remedy="Use another model.",
        )
    transformers, told = hf_folder.library("transformers", "hf:DIR"), name.partition(":")[2]
    folder = None if told.startswith("{") else Path(told)
    described = (
        _parsed(told) if folder is None else hf_folder.described(hf_folder.read_json(folder))
    )
    family = FAMILIES[described["model_type"]]
    kind = getattr(transformers, family.net)
    if weights is None or folder is None:
        with hf_folder.quiet():
            config = getattr(transformers, family.config).from_dict(dict(described))
            config._attn_implementation = "sdpa"
            built = Patches(kind(config, **family.given), family.sized)
    else:
        built = Patches(
            hf_folder.net(kind, folder, described, **family.given).requires_grad_(True),
            family.sized,
        )
    if getattr(built.net.embeddings, "mask_token", None) is not None:
        built.net.embeddings.mask_token.requires_grad_(
            False
        )  # for a way of training that is not ours
    built.statistics = (
        family.statistics if folder is None else _statistics(folder, family.statistics)
    )
    del size
    return built.train()


def _statistics(folder: Path, usual: Statistics) -> Statistics:
    """What its pictures were normalised by, as its preprocessor says."""
    if not (folder / "preprocessor_config.json").is_file():
        return usual
    told = hf_folder.read_json(folder, "preprocessor_config.json")
    mean, std = (
        tuple(map(float, told.get(key) or own))
        for key, own in zip(("image_mean", "image_std"), usual, strict=True)
    )
    return (mean, std) if len(mean) == len(std) == 3 and all(std) else usual


_REMEDY = "CLIP, SAM and Stable Diffusion have names of their own: see docs/foundation.md."
MODELS = (
    Model(
        "hf:*",
        "ViT or DINOv2 from a folder of transformers: hf:DIR (pip install 'foveate[foundation]')",
        "Dosovitskiy et al., 2021; Oquab et al., 2023",
        14,
        _build,
        published=True,
        smallest_published=14,
        trained=PLAIN,
        verify=_of,
    ),
)
