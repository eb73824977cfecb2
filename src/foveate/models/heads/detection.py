"""One-stage box detection: a feature pyramid with class scores and four distances at each point.

Lin et al., "Feature pyramid networks", 2017; Tian et al., "FCOS: Fully convolutional one-stage
object detection", 2019; Ge et al., "YOLOX", 2021 (two branches, no anchors).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foveate.models.convolution import convolution
from foveate.ops.assignment import points_in_boxes, task_aligned

MAX_LEVELS = 3
"""Largest number of maps in the pyramid: the coarsest ones."""
CLASS_WEIGHT, BOX_WEIGHT = 2.0, 2.0
"""Weights of the two losses."""
FOCUS = 1.0
"""Exponent of the focal term. With the paper's 2, similar classes take twice as long to be
separated (benchmarks/README.md)."""
PRIOR = 0.01
"""Initial score of every point: most points show no object (Lin et al., "Focal loss", 2017)."""


@dataclass(frozen=True)
class DetectionTarget:
    """Boxes of B images, in pixels of the input.

    Attributes:
        boxes: (M, 4) float left, top, right, bottom for each image.
        classes: (M,) int64 for each image.
        ignored: (M,) bool for each image: such boxes are neither required nor penalised.
        objects: Mean number of required boxes per image of the train split, by which losses are
            divided: each object counts the same, however images are batched.
        sizes: (height, width) in pixels of the content of each letterbox, if known.
    """

    boxes: Sequence[Tensor]
    classes: Sequence[Tensor]
    ignored: Sequence[Tensor]
    objects: float = 1.0
    sizes: Sequence[tuple[int, int] | None] = ()


class DetectorOutput(Protocol):
    """Output of a detection head for B images at A points."""

    def losses(self, target: DetectionTarget) -> dict[str, Tensor]:
        """Return named scalar losses; "total" is minimised."""
        ...

    def candidates(self) -> tuple[Tensor, Tensor]:
        """Return corners (B, A, 4) in pixels of the input and scores (B, A, K) from 0 to 1."""
        ...


class PointTargets(NamedTuple):
    """What the A points of B images shall predict; P of them belong to an object.

    Attributes:
        scores: (B, A, K) from 0 to 1; 0 for the background.
        weight: (B, A) of each point in the class loss.
        image: (P,) int64.
        point: (P,) int64.
        boxes: (P, 4) corners in pixels of the input.
        share: (P,) of each point in its object's box loss; they sum to 1.
    """

    scores: Tensor
    weight: Tensor
    image: Tensor
    point: Tensor
    boxes: Tensor
    share: Tensor


@dataclass(frozen=True)
class FcosOutput:
    """Raw output at A points.

    Attributes:
        logits: (B, A, K).
        distances: (B, A, 4) to the left, top, right and bottom of the box, in strides.
        centres: (A, 2) x and y of the points, in pixels of the input.
        strides: (A,) of the points, in pixels of the input.
    """

    logits: Tensor
    distances: Tensor
    centres: Tensor
    strides: Tensor

    def corners(self) -> Tensor:
        """Return the boxes' corners, (B, A, 4) float32 in pixels of the input."""
        reach = self.distances.float() * self.strides[:, None]
        return torch.cat([self.centres - reach[..., :2], self.centres + reach[..., 2:]], -1)

    def candidates(self) -> tuple[Tensor, Tensor]:
        """Return corners (B, A, 4) and scores (B, A, K)."""
        return self.corners(), self.logits.float().sigmoid()

    def losses(self, target: DetectionTarget) -> dict[str, Tensor]:
        """Compute the two losses; each object counts the same, whatever its size.

        Returns:
            "class": quality focal loss (Li et al., "Generalized focal loss", 2020), whose target
            score is the IoU. "box": 1 - generalised IoU (Rezatofighi et al., 2019), averaged over
            an object's points with their target scores as weights. "total": their sum.
        """
        from torchvision.ops import generalized_box_iou_loss

        corners, logits = self.corners(), self.logits.float()
        points = self.assign(corners.detach(), logits.detach().sigmoid(), target)
        total_box = corners.sum() * 0  # keeps the graph if there are no objects
        if len(points.boxes):
            predicted = corners[points.image, points.point]
            total_box = (generalized_box_iou_loss(predicted, points.boxes) * points.share).sum()
        error = (points.scores - logits.sigmoid()).abs()
        entropy = F.binary_cross_entropy_with_logits(logits, points.scores, reduction="none")
        total_class = (entropy * error**FOCUS * points.weight[..., None]).sum()
        count = max(1, len(logits)) * target.objects
        losses = {
            "class": CLASS_WEIGHT * total_class / count,
            "box": BOX_WEIGHT * total_box / count,
        }
        return {"total": losses["class"] + losses["box"], **losses}

    def assign(self, corners: Tensor, scores: Tensor, target: DetectionTarget) -> PointTargets:
        """Assign objects to points, task-aligned (Feng et al., "TOOD", 2021).

        Args:
            corners: (B, A, 4) predicted boxes, detached.
            scores: (B, A, K) predicted scores from 0 to 1, detached.
            target: The boxes of the B images.
        """
        target_scores, weight = torch.zeros_like(scores), torch.ones_like(scores[..., 0])
        none = torch.zeros(0, dtype=torch.int64, device=scores.device)
        positives = [(none, none, corners.new_zeros(0, 4), scores.new_zeros(0))]
        for row, (boxes, classes, ignored) in enumerate(
            zip(target.boxes, target.classes, target.ignored, strict=True)
        ):
            boxes, classes, ignored = (one.to(scores.device) for one in (boxes, classes, ignored))
            if ignored.any():
                inside = points_in_boxes(self.centres, self.strides, boxes[ignored])
                weight[row, inside.any(0)] = 0.0
                boxes, classes = boxes[~ignored], classes[~ignored]
            if not len(boxes):
                continue
            box, quality = task_aligned(
                scores[row], corners[row], self.centres, self.strides, boxes, classes
            )
            positive = (box >= 0).nonzero()[:, 0]
            index, iou = box[positive], quality[positive]
            mass = quality.new_zeros(len(boxes)).index_add_(0, index, iou)
            # Background points weigh as much as the objects' points do on average.
            weight[row] /= mass.mean().clamp(min=1.0)
            weight[row, positive] = 1 / mass[index].clamp(min=1.0)
            target_scores[row, positive, classes[index]] = iou
            share = iou / mass[index].clamp(min=1e-9)
            positives.append((torch.full_like(positive, row), positive, boxes[index], share))
        columns = (torch.cat(column) for column in zip(*positives, strict=True))
        return PointTargets(target_scores, weight, *columns)


class FcosHead(nn.Module):
    """A feature pyramid with a class branch and a box branch that all levels share.

    Args:
        channels: Channels of the backbone's maps, fine to coarse.
        strides: Strides of the backbone's maps.
        classes: Number of classes.
        width: Channels of the pyramid.
    """

    def __init__(
        self, channels: Sequence[int], strides: Sequence[int], classes: int, width: int = 64
    ):
        super().__init__()
        self.levels = pyramid_levels(strides)
        self.strides = [strides[level] for level in self.levels]
        self.lateral = nn.ModuleList(
            [convolution(channels[level], width, 1) for level in self.levels]
        )
        self.smooth = nn.ModuleList([convolution(width, width) for _ in self.levels])
        self.class_branch, self.box_branch = convolution(width, width), convolution(width, width)
        self.scores, self.distances = nn.Conv2d(width, classes, 1), nn.Conv2d(width, 4, 1)
        nn.init.normal_(self.scores.weight, std=0.01)
        nn.init.constant_(self.scores.bias, -math.log((1 - PRIOR) / PRIOR))  # type: ignore[arg-type]
        nn.init.normal_(self.distances.weight, std=0.01)
        nn.init.constant_(self.distances.bias, 2.0)  # type: ignore[arg-type]

    def forward(self, maps: Sequence[Tensor]) -> FcosOutput:
        """Predict scores and boxes at each point of each level."""
        pyramid = [
            lateral(maps[level]) for lateral, level in zip(self.lateral, self.levels, strict=True)
        ]
        for level in reversed(range(len(pyramid) - 1)):
            size = pyramid[level].shape[2:]
            pyramid[level] = pyramid[level] + F.interpolate(pyramid[level + 1], size=size)
        logits, distances, centres, strides = [], [], [], []
        for smooth, stride, features in zip(self.smooth, self.strides, pyramid, strict=True):
            x = smooth(features)
            logits.append(_flatten(self.scores(self.class_branch(x))))
            distances.append(_flatten(F.softplus(self.distances(self.box_branch(x)).float())))
            height, width = x.shape[2:]
            centres.append(_centres(height, width, stride, x.device))
            strides.append(torch.full((height * width,), float(stride), device=x.device))
        return FcosOutput(
            torch.cat(logits, 1), torch.cat(distances, 1), torch.cat(centres), torch.cat(strides)
        )


def pyramid_levels(strides: Sequence[int]) -> list[int]:
    """Return the indices of the maps in the pyramid: the coarsest, and one for each stride."""
    last = {stride: level for level, stride in enumerate(strides)}
    return sorted(last.values())[-MAX_LEVELS:]


def _centres(height: int, width: int, stride: int, device: torch.device) -> Tensor:
    """(H * W, 2) x and y of the points of a map, in pixels of the input."""
    rows, columns = (stride * (torch.arange(side, device=device) + 0.5) for side in (height, width))
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], 1)


def _flatten(x: Tensor) -> Tensor:
    """(B, N, H, W) -> (B, H * W, N)."""
    return x.flatten(2).transpose(1, 2)
