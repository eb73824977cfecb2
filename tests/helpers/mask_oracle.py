"""Nets that need no training: they read from the colours of pixels what is where, so that
predictions must be exact.

Black is ground; red, green and blue are told apart by the brightest channel, also where resizing
mixed in a little of another.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor, nn

from foveate.annotations import Boxes, Instances
from foveate.data.resizing import letterbox_size
from foveate.tasks.instance import OFFSET_UNIT

SURE = 30.0
"""Logits of what is certain."""


def coloured(values: np.ndarray) -> np.ndarray:
    """(H, W) of 0 to 3 -> (H, W, 3): ground, red, green, blue."""
    return np.concatenate([np.zeros((1, 3), np.uint8), 255 * np.eye(3, dtype=np.uint8)])[values]


def blocks(rng: np.random.Generator, shape: tuple[int, int], side: tuple[int, int]) -> np.ndarray:
    """(H, W) of 0 to 3, one value in each block of `side` pixels."""
    rows, columns = (-(-whole // split) for whole, split in zip(shape, side, strict=True))
    coarse = rng.integers(0, 4, (rows, columns))
    return np.kron(coarse, np.ones(side, int))[: shape[0], : shape[1]]


def seen(images: Tensor) -> Tensor:
    """(B, 3, H, W) from 0 to 255 -> (B, H, W) of 0 to 3."""
    return torch.cat([torch.full_like(images[:, :1], 127.5), images], 1).argmax(1)


def fitted(image: np.ndarray, size: int) -> np.ndarray:
    """(h, w) of 0 to 3: what a net of this size sees of an image, by Pillow alone."""
    height, width = letterbox_size(*image.shape[:2], size)
    small = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
    return seen(torch.from_numpy(small.copy()).permute(2, 0, 1)[None].float())[0].numpy()


def enlarged(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(h, w) -> (*shape): each pixel as the one that its middle falls on, in whole numbers."""
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new)
        for new, old in zip(shape, values.shape, strict=True)
    )
    return values[np.ix_(rows, columns)]


class Classes(nn.Module):
    """(B, 4, H, W) logits of ground, red, green and blue."""

    def forward(self, images: Tensor) -> Tensor:
        return SURE * nn.functional.one_hot(seen(images), 4).permute(0, 3, 1, 2).float()


class Logits(nn.Module):
    """Logits of K classes by any function of the (B, 3, H, W) images."""

    def __init__(self, of: Callable[[Tensor], Tensor]):
        super().__init__()
        self.of = of

    def forward(self, images: Tensor) -> Tensor:
        return self.of(images)


class Things(nn.Module):
    """What `Instance` expects of two classes: regions of red and of green are objects of class 0,
    of blue those of class 1.

    sure: how likely their class is, by colour, and doubt: how likely the other class is; scatter:
    pixels that a third of the
    votes are off to the left, another third to the right
    """

    def __init__(
        self,
        sure: tuple[float, float, float] = (1.0, 1.0, 1.0),
        scatter: int = 0,
        doubt: float = 0.0,
    ):
        super().__init__()
        self.sure, self.scatter, self.doubt = sure, scatter, doubt

    def forward(self, images: Tensor) -> Tensor:
        colours = seen(images)
        offsets = np.zeros((len(images), 2, *images.shape[2:]))
        for row, own in enumerate(colours.numpy()):
            for ink in (1, 2, 3):
                patches, count = ndimage.label(own == ink)
                for number, (top, left) in (
                    enumerate(ndimage.find_objects(patches), 1) if count else ()
                ):
                    down, across = np.nonzero(patches[top, left] == number)
                    down, across = down + top.start, across + left.start
                    offsets[row, 0, down, across] = int(np.median(down)) - down
                    offsets[row, 1, down, across] = int(np.median(across)) - across
                    offsets[row, 1, down, across] += self.scatter * ((down + across) % 3 - 1)
        likely = torch.tensor((1e-9, *self.sure)).clamp(max=1 - 1e-9)[colours]
        named = nn.functional.one_hot(torch.tensor([0, 1, 1, 2])[colours], 3)[..., 1:]
        named = named * likely[..., None] + (1 - named) * self.doubt * (colours > 0)[..., None]
        shares = (
            torch.cat([1 - named.sum(-1, keepdim=True), named], -1)
            .clamp(min=1e-9)
            .permute(0, 3, 1, 2)
        )
        return torch.cat([shares.log(), torch.from_numpy(offsets / OFFSET_UNIT).float()], 1)


COLD = 3
"""The colour of class 1; 1 and 2 are those of class 0."""
Box = tuple[int, int, int, int, int]


def painted(shape: tuple[int, int], *instances: Box) -> np.ndarray:
    """(H, W) colours with objects of (left, top, right, bottom, colour) in it."""
    values = np.zeros(shape, int)
    for left, top, right, bottom, ink in instances:
        values[top:bottom, left:right] = ink
    return values


def parted(colours: np.ndarray) -> dict[bytes, int]:
    """The mask of each patch of a colour, and its class: what an prediction must be."""
    expected = {}
    for ink in (1, 2, 3):
        patches, count = ndimage.label(colours == ink)
        expected |= {(patches == n).tobytes(): int(ink == COLD) for n in range(1, count + 1)}
    return expected


def told(prediction: Instances) -> dict[bytes, int]:
    masks = prediction.masks(prediction.boxes.size)
    return {
        mask.tobytes(): k for mask, k in zip(masks, prediction.boxes.classes.tolist(), strict=True)
    }


def make_target(colours: np.ndarray, **flags) -> Instances:
    patches = [np.frombuffer(mask, bool).reshape(colours.shape) for mask in parted(colours)]
    ids = sum(((n + 1) * mask for n, mask in enumerate(patches)), np.zeros(colours.shape, int))
    return Instances.from_label_map(
        ids, Boxes(np.zeros((len(patches), 4)), np.array([*parted(colours).values()], int), **flags)
    )


SCENE = painted(
    (64, 64),
    (2, 3, 20, 13, 1),
    (20, 3, 34, 13, 2),
    (40, 40, 61, 64, 3),
    (0, 60, 9, 64, 3),
    (10, 30, 12, 32, 2),
)
"""Two that touch, two at edges, and one of LEAST pixels."""
