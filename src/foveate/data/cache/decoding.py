"""Decode once: all pictures of a set at the training size, in a file that batches are read from, now and in later runs."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from foveate.data.cache import store, workers
from foveate.data.cache.file import HASH, CachedImages, Memory, Writer
from foveate.data.cache.workers import DecodeSpec
from foveate.data.dataset import Dataset, Sample, Skipped, Source
from foveate.data.image_stats import IMAGE_STATS
from foveate.data.images import FileSource
from foveate.errors import BadImage, DataError

A = TypeVar("A")

Tick = Callable[[int, int], None]
"""Called now and then with (pictures done, pictures in all)."""

Tell = Callable[[str], None]
"""Called with what the user should know: that another process is waited for, that nothing can be kept on disk."""

_PROBED = 200  # samples that the set's own size is read from
_PEEKED = 16  # samples by which a set is taken for grey before all are seen
_MEMORY = Path("/proc/meminfo")


@dataclass(frozen=True)
class Survey(Generic[A]):
    """What is known of a set's pictures once each was decoded.

    dataset: the samples that could be read, in order; what could not is in its `skipped`
    hashes: of each picture as decoded, before it was resized: equal hashes are the same picture
    """

    dataset: Dataset[A]
    hashes: tuple[str, ...]
    _looks: NDArray[Any] | None

    @cached_property
    def image_stats(self) -> NDArray[Any]:
        """(N,) of `looks.LOOK`: height, width, brightness, sharpness and so on. Of pictures that were in memory they are
        taken when first asked for: to look costs more than all that training needs of them.
        """
        if self._looks is not None:
            return self._looks
        image_stats = _in_memory(self.dataset, DecodeSpec(0)).image_stats
        assert image_stats is not None
        return image_stats


@dataclass(frozen=True)
class Pictures(Survey[A]):
    """A set, decoded.

    pixels: (N, S, S, C) uint8, row i is sample i. Those of files are mapped, not to be written to: memory holds what is
        used of them, and can let go of it again. So take rows, never all.
    """

    pixels: NDArray[np.uint8]


def natural_size(dataset: Dataset[Any], share: float = 0.5) -> int:
    """The longer side in pixels that this share of the pictures does not exceed, from an even sample of them."""
    sides = []
    for sample in dataset.samples[:: max(1, len(dataset) // _PROBED)]:
        try:
            sides.append(_longer_side(sample.source))
        except BadImage:
            continue  # it is counted and listed when the whole set is decoded
    return int(np.quantile(sides, share)) if sides else 0


def decode(
    dataset: Dataset[A],
    size: int,
    *,
    channels: int | None = None,
    letterbox: bool = False,
    most_skipped: float = 0.05,
    tick: Tick = lambda done, total: None,
    tell: Tell = lambda words: None,
) -> Pictures[A]:
    """Every picture of the set at size x size: from the cache if it has them, else decoded and kept there.

    channels: of the result; None takes 1 if all pictures are grey, else 3 (or what the pictures have, if more)
    letterbox: keeps the aspect of each, see `pictures.fit`
    most_skipped: the share of unreadable pictures above which DataError is raised

    Pictures that lie in memory already stay there, and all do if the cache cannot be written and memory is large enough;
    that is told. Raises DataError if it is not, and if the cache lies within the data.
    """
    kept = _kept(dataset, DecodeSpec(size, channels, letterbox=letterbox), tick, tell)
    whole, hashes = _readable(dataset, kept, most_skipped)
    return Pictures(whole, hashes, kept.image_stats, kept.pixels)


def survey(
    dataset: Dataset[A],
    *,
    most_skipped: float = 1.0,
    tick: Tick = lambda done, total: None,
    tell: Tell = lambda words: None,
) -> Survey[A]:
    """The same without pixels, for who trains nothing; from the cache if it has the pictures at any size."""
    kept = _kept(dataset, DecodeSpec(0), tick, tell)
    return Survey(*_readable(dataset, kept, most_skipped), kept.image_stats)


def _readable(
    dataset: Dataset[A], kept: CachedImages, most_skipped: float
) -> tuple[Dataset[A], tuple[str, ...]]:
    """The set without what could not be read, and the hashes of the rest."""
    skipped = (
        *dataset.skipped,
        *(Skipped(dataset[place].id, reason) for place, reason in kept.skipped.items()),
    )
    samples = [sample for place, sample in enumerate(dataset) if place not in kept.skipped]
    _refuse_many(dataset, skipped, len(samples), most_skipped)
    digits = kept.hashes.hex()
    hashes = tuple(digits[start : start + 2 * HASH] for start in range(0, len(digits), 2 * HASH))
    return replace(dataset, samples=samples, skipped=skipped), hashes


# --- from the cache, or into it


def _kept(dataset: Dataset[Any], wanted: DecodeSpec, tick: Tick, tell: Tell) -> CachedImages:
    key = store.key(dataset.samples) if len(dataset) else None
    if key is None:
        return _in_memory(dataset, replace(wanted, image_stats=wanted.size == 0), tick)
    _refuse_within(dataset)
    path = store.place(key, wanted.size, wanted.channels, wanted.letterbox)
    try:
        for there in [path] if wanted.size else store.all_sizes(key):
            if found := _recalled(there, dataset, wanted, tick):
                return found
        with store.making(path, tell) as descriptor:
            if found := _recalled(
                path, dataset, wanted, tick
            ):  # another process made it while we waited
                return found
            _make_room(dataset, wanted)
            writer = Writer(descriptor, len(dataset), wanted.size, wanted.channels or 1)
            skipped = _gather(dataset, writer, wanted, tick)
            if writer.count:
                return writer.close(path.stem, dataset.name, skipped)
            return Memory(0, wanted.size, wanted.channels or 1).close(skipped)
    except store.NoRoom as refused:
        reason, remedy = refused.reason, refused.remedy
    except OSError as error:
        reason = f"{store.root()} cannot be used ({error.strerror or error})"
        remedy = "Name another place with FOVEATE_CACHE."
    _refuse_more_than_memory(dataset, wanted, reason, remedy)
    tell(f"decoded pictures stay in memory and are not kept for later: {reason}")
    return _in_memory(dataset, wanted, tick)


def _recalled(
    path: Path, dataset: Dataset[Any], wanted: DecodeSpec, tick: Tick
) -> CachedImages | None:
    """What was kept, unless a picture that was unreadable then can be read now: the reason may have been a disk or a
    network that failed for a moment.
    """
    kept = store.recall(path)
    if kept is not None and kept.skipped:
        sources = [dataset[place].source for place in kept.skipped]
        if len(workers.read_chunk(sources, wanted).bad) < len(sources):
            path.unlink(missing_ok=True)
            return None
    if kept is not None:
        tick(len(dataset), len(dataset))
    return kept


def _in_memory(
    dataset: Dataset[Any], wanted: DecodeSpec, tick: Tick = lambda done, total: None
) -> CachedImages:
    memory = Memory(len(dataset), wanted.size, wanted.channels or 1)
    return memory.close(_gather(dataset, memory, wanted, tick))


def _gather(
    dataset: Dataset[Any], into: Writer | Memory, wanted: DecodeSpec, tick: Tick
) -> dict[int, str]:
    """Decode all pictures. Returns those that could not be read: place in the set, and reason."""
    skipped: dict[int, str] = {}
    done = 0
    for chunk in workers.read_all([sample.source for sample in dataset.samples], wanted):
        skipped.update((done + place, reason) for place, reason in chunk.bad)
        places = (place for place in range(done, done + chunk.count) if place not in skipped)
        for place, image in zip(places, chunk.images, strict=True):
            if image.shape[2] not in (1, into.channels):
                if into.channels != 1:
                    raise _unequal(dataset[place], image.shape[2], into.channels)
                into.widen(
                    image.shape[2]
                )  # the first picture in colour after grey ones, or the very first
        pixels = np.empty((len(chunk.images), into.size, into.size, into.channels), np.uint8)
        for row, image in zip(pixels, chunk.images, strict=True):
            row[:] = image  # a grey picture among those in colour is repeated over the channels
        into.add(pixels, chunk.hashes, chunk.image_stats)
        done += chunk.count
        tick(done, len(dataset))
    return skipped


# --- what is looked at beforehand


def _longer_side(source: Source) -> int:
    """In pixels; of the usual kinds of files from the header, which takes a hundredth of the time."""
    if isinstance(source, FileSource) and source.path.is_file():
        with (
            warnings.catch_warnings(),
            contextlib.suppress(Exception),
        ):  # what is odd in the header is told in reading all
            warnings.simplefilter("ignore")
            with PIL.Image.open(source.path, formats=("JPEG", "PNG")) as image:
                return max(image.size)
    return max(source.read().shape[:2])


def _make_room(dataset: Dataset[Any], wanted: DecodeSpec) -> None:
    try:
        store.make_room(_bytes(dataset, wanted.size, wanted.channels or 3))
    except store.NoRoom:
        if wanted.channels is not None or not _looks_grey(dataset):
            raise
        store.make_room(_bytes(dataset, wanted.size, 1))


def _bytes(dataset: Dataset[Any], size: int, channels: int) -> int:
    return len(dataset) * (HASH + IMAGE_STATS.itemsize + size * size * channels)


def _looks_grey(dataset: Dataset[Any]) -> bool:
    for sample in dataset.samples[:: max(1, len(dataset) // _PEEKED)]:
        with contextlib.suppress(BadImage):
            if sample.source.read().shape[2] != 1:
                return False
    return True


def _free_memory() -> int | None:
    """Bytes that programs may still take, where the system tells."""
    try:
        for line in _MEMORY.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


# --- refusals


def _refuse_within(dataset: Dataset[Any]) -> None:
    """Nothing is ever written into the user's data."""
    origin, place = dataset.origin, store.root()
    if (
        isinstance(origin, Path)
        and origin.is_dir()
        and place.resolve().is_relative_to(origin.resolve())
    ):
        raise DataError(
            f"a cache outside the data is expected, {place} lies within it",
            where=origin,
            remedy="Name a folder elsewhere with FOVEATE_CACHE.",
        )


def _refuse_more_than_memory(
    dataset: Dataset[Any], wanted: DecodeSpec, reason: str, remedy: str
) -> None:
    """A set may take half of the memory that is free: training needs some, and so do others."""
    free = _free_memory()
    needed = _bytes(dataset, wanted.size, wanted.channels or (1 if _looks_grey(dataset) else 3))
    if free is not None and needed > free / 2:
        raise DataError(
            f"the {len(dataset):,} decoded pictures take {store.in_words(needed)}, too much for the "
            f"{store.in_words(free)} of free memory, and cannot be kept on disk: {reason}",
            where=str(dataset.origin or dataset.name),
            remedy=remedy,
        )


def _unequal(sample: Sample[Any], bands: int, before: int) -> DataError:
    return DataError(
        f"this picture has {'more' if bands > before else 'fewer'} bands than those before it ({bands}, not {before}); "
        "all pictures of a set must agree",
        where=sample.id,
        remedy="Convert the pictures to one kind, or keep them in separate sets.",
    )


def _refuse_many(
    dataset: Dataset[Any], skipped: tuple[Skipped, ...], kept: int, most: float
) -> None:
    total = kept + len(skipped)
    if total and (kept == 0 or len(skipped) > most * total):
        examples = "".join(f"\n    {s.id}: {s.reason}" for s in skipped[:5])
        raise DataError(
            f"{len(skipped)} of {total} samples cannot be used (at most {most:.0%} may be skipped); the first:{examples}",
            where=str(dataset.origin or dataset.name),
            remedy="Repair or remove them, or pass --allow-skipped to go on with the rest.",
        )
