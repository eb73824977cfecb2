"""A mask from clicks, a box or an earlier mask; the image is encoded once for all prompts.

Kirillov et al., "Segment anything", 2023: points, a box and an earlier mask as prompts, and three
candidate masks with estimated IoUs. Here prompts are maps next to the encoder's maps (Sofiiuk et
al., "Reviving iterative training with mask guidance", 2021) instead of a transformer's tokens,
which is faster on a CPU; the similarity of each pixel to the clicked ones replaces attention.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from foveate.models.backbone import Backbone
from foveate.models.convolution import convolution
from foveate.models.heads.segmentation import MAX_WIDTH, Decoder, SkipSumHead
from foveate.ops.clicks import NO_CLICK

CANDIDATES = 3
"""Masks per prompt: a click can mean an object, a part of it, or a larger object."""
ROUNDS = 3
"""Prompts in a training step; each after the first clicks where the last prediction is wrong."""
CLICK_SIGMA = 3.0
"""Standard deviation of a click's Gaussian in pixels."""
PROMPT_CHANNELS = 8
"""Clicks inside and outside, box, earlier mask, and the similarity of features and of colours to
the clicks inside and outside."""
EMBEDDING_WIDTH = 16
"""Width of the embeddings whose cosine similarity compares two positions."""
COLOUR_SIGMA = 0.5
"""Colour distance, in standard deviations of the data's colours, at which similarity fades."""
BOX_PROBABILITY = 0.25
"""Probability that the first prompt in training is a box."""
BOX_JITTER = 0.1
"""Largest shift of a box's edges in training, as a fraction of its sides."""
MAX_DEPTH = 8
"""Distance from the edge in pixels beyond which click positions count as equally deep."""
DRAWS_PER_OBJECT = 2 * ROUNDS + 5
"""Random numbers per object in a training step: two per click, one for whether there is a box,
four for its edges."""


@dataclass(frozen=True)
class Prompts:
    """Prompts for N objects, in pixels of the padded input.

    Attributes:
        rows: (N,) int64, the image that each object is in.
        clicks: (N, P, 3) x, y, and 1 for inside, 0 for outside or NO_CLICK.
        boxes: (N, 4) left, top, right, bottom; all 0 for no box.
        masks: (N, H, W) logits of an earlier prediction; 0 where unknown.
    """

    rows: Tensor
    clicks: Tensor
    boxes: Tensor
    masks: Tensor


@dataclass(frozen=True)
class MaskPrediction:
    """Candidate masks for N objects.

    Attributes:
        masks: (N, 3, H, W) logits.
        iou_logits: (N, 3) estimated IoUs, as logits.
    """

    masks: Tensor
    iou_logits: Tensor

    def best(self) -> Tensor:
        """Return the logits (N, H, W) of the candidates with the highest estimated IoU."""
        rows = torch.arange(len(self.masks), device=self.masks.device)
        return self.masks[rows, self.iou_logits.argmax(1)]

    def best_ious(self) -> NDArray[np.float32]:
        """Return (N,) estimated IoUs of these candidates, from 0 to 1."""
        ious: NDArray[np.float32] = self.iou_logits.max(1).values.sigmoid().cpu().numpy()
        return ious


class Fusion(nn.Module):
    """The first layer of the decoder at one level: the sum of two convolutions.

    One sees the features, is computed by `PromptableHead.encode` and shared by all prompts in the
    image; the other sees the prompts. Each has its own batch normalisation, which `models.fused`
    can fold into it.

    Args:
        channels: Of the features.
        width: Of the result.
    """

    def __init__(self, channels: int, width: int):
        super().__init__()
        self.features = convolution(channels, width)[:-1]  # without ReLU
        self.prompts = convolution(PROMPT_CHANNELS, width)[:-1]

    def forward(self, features: Tensor, prompts: Tensor) -> Tensor:
        """Add the prompts (N, PROMPT_CHANNELS, h, w) to what was made of the features."""
        return F.relu(features + self.prompts(prompts))


class PromptableHead(nn.Module):
    """An encoder from images to maps, and a decoder from maps and prompts to masks.

    Args:
        backbone: The encoder.
    """

    def __init__(self, backbone: Backbone):
        super().__init__()
        self.backbone = backbone
        levels = sorted({stride: level for level, stride in enumerate(backbone.strides)}.values())
        self.levels, channels = levels, [backbone.channels[level] for level in levels]
        strides = [backbone.strides[level] for level in levels]
        self.embeddings = nn.ModuleList(nn.Conv2d(c, EMBEDDING_WIDTH, 1) for c in channels)
        widths = [min(c, MAX_WIDTH) for c in channels]
        self.fusions = nn.ModuleList(map(Fusion, channels, widths))
        self.decoder = Decoder(widths, strides)
        self.candidates = SkipSumHead(self.decoder.channels, self.decoder.strides, CANDIDATES)
        self.iou_level = min(
            len(self.decoder.strides) - 1, sum(stride < 8 for stride in self.decoder.strides)
        )
        self.iou_head = nn.Sequential(
            nn.Linear(self.decoder.channels[self.iou_level] + 2, 64), nn.ReLU(), nn.Linear(64, 1)
        )

    def encode(self, images: Tensor) -> list[Tensor]:
        """Compute once what all prompts in these images share.

        Args:
            images: (B, C, H, W) float.

        Returns:
            The images; then two maps of each level: what `Fusion` makes of its features, and
            embeddings (B, EMBEDDING_WIDTH, h, w) of length 1.
        """
        features, maps = self.backbone(images), [images]
        for level, embed, fusion in zip(self.levels, self.embeddings, self.fusions, strict=True):
            assert isinstance(fusion, Fusion)
            x = features[level]
            maps += [fusion.features(x), F.normalize(embed(x).float(), dim=1)]
        return maps

    def decode(self, maps: Sequence[Tensor], prompts: Prompts) -> MaskPrediction:
        """Predict masks.

        Args:
            maps: The output of `encode` for B images.
            prompts: Prompts for N objects in these images.
        """
        size = (prompts.masks.shape[1], prompts.masks.shape[2])
        images, *maps = (one[prompts.rows] for one in maps)
        at_pixels = pixel_prompts(images.float(), prompts)
        fused = []
        for fusion, features, unit in zip(self.fusions, maps[::2], maps[1::2], strict=True):
            shape = (unit.shape[2], unit.shape[3])
            mask, *colours = F.adaptive_avg_pool2d(at_pixels, shape).unbind(1)
            similar = _feature_similarity(unit, prompts.clicks, size)
            drawn = draw_prompts(prompts, size, shape)
            channels = torch.stack([*drawn, mask, *similar, *colours], 1)
            fused.append(fusion(features, channels.to(features.dtype)))
        joined = self.decoder(fused)
        masks = self.candidates(joined).float()[:, :, : size[0], : size[1]]
        if masks.shape[2:] != size:
            masks = F.interpolate(masks, size=size, mode="bilinear")
        iou = self._estimate_iou(masks.detach(), joined[self.iou_level].float())
        return MaskPrediction(masks, iou)

    def forward(self, images: Tensor, targets: Tensor, rng: Tensor) -> list[MaskPrediction]:
        """Simulate ROUNDS prompts by a user, for one object in each image.

        Args:
            images: (B, C, H, W) float.
            targets: (B, H, W) bool masks of the objects.
            rng: (B, DRAWS_PER_OBJECT) uniform in [0, 1).

        Returns:
            The prediction of each round.
        """
        batch = len(images)
        if not batch:
            masks = images.new_zeros(0, CANDIDATES, *images.shape[2:])
            return [MaskPrediction(masks, images.new_zeros(0, CANDIDATES))]
        maps = self.encode(images)
        boxes = jittered_boxes(targets, rng[:, -4:]) * (rng[:, -5] < BOX_PROBABILITY)[:, None]
        clicks = targets.new_zeros((batch, 0, 3), dtype=torch.float32)
        masks = torch.zeros(targets.shape, device=targets.device)
        predictions: list[MaskPrediction] = []
        for number in range(ROUNDS):
            wrong = targets != (masks > 0)
            click = sample_clicks(wrong, targets, rng[:, 2 * number : 2 * number + 2])
            if not number:
                click[:, 2] = torch.where(boxes.any(1), NO_CLICK, click[:, 2])
            clicks = torch.cat([clicks, click[:, None]], 1)
            prompts = Prompts(torch.arange(batch, device=targets.device), clicks, boxes, masks)
            predictions.append(self.decode(maps, prompts))
            masks = predictions[-1].best().detach()
        return predictions

    def _estimate_iou(self, masks: Tensor, features: Tensor) -> Tensor:
        """IoU logits (N, 3) from the features in each mask, its area and its certainty.

        masks: (N, 3, H, W) logits; features: (N, C, h, w).
        """
        shape = (features.shape[2], features.shape[3])
        shares = F.adaptive_avg_pool2d(masks.sigmoid(), shape).flatten(2)
        total = shares.sum(2, keepdim=True).clamp(min=1e-3)
        inside = torch.einsum("nmp,ncp->nmc", shares, features.flatten(2)) / total
        certainty = (2 * masks.sigmoid() - 1).abs().mean((2, 3))
        inputs = torch.cat([inside, shares.mean(2)[..., None], certainty[..., None]], 2)
        iou: Tensor = self.iou_head(inputs)[..., 0]
        return iou


def draw_prompts(prompts: Prompts, size: tuple[int, int], shape: tuple[int, int]) -> list[Tensor]:
    """Maps of the clicks inside, the clicks outside and the box, each (N, h, w) from 0 to 1."""
    device = prompts.clicks.device
    rows, columns = (
        (torch.arange(new, device=device) + 0.5) * (old / new)
        for new, old in zip(shape, size, strict=True)
    )
    # Wide enough that a click between two points of a coarse map is still visible. `torch.export`
    # does not know Python's `max`.
    sigma: float = torch.sym_max(CLICK_SIGMA, size[0] / shape[0] / 2)  # type: ignore[assignment]
    spread = 2 * sigma**2
    x, y, labels = prompts.clicks.unbind(2)
    down = (-((rows - y[..., None]) ** 2) / spread).exp()
    along = (-((columns - x[..., None]) ** 2) / spread).exp()
    maps = []
    for label in (1.0, 0.0):
        bumps = torch.einsum("npr,npc->nrc", down * (labels == label)[..., None], along)
        maps.append(bumps.clamp(max=1))
    left, top, right, bottom = (side[:, None] for side in prompts.boxes.unbind(1))
    maps.append(
        ((rows >= top) & (rows < bottom)).float()[:, :, None]
        * ((columns >= left) & (columns < right)).float()[:, None]
    )
    return maps


def pixel_prompts(images: Tensor, prompts: Prompts) -> Tensor:
    """(N, 3, H, W): the earlier mask from -1 to 1, and the two maps of `colour_similarity`."""
    earlier = (prompts.masks.float() / 2).tanh()[:, None]
    return torch.cat([earlier, colour_similarity(images, prompts.clicks)], 1)


def _feature_similarity(unit: Tensor, clicks: Tensor, size: tuple[int, int]) -> list[Tensor]:
    """Cosine similarity to the nearest click inside, and outside; -1 without such a click.

    unit: (N, E, h, w) of length 1; clicks: (N, P, 3). Returns (N, h, w) each.
    """
    scale = torch.tensor([size[1], size[0]], device=clicks.device)
    grid = (2 * clicks[:, :, :2] / scale - 1)[:, :, None]
    at_clicks = F.grid_sample(unit, grid, padding_mode="border", align_corners=False)[..., 0]
    return _largest_per_label(torch.einsum("nehw,nep->nphw", unit, at_clicks), clicks, -1.0)


def colour_similarity(images: Tensor, clicks: Tensor) -> Tensor:
    """Similarity from 0 to 1 to the colour of the nearest click inside, and outside.

    A flood fill uses the same cue. images: (N, C, H, W); clicks: (N, P, 3). Returns (N, 2, H, W).
    """
    height, width = images.shape[2:]
    columns, rows = (
        clicks[:, :, axis].long().clamp(0, side - 1) for axis, side in ((0, width), (1, height))
    )
    indices = (rows * width + columns)[:, None].expand(-1, images.shape[1], -1)
    at_clicks = images.flatten(2).gather(2, indices)
    distance = (images[:, :, None] - at_clicks[..., None, None]).square().mean(1)  # (N, P, H, W)
    similar = (-distance / (2 * COLOUR_SIGMA**2)).exp()
    return torch.stack(_largest_per_label(similar, clicks, 0.0), 1)


def _largest_per_label(similar: Tensor, clicks: Tensor, default: float) -> list[Tensor]:
    """(N, P, h, w) -> the largest over the clicks inside, and outside, (N, h, w) each."""
    masks = [(clicks[:, :, 2] == label)[:, :, None, None] for label in (1.0, 0.0)]
    return [similar.masked_fill(~mask, default).amax(1) for mask in masks]


def sample_clicks(wrong: Tensor, targets: Tensor, rng: Tensor) -> Tensor:
    """Sample a click among the wrong pixels of each image, or NO_CLICK if there are none.

    Users click near the middle of objects: first a minimum depth is drawn, then one of the pixels
    at least so deep. wrong, targets: (B, H, W) bool; rng: (B, 2). Returns (B, 3).
    """
    rng, width = rng.to(wrong.device), wrong.shape[2]
    eroded, depth = wrong.float(), wrong.float()
    for _ in range(MAX_DEPTH - 1):
        eroded = -F.max_pool2d(-F.pad(eroded, (1, 1, 1, 1)), 3, 1)
        depth = depth + eroded
    min_depth = (rng[:, 0] * depth.flatten(1).amax(1)).floor() + 1
    counts = (depth >= min_depth[:, None, None]).flatten(1).cumsum(1)
    chosen = (rng[:, 1] * counts[:, -1]).long()
    index = torch.searchsorted(counts, chosen[:, None] + 1)[:, 0].clamp(max=counts.shape[1] - 1)
    label = targets.flatten(1).gather(1, index[:, None])[:, 0].float()
    label = torch.where(counts[:, -1] > 0, label, NO_CLICK)
    return torch.stack([index % width + 0.5, index // width + 0.5, label], 1)


def jittered_boxes(targets: Tensor, rng: Tensor) -> Tensor:
    """Bounding boxes (B, 4) with edges shifted by up to BOX_JITTER; all 0 for an empty mask.

    targets: (B, H, W) bool; rng: (B, 4).
    """
    ends = []
    for axis in (1, 2):  # reduced over rows: x; over columns: y
        occupied = targets.any(axis).float()
        length = occupied.shape[1]
        first, last = occupied.argmax(1), length - occupied.flip(1).argmax(1)
        ends.append((first.float(), last.float()))
    (left, right), (top, bottom) = ends
    sides = torch.stack([right - left, bottom - top] * 2, 1)
    shifts = BOX_JITTER * (2 * rng.to(sides.device) - 1) * sides
    boxes = torch.stack([left, top, right, bottom], 1) + shifts
    return boxes * targets.flatten(1).any(1)[:, None]
