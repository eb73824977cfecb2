"""What all architectures have in common: pictures in, feature maps out."""

from __future__ import annotations

from typing import Self

from torch import Tensor, nn

from foveate.models.heads.detection import Detector
from foveate.models.heads.segmentation import Head, Segmenter

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of red, green and blue, pixels counted from 0 to 1."""

IMAGENET: Statistics = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""What all of torchvision's published weights were trained with."""


class Backbone(nn.Module):
    """Turns (B, C, H, W) float into a list of feature maps, fine to coarse.

    pictures: channels of the pictures; channels: of each map; strides: picture pixels to one pixel of each map
    flexible: whether it takes pictures of other sizes, and of any aspect, than it was built for
    bends: channels of the maps inside it that may be scaled and shifted by what else is known (Perez et al., "FiLM", 2018); where there are
        any, `forward` takes a (B, 2 channels, h, w) of scales and shifts for each
    statistics: what the pictures that its published weights were trained on were normalised by
    """

    images: int
    channels: tuple[int, ...]
    strides: tuple[int, ...]
    flexible: bool = False
    bends: tuple[int, ...] = ()
    statistics: Statistics = IMAGENET
    frozen: bool = False

    def freeze(self) -> None:
        """Keep its weights, and the running figures of its normalisations, as they are, whatever is trained on its maps."""
        self.frozen = True
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Self:
        return super().train(mode and not self.frozen)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, C, H, W) -> maps of about (B, channels[i], H / strides[i], W / strides[i]): at most that, rounded up,
        and less than three pixels less, where convolutions are not padded or pooling rounds down.
        """
        raise NotImplementedError

    def classifier(self, classes: int) -> nn.Module:
        """From the last map to (B, K) logits. Where a paper has its own classifier, its architecture overrides this
        mean over the map and one linear layer (Lin et al., "Network in network", 2014).
        """
        return nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(self.channels[-1], classes)
        )

    def detector(self, classes: int) -> nn.Module:
        """From the maps to what `detector.Found` says. Where a paper has its own, its architecture overrides this one."""
        return Detector(self.channels, self.strides, classes)

    def segmenter(self, outputs: int) -> Head:
        """From the maps to (B, outputs, h, w) at about the picture's own height and width. A U-Net overrides it."""
        return Segmenter(self.channels, self.strides, outputs)


class Staged(Backbone):
    """stages: one after the other, each of which gives a map."""

    stages: nn.ModuleList

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, C, H, W) -> a map of each stage, fine to coarse."""
        x, maps = images, []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


def parameters(*modules: nn.Module) -> int:
    """How many weights these modules have, each counted once."""
    return sum(
        {
            id(weight): weight.numel() for module in modules for weight in module.parameters()
        }.values()
    )
