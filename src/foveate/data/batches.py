"""Batches, whole from the cache: one indexed read, augmented as one tensor, no Python object a picture on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foveate.data.dataset import Images
from foveate.data.rng import SampleRNG, keys, shuffled
from foveate.data.subset import Pixels

_PIXELS_AT_ONCE = 500 * 64 * 64
"""Of a validation batch: a net's maps take some hundred times that in memory."""


class Collates(Protocol):
    """The part of a task that batches need."""

    def collate(
        self, images: Tensor, targets: Sequence[Any], rng: SampleRNG
    ) -> tuple[tuple[Tensor, ...], Any]: ...


class Policy(Protocol):
    """What is done to train pictures, and with them to their truths.

    flip: whether pictures are mirrored; repeats: how often each is shown in an epoch, as something else each time
    """

    @property
    def flip(self) -> bool: ...

    @property
    def repeats(self) -> int: ...

    def batch(
        self, images: Images, targets: Sequence[Any], rng: SampleRNG, progress: float
    ) -> tuple[Tensor, Sequence[Any]]:
        """(B, S, S, C) uint8 and B truths, as they are shown when a run is so far (0 to 1). Where `repeats` is more than 1, a list of
        pictures, (h, w, C) each, which lie on disk until they are read.
        """
        ...

    def to_json(self) -> dict[str, Any]: ...


class Batches:
    """The train part as batches, in an order and with an augmentation that depend on (seed, epoch, sample id) alone.

    pixels: (N, S, S, C) uint8; truths: N annotations; ids: N sample ids

    An epoch is cut into batches of nearly equal size (they differ by at most one), so that every picture is seen as often
    as any other and no small batch at the end spoils batch normalisation.
    """

    def __init__(
        self,
        task: Collates,
        pixels: Pixels,
        targets: Sequence[Any],
        ids: Sequence[str],
        *,
        batch_size: int,
        seed: int,
        augment: Policy,
    ):
        self.task, self.pixels, self.targets = task, pixels, targets
        again = [f"{id}#{number}" for number in range(1, augment.repeats) for id in ids]
        self.keys, self.seed, self.augment = keys([*ids, *again]), seed, augment
        self.per_epoch = max(1, round(len(self.keys) / batch_size))

    def __call__(
        self, start: int = 0, progress: Callable[[int], float] = lambda step: 0.0
    ) -> Iterator[tuple[tuple[Tensor, ...], Any]]:
        """The batches from step `start` on, counted from the beginning of training, without end.

        progress: step -> how far the run is, from 0 to 1: some policies do less towards the end
        """
        for step in count(start):
            epoch, within = divmod(step, self.per_epoch)
            if within == 0 or step == start:
                chunks = np.array_split(shuffled(self.keys, self.seed, epoch), self.per_epoch)
            yield self.batch(chunks[within], epoch, progress(step))

    def batch(
        self, rows: NDArray[np.int64], epoch: int, progress: float = 0.0
    ) -> tuple[tuple[Tensor, ...], Any]:
        """The samples of these rows as they look in this epoch: ((B, C, S, S) uint8, ...), target. Rows beyond the last
        sample begin again with the first.
        """
        rng = SampleRNG(self.keys[rows], self.seed, epoch)
        rows = rows % len(self.targets)
        pieces = self.augment.repeats > 1  # of each picture few pixels are read then
        plain = [self.pixels[int(row)] for row in rows] if pieces else self.pixels[rows]
        images, targets = self.augment.batch(
            plain, [self.targets[row] for row in rows], rng, progress
        )
        return self.task.collate(images.permute(0, 3, 1, 2), targets, rng)


def in_order(
    task: Collates,
    pixels: Pixels,
    targets: Sequence[Any],
    ids: Sequence[str],
    batch_size: int | None = None,
) -> Iterator[tuple[tuple[Tensor, ...], Any]]:
    """A part as it is, for validation: no augmentation, and draws (noise, clicks) that depend on the sample alone."""
    every, batch_size = (
        keys(ids),
        batch_size or max(1, _PIXELS_AT_ONCE // (pixels.shape[1] * pixels.shape[2])),
    )
    for start in range(0, len(ids), batch_size):
        rows = slice(start, start + batch_size)
        images = torch.from_numpy(
            pixels[np.arange(len(ids))[rows]]
        )  # by an array of rows: a copy, which torch may own
        yield task.collate(
            images.permute(0, 3, 1, 2), targets[rows], SampleRNG(every[rows], seed=0)
        )
