"""A net that reads pictures: which word stands at each place of the caption. It judges pictures that were made from words."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from foveate.models.backbone import Backbone

FEATURES = 128
"""What a picture looks like is told by so many numbers."""
_TAIL = 64


class CaptionRecognizer(nn.Module):
    """backbone: of clean pictures; words: of the vocabulary; longest: L, words in the longest caption; size, channels: of the pictures

    The last map is not averaged: where a thing is decides whether it is "left of" another.
    """

    def __init__(self, backbone: Backbone, words: int, longest: int, size: int, channels: int):
        super().__init__()
        self.longest, self.backbone = longest, backbone
        training = backbone.training
        with torch.no_grad():
            last = backbone.eval()(torch.zeros(1, channels, size, size))[-1]
        backbone.train(training)
        self.look = nn.Sequential(nn.Flatten(), nn.Linear(last[0].numel(), FEATURES), nn.ReLU())
        self.places = nn.Linear(FEATURES, longest * _TAIL)
        self.words = nn.Linear(_TAIL, words + 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, S, S) -> (B, L, words + 1) logits, of no word first, and (B, FEATURES)."""
        features = self.look(self.backbone(images)[-1])
        return self.words(
            self.places(features).unflatten(1, (self.longest, _TAIL)).relu()
        ), features
