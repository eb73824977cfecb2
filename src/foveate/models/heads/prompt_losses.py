"""What a net for prompts learns from: masks that overlap the target, and honest estimates of it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from foveate.models.heads.promptable import MaskPrediction

SHARED_LOSS = 0.25
"""Weight of the mean over candidates in the loss. Without it, the unused candidates would become
useless, and be chosen wherever the estimated IoU is wrong."""


def prompt_losses(predictions: Sequence[MaskPrediction], targets: Tensor) -> dict[str, Tensor]:
    """Compute the losses, means over rounds and images.

    Images without an object count as zero, so that batching changes nothing.

    Args:
        predictions: The prediction of each round.
        targets: (B, H, W) bool masks of the objects.

    Returns:
        Scalars "mask", focal cross-entropy plus 1 - Dice of the best candidate, and "estimate",
        the squared error of the estimated IoUs.
    """
    present = targets.flatten(1).any(1).float()
    target = targets.flatten(1).float()[:, None]
    mask_losses, iou_losses = [], []
    for prediction in predictions:
        logits = prediction.masks.flatten(2)
        probability = logits.sigmoid()
        correct = target * probability + (1 - target) * (1 - probability)
        entropy = F.binary_cross_entropy_with_logits(
            logits, target.expand_as(logits), reduction="none"
        )
        # An object is a small part of its image: foreground and background weigh the same.
        sides = [
            weight / weight.sum(2, keepdim=True).clamp(min=1) for weight in (target, 1 - target)
        ]
        focal = sum((entropy * (1 - correct) * side).sum(2) for side in sides)
        dice = 1 - (2 * (probability * target).sum(2) + 1) / (
            probability.sum(2) + target.sum(2) + 1
        )
        each = focal + dice
        mask_losses.append((1 - SHARED_LOSS) * each.min(1).values + SHARED_LOSS * each.mean(1))
        hard = (logits.detach() > 0).float()
        overlap = (hard * target).sum(2)
        iou = overlap / (hard.sum(2) + target.sum(2) - overlap).clamp(min=1)
        iou_losses.append((prediction.iou_logits.sigmoid() - iou).square().mean(1))
    count = max(1, len(targets))
    return {
        "mask": (torch.stack(mask_losses).mean(0) * present).sum() / count,
        "estimate": (torch.stack(iou_losses).mean(0) * present).sum() / count,
    }
