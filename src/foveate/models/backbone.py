"""The interface that all backbones share: images in, feature maps out."""

from __future__ import annotations

from typing import Self

from torch import Tensor, nn

from foveate.models.heads.detection import FcosHead
from foveate.models.heads.segmentation import DecoderHead, SegmentationHead

ChannelStatistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of the red, green and blue channels, for pixels from 0 to 1."""

IMAGENET: ChannelStatistics = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""The statistics with which torchvision's published weights were trained."""


class Backbone(nn.Module):
    """Turns images (B, C, H, W) into a list of feature maps, fine to coarse.

    Attributes:
        in_channels: Channels of the images.
        channels: Channels of each feature map.
        strides: Image pixels per pixel of each feature map.
        flexible: Whether images may have another size or aspect than the backbone was built for.
        film_channels: Channels of the inner maps that a condition may scale and shift (Perez et
            al., "FiLM", 2018). If there are any, `forward` takes one tensor (B, 2 channels, h, w)
            of scales and shifts for each.
        statistics: Channel statistics of the images that the published weights were trained on.
        frozen_groups: Number of the layer groups that are frozen, from the image on.
    """

    in_channels: int
    channels: tuple[int, ...]
    strides: tuple[int, ...]
    flexible: bool = False
    film_channels: tuple[int, ...] = ()
    statistics: ChannelStatistics = IMAGENET
    frozen_groups: int = 0

    def layer_groups(self) -> list[nn.Module]:
        """Return the layers that published weights exist for, in groups from the image on.

        Later groups have learnt more of their own data, so training changes them more (Yosinski et
        al., "How transferable are features in deep neural networks?", 2014). By default there is
        one group.
        """
        return [self]

    def freeze(self, groups: int | None = None) -> None:
        """Freeze weights, and the running statistics of normalisation layers.

        Args:
            groups: Number of the first layer groups that are frozen; None freezes all of them.
        """
        all_groups = self.layer_groups()
        self.frozen_groups = len(all_groups) if groups is None else groups
        for group in all_groups[: self.frozen_groups]:
            group.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set training mode, except for what is frozen."""
        super().train(mode)
        for group in self.layer_groups()[: self.frozen_groups]:
            for module in group.modules():
                module.training = False
        return self

    def fit(self, images: Tensor) -> None:
        """Compute what comes from the data and is not learnt, before training begins.

        It is part of the state dict. Most architectures have nothing of the kind.

        Args:
            images: (N, C, S, S) float, normalised: some of the train split.
        """

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the feature maps.

        Args:
            images: (B, C, H, W) float.

        Returns:
            Maps of at most (B, channels[i], H / strides[i], W / strides[i]), rounded up, and less
            than three pixels smaller where convolutions are unpadded or pooling rounds down.
        """
        raise NotImplementedError

    def classifier(self, classes: int) -> nn.Module:
        """Build a head from the last map to logits (B, K).

        The default is global average pooling and one linear layer (Lin et al., "Network in
        network", 2014). An architecture whose paper has another classifier overrides it.
        """
        return nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(self.channels[-1], classes)
        )

    def detector(self, classes: int) -> nn.Module:
        """Build a head from the maps to a `heads.detection.DetectorOutput`.

        An architecture whose paper has another detection head overrides it.
        """
        return FcosHead(self.channels, self.strides, classes)

    def segmenter(self, outputs: int) -> SegmentationHead:
        """Build a head from the maps to logits (B, outputs, h, w) at about the image's size.

        A U-Net overrides it: its backbone already contains the decoder.
        """
        return DecoderHead(self.channels, self.strides, outputs)


class StagedBackbone(Backbone):
    """A sequence of stages, each of which gives a feature map.

    Attributes:
        stages: The stages, fine to coarse.
    """

    stages: nn.ModuleList

    def layer_groups(self) -> list[nn.Module]:
        """Return the stages."""
        return list(self.stages)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute one map per stage, fine to coarse.

        Args:
            images: (B, C, H, W) float.
        """
        x, maps = images, []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


def count_parameters(*modules: nn.Module) -> int:
    """Count the parameters of these modules; a shared parameter counts once."""
    counts = {id(weight): weight.numel() for module in modules for weight in module.parameters()}
    return sum(counts.values())
