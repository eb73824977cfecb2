"""From noise and words to a picture, by flow matching: the net says which way each pixel has to go.

Between noise x0 and a picture x1 lies a straight line, x_t = (1 - t) x0 + t x1. The net learns its direction, x1 - x0, from x_t, t and the
words; to make a picture, noise follows what the net says from t = 0 to 1 (Lipman et al., "Flow matching for generative modeling",
2023; Liu et al., "Flow straight and fast", 2023). The words are read by a small transformer that learns with it, and each
place of the picture attends to them (Vaswani et al., "Attention is all you need", 2017), so that it is told of what is to be there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foveate.models.heads.segmentation import reaching

if TYPE_CHECKING:
    from foveate.models.backbone import Backbone
    from foveate.models.model import VisionModel

WIDTH = 192
"""Numbers that a word, a moment and a whole prompt are told by."""
HEADS = 4
LAYERS = 2
"""Of the words' transformer."""
WAVES, PLACES = 32, 6
"""Frequencies that a moment, and a place along each side, are told by."""
EARLIER = 8
"""The odds of a share to the odds of its moment."""
NARROWEST = 32


class FlowMatchingModel(nn.Module):
    """backbone: sees the noisy picture; words, longest, width: see `Prompt`"""

    def __init__(self, backbone: Backbone, words: int, longest: int, width: int = 0):
        super().__init__()
        self.backbone, channels = backbone, backbone.images
        self.prompt = TextConditioner(words, longest, width)
        self.moment = nn.Sequential(nn.Linear(2 * WAVES, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH))
        used = sorted({stride: level for level, stride in enumerate(backbone.strides)}.values())
        self.used, self.stride = used, backbone.strides[used[0]]
        own = [max(NARROWEST, backbone.channels[level]) for level in used]
        given = [backbone.channels[level] for level in used]
        given[0] += (
            channels * self.stride**2
        )  # the noisy pixels themselves: what is to be taken away is in them
        self.lateral = nn.ModuleList(
            nn.Conv2d(before, width, 1) for before, width in zip(given, own, strict=True)
        )
        self.up = nn.ModuleList(nn.Conv2d(before, width, 1) for width, before in pairwise(own))
        self.layout = SpatialConditioning()
        self.where, self.look = nn.Linear(4 * PLACES, own[-1]), Attention(own[-1])
        bent = (*own, own[-1])  # twice at the coarsest map, where it costs least to see far
        self.blocks = nn.ModuleList(Residual(width) for width in bent)
        self.bends = nn.ModuleList(
            nn.Linear(WIDTH, 2 * width) for width in (*backbone.bends, *bent)
        )
        self.last = nn.Conv2d(own[0], channels * self.stride**2, 3, padding=1)
        nn.init.zeros_(self.last.weight)

    def forward(
        self, images: Tensor, noise: Tensor, moment: Tensor, words: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) normalised pictures, noise like them, (B,) from 0 to 1, words as `Prompt` takes them -> the direction that the
        net says, and the true one, (B, C, H, W) each.
        """
        t = moment[:, None, None, None]
        layout = self.planned(words, images.shape[2:])
        return self.velocity((1 - t) * noise + t * images, moment, layout), images - noise

    def planned(self, words: Tensor, size: Sequence[int]) -> Tensor:
        """What each place of (B, C, *size) is to show, by the words as `Prompt` takes them: (B, h, w, WIDTH), the same at every moment."""
        told, there = self.prompt(words)
        grid = [-(-side // self.backbone.strides[-1]) for side in size]
        layout: Tensor = self.layout(told, there, self.prompt.whole(told, there), *grid)
        return layout.unflatten(1, grid)

    def velocity(self, x: Tensor, moment: Tensor, layout: Tensor) -> Tensor:
        """(B, C, H, W) between noise and picture, at moments (B,), and what is `planned` -> which way each pixel has to go, (B, C, H, W)."""
        waves = moment[:, None] * torch.exp(
            torch.linspace(0, math.log(1000), WAVES, device=x.device)
        )
        condition = F.silu(
            self.moment(torch.cat([waves.sin(), waves.cos()], 1))[:, None, None] + layout
        )
        bends = [bend(condition).permute(0, 3, 1, 2) for bend in self.bends]
        inside, bends = bends[: -len(self.blocks)], bends[-len(self.blocks) :]
        maps = self.backbone(x, inside) if inside else self.backbone(x)
        maps = [maps[level] for level in self.used]
        over = [-side % self.stride for side in x.shape[2:]]
        squares = F.pixel_unshuffle(F.pad(x, (0, over[1], 0, over[0])), self.stride)
        maps[0] = torch.cat([reaching(maps[0], squares), squares.to(maps[0].dtype)], 1)
        found = self.lateral[-1](maps[-1])
        down, across = found.shape[2:]
        seen = self.look(
            found.flatten(2).transpose(1, 2) + self.where(_places(down, across, x.device))
        )
        found = seen.transpose(1, 2).reshape(found.shape)
        for block, bend in zip(self.blocks[-2:], bends[-2:], strict=True):
            found = block(found, bend)
        for level in reversed(range(len(maps) - 1)):
            finer = self.lateral[level](maps[level])
            found = self.blocks[level](
                F.interpolate(self.up[level](found), finer.shape[2:]) + finer, bends[level]
            )
        out: Tensor = F.pixel_shuffle(self.last(found), self.stride)
        return out[:, :, : x.shape[2], : x.shape[3]].float()


def early(share: Tensor) -> Tensor:
    """(N,) from 0 to 1 -> moments from 0 to 1, more of them near noise: what a picture is to show is settled when little of it can be seen, the
    sooner the stronger it is against the noise (Esser et al., "Scaling rectified flow transformers", 2024, equation 23).
    """
    return share / (share + EARLIER * (1 - share))


def _places(down: int, across: int, device: torch.device) -> Tensor:
    """(down * across, 4 PLACES) waves over each side of a map: to left and right all looks alike."""
    waves = math.pi * 2.0 ** torch.arange(PLACES, device=device)
    sides = [
        (torch.arange(side, device=device) + 0.5)[:, None] / side * waves for side in (down, across)
    ]
    rows, columns = (torch.cat([side.sin(), side.cos()], 1) for side in sides)
    return torch.cat([rows.repeat_interleave(across, 0), columns.repeat(down, 1)], 1)


class SpatialConditioning(nn.Module):
    """What each place of a picture is to show: it asks the words by where it lies and by all that is said. A condition for each place, not one
    for the picture (Park et al., "Semantic image synthesis with spatially-adaptive normalization", 2019), has each digit's own words at hand
    where that digit comes to be.
    """

    def __init__(self) -> None:
        super().__init__()
        self.where, self.norm, self.look = (
            nn.Linear(4 * PLACES, WIDTH),
            nn.LayerNorm(WIDTH),
            Attention(WIDTH),
        )

    def forward(
        self, told: Tensor, there: Tensor | None, whole: Tensor, down: int, across: int
    ) -> Tensor:
        """What `Prompt` gives, (B, L, WIDTH), (B, L) and (B, WIDTH) -> (B, down * across, WIDTH)."""
        asking = F.gelu(self.where(_places(down, across, told.device)) + whole[:, None])
        found: Tensor = self.look(asking, self.norm(told), there)
        return found


class TextConditioner(nn.Module):
    """Each word as the others make it mean.

    words: of the vocabulary; longest: L, words in a prompt at most; width: E, where words come as so many numbers each from a text encoder
    """

    def __init__(self, words: int, longest: int, width: int = 0):
        super().__init__()
        self.words = nn.Linear(width, WIDTH) if width else nn.Embedding(words + 1, WIDTH)
        self.places = nn.Parameter(0.02 * torch.randn(longest, WIDTH))
        self.image_stats = nn.ModuleList(Attention(WIDTH) for _ in range(LAYERS))
        self.each = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(WIDTH),
                nn.Linear(WIDTH, 2 * WIDTH),
                nn.GELU(),
                nn.Linear(2 * WIDTH, WIDTH),
            )
            for _ in range(LAYERS)
        )
        self.sum = nn.Linear(longest * WIDTH, WIDTH)

    def whole(self, told: Tensor, there: Tensor | None) -> Tensor:
        """What `forward` gives -> (B, WIDTH): all of it at once. No mean: which word stands where is what makes a 3 red and a 7 blue."""
        if there is not None:
            told = told * there[..., None]
        rest = self.places.shape[0] - told.shape[1]
        whole: Tensor = self.sum(F.pad(told, (0, 0, 0, rest)).flatten(1))
        return whole

    def forward(self, words: Tensor) -> tuple[Tensor, Tensor | None]:
        """(B, L) numbers of a vocabulary -> (B, L, WIDTH), and None: what follows a text's end is a word like others. Or (B, L', E) of a text
        encoder, zeros after a text's end -> (B, L', WIDTH), and (B, L') where it has words; one without any has the first, which so learns
        to stand for nothing.
        """
        there = None
        if words.ndim == 3:
            there = words.any(2)
            there[:, 0] = True
        told: Tensor = self.words(words) + self.places[: words.shape[1]]
        for look, each in zip(self.image_stats, self.each, strict=True):
            told = look(told, there=there)
            told = told + each(told)
        return told, there


class Norm(nn.Module):
    """Layer normalisation over the channels of each pixel: on a processor four times as fast as group normalisation."""

    def __init__(self, channels: int):
        super().__init__()
        self.weight, self.bias = (
            nn.Parameter(torch.ones(channels)),
            nn.Parameter(torch.zeros(channels)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same."""
        return F.layer_norm(
            x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias
        ).permute(0, 3, 1, 2)


class Residual(nn.Module):
    """Normalisation, SiLU, convolution, twice, added to what came in (He et al., "Identity mappings in deep residual networks", 2016);
    a condition can scale and shift each place between the two (Perez et al., "FiLM", 2018).
    """

    def __init__(self, width: int):
        super().__init__()
        self.first = nn.Sequential(Norm(width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1))
        self.norm, self.second = Norm(width), nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor, bend: Tensor | None = None) -> Tensor:
        """(B, C, H, W), and (B, 2 C, h, w) of scales and shifts, each for the nearest places -> (B, C, H, W)."""
        found = self.norm(self.first(x))
        if bend is not None:
            scale, shift = F.interpolate(bend, x.shape[2:]).chunk(2, 1)
            found = found * (1 + scale) + shift
        added: Tensor = self.second(F.silu(found))
        return x + added


class Attention(nn.Module):
    """Each of a sequence looks at all of it, or at words where there are any. Written out: for so few it takes a third of the time of
    torch's own on a processor.
    """

    def __init__(self, width: int):
        super().__init__()
        self.norm, self.ask, self.known = (
            nn.LayerNorm(width),
            nn.Linear(width, width),
            nn.Linear(width, 2 * width),
        )
        self.out = nn.Linear(width, width)

    def forward(
        self, x: Tensor, words: Tensor | None = None, there: Tensor | None = None
    ) -> Tensor:
        """(B, N, width), and (B, L, width) -> (B, N, width). there: which can be looked at, (B, L) or (B, N)"""
        flat = self.norm(x)
        known = self.known(flat if words is None else words)
        ask, key, value = (
            part.unflatten(2, (HEADS, -1)).transpose(1, 2)
            for part in (self.ask(flat), *known.chunk(2, 2))
        )
        near = ask @ key.transpose(2, 3) / math.sqrt(ask.shape[3])
        if there is not None:
            near = near.masked_fill(~there[:, None, None], -math.inf)
        added: Tensor = self.out((near.softmax(3) @ value).transpose(1, 2).flatten(2))
        return x + added


@torch.no_grad()
def paint(
    net: VisionModel, noise: Tensor, words: Tensor, *, guidance: float, steps: int
) -> Iterator[Tensor]:
    """Noise on its way to pictures: (B, C, H, W) normalised, as it is and after each of the steps (Euler's).

    words: as `Prompt` takes them; guidance: how much further to go where the words lead than where none lead (Ho and Salimans, "Classifier-free
    diffusion guidance", 2021); 1: not further
    """
    painter = net.body
    assert isinstance(painter, FlowMatchingModel)
    net.eval()
    x, asked = noise, painter.planned(words, noise.shape[2:])
    nothing = None if guidance == 1 else painter.planned(torch.zeros_like(words), noise.shape[2:])
    yield x
    for now, then in pairwise(early(torch.linspace(0, 1, steps + 1, device=x.device))):
        moment = now.expand(len(x))
        way = painter.velocity(x, moment, asked)
        if nothing is not None:
            free = painter.velocity(x, moment, nothing)
            way = free + guidance * (way - free)
        x = x + (then - now) * way
        yield x


def pixels(net: VisionModel, x: Tensor) -> Tensor:
    """(B, C, H, W) normalised -> (B, H, W, C) uint8."""
    found = (x * net.std + net.mean).round().clamp(0, 255).to(torch.uint8)
    return found.permute(0, 2, 3, 1).cpu()
