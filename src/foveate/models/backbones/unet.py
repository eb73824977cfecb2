"""The U-Net: the paper's, or with any other backbone as its encoder.

Ronneberger, Fischer and Brox, "U-Net: Convolutional networks for biomedical image segmentation",
2015. One thing differs, as in nearly every U-Net since: the paper's convolutions are unpadded and
its output is 184 pixels smaller than the image; here they are padded and the sizes are equal.
"""

from __future__ import annotations

import re
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foveate.errors import SettingError
from foveate.models import registry
from foveate.models.backbone import Backbone
from foveate.models.catalog import entry
from foveate.models.heads.segmentation import (
    Decoder,
    FinestMapHead,
    SegmentationHead,
    SkipSumHead,
    crop_or_extend,
)
from foveate.models.registry import PLAIN, Model, Weights, refuse_if_huge

WIDTH, DEPTH = 64, 4
"""The paper's: channels of the finest map, and number of halvings."""


class UNet(Backbone):
    """The paper's net: depth + 1 maps of its decoder, fine to coarse.

    Args:
        channels: Channels of the images.
        width: Channels of the finest map; they double with each halving.
        depth: Number of halvings.
    """

    flexible = True

    def __init__(self, channels: int, width: int = WIDTH, depth: int = DEPTH):
        super().__init__()
        widths = [width * 2**level for level in range(depth + 1)]
        self.down = nn.ModuleList(
            _double_convolution(before, after)
            for before, after in zip([channels, *widths], widths, strict=False)
        )
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, 2) for w in widths[:-1])
        self.up = nn.ModuleList(_double_convolution(2 * w, w) for w in widths[:-1])
        self.dropout = nn.Dropout(0.5)  # "at the end of the contracting path"
        self.channels, self.strides = tuple(widths), tuple(2**level for level in range(depth + 1))
        for module in self.modules():
            # Section 3 of the paper initialises after He et al., 2015.
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the maps, (B, C, H, W) -> (B, width, H, W), (B, 2 width, H / 2, W / 2), ..."""
        skips, x = [], images
        for level, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if level else x)
            skips.append(x)
        maps = [self.dropout(skips.pop())]
        for enlarge, block in zip(reversed(self.enlarge), reversed(self.up), strict=True):
            skip = skips.pop()
            maps.append(block(torch.cat([skip, crop_or_extend(enlarge(maps[-1]), skip)], 1)))
        return maps[::-1]

    def segmenter(self, outputs: int) -> SegmentationHead:
        """Build a 1x1 convolution on the finest map."""
        return FinestMapHead(self.channels[0], outputs)

    def detector(self, classes: int) -> nn.Module:  # noqa: ARG002 - see Backbone
        """Raise SettingError: a detector uses coarse maps only."""
        raise _no_boxes("yolo")


class EncoderUNet(Backbone):
    """Another backbone as the encoder, and a decoder up to half of the image's size.

    Args:
        encoder: The backbone.
        name: Name of the encoder, for messages.
    """

    def __init__(self, encoder: Backbone, name: str):
        super().__init__()
        self.encoder, self.name = encoder, name
        self.decoder = Decoder(encoder.channels, encoder.strides)
        self.channels, self.strides = self.decoder.channels, self.decoder.strides
        self.flexible, self.statistics = encoder.flexible, encoder.statistics

    def layer_groups(self) -> list[nn.Module]:
        """Return the encoder's groups; the decoder has no published weights."""
        return self.encoder.layer_groups()

    def fit(self, images: Tensor) -> None:
        """Let the encoder compute what it does not learn."""
        self.encoder.fit(images)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the decoder's maps, (B, C, H, W) -> fine to coarse."""
        maps: list[Tensor] = self.decoder(self.encoder(images))
        return maps

    def segmenter(self, outputs: int) -> SegmentationHead:
        """Build a linear layer on each map; their logits are added."""
        return SkipSumHead(self.channels, self.strides, outputs)

    def detector(self, classes: int) -> nn.Module:  # noqa: ARG002 - see Backbone
        """Raise SettingError: a detector uses coarse maps only."""
        raise _no_boxes(self.name)


def _no_boxes(alternative: str) -> SettingError:
    """A detector uses coarse maps only: the decoder would be computed for nothing."""
    return SettingError(
        "a U-Net predicts masks, not boxes",
        where="model",
        remedy=f"Use --model {alternative}.",
    )


def _double_convolution(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True),
        nn.Conv2d(width, width, 3, padding=1), nn.ReLU(inplace=True),
    )  # fmt: skip


def _build(name: str, channels: int, size: int, weights: Weights) -> Backbone:
    variant = name.partition(":")[2]
    if numbers := _width_and_depth(variant):
        width, depth = numbers
        refuse_if_huge(name, 30 * width**2 * 4**depth, size)
        return UNet(channels, width, depth)
    encoder = registry.build(variant, channels=channels, size=size, weights=weights)
    return EncoderUNet(encoder, variant)


def _width_and_depth(variant: str) -> tuple[int, int] | None:
    """Width and depth as in "16x3", the paper's for an empty text, None for an encoder's name."""
    if not variant:
        return WIDTH, DEPTH
    match = re.fullmatch(r"([1-9]\d{0,3})(?:x([1-9]))?", variant)
    return match and (int(match[1]), int(match[2] or DEPTH))


def _resolve(name: str) -> Model:
    """The model of this name; with an encoder it is trained and limited as the encoder is."""
    variant = name.partition(":")[2]
    if numbers := _width_and_depth(variant) if variant else None:
        return replace(MODELS[1], min_size=2 ** numbers[1])
    family = variant.partition(":")[0]
    if family in ("mlp", "unet"):
        raise SettingError(
            f"{family} cannot be the encoder of a U-Net", where="model", remedy=_REMEDY
        )
    try:
        encoder = registry.find(variant)
    except SettingError as error:
        raise SettingError(
            f"unet: {error.message}", where="model", remedy=f"{error.remedy or ''} {_REMEDY}"
        ) from None
    return replace(
        encoder,
        name=name,
        build=_build,
        summary=MODELS[1].summary,
        paper=MODELS[1].paper,
        example=name,
        resolve=_resolve,
    )


_REMEDY = (
    "After 'unet:' comes a width (unet:16), a width and depth (unet:16x3), "
    "or another model (unet:resnet18)."
)
MODELS = (
    Model(*entry("unet"), _build, default_recipe=PLAIN),
    Model(
        *entry("unet:*"),
        _build,
        default_recipe=PLAIN,
        example="unet:tiny_encoder",
        resolve=_resolve,
    ),
)
