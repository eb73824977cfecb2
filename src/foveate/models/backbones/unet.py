"""The U-Net: of the paper, or with any other net as its contracting half.

Ronneberger, Fischer and Brox, "U-Net: Convolutional networks for biomedical image segmentation", 2015. One thing differs: the
paper's convolutions are not padded, so that an answer is 184 pixels smaller than its picture; here they are, so that it is
of the same size, as nearly every U-Net since.
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
from foveate.models.heads.segmentation import Decoder, FinestMapHead, Head, SkipSumHead, reaching
from foveate.models.registry import PLAIN, Model, Weights, refuse_if_huge

WIDTH, DEPTH = 64, 4
"""Of the paper: channels of the finest map, and halvings."""


class UNet(Backbone):
    """The paper's. width: channels of the finest map, twice as many after each halving; depth: halvings.

    depth + 1 maps: the expanding half's, fine to coarse, the coarsest of which is where it begins.
    """

    flexible = True

    def __init__(self, channels: int, width: int = WIDTH, depth: int = DEPTH):
        super().__init__()
        widths = [width * 2**level for level in range(depth + 1)]
        self.down = nn.ModuleList(
            _twice(before, own) for before, own in zip([channels, *widths], widths, strict=False)
        )
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(2 * own, own, 2, 2) for own in widths[:-1])
        self.up = nn.ModuleList(_twice(2 * own, own) for own in widths[:-1])
        self.dropout = nn.Dropout(0.5)  # "at the end of the contracting path"
        self.channels, self.strides = tuple(widths), tuple(2**level for level in range(depth + 1))
        for module in self.modules():
            if isinstance(
                module, nn.Conv2d | nn.ConvTranspose2d
            ):  # as section 3 of the paper has it (He et al., 2015)
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, C, H, W) -> (B, width, H, W), (B, 2 width, H / 2, W / 2), ..."""
        fine, x = [], images
        for level, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if level else x)
            fine.append(x)
        maps = [self.dropout(fine.pop())]
        for enlarge, block in zip(reversed(self.enlarge), reversed(self.up), strict=True):
            finer = fine.pop()
            maps.append(block(torch.cat([finer, reaching(enlarge(maps[-1]), finer)], 1)))
        return maps[::-1]

    def segmenter(self, outputs: int) -> Head:
        return FinestMapHead(self.channels[0], outputs)

    def detector(self, classes: int) -> nn.Module:
        del classes
        raise _no_boxes("yolo")


class EncoderUNet(Backbone):
    """Another net, and a decoder that leads its maps back to the picture's size."""

    def __init__(self, encoder: Backbone, name: str):
        super().__init__()
        self.encoder, self.name = encoder, name
        self.decoder = Decoder(encoder.channels, encoder.strides)
        self.channels, self.strides = self.decoder.channels, self.decoder.strides
        self.flexible, self.statistics = encoder.flexible, encoder.statistics

    def freeze(self) -> None:
        """The encoder; there are no published weights for the other half."""
        self.encoder.freeze()

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, C, H, W) -> the joined maps, fine to coarse."""
        maps: list[Tensor] = self.decoder(self.encoder(images))
        return maps

    def segmenter(self, outputs: int) -> Head:
        return SkipSumHead(self.channels, self.strides, outputs)

    def detector(self, classes: int) -> nn.Module:
        del classes
        raise _no_boxes(self.name)


def _no_boxes(other: str) -> SettingError:
    """A detector looks at coarse maps alone: the expanding half would be work for nothing."""
    return SettingError(
        "a U-Net answers for pixels, not with boxes", where="model", remedy=f"Use --model {other}."
    )


def _twice(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True),
        nn.Conv2d(width, width, 3, padding=1), nn.ReLU(inplace=True),
    )  # fmt: skip


def _build(name: str, channels: int, size: int, weights: Weights) -> Backbone:
    told = name.partition(":")[2]
    if plain := _plain(told):
        width, depth = plain
        refuse_if_huge(name, 30 * width**2 * 4**depth, size)
        return UNet(channels, width, depth)
    return EncoderUNet(registry.build(told, channels=channels, size=size, weights=weights), told)


def _plain(told: str) -> tuple[int, int] | None:
    """Width and depth as in "16x3"; the paper's where nothing is told; None if an encoder is named."""
    if not told:
        return WIDTH, DEPTH
    found = re.fullmatch(r"([1-9]\d{0,3})(?:x([1-9]))?", told)
    return found and (int(found[1]), int(found[2] or DEPTH))


def _of(name: str) -> Model:
    """How a U-Net of this name is built and trained: with an encoder as that is."""
    told = name.partition(":")[2]
    if plain := _plain(told) if told else None:
        return replace(MODELS[1], smallest=2 ** plain[1])
    if told.partition(":")[0] in ("mlp", "unet"):
        raise SettingError(
            f"{told.partition(':')[0]} cannot be the contracting half of a U-Net",
            where="model",
            remedy=_REMEDY,
        )
    try:
        inner = registry.find(told)
    except SettingError as error:
        raise SettingError(
            f"unet: {error.message}", where="model", remedy=f"{error.remedy or ''} {_REMEDY}"
        ) from None
    return replace(
        inner,
        name=name,
        build=_build,
        summary=MODELS[1].summary,
        paper=_PAPER,
        example=name,
        verify=_of,
    )


_REMEDY = "After 'unet:' comes a width (unet:16), width and depth (unet:16x3), or another model (unet:resnet18)."
_PAPER = "Ronneberger, Fischer and Brox, 2015"
MODELS = (
    Model(
        "unet",
        "the U-Net of the paper, an answer for each pixel",
        _PAPER,
        2**DEPTH,
        _build,
        trained=PLAIN,
    ),
    Model(
        "unet:*",
        "narrower or flatter (unet:16x3), or with another net as its encoder (unet:resnet18, unet:timm:NAME)",
        _PAPER,
        2**DEPTH,
        _build,
        trained=PLAIN,
        example="unet:tiny_encoder",
        verify=_of,
    ),
)
