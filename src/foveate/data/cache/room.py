"""Before images are decoded: what they will take, and so whether they are stored as JPEG."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from foveate.data.cache import store, workers
from foveate.data.cache.encoded import QUALITY, TABLE, Encoding, encode
from foveate.data.cache.file import HASH_BYTES
from foveate.data.cache.workers import DecodeSpec
from foveate.data.dataset import Dataset
from foveate.data.image_stats import IMAGE_STATS
from foveate.errors import BadImage, DataError

_GREY_SAMPLES = 16  # samples that suggest whether a dataset is grey, before all are decoded
_ENCODED_SAMPLES = 64  # samples that suggest how long encoded images are
_MARGIN = 1.2  # over the estimate: the mean length of so many varies by a twentieth
_REPORTED_BYTES = 100_000_000  # from which a plan is worth a line
_MEMINFO = Path("/proc/meminfo")


def plan(
    dataset: Dataset[Any],
    spec: DecodeSpec,
    on_message: Callable[[str], None],
    on_plan: Callable[[str], None],
) -> tuple[DecodeSpec, int]:
    """Choose how images are stored in the cache, and say what they will take.

    Args:
        dataset: The images.
        spec: What is made of them. An encoding that it names stays.
        on_message: Called if pixels do not fit as they are, with what is done and what it costs.
        on_plan: Called with what the file will take, if that is much.

    Returns:
        The spec with an encoding, and the bytes that the file will take, an estimate for JPEG.

    Raises:
        NoRoom: If the images do not fit in any way.
    """
    if spec.encoding == "jpeg":
        needed = _encoded_bytes(dataset, spec)
        store.check_room(needed)
    else:
        try:
            needed = _likely_raw_bytes(dataset, spec)
            store.check_room(needed)
            spec = replace(spec, encoding="raw")
        except store.NoRoom as error:
            if spec.encoding == "raw" or not spec.size:
                raise
            needed = _encoded_bytes(dataset, spec)
            try:
                store.check_room(needed)
            except store.NoRoom:
                about = f"{error.reason} (about {store.format_bytes(needed)} as JPEG)"
                raise store.NoRoom(about, error.remedy) from None
            spec = replace(spec, encoding="jpeg")
            on_message(
                f"the {len(dataset):,} images are stored as JPEG of quality {QUALITY} at "
                f"{spec.size} px, about {store.format_bytes(needed)}: as they are, {error.reason}. "
                f"Pixels change slightly, and each is decoded whenever it is used. {error.remedy}"
            )
            return spec, needed
    if needed >= _REPORTED_BYTES:
        on_plan(
            f"the {len(dataset):,} images at {spec.size} px will take "
            f"{'about ' * (spec.encoding == 'jpeg')}{store.format_bytes(needed)} of the "
            f"{store.format_bytes(store.max_bytes())} that the cache may take"
        )
    return spec, needed


def encoding_of_shares(dataset: Dataset[Any], spec: DecodeSpec, largest: int) -> Encoding | None:
    """How images are stored of which each machine keeps a share, if one machine cannot keep all.

    Args:
        dataset: The images.
        spec: What is made of them. An encoding that it names stays.
        largest: Number of images of the largest share. All machines have a cache like this one's.

    Returns:
        The encoding; None if one machine can keep all of them, or if not even shares fit.
    """
    part = largest / len(dataset)
    if spec.encoding != "jpeg":
        needed = _likely_raw_bytes(dataset, spec)
        if _fits(needed):
            return None
        if spec.encoding == "raw" or _fits(needed * part):
            return "raw"
    needed = _encoded_bytes(dataset, spec)
    return "jpeg" if not _fits(needed) and _fits(needed * part) else None


def _fits(needed: float) -> bool:
    try:
        store.check_room(round(needed))
    except store.NoRoom:
        return False
    return True


def check_memory(dataset: Dataset[Any], spec: DecodeSpec, reason: str, remedy: str) -> None:
    """Check that decoded images fit into memory.

    They may take half of what is free: training needs some, and so do other programs. Each of
    several processes that torchrun started on this machine holds its own.

    Args:
        dataset: The images.
        spec: What is made of them.
        reason: Why they cannot be cached.
        remedy: What to do about that.

    Raises:
        DataError: If they do not fit.
    """
    free = _free_memory()
    needed = _raw_bytes(dataset, spec.size, spec.channels or (1 if _seems_grey(dataset) else 3))
    processes = int(os.environ.get("LOCAL_WORLD_SIZE") or "1")
    if free is not None and needed * processes > free / 2:
        raise DataError(
            f"the {len(dataset):,} decoded images take {store.format_bytes(needed)}, too much for "
            f"the {store.format_bytes(free)} of free memory, and cannot be cached: {reason}",
            where=str(dataset.origin or dataset.name),
            remedy=remedy,
        )


def _likely_raw_bytes(dataset: Dataset[Any], spec: DecodeSpec) -> int:
    """Bytes of images in colour; where these do not fit, of grey ones if they seem grey."""
    needed = _raw_bytes(dataset, spec.size, spec.channels or 3)
    if spec.channels is None and not _fits(needed) and _seems_grey(dataset):
        return _raw_bytes(dataset, spec.size, 1)
    return needed


def _raw_bytes(dataset: Dataset[Any], size: int, channels: int) -> int:
    return len(dataset) * (HASH_BYTES + IMAGE_STATS.itemsize + size * size * channels)


def _encoded_bytes(dataset: Dataset[Any], spec: DecodeSpec) -> int:
    """An estimate from evenly spaced images; that of raw pixels if none of them is readable."""
    step = -(-len(dataset) // _ENCODED_SAMPLES)
    chunk = workers.read_chunk([one.source for one in dataset.samples[::step]], spec)
    if not chunk.images:
        return _raw_bytes(dataset, spec.size, spec.channels or 3)
    lengths = [
        len(encode(image, lossless=bool(row["deep"])))
        for image, row in zip(chunk.images, chunk.image_stats, strict=True)
    ]
    fixed = HASH_BYTES + IMAGE_STATS.itemsize + TABLE.itemsize
    return round(len(dataset) * (fixed + _MARGIN * sum(lengths) / len(lengths)))


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
