"""Boxes from feature maps in one pass: a feature pyramid, and at each of its places a class score and four distances.

Lin et al., "Feature pyramid networks", 2017; Tian et al., "FCOS: Fully convolutional one-stage object detection", 2019;
Ge et al., "YOLOX", 2021 (two branches, no anchors).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foveate.models.convolution import convolution
from foveate.ops.assignment import places_in, task_aligned

LEVELS = 3
"""Maps that are looked at, at most: the coarsest ones."""
CLASS, BOX = 2.0, 2.0
"""Weights of the two losses."""
FOCUS = 1.0
"""How much less a place counts that is nearly right already. The paper has 2, with which classes that look alike take twice as
long to be told apart (benchmarks/README.md)."""
PRIOR = 0.01
"""The score of every place before anything is learnt: most places show nothing (Lin et al., "Focal loss", 2017)."""


@dataclass(frozen=True)
class DetectionTarget:
    """What a detector is taught, of B pictures, in pixels of the input.

    boxes: (M, 4) corners of each picture; classes: (M,) int64; spared: (M,) bool, neither demanded nor punished
    objects: demanded boxes of a picture in the mean over the train part, by which losses are divided: so each object counts
        the same, however the pictures are cut into batches
    """

    boxes: Sequence[Tensor]
    classes: Sequence[Tensor]
    ignored: Sequence[Tensor]
    objects: float = 1.0


class DetectorOutput(Protocol):
    """What a detector's head gives for B pictures at A places."""

    def losses(self, target: DetectionTarget) -> dict[str, Tensor]:
        """How wrong, as scalars; "total" is minimised."""
        ...

    def candidates(self) -> tuple[Tensor, Tensor]:
        """(B, A, 4) corners in pixels of the input, (B, A, K) scores from 0 to 1."""
        ...


@dataclass(frozen=True)
class FcosOutput:
    """logits: (B, A, K); distances: (B, A, 4) to the left, top, right and bottom of the box, in strides
    centres: (A, 2) x, y of the places, strides: (A,), both in pixels of the input
    """

    logits: Tensor
    distances: Tensor
    centres: Tensor
    strides: Tensor

    def corners(self) -> Tensor:
        """(B, A, 4) float32, in pixels of the input."""
        reach = self.distances.float() * self.strides[:, None]
        return torch.cat([self.centres - reach[..., :2], self.centres + reach[..., 2:]], -1)

    def candidates(self) -> tuple[Tensor, Tensor]:
        return self.corners(), self.logits.float().sigmoid()

    def losses(self, target: DetectionTarget) -> dict[str, Tensor]:
        """class: quality focal loss (Li et al., "Generalized focal loss", 2020): the score is to be the IoU, and places
        that are right already hardly count; box: 1 - generalised IoU (Rezatofighi et al., 2019), the mean over an object's
        places, weighed by what their score is to be. Each object counts the same, whatever its size.
        """
        from torchvision.ops import generalized_box_iou_loss

        corners, logits = self.corners(), self.logits.float()
        scores = logits.detach().sigmoid()
        wanted = torch.zeros_like(logits)
        weight = torch.ones_like(logits[..., 0])
        given: list[
            tuple[Tensor, ...]
        ] = []  # of the places that answer for a box: row, place, box, weight
        for row, (boxes, classes, ignored) in enumerate(
            zip(target.boxes, target.classes, target.ignored, strict=True)
        ):
            boxes, classes, ignored = (one.to(logits.device) for one in (boxes, classes, ignored))
            if ignored.any():
                weight[row, places_in(self.centres, self.strides, boxes[ignored]).any(0)] = 0.0
                boxes, classes = boxes[~ignored], classes[~ignored]
            if not len(boxes):
                continue
            box, quality = task_aligned(
                scores[row], corners[row].detach(), self.centres, self.strides, boxes, classes
            )
            mine = (box >= 0).nonzero()[:, 0]
            own, sure = box[mine], quality[mine]
            mass = quality.new_zeros(len(boxes)).index_add_(0, own, sure)
            # What is no object weighs as the objects' places do in the mean.
            weight[row] /= mass.mean().clamp(min=1.0)
            weight[row, mine] = 1 / mass[own].clamp(min=1.0)
            wanted[row, mine, classes[own]] = sure
            given.append(
                (torch.full_like(mine, row), mine, boxes[own], sure / mass[own].clamp(min=1e-9))
            )
        total_box = corners.sum() * 0  # stays in the graph where there is no object at all
        if given:
            rows, places, boxes, shares = (torch.cat(column) for column in zip(*given, strict=True))
            total_box = (generalized_box_iou_loss(corners[rows, places], boxes) * shares).sum()
        apart = (wanted - logits.sigmoid()).abs()
        entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        total_class = (entropy * apart**FOCUS * weight[..., None]).sum()
        count = max(1, len(logits)) * target.objects
        losses = {"class": CLASS * total_class / count, "box": BOX * total_box / count}
        return {"total": losses["class"] + losses["box"], **losses}


class Detector(nn.Module):
    """Maps -> `Dense`.

    channels, strides: of the backbone's maps, fine to coarse; those that are used get `width` channels
    """

    def __init__(
        self, channels: Sequence[int], strides: Sequence[int], classes: int, width: int = 64
    ):
        super().__init__()
        self.used = used(strides)
        self.strides = [strides[level] for level in self.used]
        self.lateral = nn.ModuleList(
            [convolution(channels[level], width, 1) for level in self.used]
        )
        self.smooth = nn.ModuleList([convolution(width, width) for _ in self.used])
        self.class_branch, self.box_branch = convolution(width, width), convolution(width, width)
        self.scores, self.distances = nn.Conv2d(width, classes, 1), nn.Conv2d(width, 4, 1)
        nn.init.normal_(self.scores.weight, std=0.01)
        nn.init.constant_(self.scores.bias, -math.log((1 - PRIOR) / PRIOR))  # type: ignore[arg-type]
        nn.init.normal_(self.distances.weight, std=0.01)
        nn.init.constant_(self.distances.bias, 2.0)  # type: ignore[arg-type]

    def forward(self, maps: Sequence[Tensor]) -> FcosOutput:
        """Feature maps of one batch -> scores and boxes at every place of every level."""
        found = [
            lateral(maps[level]) for lateral, level in zip(self.lateral, self.used, strict=True)
        ]
        for level in reversed(range(len(found) - 1)):
            found[level] = found[level] + F.interpolate(
                found[level + 1], size=found[level].shape[2:]
            )
        logits, distances, centres, strides = [], [], [], []
        for smooth, stride, level in zip(self.smooth, self.strides, found, strict=True):
            level = smooth(level)
            logits.append(_rows(self.scores(self.class_branch(level))))
            distances.append(_rows(F.softplus(self.distances(self.box_branch(level)).float())))
            height, width = level.shape[2:]
            rows, columns = (
                stride * (torch.arange(side, device=level.device) + 0.5) for side in (height, width)
            )
            y, x = torch.meshgrid(rows, columns, indexing="ij")
            centres.append(torch.stack([x.flatten(), y.flatten()], 1))
            strides.append(torch.full((height * width,), float(stride), device=level.device))
        return FcosOutput(
            torch.cat(logits, 1), torch.cat(distances, 1), torch.cat(centres), torch.cat(strides)
        )


def used(strides: Sequence[int]) -> list[int]:
    """Which maps a detector looks at: of those of one stride the last, and of these the coarsest LEVELS."""
    last = {stride: level for level, stride in enumerate(strides)}
    return sorted(last.values())[-LEVELS:]


def _rows(level: Tensor) -> Tensor:
    """(B, N, H, W) -> (B, H * W, N)."""
    return level.flatten(2).transpose(1, 2)
