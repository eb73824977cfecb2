"""Samples and sets of samples: pictures as they lie on disk, each with its truth, before anything is decoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

A = TypeVar("A")

Image = NDArray[np.uint8]
"""A picture in memory: (H, W, C) uint8, C = 1 for grey, 3 for colour, any number for other bands."""

Images = Sequence[Image] | NDArray[np.uint8]
"""Pictures of any sizes; or (N, H, W, C) uint8, which is a sequence of pictures that happen to be of one size."""

SplitName = Literal["train", "valid", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "valid", "test")


class Source(Protocol):
    """Where the pixels of one sample come from. Reading is lazy: a source costs nothing until it is asked."""

    def read(self) -> Image:
        """The picture, decoded and upright: (H, W, C) uint8. Raises BadImage if that cannot be done."""
        ...


@dataclass(frozen=True, slots=True)
class ArraySource:
    """A picture that already lies in memory, as one (H, W, C) uint8 row of a larger array."""

    rows: NDArray[np.uint8]
    index: int

    def read(self) -> Image:
        return self.rows[self.index]


@dataclass(frozen=True, slots=True)
class Sample(Generic[A]):
    """One picture and what is known of it.

    id: unique in its dataset and stable from run to run, e.g. "train/cat/001.jpg"; all randomness is drawn from it
    source: where the pixels come from
    truth: the annotation, or None where there is none
    group: samples of one group (a patient, a video, a place) never straddle parts
    part: the part that the data itself assigns, or None
    time: when it was taken, as the data tells it, or None
    """

    id: str
    source: Source
    target: A | None = None
    group: str | None = None
    split: SplitName | None = None
    time: str | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A sample that was left out, and why. Nothing is dropped in silence."""

    id: str
    reason: str


@dataclass(frozen=True)
class Dataset(Generic[A]):
    """An ordered set of samples with the names of their classes.

    name: what to call it, e.g. the folder's name
    task: the name of the task that these annotations fit, e.g. "classification"
    classes: the K class names; a class index points into it
    samples: in a stable order, ids unique
    skipped: what the reader had to leave out, each with its reason
    origin: where it was read from, so that a run can be repeated and resumed; None for data built in memory
    symmetric: True if a mirrored picture is as good an example of its class, False if not (digits, letters),
        None if nobody said
    notes: what the reader had to decide and the user should know, e.g. that boxes were counted from 0
    colours: of the classes, (K, 3) RGB, where the data has them (a palette)
    format: the name of the format that it was read from, see `data.formats`
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

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[Sample[A]]:
        return iter(self.samples)

    def __getitem__(self, index: int) -> Sample[A]:
        return self.samples[index]

    def subset(self, split: SplitName) -> Dataset[A]:
        """The samples that are assigned to one part, in the same order."""
        return replace(self, samples=[sample for sample in self.samples if sample.split == split])
