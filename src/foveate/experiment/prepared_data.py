"""The data of a run, ready to be trained on and evaluated: decoded, checked and split."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.audit import Audit, FindingGroup
from foveate.data.cache import decoding
from foveate.data.dataset import SPLITS, Image, SplitName
from foveate.data.images import FileSource
from foveate.data.resizing import fit, letterbox_size
from foveate.data.rng import epoch_order, sample_keys
from foveate.data.split.file import SplitRows
from foveate.data.split.leaks import Leak
from foveate.data.subset import Subset
from foveate.errors import DataError, FoveateError
from foveate.tasks.task import Task
from foveate.wording import count_noun


@dataclass(frozen=True)
class PreparedData:
    """All data of a run.

    Attributes:
        task: The problem, with its classes.
        images: Every image that could be read.
        splits: Rows of `images` in each split, int64.
        units: (N,) int64, equal for images that belong together: copies, and those of one group.
        notes: What the user should know about the data.
        leaks: Images that several splits share, if that is allowed.
    """

    task: Task[Any]
    images: decoding.DecodedImages[Any]
    splits: dict[SplitName, NDArray[np.int64]]
    units: NDArray[np.int64]
    notes: tuple[str, ...]
    leaks: tuple[Leak, ...]

    @classmethod
    def of_rows(
        cls,
        task: Task[Any],
        images: decoding.DecodedImages[Any],
        rows: SplitRows,
        notes: tuple[str, ...],
        leaks: tuple[Leak, ...] = (),
    ) -> PreparedData:
        """Gather the images of each split, as the rows of split.csv say."""
        own = [rows[sample.id] for sample in images.dataset]
        splits = {
            split: np.array([i for i, row in enumerate(own) if row.split == split], np.int64)
            for split in SPLITS
        }
        return cls(
            task, images, splits, np.array([row.unit for row in own], np.int64), notes, leaks
        )

    def for_evaluation(self, split: SplitName) -> PreparedData:
        """The same, with no more images in a split than the task evaluates, drawn by their ids."""
        if self.task.max_eval_images is None:
            return self
        return replace(
            self, splits={**self.splits, split: self.drawn(split, self.task.max_eval_images)}
        )

    def drawn(
        self,
        split: SplitName,
        limit: int,
        seed: int = 0,
        wanted: Callable[[Any], bool] | None = None,
    ) -> NDArray[np.int64]:
        """Rows of a split, no more than `limit`: drawn by their ids, and in order.

        Args:
            split: The split.
            limit: The number of rows, at most.
            seed: Of the draw.
            wanted: Of which targets; None for all.
        """
        rows = self.splits[split]
        if wanted is not None:
            rows = rows[np.array([wanted(target) for target in self.targets(split)], bool)]
        if len(rows) <= limit:
            return rows
        ids = [self.images.dataset[row].id for row in rows]
        return rows[np.sort(epoch_order(sample_keys(ids), seed, 0)[:limit])]

    def of(self, split: SplitName) -> tuple[Subset, list[Any], list[str]]:
        """Images, targets and ids of a split, as the net sees them.

        Returns:
            Pixels (N, S, S, C) uint8, read when they are indexed; targets in these pixels; ids.
        """
        rows, samples = self.splits[split], self.images.dataset.samples
        targets, ids = self.targets(split), [samples[row].id for row in rows]
        if not self.task.letterbox:
            return Subset(self.images.pixels, rows), targets, ids
        sizes, fitted = self._sizes(split)
        targets = list(map(self._resized, rows, targets, sizes, fitted))
        content = np.array(fitted, np.int64).reshape(-1, 2)
        return Subset(self.images.pixels, rows, content), targets, ids

    def read_again(self, split: SplitName, rows: slice) -> list[Image]:
        """Some images of a split as `of` gives them, but from their files and not from the cache.

        Where the cache holds JPEG, their pixels are those that `foveate predict` sees.
        """
        _, size, _, channels = self.images.pixels.shape
        samples = [self.images.dataset[row] for row in self.splits[split][rows]]
        images = [
            fit(sample.source.read(), size, channels, letterbox=self.task.letterbox)
            for sample in samples
        ]
        if not self.task.letterbox:
            return images
        fitted = self._sizes(split)[1][rows]
        return [
            image[:height, :width] for image, (height, width) in zip(images, fitted, strict=True)
        ]

    def targets(self, split: SplitName) -> list[Any]:
        """Targets of a split in the pixels of the original images."""
        sizes, _ = self._sizes(split)
        targets: list[Any] = [self.images.dataset[row].target for row in self.splits[split]]
        classes = len(self.task.classes)
        return [target.clip(size, classes) for target, size in zip(targets, sizes, strict=True)]

    def _resized(
        self, row: int, target: Any, before: tuple[int, int], after: tuple[int, int]
    ) -> Any:
        """A target in the pixels of its resized image.

        Raises:
            DataError: A mask is not of its image's size, and such faults are allowed.
        """
        try:
            return self.task.resize(target, before, after)
        except FoveateError as error:
            sample = self.images.dataset[row]
            raise DataError(
                error.message,
                where=sample.source.path if isinstance(sample.source, FileSource) else sample.id,
                remedy="Make the mask again from this image, or leave the image out.",
            ) from error

    def to_original(self, split: SplitName, predictions: Sequence[Any]) -> list[Any]:
        """Predictions for the images that `of` gives, in the pixels of the original images."""
        if not self.task.letterbox:
            return list(predictions)
        sizes, fitted = self._sizes(split)
        return [self.task.resize(*one) for one in zip(predictions, fitted, sizes, strict=True)]

    def _sizes(self, split: SplitName) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """(height, width) of each original image, and of the content of its letterbox."""
        stats = self.images.image_stats[self.splits[split]]
        sizes = list(zip(stats["height"].tolist(), stats["width"].tolist(), strict=True))
        return sizes, [letterbox_size(*size, self.images.pixels.shape[1]) for size in sizes]

    def fingerprint(self) -> str:
        """A hash of the classes and of each sample's id, pixels and target."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update("\0".join(self.task.classes).encode("utf-8", "surrogatepass"))
        for sample, content in zip(self.images.dataset, self.images.hashes, strict=True):
            line = f"{sample.id}\0{content}\0{self.task.to_dict(sample.target)}\n"
            digest.update(line.encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def summary(self) -> str:
        """Name, numbers of images and classes, size and colour in one line."""
        dataset = self.images.dataset
        splits = ", ".join(f"{len(self.splits[split]):,} {split}" for split in SPLITS)
        if left_out := len(dataset) - sum(map(len, self.splits.values())):
            splits += f", {left_out:,} left out"
        _, side, _, channels = self.images.pixels.shape
        classes = (
            f" of {count_noun(len(dataset.classes), 'class', 'classes')}" if dataset.classes else ""
        )
        colour = {1: "grey", 3: "colour"}.get(channels, f"{channels} channels")
        images = count_noun(len(dataset), "image")
        return f"{dataset.name}: {images}{classes} ({splits}), {side} px, {colour}"

    def to_json(self, result: Audit) -> dict[str, Any]:
        """The contents of data.json, with the findings of the audit."""
        dataset = self.images.dataset
        return {
            "name": dataset.name,
            "origin": str(dataset.origin) if dataset.origin is not None else None,
            "fingerprint": self.fingerprint(),
            "encoding": self.images.encoding,
            "classes": list(dataset.classes),
            "images": {split: len(rows) for split, rows in self.splits.items()},
            "counts": {split: self._class_counts(rows) for split, rows in self.splits.items()},
            "notes": list(self.notes),
            "leaks": [
                {"ids": list(leak.ids), "splits": list(leak.splits), "reason": leak.reason}
                for leak in self.leaks
            ],
            "skipped": [{"id": one.id, "reason": one.reason} for one in dataset.skipped],
            "audit": [
                {
                    "severity": group.severity,
                    "check": group.check,
                    "samples": group.samples,
                    "first": first_finding(group),
                    "remedy": group.findings[0].remedy,
                }
                for group in result.groups
            ],
        }

    def _class_counts(self, rows: NDArray[np.int64]) -> list[int]:
        """Images of each class among these rows."""
        dataset = self.images.dataset
        targets = [dataset[row].target for row in rows]
        present = [k for target in targets if target is not None for k in target.present()]
        counts: list[int] = np.bincount(present, minlength=len(dataset.classes)).tolist()
        return counts


def first_finding(group: FindingGroup) -> str:
    """A group of findings in one line: how many samples, and the first of them."""
    first = group.findings[0]
    count = f"{group.samples:,} samples, e.g. " if group.samples > 1 else ""
    return f"{count}{', '.join(first.ids[:2])}{': ' if first.ids else ''}{first.reason}"
