"""Decode a dataset once: all images at the training size, cached in a file for later runs."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from foveate.data.cache import room, store, workers
from foveate.data.cache.encoded import Encoding
from foveate.data.cache.file import HASH_BYTES, CachedImages, Writer
from foveate.data.cache.key import cache_key
from foveate.data.cache.memory import Memory
from foveate.data.cache.pixels import CachedPixels
from foveate.data.cache.workers import Chunk, DecodeSpec
from foveate.data.dataset import Dataset, Sample, Skipped, Source
from foveate.errors import DataError

A = TypeVar("A")

ProgressCallback = Callable[[int, int], None]
"""Called now and then with (images done, images in all)."""

MessageCallback = Callable[[str], None]
"""Called with a sentence for the user, e.g. that another process is waited for."""

ReadImages = Callable[[Sequence[Source], DecodeSpec], Generator[Chunk]]
"""Decodes images, in order. Several processes may share that; see `workers.read_all`."""


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
        encoding: What the pixels went through: "jpeg" where they did not fit the cache as they are.
    """

    pixels: NDArray[np.uint8] | CachedPixels
    encoding: Encoding = "raw"


def decode(
    dataset: Dataset[A],
    size: int,
    *,
    channels: int | None = None,
    letterbox: bool = False,
    encoding: Encoding | None = None,
    max_skipped: float | None = 0.05,
    read: ReadImages | None = None,
    on_progress: ProgressCallback = lambda done, total: None,
    on_message: MessageCallback = lambda message: None,
    on_plan: MessageCallback = lambda message: None,
) -> DecodedImages[A]:
    """Decode all images at size x size, or find them in the cache.

    Where the pixels exceed the cache or its disk, they are stored as JPEG; see
    `data.cache.encoded`. Images in memory stay there. So do all others if the cache cannot be
    written and memory is large enough. `on_message` reports both.

    Args:
        dataset: The images.
        size: S, pixels a side.
        channels: Channels of the result; by default 1 if all images are grey, else 3 (or as many
            as the images have, if more).
        letterbox: Keep the aspect of each image, see `resizing.fit`.
        encoding: What the pixels go through, as an earlier `decode` of these images chose it; by
            default it is chosen.
        max_skipped: Fraction of unreadable images above which DataError is raised, also where
            none is left; None raises it never.
        read: Decodes the images; by default this process does.
        on_progress: Called with the number of images done and in all.
        on_message: Called with a sentence for the user.
        on_plan: Called with what a large file will take, before images are decoded.

    Raises:
        DataError: If too many images are unreadable, if they fit neither cache nor memory, or if
            the cache lies within the data.
    """
    spec = DecodeSpec(size, channels, letterbox=letterbox, encoding=encoding)
    images = _load_or_decode(dataset, spec, read, on_progress, on_message, on_plan)
    readable, hashes = _readable(dataset, images, max_skipped)
    return DecodedImages(readable, hashes, images.image_stats, images.pixels, images.encoding)


def survey(
    dataset: Dataset[A],
    *,
    max_skipped: float = 1.0,
    read: ReadImages | None = None,
    on_progress: ProgressCallback = lambda done, total: None,
    on_message: MessageCallback = lambda message: None,
) -> Survey[A]:
    """Decode all images without keeping pixels; a cache of any size serves as well.

    Arguments and errors are those of `decode`.
    """
    images = _load_or_decode(dataset, DecodeSpec(0), read, on_progress, on_message)
    return Survey(*_readable(dataset, images, max_skipped), images.image_stats)


def _readable(
    dataset: Dataset[A], images: CachedImages, max_skipped: float | None
) -> tuple[Dataset[A], tuple[str, ...]]:
    """The dataset without unreadable samples, and the hashes of the others."""
    skipped = (
        *dataset.skipped,
        *(Skipped(dataset[index].id, reason) for index, reason in images.skipped.items()),
    )
    samples = [sample for index, sample in enumerate(dataset) if index not in images.skipped]
    if max_skipped is not None:
        check_skipped(dataset, skipped, len(samples), max_skipped)
    digits, length = images.hashes.hex(), 2 * HASH_BYTES
    hashes = tuple(digits[start : start + length] for start in range(0, len(digits), length))
    return replace(dataset, samples=samples, skipped=skipped), hashes


def _load_or_decode(
    dataset: Dataset[Any],
    spec: DecodeSpec,
    read: ReadImages | None,
    on_progress: ProgressCallback,
    on_message: MessageCallback,
    on_plan: MessageCallback = lambda message: None,
) -> CachedImages:
    key = cache_key(dataset.samples) if len(dataset) else None
    if key is None:
        image_stats = spec.size == 0 or spec.encoding == "jpeg"
        return _decode_in_memory(dataset, replace(spec, image_stats=image_stats), read, on_progress)
    _check_outside_data(dataset)
    path = store.path_for(key, spec)
    try:
        for candidate in [path] if spec.size else store.paths_of_all_sizes(key):
            if images := _load(candidate, dataset, spec, on_progress, on_message):
                return images
        spec, needed = room.plan(dataset, spec, on_message, on_plan)
        path = store.path_for(key, spec)
        if images := _load(path, dataset, spec, on_progress, on_message):
            return images
        with store.locked_write(path, on_message) as descriptor:
            # Another process may have written it while this one waited.
            if images := _load(path, dataset, spec, on_progress, on_message):
                return images
            store.make_room(needed)
            writer = Writer(
                descriptor, len(dataset), spec.size, spec.channels or 1, spec.encoding or "raw"
            )
            skipped = _decode_into(writer, dataset, spec, read, on_progress)
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
    room.check_memory(dataset, spec, reason, remedy)
    on_message(f"decoded images stay in memory and are not cached for later: {reason}. {remedy}")
    return _decode_in_memory(dataset, spec, read, on_progress)


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
    read: ReadImages | None = None,
    on_progress: ProgressCallback = lambda done, total: None,
) -> CachedImages:
    encoding = spec.encoding or "raw"
    memory = Memory(len(dataset), spec.size, spec.channels or 1, encoding)
    return memory.close(_decode_into(memory, dataset, spec, read, on_progress))


def _decode_into(
    writer: Writer | Memory,
    dataset: Dataset[Any],
    spec: DecodeSpec,
    read: ReadImages | None,
    on_progress: ProgressCallback,
) -> dict[int, str]:
    """Decode all images; return index and reason of each unreadable one."""
    skipped: dict[int, str] = {}
    done = 0
    sources = [sample.source for sample in dataset.samples]
    with closing((read or workers.read_all)(sources, spec)) as chunks:
        for chunk in chunks:
            skipped.update((done + index, reason) for index, reason in chunk.bad)
            indices = (index for index in range(done, done + chunk.count) if index not in skipped)
            for index, image in zip(indices, chunk.images, strict=True):
                bands = image.shape[2]
                if bands not in (1, writer.channels):
                    if writer.channels != 1:
                        raise _unequal_bands(dataset[index], bands, writer.channels)
                    writer.widen(bands)  # the first one in colour after grey ones, or of all
            shape = (len(chunk.images), writer.size, writer.size, writer.channels)
            pixels = np.empty(shape, np.uint8)
            for row, image in zip(pixels, chunk.images, strict=True):
                row[:] = image  # broadcasting repeats a grey image over the channels
            writer.add(pixels, chunk.hashes, chunk.image_stats)
            done += chunk.count
            on_progress(done, len(dataset))
    return skipped


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


def _unequal_bands(sample: Sample[Any], bands: int, before: int) -> DataError:
    return DataError(
        f"this image has {'more' if bands > before else 'fewer'} bands than those before it "
        f"({bands}, not {before}); all images of a dataset must agree",
        where=sample.id,
        remedy="Convert the images to one number of bands, or use separate datasets.",
    )


def check_skipped(
    dataset: Dataset[Any], skipped: tuple[Skipped, ...], readable: int, max_skipped: float
) -> None:
    """Check that not too many images are left out.

    Raises:
        DataError: If they are; with the first of them.
    """
    total = readable + len(skipped)
    if total and (readable == 0 or len(skipped) > max_skipped * total):
        raise DataError(
            f"{len(skipped)} of {total} samples cannot be used "
            f"(at most {max_skipped:.0%} may be skipped); the first:",
            where=str(dataset.origin or dataset.name),
            details=[f"{s.id}: {s.reason}" for s in skipped[:5]],
            remedy="Repair or remove them, or pass --allow-skipped to go on with the rest.",
        )
