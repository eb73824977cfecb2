"""A net that reads the caption off an image. It scores images that were generated from text."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from foveate.models.backbone import Backbone

FEATURES = 128
"""Width of the image features."""
_SLOT_WIDTH = 64
"""Width of the features of one position of the caption."""


class CaptionRecognizer(nn.Module):
    """Predicts the word at each position of an image's caption.

    The last feature map is not averaged: the position of an object decides whether it is "left
    of" another.

    Args:
        backbone: The backbone.
        words: Number of words in the vocabulary.
        max_length: L, the number of words in the longest caption.
        size: Side of the images in pixels.
        channels: Channels of the images.
    """

    def __init__(self, backbone: Backbone, words: int, max_length: int, size: int, channels: int):
        super().__init__()
        self.max_length, self.backbone = max_length, backbone
        training = backbone.training
        with torch.no_grad():
            last = backbone.eval()(torch.zeros(1, channels, size, size))[-1]
        backbone.train(training)
        self.features = nn.Sequential(nn.Flatten(), nn.Linear(last[0].numel(), FEATURES), nn.ReLU())
        self.slots = nn.Linear(FEATURES, max_length * _SLOT_WIDTH)
        self.words = nn.Linear(_SLOT_WIDTH, words + 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Compute word logits and image features.

        Args:
            images: (B, C, S, S) float.

        Returns:
            Logits (B, L, words + 1), where index 0 means no word, and features (B, FEATURES).
        """
        features = self.features(self.backbone(images)[-1])
        slots = self.slots(features).unflatten(1, (self.max_length, _SLOT_WIDTH)).relu()
        return self.words(slots), features
