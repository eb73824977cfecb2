"""Decode once: all pictures of a set as one uint8 array at the training size, from which batches are one indexed read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from foveate.data.dataset import Dataset, Image, Sample, Skipped
from foveate.data.pictures import fit
from foveate.errors import BadPicture, DataError

A = TypeVar("A")

_CHUNK = 64  # samples that a worker takes at once: less often is less overhead, more often smoother progress
_PROBED = 200  # samples that the set's own size is read from


@dataclass(frozen=True)
class Pictures(Generic[A]):
    """A set in memory.

    dataset: the samples that could be read, in order; what could not is in its `skipped`
    pixels: (N, S, S, C) uint8, row i is sample i
    hashes: of each picture as decoded, before it was resized: equal hashes are the same picture
    sides: (N, 2) int, height and width of each picture on disk
    """

    dataset: Dataset[A]
    pixels: NDArray[np.uint8]
    hashes: tuple[str, ...]
    sides: NDArray[np.int64]


def natural_size(dataset: Dataset[Any]) -> int:
    """The median of the pictures' longer sides, in pixels, from an even sample of them."""
    sides = []
    for sample in dataset.samples[:: max(1, len(dataset) // _PROBED)]:
        try:
            sides.append(max(sample.source.read().shape[:2]))
        except BadPicture:
            continue  # it is counted and listed when the whole set is decoded
    return int(np.median(sides)) if sides else 0


def decode(
    dataset: Dataset[A],
    size: int,
    *,
    channels: int | None = None,
    most_skipped: float = 0.05,
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> Pictures[A]:
    """Every picture of the set at size x size.

    channels: of the result; None takes 1 if all pictures are grey, else 3 (or what the pictures have, if more)
    most_skipped: the share of unreadable pictures above which DataError is raised
    tick: called now and then with (pictures done, pictures in all)
    """
    pixels = np.empty((len(dataset), size, size, channels or 1), np.uint8)
    kept: list[Sample[A]] = []
    hashes, sides, skipped = [], [], list(dataset.skipped)
    for done, (sample, picture) in enumerate(_read_all(dataset.samples, size, channels), 1):
        if isinstance(picture, BadPicture):
            skipped.append(Skipped(sample.id, picture.message))
        else:
            image, digest, side = picture
            if image.shape[2] > pixels.shape[3]:  # the first colour picture after grey ones
                pixels = np.repeat(pixels, image.shape[2], 3) if pixels.shape[3] == 1 else _refuse_bands(sample)
            pixels[len(kept)] = image  # a grey picture among colour ones is repeated over the channels
            kept.append(sample)
            hashes.append(digest)
            sides.append(side)
        if done % _CHUNK == 0 or done == len(dataset):
            tick(done, len(dataset))
    _refuse_many(dataset, skipped, len(kept), most_skipped)
    whole = Dataset(
        dataset.name, dataset.task, dataset.classes, kept, tuple(skipped), dataset.origin, dataset.symmetric
    )
    return Pictures(whole, pixels[: len(kept)], tuple(hashes), np.array(sides, np.int64).reshape(-1, 2))


def _read_all(
    samples: Sequence[Sample[A]], size: int, channels: int | None
) -> Iterator[tuple[Sample[A], tuple[Image, str, tuple[int, int]] | BadPicture]]:
    def read(chunk: Sequence[Sample[A]]) -> list[tuple[Image, str, tuple[int, int]] | BadPicture]:
        return [_read_one(sample, size, channels) for sample in chunk]

    chunks = [samples[start : start + _CHUNK] for start in range(0, len(samples), _CHUNK)]
    # Threads, not processes: Pillow decodes and resizes without the interpreter's lock, and starting a process costs
    # more than decoding a small set.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for chunk, pictures in zip(chunks, pool.map(read, chunks), strict=True):
            yield from zip(chunk, pictures, strict=True)


def _read_one(sample: Sample[Any], size: int, channels: int | None) -> tuple[Image, str, tuple[int, int]] | BadPicture:
    try:
        image = sample.source.read()
    except BadPicture as error:
        return error
    digest = blake2b(str(image.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image).data)
    height, width, bands = image.shape
    return fit(image, size, channels or bands), digest.hexdigest(), (height, width)


def _refuse_bands(sample: Sample[Any]) -> NDArray[np.uint8]:
    raise DataError(
        "this picture has more bands than those before it; all pictures of a set must agree",
        where=sample.id,
        remedy="Convert the pictures to one kind, or keep them in separate sets.",
    )


def _refuse_many(dataset: Dataset[Any], skipped: list[Skipped], kept: int, most: float) -> None:
    total = kept + len(skipped)
    if total and (kept == 0 or len(skipped) > most * total):
        examples = "".join(f"\n    {s.id}: {s.reason}" for s in skipped[:5])
        raise DataError(
            f"{len(skipped)} of {total} samples cannot be used (at most {most:.0%} may be skipped); the first:{examples}",
            where=str(dataset.origin or dataset.name),
            remedy="Repair or remove them, or pass --allow-skipped to go on with the rest.",
        )
