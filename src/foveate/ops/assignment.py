"""Which of a detector's anchor points learn which target box."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Assignment(NamedTuple):
    """The targets of A anchor points.

    Attributes:
        box: (A,) int64, the index of the box that each point predicts; -1 for none.
        quality: (A,) float from 0 to 1, the score that each point should give.
    """

    box: Tensor
    quality: Tensor


def task_aligned(
    scores: Tensor,
    predicted: Tensor,
    centres: Tensor,
    strides: Tensor,
    boxes: Tensor,
    classes: Tensor,
) -> Assignment:
    """Assign the anchor points of one image to its target boxes.

    Task-aligned assignment, after Feng et al., "TOOD: Task-aligned one-stage object detection",
    2021. A point within a box is aligned with it by the root of its score for the box's class times
    the sixth power of its IoU. The best aligned point should score its IoU, the others less in
    proportion, so that the points that classify well and those that localise well become the same.

    All points in a box take part, where the paper takes ten: with such a cut, similar neighbours
    are taught opposite things, and the validation loss rises while the detector improves.

    Args:
        scores: (A, K), from 0 to 1.
        predicted: (A, 4) corners that each point predicts, in pixels of the input.
        centres: (A, 2) x and y of each point, in pixels.
        strides: (A,) pixels between neighbouring points.
        boxes: (M, 4) target corners, in pixels.
        classes: (M,) int64.
    """
    from torchvision.ops import box_iou

    if not len(boxes):
        no_box = torch.full((len(scores),), -1, device=scores.device)
        return Assignment(no_box, scores.new_zeros(len(scores)))
    overlap = box_iou(boxes, predicted).nan_to_num()  # (M, A); NaN between two empty boxes
    alignment = scores[:, classes].T.clamp(min=1e-9).sqrt() * overlap.clamp(min=1e-4) ** 6
    candidate = points_in_boxes(centres, strides, boxes)
    # A point in several boxes predicts the one that it overlaps most.
    best_overlap, box = torch.where(candidate, overlap, -1.0).max(0)
    box = torch.where(best_overlap >= 0, box, -1)
    _give_each_box_a_point(box, torch.where(candidate, alignment, -1.0))
    rows = torch.arange(len(boxes), device=box.device)[:, None]
    alignment = torch.where(rows == box, alignment, 0.0)
    best, point = alignment.max(1, keepdim=True)
    quality = alignment / best.clamp(min=1e-30) * overlap.gather(1, point)
    return Assignment(box, quality.amax(0))


def _give_each_box_a_point(box: Tensor, alignment: Tensor) -> None:
    """Give a box without points the best aligned point that another box can spare, in place.

    A small object on a large one would otherwise lose all its points to it.

    Args:
        box: (A,) as in `Assignment`, changed in place.
        alignment: (M, A), negative where a point is no candidate of a box.
    """
    count = torch.bincount(box[box >= 0], minlength=len(alignment))
    for row in (count == 0).nonzero()[:, 0].tolist():
        spare = (alignment[row] >= 0) & (box >= 0) & (count[box.clamp(min=0)] > 1)
        if spare.any():
            point = torch.where(spare, alignment[row], -1.0).argmax()
            count[box[point]] -= 1
            box[point] = row


def points_in_boxes(centres: Tensor, strides: Tensor, boxes: Tensor) -> Tensor:
    """Find the anchor points within each box.

    A box smaller than the grid has the points around its centre, so that no object is too small to
    be learnt.

    Args:
        centres: (A, 2) x and y of each point.
        strides: (A,) pixels between neighbouring points.
        boxes: (M, 4) corners.

    Returns:
        (M, A) bool.
    """
    x, y = centres.unbind(1)
    left, top, right, bottom = boxes[:, :, None].unbind(1)
    half = strides / 2
    within = (x > left) & (x < right) & (y > top) & (y < bottom)
    near = ((x - (left + right) / 2).abs() <= half) & ((y - (top + bottom) / 2).abs() <= half)
    return within | near
