"""A mask of what is pointed at: the picture is looked at once, each click costs a decoder only.

Kirillov et al., "Segment anything", 2023: points, a box and an earlier mask as prompts, three candidates with their own estimated
IoU. Here prompts are pictures beside the encoder's maps (Sofiiuk et al., "Reviving iterative training with mask guidance", 2021)
in place of a transformer's tokens, which pays on a processor without a GPU; how alike each place is to those that were clicked
takes the part of attention.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foveate.models.backbone import Backbone
from foveate.models.convolution import convolution
from foveate.models.heads.segmentation import Decoder, SkipSumHead

CANDIDATES = 3
"""Masks of one prompt: it can mean a thing, a part of it, or what it is a part of."""
ROUNDS = 3
"""Prompts in a step of training, each but the first where the last answer was wrong."""
SHARED = 0.25
"""Of the loss: what all candidates are taught. By the better one alone, the others would be nothing, taken where the estimate errs."""
NEAR = 3.0
"""Pixels that a click is spread over (standard deviation)."""
ALIKE = 16
"""Numbers by which two places are compared."""
TONE = 0.5
"""How far two colours are apart that are hardly alike, in standard deviations of the data's."""
BOXED = 0.25
"""The share of things that training first points at by a box."""
LOOSE = 0.1
"""Of a box's side: how far its edges may be off."""
DEEP = 8
"""Pixels from its edge from which on a place in a region counts as equally deep."""
DRAWS = 2 * ROUNDS + 5
"""Numbers that a step of training needs for each thing: two a click, whether there is a box, and where its edges are."""
NO_CLICK = -1.0
"""In place of 1 for inside and 0 for outside, where rows of clicks are of different length."""


@dataclass(frozen=True)
class Prompts:
    """What was pointed at, of N things, in pixels of the canvas.

    rows: (N,) the picture that each is in
    clicks: (N, P, 3) x, y, and 1 inside, 0 outside, NO_CLICK for none
    boxes: (N, 4) left, top, right, bottom; all 0 for none
    masks: (N, H, W) logits of an earlier answer; 0 where nothing is known
    """

    rows: Tensor
    clicks: Tensor
    boxes: Tensor
    masks: Tensor


@dataclass(frozen=True)
class MaskPrediction:
    """What was answered. masks: (N, 3, H, W) logits; sure: (N, 3) estimated IoU, as logits"""

    masks: Tensor
    sure: Tensor

    def best(self) -> Tensor:
        """(N, H, W) logits of the candidate of the highest estimate."""
        return self.masks[torch.arange(len(self.masks)), self.sure.argmax(1)]


class PromptableHead(nn.Module):
    """backbone: pictures -> maps; the rest: maps and prompts -> masks."""

    def __init__(self, backbone: Backbone):
        super().__init__()
        self.backbone = backbone
        levels = sorted({stride: level for level, stride in enumerate(backbone.strides)}.values())
        self.levels, channels = levels, [backbone.channels[level] for level in levels]
        strides = [backbone.strides[level] for level in levels]
        self.compared = nn.ModuleList(nn.Conv2d(own, ALIKE, 1) for own in channels)
        # Clicks inside and outside, box, earlier mask; how alike features and colour are to what was clicked inside and outside.
        self.fused = nn.ModuleList(convolution(own + 8, own) for own in channels)
        self.decoder = Decoder(channels, strides)
        self.candidates = SkipSumHead(self.decoder.channels, self.decoder.strides, CANDIDATES)
        self.judged = min(
            len(self.decoder.strides) - 1, sum(stride < 8 for stride in self.decoder.strides)
        )
        self.sure = nn.Sequential(
            nn.Linear(self.decoder.channels[self.judged] + 2, 64), nn.ReLU(), nn.Linear(64, 1)
        )

    def encode(self, images: Tensor) -> list[Tensor]:
        """(B, C, H, W) float -> the picture and its maps, which any number of prompts can be asked of."""
        maps = self.backbone(images)
        return [images, *(maps[level] for level in self.levels)]

    def decode(self, maps: Sequence[Tensor], prompts: Prompts) -> MaskPrediction:
        """What `encode` says of B pictures, prompts of N things in them."""
        size = (prompts.masks.shape[1], prompts.masks.shape[2])
        images, *maps = maps
        beside = _beside(images[prompts.rows].float(), prompts)
        fused = []
        for whole, compared, fuse in zip(maps, self.compared, self.fused, strict=True):
            own = whole[prompts.rows]
            shape = (own.shape[2], own.shape[3])
            mask, *tones = F.adaptive_avg_pool2d(beside, shape).unbind(1)
            alike = _alike(compared(own).float(), prompts.clicks, size)
            told = torch.stack([*_drawn(prompts, size, shape), mask, *alike, *tones], 1)
            fused.append(fuse(torch.cat([own, told.to(own.dtype)], 1)))
        joined = self.decoder(fused)
        masks = self.candidates(joined).float()[:, :, : size[0], : size[1]]
        if masks.shape[2:] != size:
            masks = F.interpolate(masks, size=size, mode="bilinear")
        return MaskPrediction(masks, self._estimate(masks.detach(), joined[self.judged].float()))

    def forward(self, images: Tensor, targets: Tensor, rng: Tensor) -> list[MaskPrediction]:
        """A thing in each picture, pointed at ROUNDS times as a person would who knows it.

        images: (B, C, H, W) float; targets: (B, H, W) bool; draws: (B, DRAWS) uniform in [0, 1)
        """
        batch = len(images)
        if not batch:
            return [
                MaskPrediction(
                    images.new_zeros(0, CANDIDATES, *images.shape[2:]),
                    images.new_zeros(0, CANDIDATES),
                )
            ]
        maps = self.encode(images)
        boxes = _boxes(targets, rng[:, -4:]) * (rng[:, -5] < BOXED)[:, None]
        clicks = targets.new_zeros((batch, 0, 3), dtype=torch.float32)
        masks = torch.zeros(targets.shape, device=targets.device)
        predictions: list[MaskPrediction] = []
        for number in range(ROUNDS):
            wrong = targets != (masks > 0)
            click = _drawn_click(wrong, targets, rng[:, 2 * number : 2 * number + 2])
            if not number:
                click[:, 2] = torch.where(boxes.any(1), NO_CLICK, click[:, 2])
            clicks = torch.cat([clicks, click[:, None]], 1)
            prompts = Prompts(torch.arange(batch, device=targets.device), clicks, boxes, masks)
            predictions.append(self.decode(maps, prompts))
            masks = predictions[-1].best().detach()
        return predictions

    def _estimate(self, masks: Tensor, joined: Tensor) -> Tensor:
        """(N, 3, H, W) logits and (N, C, h, w) -> (N, 3): from what lies in each mask, how much of the picture that is, and how far
        its pixels are from undecided.
        """
        shares = F.adaptive_avg_pool2d(masks.sigmoid(), (joined.shape[2], joined.shape[3])).flatten(
            2
        )
        inside = torch.einsum("nmp,ncp->nmc", shares, joined.flatten(2)) / shares.sum(
            2, keepdim=True
        ).clamp(min=1e-3)
        decided = (2 * masks.sigmoid() - 1).abs().mean((2, 3))
        told: Tensor = self.sure(
            torch.cat([inside, shares.mean(2)[..., None], decided[..., None]], 2)
        )[..., 0]
        return told


def _drawn(prompts: Prompts, size: tuple[int, int], shape: tuple[int, int]) -> list[Tensor]:
    """Clicks inside, clicks outside and box, each (N, h, w) from 0 to 1."""
    device = prompts.clicks.device
    rows, columns = (
        (torch.arange(new, device=device) + 0.5) * (old / new)
        for new, old in zip(shape, size, strict=True)
    )
    # So wide that a click between two places of a coarse map is seen all the same.
    spread = 2 * max(NEAR, size[0] / shape[0] / 2) ** 2
    x, y, kind = prompts.clicks.unbind(2)
    down = (-((rows - y[..., None]) ** 2) / spread).exp()
    along = (-((columns - x[..., None]) ** 2) / spread).exp()
    told = []
    for wanted in (1.0, 0.0):
        bumps = torch.einsum("npr,npc->nrc", down * (kind == wanted)[..., None], along)
        told.append(bumps.clamp(max=1))
    left, top, right, bottom = (side[:, None] for side in prompts.boxes.unbind(1))
    told.append(
        ((rows >= top) & (rows < bottom)).float()[:, :, None]
        * ((columns >= left) & (columns < right)).float()[:, None]
    )
    return told


def _beside(images: Tensor, prompts: Prompts) -> Tensor:
    """(N, C, H, W) float -> (N, 3, H, W): the earlier mask from -1 to 1, and `_same_tone`."""
    earlier = (prompts.masks.float() / 2).tanh()[:, None]
    return torch.cat([earlier, _same_tone(images, prompts.clicks)], 1)


def _alike(compared: Tensor, clicks: Tensor, size: tuple[int, int]) -> list[Tensor]:
    """(N, E, h, w) and (N, P, 3) -> the cosine of each place with that of the places clicked inside which is most like it, and so of those
    outside: (N, h, w), -1 where there are none.
    """
    unit = F.normalize(compared, dim=1)
    scale = torch.tensor([size[1], size[0]], device=clicks.device)
    places = (2 * clicks[:, :, :2] / scale - 1)[:, :, None]
    there = F.grid_sample(unit, places, padding_mode="border", align_corners=False)[
        ..., 0
    ]  # (N, E, P)
    return _most(torch.einsum("nehw,nep->nphw", unit, there), clicks, -1.0)


def _same_tone(images: Tensor, clicks: Tensor) -> Tensor:
    """(N, C, H, W) float and (N, P, 3) -> (N, 2, H, W): from 0 to 1, how near each pixel's colour is to that of a pixel clicked inside,
    and outside. What a flood fill goes by.
    """
    height, width = images.shape[2:]
    columns, rows = (
        clicks[:, :, axis].long().clamp(0, side - 1) for axis, side in ((0, width), (1, height))
    )
    there = images.flatten(2).gather(
        2, (rows * width + columns)[:, None].expand(-1, images.shape[1], -1)
    )
    apart = (images[:, :, None] - there[..., None, None]).square().mean(1)  # (N, P, H, W)
    return torch.stack(_most((-apart / (2 * TONE**2)).exp(), clicks, 0.0), 1)


def _most(alike: Tensor, clicks: Tensor, none: float) -> list[Tensor]:
    """(N, P, h, w) -> the largest over the clicks inside, and over those outside, (N, h, w) each."""
    kinds = [(clicks[:, :, 2] == wanted)[:, :, None, None] for wanted in (1.0, 0.0)]
    return [alike.masked_fill(~kind, none).amax(1) for kind in kinds]


def _drawn_click(wrong: Tensor, targets: Tensor, rng: Tensor) -> Tensor:
    """(B, H, W) bool, the same, (B, 2) -> (B, 3): a pixel of those that are wrong, no click where none is. People click into the
    middle of things, more or less: how deep it lies at least is drawn first, then which of those that lie so deep.
    """
    rng, width = rng.to(wrong.device), wrong.shape[2]
    inner, depth = wrong.float(), wrong.float()
    for _ in range(DEEP - 1):
        inner = -F.max_pool2d(-F.pad(inner, (1, 1, 1, 1)), 3, 1)
        depth = depth + inner
    least = (rng[:, 0] * depth.flatten(1).amax(1)).floor() + 1
    counts = (depth >= least[:, None, None]).flatten(1).cumsum(1)
    chosen = (rng[:, 1] * counts[:, -1]).long()
    place = torch.searchsorted(counts, chosen[:, None] + 1)[:, 0].clamp(max=counts.shape[1] - 1)
    kind = targets.flatten(1).gather(1, place[:, None])[:, 0].float()
    kind = torch.where(counts[:, -1] > 0, kind, NO_CLICK)
    return torch.stack([place % width + 0.5, place // width + 0.5, kind], 1)


def _boxes(targets: Tensor, rng: Tensor) -> Tensor:
    """(B, H, W) bool and (B, 4) -> (B, 4) boxes around them, their edges off by up to LOOSE; all 0 where nothing is."""
    ends = []
    for axis in (1, 2):  # over rows: along x; over columns: along y
        there = targets.any(axis).float()
        length = there.shape[1]
        first, last = there.argmax(1), length - there.flip(1).argmax(1)
        ends.append((first.float(), last.float()))
    (left, right), (top, bottom) = ends
    sides = torch.stack([right - left, bottom - top] * 2, 1)
    boxes = (
        torch.stack([left, top, right, bottom], 1) + LOOSE * (2 * rng.to(sides.device) - 1) * sides
    )
    return boxes * targets.flatten(1).any(1)[:, None]


def prompt_losses(predictions: Sequence[MaskPrediction], targets: Tensor) -> dict[str, Tensor]:
    """What was answered in each round, and (B, H, W) bool -> mean over pictures with a thing of: focal cross-entropy and 1 - Dice
    of the better candidate, and how far each estimate of the IoU is off, squared.
    """
    known = targets.flatten(1).any(1).float()
    true = targets.flatten(1).float()[:, None]
    shape, off = [], []
    for prediction in predictions:
        logits = prediction.masks.flatten(2)
        share = logits.sigmoid()
        right = true * share + (1 - true) * (1 - share)
        entropy = F.binary_cross_entropy_with_logits(
            logits, true.expand_as(logits), reduction="none"
        )
        # What is asked for is a small part of a picture: both sides of its edge count the same.
        sides = [weight / weight.sum(2, keepdim=True).clamp(min=1) for weight in (true, 1 - true)]
        focal = sum((entropy * (1 - right) * side).sum(2) for side in sides)
        dice = 1 - (2 * (share * true).sum(2) + 1) / (share.sum(2) + true.sum(2) + 1)
        each = focal + dice
        shape.append((1 - SHARED) * each.min(1).values + SHARED * each.mean(1))
        hard = (logits.detach() > 0).float()
        both = (hard * true).sum(2)
        iou = both / (hard.sum(2) + true.sum(2) - both).clamp(min=1)
        off.append((prediction.sure.sigmoid() - iou).square().mean(1))
    count = max(
        1, len(targets)
    )  # pictures without a thing count as right, so that cutting batches changes nothing
    return {
        "mask": (torch.stack(shape).mean(0) * known).sum() / count,
        "estimate": (torch.stack(off).mean(0) * known).sum() / count,
    }
