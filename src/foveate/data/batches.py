"""Batches from decoded images: one indexed read, augmented as one tensor.

No Python object is made for a single image on the way, which is what makes small images fast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foveate.data.dataset import Images
from foveate.data.rng import SampleRNG, epoch_order, sample_keys
from foveate.data.subset import ImageArray, ImageOnDisk, Subset

_MAX_BATCH_PIXELS = 500 * 64 * 64
"""Pixels of a validation batch: the feature maps take about a hundred times their memory."""


class Collator(Protocol):
    """The method of a task that batches need."""

    def collate(
        self, images: Tensor, targets: Sequence[Any], rng: SampleRNG
    ) -> tuple[tuple[Tensor, ...], Any]:
        """Turn (B, C, S, S) uint8 images and B targets into the network's inputs and target."""
        ...


class AugmentPolicy(Protocol):
    """How training images are augmented together with their targets."""

    @property
    def flip(self) -> bool:
        """Whether images are mirrored left to right."""
        ...

    @property
    def crops_per_image(self) -> int:
        """How many crops of each image an epoch shows, each drawn independently."""
        ...

    def batch(
        self, images: Images, targets: Sequence[Any], rng: SampleRNG, progress: float, /
    ) -> tuple[Tensor, Sequence[Any]]:
        """Augment one batch.

        Args:
            images: (B, S, S, C) uint8; if `crops_per_image` exceeds 1, a list of B (h, w, C)
                uint8 images that stay on disk until they are read.
            targets: B targets.
            rng: A stream for each image.
            progress: The fraction of the run that is done, 0 to 1.

        Returns:
            (B, S, S, C) uint8 and B targets.
        """
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return the settings, for the run's record."""
        ...


class Batches:
    """The training split as batches that depend on (seed, epoch, sample id) alone.

    An epoch is cut into batches whose sizes differ by at most one. Every image is seen equally
    often, and no small last batch disturbs batch normalisation.

    Args:
        task: Collates images and targets.
        pixels: (N, S, S, C) uint8.
        targets: N targets.
        ids: N sample ids.
        batch_size: Approximate number of images in a batch.
        seed: The seed of the run.
        augment: The augmentation.
    """

    def __init__(
        self,
        task: Collator,
        pixels: ImageArray,
        targets: Sequence[Any],
        ids: Sequence[str],
        *,
        batch_size: int,
        seed: int,
        augment: AugmentPolicy,
    ):
        self.task, self.pixels, self.targets = task, pixels, targets
        more = [f"{id}#{number}" for number in range(1, augment.crops_per_image) for id in ids]
        self.keys, self.seed, self.augment = sample_keys([*ids, *more]), seed, augment
        self.per_epoch = max(1, round(len(self.keys) / batch_size))

    def __call__(
        self, start: int = 0, progress: Callable[[int], float] = lambda step: 0.0
    ) -> Iterator[tuple[tuple[Tensor, ...], Any]]:
        """Yield batches without end.

        Args:
            start: The first step, counted from the beginning of training.
            progress: Maps a step to the fraction of the run that is done, 0 to 1; some policies
                augment less towards the end.

        Yields:
            The network's inputs and target, as the task collates them.
        """
        for step in count(start):
            epoch, index = divmod(step, self.per_epoch)
            if index == 0 or step == start:
                order = epoch_order(self.keys, self.seed, epoch)
                chunks = np.array_split(order, self.per_epoch)
            yield self.batch(chunks[index], epoch, progress(step))

    def batch(
        self, rows: NDArray[np.int64], epoch: int, progress: float = 0.0
    ) -> tuple[tuple[Tensor, ...], Any]:
        """Return the batch of these samples in one epoch.

        Args:
            rows: (B,) sample indices; from N on they count further crops of the same samples.
            epoch: The epoch.
            progress: The fraction of the run that is done, 0 to 1.

        Returns:
            The network's inputs, the first of them (B, C, S, S) uint8, and its target.
        """
        rng = SampleRNG(self.keys[rows], self.seed, epoch)
        rows = rows % len(self.targets)
        plain: Any = self.pixels[rows] if self.augment.crops_per_image == 1 else self._on_disk(rows)
        images, targets = self.augment.batch(
            plain, [self.targets[row] for row in rows], rng, progress
        )
        return self.task.collate(images.permute(0, 3, 1, 2), targets, rng)

    def _on_disk(self, rows: NDArray[np.int64]) -> list[Any]:
        """Images that are read when they are cropped: a crop needs few pixels of a large one."""
        pixels = self.pixels
        if isinstance(pixels, Subset):
            return [ImageOnDisk(pixels, int(row)) for row in rows]
        return [pixels[row] for row in rows]


def validation_batches(
    task: Collator,
    pixels: ImageArray,
    targets: Sequence[Any],
    ids: Sequence[str],
    batch_size: int | None = None,
) -> Iterator[tuple[tuple[Tensor, ...], Any]]:
    """Yield a split in order, without augmentation.

    Random numbers (noise, clicks) depend on the sample alone, so every validation asks the same
    question.

    Args:
        task: Collates images and targets.
        pixels: (N, S, S, C) uint8.
        targets: N targets.
        ids: N sample ids.
        batch_size: Images in a batch; by default as many as fit a fixed number of pixels.

    Yields:
        The network's inputs and target, as the task collates them.
    """
    keys = sample_keys(ids)
    batch_size = batch_size or max(1, _MAX_BATCH_PIXELS // (pixels.shape[1] * pixels.shape[2]))
    for start in range(0, len(ids), batch_size):
        rows = slice(start, start + batch_size)
        # Indexing by an array copies; torch may own the copy.
        images = torch.from_numpy(pixels[np.arange(len(ids))[rows]])
        rng = SampleRNG(keys[rows], seed=0)
        yield task.collate(images.permute(0, 3, 1, 2), targets[rows], rng)
