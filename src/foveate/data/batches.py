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
from foveate.errors import SettingError

MAX_BATCH_PIXELS = 500 * 64 * 64
"""Pixels of a batch without gradients: feature maps take about a hundred times their memory."""


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

    @property
    def neighbours(self) -> int:
        """How many of the images that follow it in the batch an image may be composed with."""
        ...

    def batch(
        self, images: Images, targets: Sequence[Any], rng: SampleRNG, progress: float, /
    ) -> tuple[Tensor, Sequence[Any]]:
        """Augment one batch.

        Args:
            images: (B, S, S, C) uint8, an array or a tensor on any device; if `crops_per_image`
                exceeds 1, a list of B (h, w, C) uint8 images that stay on disk until they are read.
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
        rank: Which share of each batch is given, where several processes share them.
        ranks: Number of shares of each batch.
        device: Where images are augmented.

    Raises:
        SettingError: A batch has fewer images than there are shares.
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
        rank: int = 0,
        ranks: int = 1,
        device: torch.device | None = None,
    ):
        self.task, self.pixels, self.targets = task, pixels, targets
        self.rank, self.ranks, self.device = rank, ranks, device or torch.device("cpu")
        more = [f"{id}#{number}" for number in range(1, augment.crops_per_image) for id in ids]
        self.keys, self.seed, self.augment = sample_keys([*ids, *more]), seed, augment
        self.per_epoch = max(1, round(len(self.keys) / batch_size))
        smallest = len(self.keys) // self.per_epoch
        if smallest < ranks:
            raise SettingError(
                f"each of {ranks} processes needs an image of every batch, and batches have "
                f"{smallest}",
                where="batch_size",
                remedy=f"Use --batch-size {ranks} or more, or fewer processes.",
            )

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

    def loss_weight(self, step: int) -> float:
        """Images of this share over the mean of all shares: the weight of its loss."""
        larger = len(self.keys) % self.per_epoch  # the first batches of an epoch have one more
        images = len(self.keys) // self.per_epoch + (step % self.per_epoch < larger)
        return self._place(images)[1] * self.ranks / images

    def batch(
        self, rows: NDArray[np.int64], epoch: int, progress: float = 0.0
    ) -> tuple[tuple[Tensor, ...], Any]:
        """Return this share of the batch of these samples in one epoch.

        Args:
            rows: (B,) sample indices; from N on they count further crops of the same samples.
            epoch: The epoch.
            progress: The fraction of the run that is done, 0 to 1.

        Returns:
            The network's inputs, the first of them (B, C, S, S) uint8, and its target.
        """
        first, own = self._place(len(rows))
        # The images that follow are augmented too, for those that are composed with them.
        rows = np.roll(rows, -first)[: own + self.augment.neighbours] if self.ranks > 1 else rows
        keys, rows = self.keys[rows], rows % len(self.targets)
        plain = self._read(rows)
        rng = SampleRNG(keys, self.seed, epoch)
        images, targets = self.augment.batch(
            plain, [self.targets[row] for row in rows], rng, progress
        )
        rng = rng.first(own)
        return self.task.collate(images[:own].permute(0, 3, 1, 2), targets[:own], rng)

    def _place(self, images: int) -> tuple[int, int]:
        """The first image of this share in a batch, and the number of its images."""
        parts = np.array_split(np.arange(images), self.ranks)
        return int(parts[self.rank][0]), len(parts[self.rank])

    def _read(self, rows: NDArray[np.int64]) -> Any:
        """The images of these rows, where they are augmented."""
        if self.augment.crops_per_image > 1:
            return self._on_disk(rows)
        images = self.pixels[rows]
        if self.device.type == "cpu":
            return images
        moved = torch.from_numpy(images)
        if self.device.type == "cuda":
            moved = moved.pin_memory()  # it is copied while the device computes
        return moved.to(self.device, non_blocking=moved.is_pinned())

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
    *,
    rank: int = 0,
    ranks: int = 1,
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
        rank: The first batch that is given, where several processes share them.
        ranks: Distance from one batch that is given to the next.

    Yields:
        The network's inputs and target, as the task collates them.
    """
    keys = sample_keys(ids)
    batch_size = batch_size or max(1, MAX_BATCH_PIXELS // (pixels.shape[1] * pixels.shape[2]))
    for start in range(rank * batch_size, len(ids), ranks * batch_size):
        rows = slice(start, start + batch_size)
        # Indexing by an array copies; torch may own the copy.
        images = torch.from_numpy(pixels[np.arange(len(ids))[rows]])
        rng = SampleRNG(keys[rows], seed=0)
        yield task.collate(images.permute(0, 3, 1, 2), targets[rows], rng)
