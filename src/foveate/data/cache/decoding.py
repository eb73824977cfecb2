"""Decode a dataset once: all images at the training size, cached in a file for later runs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from foveate.data.cache import store, workers
from foveate.data.cache.file import HASH_BYTES, CachedImages, Memory, Writer
from foveate.data.cache.key import cache_key
from foveate.data.cache.pixels import CachedPixels
from foveate.data.cache.workers import DecodeSpec
from foveate.data.dataset import Dataset, Sample, Skipped
from foveate.data.image_stats import IMAGE_STATS
from foveate.errors import BadImage, DataError

A = TypeVar("A")

ProgressCallback = Callable[[int, int], None]
"""Called now and then with (images done, images in all)."""

MessageCallback = Callable[[str], None]
"""Called with a sentence for the user, e.g. that another process is waited for."""

_GREY_SAMPLES = 16  # samples that suggest whether a dataset is grey, before all are decoded
_MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True)
class Survey(Generic[A]):
    """A dataset after each image was decoded once.

    Attributes:
        dataset: The readable samples, in order; the others are in its `skipped`.
        hashes: Of each decoded image before resizing: equal hashes mean equal images.
    """

    dataset: Dataset[A]
    hashes: tuple[str, ...]
    _image_stats: NDArray[Any] | None

    @cached_property
    def image_stats(self) -> NDArray[Any]:
        """(N,) of IMAGE_STATS.

        For images in memory they are computed on first access: that costs more than all of the
        decoding that training needs.
        """
        if self._image_stats is not None:
            return self._image_stats
        image_stats = _decode_in_memory(self.dataset, DecodeSpec(0)).image_stats
        assert image_stats is not None
        return image_stats


@dataclass(frozen=True)
class DecodedImages(Survey[A]):
    """A decoded dataset.

    Attributes:
        pixels: (N, S, S, C) uint8; row i is sample i. Usually in a file: index rows, never copy
            the whole.
    """

    pixels: NDArray[np.uint8] | CachedPixels


def decode(
    dataset: Dataset[A],
    size: int,
    *,
    channels: int | None = None,
    letterbox: bool = False,
    max_skipped: float = 0.05,
    on_progress: ProgressCallback = lambda done, total: None,
    on_message: MessageCallback = lambda message: None,
) -> DecodedImages[A]:
    """Decode all images at size x size, or find them in the cache.

    Images in memory stay there. So do all others if the cache cannot be written and memory is
    large enough; `on_message` reports that.

    Args:
        dataset: The images.
        size: S, pixels a side.
        channels: Channels of the result; by default 1 if all images are grey, else 3 (or as many
            as the images have, if more).
        letterbox: Keep the aspect of each image, see `resizing.fit`.
        max_skipped: Fraction of unreadable images above which DataError is raised.
        on_progress: Called with the number of images done and in all.
        on_message: Called with a sentence for the user.

    Raises:
        DataError: If too many images are unreadable, if they fit neither cache nor memory, or if
            the cache lies within the data.
    """
    spec = DecodeSpec(size, channels, letterbox=letterbox)
    images = _load_or_decode(dataset, spec, on_progress, on_message)
    readable, hashes = _readable(dataset, images, max_skipped)
    return DecodedImages(readable, hashes, images.image_stats, images.pixels)


def survey(
    dataset: Dataset[A],
    *,
    max_skipped: float = 1.0,
    on_progress: ProgressCallback = lambda done, total: None,
    on_message: MessageCallback = lambda message: None,
) -> Survey[A]:
    """Decode all images without keeping pixels; a cache of any size serves as well.

    Arguments and errors are those of `decode`.
    """
    images = _load_or_decode(dataset, DecodeSpec(0), on_progress, on_message)
    return Survey(*_readable(dataset, images, max_skipped), images.image_stats)


def _readable(
    dataset: Dataset[A], images: CachedImages, max_skipped: float
) -> tuple[Dataset[A], tuple[str, ...]]:
    """The dataset without unreadable samples, and the hashes of the others."""
    skipped = (
        *dataset.skipped,
        *(Skipped(dataset[index].id, reason) for index, reason in images.skipped.items()),
    )
    samples = [sample for index, sample in enumerate(dataset) if index not in images.skipped]
    _check_skipped(dataset, skipped, len(samples), max_skipped)
    digits, length = images.hashes.hex(), 2 * HASH_BYTES
    hashes = tuple(digits[start : start + length] for start in range(0, len(digits), length))
    return replace(dataset, samples=samples, skipped=skipped), hashes


def _load_or_decode(
    dataset: Dataset[Any],
    spec: DecodeSpec,
    on_progress: ProgressCallback,
    on_message: MessageCallback,
) -> CachedImages:
    key = cache_key(dataset.samples) if len(dataset) else None
    if key is None:
        return _decode_in_memory(dataset, replace(spec, image_stats=spec.size == 0), on_progress)
    _check_outside_data(dataset)
    path = store.path_for(key, spec.size, spec.channels, spec.letterbox)
    try:
        for candidate in [path] if spec.size else store.paths_of_all_sizes(key):
            if images := _load(candidate, dataset, spec, on_progress, on_message):
                return images
        with store.locked_write(path, on_message) as descriptor:
            # Another process may have written it while this one waited.
            if images := _load(path, dataset, spec, on_progress, on_message):
                return images
            _make_room(dataset, spec)
            writer = Writer(descriptor, len(dataset), spec.size, spec.channels or 1)
            skipped = _decode_into(writer, dataset, spec, on_progress)
            if not writer.count:
                return Memory(0, spec.size, spec.channels or 1).close(skipped)
            writer.close(path.stem, dataset.name, skipped)
        if images := store.open_cached(path, on_message, for_pixels=False):
            return images
        reason, remedy = f"{path} was removed as soon as it was written", "Try again."
    except store.NoRoom as error:
        reason, remedy = error.reason, error.remedy
    except OSError as error:
        reason = f"{store.root()} cannot be used ({error.strerror or error})"
        remedy = "Name another place with FOVEATE_CACHE."
    _check_fits_memory(dataset, spec, reason, remedy)
    on_message(f"decoded images stay in memory and are not cached for later: {reason}. {remedy}")
    return _decode_in_memory(dataset, spec, on_progress)


def _load(
    path: Path,
    dataset: Dataset[Any],
    spec: DecodeSpec,
    on_progress: ProgressCallback,
    on_message: MessageCallback,
) -> CachedImages | None:
    """Open cached images, unless a skipped image has become readable.

    The reason may have been a disk or a network that failed for a moment.
    """
    images = store.open_cached(path, on_message, for_pixels=spec.size > 0)
    if images is not None and images.skipped:
        sources = [dataset[index].source for index in images.skipped]
        if len(workers.read_chunk(sources, spec).bad) < len(sources):
            path.unlink(missing_ok=True)
            return None
    if images is not None:
        on_progress(len(dataset), len(dataset))
    return images


def _decode_in_memory(
    dataset: Dataset[Any],
    spec: DecodeSpec,
    on_progress: ProgressCallback = lambda done, total: None,
) -> CachedImages:
    memory = Memory(len(dataset), spec.size, spec.channels or 1)
    return memory.close(_decode_into(memory, dataset, spec, on_progress))


def _decode_into(
    writer: Writer | Memory,
    dataset: Dataset[Any],
    spec: DecodeSpec,
    on_progress: ProgressCallback,
) -> dict[int, str]:
    """Decode all images; return index and reason of each unreadable one."""
    skipped: dict[int, str] = {}
    done = 0
    for chunk in workers.read_all([sample.source for sample in dataset.samples], spec):
        skipped.update((done + index, reason) for index, reason in chunk.bad)
        indices = (index for index in range(done, done + chunk.count) if index not in skipped)
        for index, image in zip(indices, chunk.images, strict=True):
            bands = image.shape[2]
            if bands not in (1, writer.channels):
                if writer.channels != 1:
                    raise _unequal_bands(dataset[index], bands, writer.channels)
                writer.widen(bands)  # the first image in colour after grey ones, or the very first
        pixels = np.empty((len(chunk.images), writer.size, writer.size, writer.channels), np.uint8)
        for row, image in zip(pixels, chunk.images, strict=True):
            row[:] = image  # broadcasting repeats a grey image over the channels
        writer.add(pixels, chunk.hashes, chunk.image_stats)
        done += chunk.count
        on_progress(done, len(dataset))
    return skipped


# --- estimates before decoding


def _make_room(dataset: Dataset[Any], spec: DecodeSpec) -> None:
    try:
        store.make_room(_bytes(dataset, spec.size, spec.channels or 3))
    except store.NoRoom:
        if spec.channels is not None or not _seems_grey(dataset):
            raise
        store.make_room(_bytes(dataset, spec.size, 1))


def _bytes(dataset: Dataset[Any], size: int, channels: int) -> int:
    return len(dataset) * (HASH_BYTES + IMAGE_STATS.itemsize + size * size * channels)


def _seems_grey(dataset: Dataset[Any]) -> bool:
    for sample in dataset.samples[:: max(1, len(dataset) // _GREY_SAMPLES)]:
        with contextlib.suppress(BadImage):
            if sample.source.read().shape[2] != 1:
                return False
    return True


def _free_memory() -> int | None:
    """Bytes of memory available to programs, or None if the system does not report them."""
    try:
        for line in _MEMINFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


def _check_outside_data(dataset: Dataset[Any]) -> None:
    """Nothing is ever written into the user's data."""
    origin, cache = dataset.origin, store.root()
    if (
        isinstance(origin, Path)
        and origin.is_dir()
        and cache.resolve().is_relative_to(origin.resolve())
    ):
        raise DataError(
            f"a cache outside the data is expected, {cache} lies within it",
            where=origin,
            remedy="Name a folder elsewhere with FOVEATE_CACHE.",
        )


def _check_fits_memory(dataset: Dataset[Any], spec: DecodeSpec, reason: str, remedy: str) -> None:
    """A dataset may take half of the free memory: training needs some, and so do other programs."""
    free = _free_memory()
    needed = _bytes(dataset, spec.size, spec.channels or (1 if _seems_grey(dataset) else 3))
    if free is not None and needed > free / 2:
        raise DataError(
            f"the {len(dataset):,} decoded images take {store.format_bytes(needed)}, too much for "
            f"the {store.format_bytes(free)} of free memory, and cannot be cached: {reason}",
            where=str(dataset.origin or dataset.name),
            remedy=remedy,
        )


def _unequal_bands(sample: Sample[Any], bands: int, before: int) -> DataError:
    return DataError(
        f"this image has {'more' if bands > before else 'fewer'} bands than those before it "
        f"({bands}, not {before}); all images of a dataset must agree",
        where=sample.id,
        remedy="Convert the images to one number of bands, or use separate datasets.",
    )


def _check_skipped(
    dataset: Dataset[Any], skipped: tuple[Skipped, ...], readable: int, max_skipped: float
) -> None:
    total = readable + len(skipped)
    if total and (readable == 0 or len(skipped) > max_skipped * total):
        raise DataError(
            f"{len(skipped)} of {total} samples cannot be used "
            f"(at most {max_skipped:.0%} may be skipped); the first:",
            where=str(dataset.origin or dataset.name),
            details=[f"{s.id}: {s.reason}" for s in skipped[:5]],
            remedy="Repair or remove them, or pass --allow-skipped to go on with the rest.",
        )
