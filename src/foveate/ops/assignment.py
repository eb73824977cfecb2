"""Which of a detector's places answer for which true box, while it learns."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Assigned(NamedTuple):
    """box: (A,) int64, the true box that each place answers for, -1: none; quality: (A,) from 0 to 1, the score that it
    should give.
    """

    box: Tensor
    quality: Tensor


def task_aligned(
    scores: Tensor, found: Tensor, centres: Tensor, strides: Tensor, boxes: Tensor, classes: Tensor
) -> Assigned:
    """Task-aligned assignment for one picture, after Feng et al., "TOOD: Task-aligned one-stage object detection", 2021.

    How fit a place is for a box that it lies in is the root of its score for the box's class times the sixth power of its
    IoU. The fittest is to score its IoU, the others less in proportion, so that the places that classify well and those
    that place well become the same. All places in a box take part, not the ten best as in the paper: with a cut there,
    neighbours that look alike are taught opposite things, and the validation loss rises while the detector gets better.

    scores: (A, K) from 0 to 1; found: (A, 4) corners that each place gives now; centres: (A, 2) x, y of each place;
    strides: (A,) pixels between places; boxes: (M, 4) true corners; classes: (M,) int64. All in pixels of the input.
    """
    from torchvision.ops import box_iou

    if not len(boxes):
        return Assigned(
            torch.full((len(scores),), -1, device=scores.device), scores.new_zeros(len(scores))
        )
    overlap = box_iou(boxes, found).nan_to_num()  # (M, A); two boxes without area have none
    fitness = scores[:, classes].T.clamp(min=1e-9).sqrt() * overlap.clamp(min=1e-4) ** 6
    inside = places_in(centres, strides, boxes)
    # A place in several boxes answers for the one that it overlaps most.
    most, box = torch.where(inside, overlap, -1.0).max(0)
    box = torch.where(most >= 0, box, -1)
    _keep_one(box, torch.where(inside, fitness, -1.0))
    fitness = torch.where(torch.arange(len(boxes), device=box.device)[:, None] == box, fitness, 0.0)
    best, fittest = fitness.max(1, keepdim=True)
    quality = fitness / best.clamp(min=1e-30) * overlap.gather(1, fittest)
    return Assigned(box, quality.amax(0))


def _keep_one(box: Tensor, fitness: Tensor) -> None:
    """A small thing on a large one would lose all its places to it: it keeps the fittest of those that the other can spare.

    box: (A,) as in `Assigned`, changed; fitness: (M, A), below 0 where a place does not lie in a box
    """
    count = torch.bincount(box[box >= 0], minlength=len(fitness))
    for lost in (count == 0).nonzero()[:, 0].tolist():
        spare = (fitness[lost] >= 0) & (box >= 0) & (count[box.clamp(min=0)] > 1)
        if spare.any():
            place = torch.where(spare, fitness[lost], -1.0).argmax()
            count[box[place]] -= 1
            box[place] = lost


def places_in(centres: Tensor, strides: Tensor, boxes: Tensor) -> Tensor:
    """(M, A) bool: whether a place lies in a box; a box that is smaller than the grid still has the places about its
    middle, so that nothing is too small to be learnt.
    """
    x, y = centres.unbind(1)
    left, top, right, bottom = boxes[:, :, None].unbind(1)
    half = strides / 2
    within = (x > left) & (x < right) & (y > top) & (y < bottom)
    near = ((x - (left + right) / 2).abs() <= half) & ((y - (top + bottom) / 2).abs() <= half)
    return within | near
