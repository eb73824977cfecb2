"""Decode images on several machines, each its share, where one cannot keep all of them.

Every process then reads the images of all machines as one array, so all that follows is what one
machine would compute, to the bit.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from foveate import processes
from foveate.data.cache import decoding, room, workers
from foveate.data.cache.decoding import DecodedImages
from foveate.data.cache.pixels import CachedPixels
from foveate.data.cache.spread import PixelServer, Share, SpreadPixels
from foveate.data.cache.workers import DecodeSpec
from foveate.data.dataset import Dataset, Sample, Skipped
from foveate.datasets.remote_shards import RemoteSource
from foveate.errors import DataError
from foveate.experiment.shares import file_sizes
from foveate.progress import Reporter
from foveate.training import helping

_kept: dict[bytes, tuple[PixelServer, NDArray[np.uint8] | CachedPixels]] = {}
"""What this process answers others with, by the secret that they share."""


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
        _, own = _kept.get(self.secret, (None, None))
        pixels = SpreadPixels(self.shares, self.secret, processes.machine(), own)
        return replace(self.images, pixels=pixels)


@dataclass(frozen=True)
class _Decoded:
    """What a machine tells of its share; the pixels stay there."""

    share: Share
    hashes: tuple[str, ...]
    image_stats: NDArray[Any]
    skipped: tuple[Skipped, ...]
    messages: tuple[str, ...]


def decode(
    dataset: Dataset[Any], spec: DecodeSpec, max_skipped: float, reporter: Reporter
) -> DecodedImages[Any] | None:
    """Decode the images on all machines, if one of them cannot keep all, or has not fetched them.

    Args:
        dataset: The images.
        spec: What is made of them; an encoding that it names stays.
        max_skipped: As of `decoding.decode`.
        reporter: Receives progress and warnings.

    Returns:
        The images; None if each machine can keep all of them.

    Raises:
        DataError: As of `decoding.decode`; or a machine has other files.
    """
    count = helping.machines()
    if count == 1 or not len(dataset) or not workers.can_travel([_sources(dataset.samples)]):
        return None
    encoding = room.encoding_of_parts(dataset, spec, count)
    if encoding is None:
        if not any(isinstance(one, RemoteSource) for one in _sources(dataset.samples)):
            return None
        encoding = spec.encoding or "raw"
    spec, secret = replace(spec, encoding=encoding), secrets.token_bytes(32)
    reporter.info(f"each of the {count} machines decodes and keeps a share of the images")
    shards = [list(some) for _, some in groupby(dataset, key=_path)]
    with reporter.bar("reading images, those of this machine", len(dataset) // count) as bar:
        found = helping.on_machines(
            _decode_share,
            [(some, file_sizes(_sources(some[:1]))[0]) for some in shards],
            replace(dataset, samples=[], skipped=()),
            spec,
            secret,
            here=partial(_decode_share, on_progress=lambda done, _: bar(done)),
        )
    idle = Share((0, spec.size, spec.size, 1), "", 0, None)
    shares = [idle if one is None else one.share for one in found]
    decoded = [one for one in found if one is not None]
    for message in dict.fromkeys(message for one in decoded for message in one.messages):
        reporter.warning(message)
    skipped = {one.id: one for some in decoded for one in some.skipped}
    samples = [one for one in dataset if one.id not in skipped]
    every = (*dataset.skipped, *skipped.values())
    decoding.check_skipped(dataset, every, len(samples), max_skipped)
    _check_bands(dataset, shares)
    return DecodedImages(
        replace(dataset, samples=samples, skipped=every),
        tuple(hash for one in decoded for hash in one.hashes),
        np.concatenate([one.image_stats for one in decoded]),
        SpreadPixels(shares, secret, 0, _kept[secret][1]),
        encoding,
    )


def _decode_share(
    shards: Sequence[tuple[list[Sample[Any]], int]],
    dataset: Dataset[Any],
    spec: DecodeSpec,
    secret: bytes,
    *,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> _Decoded:
    """Decode the share of this machine, and answer for it until the processes part.

    Args:
        shards: The samples of each file, and its bytes on the machine of rank 0; -1 for none there.
        dataset: What else is known of them.
        spec: What is made of them.
        secret: The secret of the run.
        on_progress: Called with the number of images done and in all.
    """
    for samples, expected in shards:
        path = _path(samples[0])
        if expected >= 0 and file_sizes(_sources(samples[:1])) != [expected]:
            raise DataError(
                f"the machine of rank {processes.rank()} has another file here than that of "
                f"rank 0, where it has {expected:,} bytes",
                where=path,
                remedy="Give every machine the same data.",
            )
    messages: list[str] = []
    images = decoding.decode(
        replace(dataset, samples=[one for samples, _ in shards for one in samples]),
        spec.size,
        letterbox=spec.letterbox,
        encoding=spec.encoding,
        max_skipped=1.0,
        on_progress=on_progress,
        on_message=messages.append,
    )
    host = processes.reachable_host()
    server = PixelServer(images.pixels, host, secret)
    _kept[secret] = server, images.pixels
    file = getattr(images.pixels, "path", None)
    return _Decoded(
        Share(images.pixels.shape, host, server.port, file),
        images.hashes,
        images.image_stats,
        images.dataset.skipped,
        tuple(messages),
    )


def close() -> None:
    """Answer no other process any more."""
    while _kept:
        _kept.popitem()[1][0].close()


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
