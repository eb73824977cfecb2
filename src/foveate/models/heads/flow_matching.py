"""Images from noise and text, by flow matching: the net predicts the velocity of each pixel.

Between noise x0 and an image x1 lies a straight line, x_t = (1 - t) x0 + t x1. The net learns its
velocity, x1 - x0, from x_t, t and the text. To generate, noise follows the predicted velocity from
t = 0 to 1 (Lipman et al., "Flow matching for generative modeling", 2023; Liu et al., "Flow
straight and fast", 2023). A small transformer reads the text and is trained with the net; each
position of the image attends to its words (Vaswani et al., "Attention is all you need", 2017).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foveate.models.film import FilmResidual
from foveate.models.heads.segmentation import crop_or_extend
from foveate.models.heads.text_conditioning import (
    POSITION_FREQUENCIES,
    WIDTH,
    Attention,
    SpatialConditioning,
    TextConditioner,
    position_encoding,
)
from foveate.ops.timesteps import shift_timesteps

if TYPE_CHECKING:
    from foveate.models.backbone import Backbone
    from foveate.models.model import VisionModel

TIME_FREQUENCIES = 32
"""Sinusoids that encode a timestep."""
MIN_WIDTH = 32


class FlowMatchingModel(nn.Module):
    """A backbone on the noisy image, conditioned on a timestep and a prompt.

    Args:
        backbone: The backbone.
        words: See `TextConditioner`.
        max_length: See `TextConditioner`.
        width: See `TextConditioner`.
    """

    def __init__(self, backbone: Backbone, words: int, max_length: int, width: int = 0):
        super().__init__()
        self.backbone, channels = backbone, backbone.in_channels
        self.text = TextConditioner(words, max_length, width)
        self.time = nn.Sequential(
            nn.Linear(2 * TIME_FREQUENCIES, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH)
        )
        levels = sorted({stride: level for level, stride in enumerate(backbone.strides)}.values())
        self.levels, self.stride = levels, backbone.strides[levels[0]]
        widths = [max(MIN_WIDTH, backbone.channels[level]) for level in levels]
        inputs = [backbone.channels[level] for level in levels]
        # The finest level also gets the noisy pixels: they contain the noise to remove.
        inputs[0] += channels * self.stride**2
        self.lateral = nn.ModuleList(
            nn.Conv2d(before, after, 1) for before, after in zip(inputs, widths, strict=True)
        )
        self.up = nn.ModuleList(nn.Conv2d(before, after, 1) for after, before in pairwise(widths))
        self.layout = SpatialConditioning()
        self.position = nn.Linear(4 * POSITION_FREQUENCIES, widths[-1])
        self.attention = Attention(widths[-1])
        blocks = (*widths, widths[-1])  # two at the coarsest map, where global context is cheapest
        self.blocks = nn.ModuleList(FilmResidual(block) for block in blocks)
        self.film = nn.ModuleList(
            nn.Linear(WIDTH, 2 * block) for block in (*backbone.film_channels, *blocks)
        )
        self.last = nn.Conv2d(widths[0], channels * self.stride**2, 3, padding=1)
        nn.init.zeros_(self.last.weight)

    def forward(
        self, images: Tensor, noise: Tensor, t: Tensor, words: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Predict the velocity at a point between noise and image.

        Args:
            images: (B, C, H, W) normalised.
            noise: (B, C, H, W).
            t: (B,) timesteps from 0 (noise) to 1 (image).
            words: As `TextConditioner` takes them.

        Returns:
            The predicted and the target velocity, (B, C, H, W) each.
        """
        mix = t[:, None, None, None]
        conditioning = self.spatial_conditioning(words, images.shape[2:])
        velocity = self.velocity((1 - mix) * noise + mix * images, t, conditioning)
        return velocity, images - noise

    def spatial_conditioning(self, words: Tensor, size: Sequence[int]) -> Tensor:
        """Compute what the prompt says about each position; it is the same at every timestep.

        Args:
            words: As `TextConditioner` takes them.
            size: (height, width) of the image in pixels.

        Returns:
            (B, h, w, WIDTH).
        """
        tokens, mask = self.text(words)
        grid = [-(-side // self.backbone.strides[-1]) for side in size]
        out: Tensor = self.layout(tokens, mask, self.text.pool(tokens, mask), *grid)
        return out.reshape(out.shape[0], *grid, WIDTH)

    def velocity(self, x: Tensor, t: Tensor, conditioning: Tensor) -> Tensor:
        """Predict the velocity.

        Args:
            x: (B, C, H, W) between noise and image.
            t: (B,) timesteps.
            conditioning: (B, h, w, WIDTH) from `spatial_conditioning`.

        Returns:
            (B, C, H, W) float32.
        """
        waves = t[:, None] * torch.exp(
            torch.linspace(0, math.log(1000), TIME_FREQUENCIES, device=x.device)
        )
        time = self.time(torch.cat([waves.sin(), waves.cos()], 1))
        condition = F.silu(time[:, None, None] + conditioning)
        film = [layer(condition).permute(0, 3, 1, 2) for layer in self.film]
        backbone_film, film = film[: -len(self.blocks)], film[-len(self.blocks) :]
        maps = self.backbone(x, backbone_film) if backbone_film else self.backbone(x)
        maps = [maps[level] for level in self.levels]
        over = [-side % self.stride for side in x.shape[2:]]
        patches = F.pixel_unshuffle(F.pad(x, (0, over[1], 0, over[0])), self.stride)
        maps[0] = torch.cat([crop_or_extend(maps[0], patches), patches.to(maps[0].dtype)], 1)
        features = self._attend(self.lateral[-1](maps[-1]))
        for block, scale_shift in zip(self.blocks[-2:], film[-2:], strict=True):
            features = block(features, scale_shift)
        for level in reversed(range(len(maps) - 1)):
            finer = self.lateral[level](maps[level])
            coarser = F.interpolate(self.up[level](features), finer.shape[2:])
            features = self.blocks[level](coarser + finer, film[level])
        out: Tensor = F.pixel_shuffle(self.last(features), self.stride)
        return out[:, :, : x.shape[2], : x.shape[3]].float()

    def _attend(self, features: Tensor) -> Tensor:
        """Self-attention over the coarsest map."""
        height, width = features.shape[2:]
        position = self.position(position_encoding(height, width, features.device))
        attended = self.attention(features.flatten(2).transpose(1, 2) + position)
        return attended.transpose(1, 2).reshape(features.shape)  # type: ignore[no-any-return]


@torch.no_grad()
def sample(
    net: VisionModel, noise: Tensor, words: Tensor, *, guidance: float, steps: int
) -> Iterator[Tensor]:
    """Generate images from noise with Euler steps.

    Args:
        net: A net whose body is a `FlowMatchingModel`.
        noise: (B, C, H, W) standard normal.
        words: As `TextConditioner` takes them.
        guidance: Scale of classifier-free guidance (Ho and Salimans, 2021); 1 is none.
        steps: Number of steps.

    Yields:
        (B, C, H, W) normalised: the noise, and the state after each step.
    """
    model = net.body
    assert isinstance(model, FlowMatchingModel)
    net.eval()
    size = noise.shape[2:]
    x, conditional = noise, model.spatial_conditioning(words, size)
    unconditional = (
        None if guidance == 1 else model.spatial_conditioning(torch.zeros_like(words), size)
    )
    yield x
    for now, then in pairwise(shift_timesteps(torch.linspace(0, 1, steps + 1, device=x.device))):
        t = now.expand(len(x))
        velocity = model.velocity(x, t, conditional)
        if unconditional is not None:
            free = model.velocity(x, t, unconditional)
            velocity = free + guidance * (velocity - free)
        x = x + (then - now) * velocity
        yield x


def to_pixels(net: VisionModel, x: Tensor) -> Tensor:
    """Undo the normalisation, (B, C, H, W) float -> (B, H, W, C) uint8 on the CPU."""
    rounded = (x * net.std + net.mean).round().clamp(0, 255).to(torch.uint8)
    return rounded.permute(0, 2, 3, 1).cpu()
