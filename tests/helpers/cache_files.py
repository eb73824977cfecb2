"""Sets to be decoded that tests share, and how two decoded ones are compared."""

import errno
import os
from dataclasses import replace

import numpy as np
from PIL import Image

from foveate.annotations import Label
from foveate.data.cache import decoding
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.data.images import FileSource


def dataset(arrays):
    samples = [
        Sample(f"s{i}", ArraySource(array[None], 0), Label(i % 2)) for i, array in enumerate(arrays)
    ]
    return Dataset("set", "classification", ("a", "b"), samples)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def files(root, arrays, name="set"):
    """A set of PNG files."""
    root.mkdir(parents=True, exist_ok=True)
    samples = []
    for i, array in enumerate(arrays):
        path = root / f"{i:03}.png"
        Image.fromarray(array[..., 0] if array.shape[2] == 1 else array).save(path)
        samples.append(Sample(path.name, FileSource(path), Label(i % 2)))
    return Dataset(name, "classification", ("a", "b"), samples, origin=root)


def make_images(folder, count=3, size=8):
    """A folder of image files."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(count)
    for number in range(count):
        pixels = rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:04}.png")
    return folder


def listed(folder):
    """The set of these files."""
    samples = [Sample(path.name, FileSource(path), Label(0)) for path in sorted(folder.iterdir())]
    return Dataset(folder.name, "classification", ("a",), samples)


def kept(place):
    return sorted(path.name for path in place.iterdir())


def same(one, other):
    assert np.array_equal(one.pixels, other.pixels)
    assert one.hashes == other.hashes
    assert np.array_equal(one.image_stats, other.image_stats)
    assert [s.id for s in one.dataset] == [s.id for s in other.dataset]
    assert one.dataset.skipped == other.dataset.skipped


def in_memory(whole, size):
    """The same set decoded without a cache: its sources are arrays."""
    samples = [replace(s, source=ArraySource(s.source.read()[None], 0)) for s in whole]
    return decoding.decode(replace(whole, samples=samples), size)


def fill_disk(monkeypatch, after):
    """Let the disk of the cache be full after so many writes; return the writes."""
    pwrite, calls = os.pwrite, []

    def full(*given):
        calls.append(given)
        if len(calls) > after:
            raise OSError(errno.ENOSPC, "No space left on device")
        return pwrite(*given)

    monkeypatch.setattr(os, "pwrite", full)
    return calls
