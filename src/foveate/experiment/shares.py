"""What the processes that torchrun started share before training: images to decode, features."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate import processes
from foveate.data.cache import workers
from foveate.data.cache.encoded import cores
from foveate.data.cache.workers import Chunk, DecodeSpec
from foveate.data.dataset import Source
from foveate.data.subset import ImageArray
from foveate.models.model import VisionModel
from foveate.training import helping
from foveate.training.device import find

MIN_IMAGES = 256
"""Images whose features a process computes before the others wait for it."""

Compute = Callable[[VisionModel, ImageArray, Callable[[int], None]], NDArray[np.float32]]
"""A function of `models.features`."""


def read_images(sources: Sequence[Source], spec: DecodeSpec) -> Generator[Chunk]:
    """Decode images as `workers.read_all` does, with the other ranks where they wait for work.

    What another machine cannot read, or has with another size, this process reads itself.
    """
    chunks = workers.in_chunks(sources, spec)
    if helping.helpers() == 1 or not workers.can_travel(chunks):
        yield from workers.read_all(sources, spec)
        return
    items = [(chunk, file_sizes(chunk)) for chunk in chunks]
    # This generator's end must be that of the other, which tells the other ranks.
    found = helping.in_turns(_read_own, items, spec)
    try:
        for sources, chunk in zip(chunks, found, strict=True):
            yield workers.read_chunk(sources, spec) if chunk is None else chunk
    finally:
        found.close()


def _read_own(
    items: Sequence[tuple[Sequence[Source], list[int]]], spec: DecodeSpec
) -> Iterator[Chunk | None]:
    """Decode this rank's chunks; None for one whose images are not here as rank 0 sees them."""
    own = cores() // processes.size_here()
    chunks = workers.read_chunks([sources for sources, _ in items], spec, own)
    for (sources, sizes), chunk in zip(items, chunks, strict=True):
        yield chunk if not chunk.bad and file_sizes(sources) == sizes else None


def file_sizes(sources: Sequence[Any]) -> list[int]:
    """The bytes of the file of each image; -1 where there is none."""
    return [_size(source.path) for source in sources]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return -1


def compute_features(
    compute: Compute, net: VisionModel, images: ImageArray, on_progress: Callable[[int], None]
) -> NDArray[np.float32]:
    """Compute features, with the other ranks where they wait for work.

    Whole batches are dealt out, so that each image has the bits that one process gives it.

    Args:
        compute: What computes them, of some of the images.
        net: The net.
        images: (N, S, S, C) uint8.
        on_progress: Called with the number of images that are done.

    Returns:
        (N, D) float32.
    """
    ranks = helping.helpers()
    size = net.images_at_once * -(-MIN_IMAGES // net.images_at_once)
    if ranks == 1 or len(images) <= size:
        return compute(net, images, on_progress)
    found: list[NDArray[np.float32]] = []
    kind = net.mean.device.type
    net = copy.deepcopy(net).cpu()
    starts = range(0, len(images), size)
    for first in range(0, len(starts), ranks):
        own = [images[start : start + size] for start in starts[first : first + ranks]]
        found += helping.in_turns(_compute_own, own, compute, net, kind)
        on_progress(sum(map(len, found)))
    return np.concatenate(found)


def _compute_own(
    blocks: Sequence[NDArray[np.uint8]], compute: Compute, net: VisionModel, kind: str
) -> Iterator[NDArray[np.float32]]:
    net = net.to(find(kind))
    for block in blocks:
        yield compute(net, block, lambda done: None)
