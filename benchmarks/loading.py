"""Images per second: foveate's cache and batches against torchvision's ImageFolder and DataLoader.

    python benchmarks/loading.py FOLDER --size 32 [--images 50000] [--rounds 5] [--workers 0 2]

All images below FOLDER, whatever its layout, are copied into a temporary folder of two classes
(which ImageFolder needs, and which leaves them all in the system's page cache): evenly chosen if
--images is less than their number, repeated if it is more. Each round measures everything in
turn, in one process, so that a machine that slows down slows all alike.

ImageFolder: Resize((S, S)) and ToTensor, batches of 128 in random order, persistent workers. Its
first epoch includes listing the folder and starting the workers. Every epoch decodes all images
again.

foveate: `decode` and `Batches` without augmentation, as in training. Its first epoch includes
listing the folder and filling a fresh cache on disk (so also the statistics for the audit and a
content hash of each image). "A later run" is the first epoch of a run that finds the cache:
listing, checking every file's time, one pass. Batches are uint8, and the network's first layer
normalises them; so that both sides end alike, every row but one includes `.float().div(255)` on
each batch.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from foveate import formats, tasks
from foveate.data.augment.images import ImageAugment
from foveate.data.batches import Batches
from foveate.data.cache import decoding
from foveate.data.images import IMAGE_SUFFIXES
from foveate.training.device import hardware

BATCH = 128
Measurements = dict[str, list[float]]


def copies(source: Path, place: Path, max_images: int | None) -> int:
    """Copy images below `source` to place/a and place/b; returns their number."""
    paths = sorted(
        path
        for path in source.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
    )
    if not paths:
        raise SystemExit(f"no images below {source}")
    count = max_images or len(paths)
    for name in ("a", "b"):
        (place / name).mkdir(parents=True)
    for number in range(count):
        path = paths[number * len(paths) // count if count < len(paths) else number % len(paths)]
        shutil.copyfile(path, place / "ab"[number % 2] / f"{number:06}{path.suffix.lower()}")
    return count


def consume(batches: Iterable[Tensor], count: int) -> float:
    """Take every batch; returns the time at which the first came."""
    first, seen = 0.0, 0
    for images in batches:
        first = first or time.perf_counter()
        seen += len(images)
    assert seen == count, (seen, count)
    return first


def foveate_epochs(place: Path, size: int) -> Callable[[bool], Iterator[Tensor]]:
    """Prepare everything before the first batch; returns an iterator factory over an epoch."""
    dataset = formats.read(place)
    images = decoding.decode(dataset, size)
    targets, ids = (
        [sample.target for sample in images.dataset],
        [sample.id for sample in images.dataset],
    )
    task = tasks.find("classification")(dataset.classes)
    batches = Batches(
        task, images.pixels, targets, ids, batch_size=BATCH, seed=0, augment=ImageAugment()
    )
    stream = batches()

    def epoch(as_float: bool) -> Iterator[Tensor]:
        for (images, *_), _ in islice(stream, batches.per_epoch):
            yield images.float().div(255) if as_float else images

    return epoch


def measure_foveate(place: Path, size: int, count: int, measured: Measurements) -> None:
    with tempfile.TemporaryDirectory() as fresh:
        os.environ["FOVEATE_CACHE"] = fresh
        for run in ("foveate, first epoch", "foveate, first epoch of a later run"):
            begun = time.perf_counter()
            epoch = foveate_epochs(place, size)
            first = consume(epoch(True), count)
            measured.setdefault(run, []).append(count / (time.perf_counter() - begun))
            measured.setdefault(f"{run}: seconds to the first batch", []).append(first - begun)
        for name, as_float in (
            ("foveate, later epochs", True),
            ("foveate, later epochs, left as uint8", False),
        ):
            begun = time.perf_counter()
            consume(epoch(as_float), count)
            measured.setdefault(name, []).append(count / (time.perf_counter() - begun))


def measure_imagefolder(
    place: Path, size: int, count: int, workers: int, measured: Measurements
) -> None:
    name = f"ImageFolder, {workers} workers"
    begun = time.perf_counter()
    change = transforms.Compose([transforms.Resize((size, size)), transforms.ToTensor()])
    loader = DataLoader(
        ImageFolder(place, change),
        BATCH,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    for epoch in ("first epoch", "later epochs"):
        first = consume((images for images, _ in loader), count)
        measured.setdefault(f"{name}, {epoch}", []).append(count / (time.perf_counter() - begun))
        if epoch == "first epoch":
            measured.setdefault(f"{name}, first epoch: seconds to the first batch", []).append(
                first - begun
            )
        begun = time.perf_counter()


def spread(values: list[float], digits: int = 0) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def table(measured: Measurements) -> Iterator[str]:
    """Rows of Markdown; ratios are to the better ImageFolder of the same epoch, by round."""
    yield (
        "| | images a second, median (range) | times ImageFolder, median (range) "
        "| seconds to the first batch |"
    )
    yield "|---|---|---|---|"
    for name, rates in measured.items():
        if "seconds" in name:
            continue
        kind = "first epoch" if "first epoch" in name else "later epochs"
        baselines = [
            measured[other]
            for other in measured
            if other.startswith("ImageFolder") and other.endswith(kind)
        ]
        ratios = [rate / max(round_) for rate, *round_ in zip(rates, *baselines, strict=True)]
        waited = measured.get(f"{name}: seconds to the first batch")
        first = spread(waited, 2) if waited else ""
        yield f"| {name} | {spread(rates)} | {spread(ratios, 2)} | {first} |"


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("folder", type=Path)
    options.add_argument("--size", type=int, required=True)
    options.add_argument("--images", type=int)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--workers", type=int, nargs="+", default=[0, 2])
    given = options.parse_args()
    measured: Measurements = {}
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary, "images")
        count = copies(given.folder, place, given.images)
        print(
            f"{count:,} images to {given.size} px; {hardware()}; torch {torch.__version__}; "
            f"n = {given.rounds}\n",
            flush=True,
        )
        for _ in range(given.rounds):
            measure_foveate(place, given.size, count, measured)
            for workers in given.workers:
                measure_imagefolder(place, given.size, count, workers, measured)
    print("\n".join(table(measured)))


if __name__ == "__main__":
    main()
