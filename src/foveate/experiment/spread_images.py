"""Decode images on several machines, each its share, where one cannot keep all of them.

Every process then reads the images of all machines as one array, so what follows is what one
machine with a large cache computes, to the bit.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from foveate import processes
from foveate.data.cache import decoding, room, store, workers
from foveate.data.cache.decoding import DecodedImages
from foveate.data.cache.encoded import QUALITY
from foveate.data.cache.pixels import CachedPixels
from foveate.data.cache.spread_pixels import PixelServer, Share, SpreadPixels
from foveate.data.cache.workers import DecodeSpec
from foveate.data.dataset import Dataset, Sample, Skipped
from foveate.datasets.remote_shards import RemoteSource
from foveate.errors import DataError
from foveate.experiment.shares import file_sizes
from foveate.progress import Reporter
from foveate.training import helping

_served: dict[bytes, tuple[PixelServer, NDArray[np.uint8] | CachedPixels]] = {}
"""What this process gives to others, by the secret that they share."""


@dataclass(frozen=True)
class SpreadImages:
    """What a process needs to read the images of all machines.

    Attributes:
        images: The decoded images, without their pixels.
        shares: What each machine keeps.
        secret: The secret of the run.
    """

    images: DecodedImages[Any]
    shares: tuple[Share, ...]
    secret: bytes

    @classmethod
    def of(cls, images: DecodedImages[Any]) -> Self | None:
        """The description of these images; None if they are not spread."""
        pixels = images.pixels
        if not isinstance(pixels, SpreadPixels):
            return None
        without = replace(images, pixels=np.empty((0, 0, 0, 0), np.uint8))
        return cls(without, pixels.shares, pixels.secret)

    def opened(self) -> DecodedImages[Any]:
        """The images, as this process reads them."""
        _, own = _served.get(self.secret, (None, None))
        main = replace(self.shares[0], host=os.environ["MASTER_ADDR"])  # as this machine knows it
        shares = (main, *self.shares[1:])
        pixels = SpreadPixels(shares, self.secret, processes.machine_number(), own)
        return replace(self.images, pixels=pixels)


@dataclass(frozen=True)
class _Decoded:
    """What a machine reports of its share; the pixels stay there."""

    share: Share
    hashes: tuple[str, ...]
    image_stats: NDArray[Any]
    skipped: tuple[Skipped, ...]
    messages: tuple[str, ...]


def decode(
    dataset: Dataset[Any], spec: DecodeSpec, max_skipped: float, reporter: Reporter
) -> DecodedImages[Any] | None:
    """Decode the images on all machines, if one of them cannot keep all, or has not fetched all.

    Args:
        dataset: The images.
        spec: What is made of them; an encoding that it names stays.
        max_skipped: As of `decoding.decode`.
        reporter: Receives progress and warnings.

    Returns:
        The images; None where they are not spread.

    Raises:
        DataError: As of `decoding.decode`; or a machine has other files.
    """
    sources = _sources(dataset.samples)
    if helping.machines() == 1 or not sources or not workers.can_travel([sources]):
        return None
    if not _have_own_caches():
        return None
    parts = _by_fetching_machine(sources, dataset.samples)
    fetched, parts = parts is not None, parts or helping.for_machines(dataset.samples)
    chosen = room.encoding_of_shares(dataset, spec, max(map(len, parts)))
    if chosen is None and not fetched:
        return None
    reporter.info(f"each of the {len(parts)} machines decodes and keeps a share of the images")
    if chosen == "jpeg" and spec.encoding is None:
        reporter.warning(
            f"they are stored as JPEG of quality {QUALITY} at {spec.size} px, as the shares exceed "
            "the caches otherwise. Pixels change slightly, and each is decoded whenever it is "
            "used. Allow more with FOVEATE_CACHE_GB, or use a smaller --size."
        )
    encoding = chosen or spec.encoding or "raw"
    spec, secret = replace(spec, encoding=encoding), secrets.token_bytes(32)
    with reporter.bar("reading images, those of this machine", len(parts[0])) as bar:
        found = helping.on_machines(
            _decode_share,
            [list(zip(part, file_sizes(_sources(part)), strict=True)) for part in parts],
            replace(dataset, samples=[], skipped=()),
            spec,
            secret,
            on_this=partial(
                _decode_share,
                on_progress=lambda done, _: bar(done),
                on_message=reporter.warning,
                on_plan=reporter.info,
            ),
        )
    nothing = Share((0, spec.size, spec.size, 1), "", 0, None)
    shares = [nothing if one is None else one.share for one in found]
    decoded = [one for one in found if one is not None]
    for message in dict.fromkeys(message for one in decoded for message in one.messages):
        reporter.warning(message)
    skipped = {one.id: one for some in decoded for one in some.skipped}
    samples = [one for part in parts for one in part if one.id not in skipped]
    every = (*dataset.skipped, *skipped.values())
    decoding.check_skipped(dataset, every, len(samples), max_skipped)
    _check_bands(dataset, shares)
    _, own = _served.get(secret, (None, None))
    return DecodedImages(
        replace(dataset, samples=samples, skipped=every),
        tuple(hash for one in decoded for hash in one.hashes),
        np.concatenate([one.image_stats for one in decoded]),
        SpreadPixels(shares, secret, 0, own),
        encoding,
    )


def _by_fetching_machine(
    sources: Sequence[Any], samples: Sequence[Sample[Any]]
) -> list[Sequence[Sample[Any]]] | None:
    """The samples of the shards that each machine has fetched; None if they were not dealt out."""
    machines = [one.machine if isinstance(one, RemoteSource) else None for one in sources]
    if None in machines:
        return None
    return [
        [sample for sample, machine in zip(samples, machines, strict=True) if machine == number]
        for number in range(helping.machines())
    ]


def _have_own_caches() -> bool:
    """Whether no other machine sees the cache of this one: shares of all would exceed it again."""
    folder = store.root()
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(NamedTemporaryFile(dir=folder))
        except OSError:  # images stay in memory
            return False
        seen = helping.on_machines(_sees, [[Path(file.name).name]] * helping.machines())
    return not any(seen[1:])


def _sees(names: Sequence[str]) -> bool:
    return (store.root() / names[0]).exists()


def _decode_share(
    part: Sequence[tuple[Sample[Any], int]],
    dataset: Dataset[Any],
    spec: DecodeSpec,
    secret: bytes,
    *,
    on_progress: decoding.ProgressCallback = lambda done, total: None,
    on_message: decoding.MessageCallback | None = None,
    on_plan: decoding.MessageCallback = lambda message: None,
) -> _Decoded:
    """Decode the share of this machine, and answer for it until the processes part.

    Args:
        part: The samples, each with the bytes of its file on the machine of rank 0; -1 for none.
        dataset: What else is known of them.
        spec: What is made of them.
        secret: The secret of the run.
        on_progress: Called with the number of images done and in all.
        on_message: Called with a sentence for the user; by default rank 0 receives it at the end.
        on_plan: Called with what a large file will take.
    """
    samples, messages = [sample for sample, _ in part], list[str]()
    sizes = file_sizes(_sources(samples))
    for (sample, expected), size in zip(part, sizes, strict=True):
        if size != expected >= 0 and not isinstance(sample.source, RemoteSource):
            there = f"has {size:,} bytes" if size >= 0 else "is missing"
            raise DataError(
                f"this file {there} on the machine of rank {processes.rank()}, and has "
                f"{expected:,} bytes on that of rank 0",
                where=_path(sample),
                remedy="Give every machine the same data.",
            )
    images = decoding.decode(
        replace(dataset, samples=samples),
        spec.size,
        letterbox=spec.letterbox,
        encoding=spec.encoding,
        max_skipped=None,
        on_progress=on_progress,
        on_message=on_message or messages.append,
        on_plan=on_plan,
    )
    close()  # what was decoded with other settings before
    host = processes.reachable_host()
    server = PixelServer(images.pixels, secret, host if processes.are_here() else None)
    _served[secret] = server, images.pixels
    return _Decoded(
        Share(images.pixels.shape, host, server.port, getattr(images.pixels, "path", None)),
        images.hashes,
        images.image_stats,
        images.dataset.skipped,
        tuple(messages),
    )


def close() -> None:
    """Answer no other process any more."""
    while _served:
        _served.popitem()[1][0].close()


def _check_bands(dataset: Dataset[Any], shares: Sequence[Share]) -> None:
    bands = sorted({share.shape[3] for share in shares} - {1})
    if len(bands) > 1:
        raise DataError(
            f"images of {bands[0]} and of {bands[1]} bands are mixed; all images of a dataset must "
            "agree",
            where=str(dataset.origin or dataset.name),
            remedy="Convert the images to one number of bands, or use separate datasets.",
        )


def _path(sample: Sample[Any]) -> Path:
    path: Path = sample.source.path  # type: ignore[attr-defined]
    return path


def _sources(samples: Sequence[Sample[Any]]) -> list[Any]:
    return [sample.source for sample in samples]
