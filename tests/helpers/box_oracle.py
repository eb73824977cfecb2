"""A net that needs no training: it sees red and green objects of some pixels, exactly where they
are."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn

from foveate.models.backbone import Backbone
from foveate.models.model import VisionModel


class Given:
    """Candidates that are known."""

    def __init__(self, corners: Tensor, scores: Tensor):
        self.corners, self.scores = corners, scores

    def candidates(self) -> tuple[Tensor, Tensor]:
        return self.corners, self.scores


class Pass(Backbone):
    """A backbone that hands images through. shapes: of all batches that it was shown."""

    strides = (8, 16, 32)

    def __init__(self, flexible: bool):
        super().__init__()
        self.flexible = flexible
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, images: Tensor) -> Tensor:
        self.shapes.append(tuple(images.shape))
        return images


class InteractivePredictor(nn.Module):
    """Each patch of red (class 0) or green (class 1) whose sides have `least` pixels or more; more
    confident of larger ones."""

    def __init__(self, least: int = 1, most: int = 40):
        super().__init__()
        self.least, self.most = least, most

    def forward(self, images: Tensor) -> Given:
        corners = torch.zeros(len(images), self.most, 4)
        scores = torch.zeros(len(images), self.most, 2)
        for row, image in enumerate(images.numpy()):
            place = 0
            for k in (0, 1):
                patches, _ = ndimage.label((image[k] > 160) & (image[1 - k] < 80))
                for down, across in ndimage.find_objects(patches):
                    box = across.start, down.start, across.stop, down.stop
                    if min(box[2] - box[0], box[3] - box[1]) >= self.least:
                        corners[row, place] = torch.tensor(box, dtype=torch.float32)
                        scores[row, place, k] = 0.5 + min(0.4, (box[2] - box[0]) / 100)
                        place += 1
        return Given(corners, scores)


class Fixed(nn.Module):
    """The same candidates whatever is shown. corners: (A, 4) in pixels of the input, scores: (A,
    K)."""

    def __init__(self, corners, scores):
        super().__init__()
        self.corners, self.scores = torch.tensor(corners).float(), torch.tensor(scores).float()

    def forward(self, images: Tensor) -> Given:
        return Given(
            *(given.expand(len(images), *given.shape) for given in (self.corners, self.scores))
        )


def net(
    head: nn.Module, size: int = 64, *, flexible: bool = True, channels: int = 3
) -> VisionModel:
    body = nn.Sequential(Pass(flexible), head)
    return VisionModel(body, size=size, mean=[0.0] * channels, std=[1.0] * channels)


RED, GREEN = (220, 20, 20), (20, 220, 20)


def make_image(height: int, width: int, *instances: tuple[int, int, int, int, int]) -> np.ndarray:
    """Grey with objects of (left, top, right, bottom, class) in it."""
    image = np.full((height, width, 3), 114, np.uint8)
    for left, top, right, bottom, k in instances:
        image[top:bottom, left:right] = (RED, GREEN)[k]
    return image


def told(boxes) -> list[tuple[float, ...]]:
    """Boxes as sorted (left, top, right, bottom, class)."""
    return sorted(
        (*corners, k)
        for corners, k in zip(boxes.corners.tolist(), boxes.classes.tolist(), strict=True)
    )
