"""Samples and datasets: images where they lie on disk, each with its target, before decoding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from foveate.wording import count_noun, describe_html, describe_object, list_some

if TYPE_CHECKING:
    from matplotlib.figure import Figure

A = TypeVar("A")

Image = NDArray[np.uint8]
"""An image in memory: (H, W, C) uint8; C is 1 for grey, 3 for RGB, any number for other bands."""

Images = Sequence[Image] | NDArray[np.uint8]
"""Images of any sizes, or an (N, H, W, C) uint8 array: a sequence of images of one size."""

SplitName = Literal["train", "valid", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "valid", "test")


class Source(Protocol):
    """Where the pixels of a sample come from. A source reads nothing until it is asked to."""

    def read(self) -> Image:
        """Decode the image, upright.

        Returns:
            (H, W, C) uint8.

        Raises:
            BadImage: If the image cannot be decoded.
        """
        ...


@dataclass(frozen=True, slots=True)
class ArraySource:
    """An image in memory, as one row of an array.

    Attributes:
        rows: (N, H, W, C) uint8.
        index: The row of this image.
    """

    rows: NDArray[np.uint8]
    index: int

    def read(self) -> Image:
        """Return the image, (H, W, C) uint8, without a copy."""
        result: Image = self.rows[self.index]
        return result


@dataclass(frozen=True, slots=True)
class Sample(Generic[A]):
    """One image with its target.

    Attributes:
        id: Unique in its dataset and stable from run to run, e.g. "train/cat/001.jpg". All
            randomness is drawn from it.
        source: Where the pixels come from.
        target: The annotation, or None if the image has none.
        group: Samples of one group (a patient, a video, a place) stay in one split.
        split: The split that the data itself assigns, or None.
        time: When the image was taken, as the data records it, or None.
    """

    id: str
    source: Source
    target: A | None = None
    group: str | None = None
    split: SplitName | None = None
    time: str | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A sample that was left out, with the reason. Nothing is dropped in silence."""

    id: str
    reason: str


@dataclass(frozen=True)
class Dataset(Generic[A]):
    """An ordered collection of samples with the names of their classes.

    Attributes:
        name: A short name, e.g. that of the folder.
        task: The name of the task that the annotations fit, e.g. "classification".
        classes: The K class names; a class index points into them.
        samples: In a stable order, with unique ids.
        skipped: The samples that the reader left out, with reasons.
        origin: Where the dataset was read from, so that a run can be repeated and resumed; None
            for data built in memory.
        hflip_safe: True if a mirrored image is as good an example of its class, False if it is not
            (digits, letters), None if unknown.
        notes: Decisions of the reader that the user should know, e.g. that boxes count from 0.
        colours: (K, 3) RGB, one for each class, if the data brings a palette.
        format: The name of the format that it was read from, see `foveate.formats`.
    """

    name: str
    task: str
    classes: tuple[str, ...]
    samples: Sequence[Sample[A]]
    skipped: tuple[Skipped, ...] = ()
    origin: Path | str | None = None
    hflip_safe: bool | None = None
    notes: tuple[str, ...] = ()
    colours: tuple[tuple[int, int, int], ...] | None = None
    format: str | None = None

    @property
    def origin_paths(self) -> tuple[Path, ...]:
        """The folder or file that it was read from, in which no output may lie."""
        return (self.origin,) if isinstance(self.origin, Path) else ()

    def __repr__(self) -> str:
        return describe_object(*self._description())

    def _repr_html_(self) -> str:
        return describe_html(*self._description())

    def _description(self) -> tuple[str, dict[str, str]]:
        """What it is, and what is in it."""
        counts = Counter(sample.split for sample in self.samples)
        return f"Dataset {self.name!r} for {self.task}: {count_noun(len(self), 'image')}", {
            "classes": f"{len(self.classes):,}: {list_some(self.classes)}" if self.classes else "",
            "splits": ", ".join(f"{split} {counts[split]:,}" for split in SPLITS if counts[split]),
            "skipped": count_noun(len(self.skipped), "image") if self.skipped else "",
            "read from": str(self.origin or ""),
        }

    def show(
        self, n: int = 8, *, class_name: str | None = None, split: SplitName | None = None
    ) -> Figure:
        """Draw some images with their targets, for a notebook; see `foveate.show_samples`."""
        # Drawing is the task's, above this package: it is reached by its public name.
        import foveate

        return foveate.show_samples(self, n, class_name=class_name, split=split)

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[Sample[A]]:
        return iter(self.samples)

    def __getitem__(self, index: int) -> Sample[A]:
        return self.samples[index]

    def subset(self, split: SplitName) -> Dataset[A]:
        """Return the samples of one split, in the same order."""
        return replace(self, samples=[sample for sample in self.samples if sample.split == split])
