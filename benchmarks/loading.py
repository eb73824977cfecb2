"""Pictures a second on their way to the net: foveate's cache and batches against torchvision's ImageFolder and DataLoader.

    python benchmarks/loading.py FOLDER --size 32 [--pictures 50000] [--rounds 5] [--workers 0 2]

All pictures below FOLDER, whatever its layout, are copied into a temporary folder of two classes (which ImageFolder needs, and
which leaves them all in the system's page cache): evenly chosen if --pictures are fewer than there are, and over and over again
if they are more. Each round measures everything in turn, in one process, so that a machine that slows down slows all alike.

ImageFolder: Resize((S, S)) and ToTensor, batches of 128 in random order, persistent workers. Its first epoch takes in listing the
folder and starting the workers. Every epoch decodes all pictures again.

foveate: `cache.decode` and `Batches` without augmentation, as training has them. Its first epoch takes in listing the folder
and filling a fresh cache on disk (so also what the audit needs to know of each picture, and a content hash). "A later run" is
the first epoch of a run that finds the cache: listing, looking up every file's time, one pass. Batches are uint8, and the
net's first layer normalises them; so that both sides end alike, every figure but one is with `.float().div(255)` on each batch.
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
from foveate.data.images import PICTURE_SUFFIXES
from foveate.training.device import hardware

BATCH = 128
Figures = dict[str, list[float]]


def copies(source: Path, place: Path, wanted: int | None) -> int:
    """Leaves place/a and place/b with pictures of `source`. Returns how many."""
    found = sorted(
        path
        for path in source.rglob("*")
        if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file()
    )
    if not found:
        raise SystemExit(f"no pictures below {source}")
    count = wanted or len(found)
    for name in ("a", "b"):
        (place / name).mkdir(parents=True)
    for number in range(count):
        path = found[number * len(found) // count if count < len(found) else number % len(found)]
        shutil.copyfile(path, place / "ab"[number % 2] / f"{number:06}{path.suffix.lower()}")
    return count


def passed(batches: Iterable[Tensor], count: int) -> float:
    """Takes every batch. Returns when the first came, in seconds on the clock."""
    first, seen = 0.0, 0
    for images in batches:
        first = first or time.perf_counter()
        seen += len(images)
    assert seen == count, (seen, count)
    return first


def epochs_of_ours(place: Path, size: int) -> Callable[[bool], Iterator[Tensor]]:
    """Everything before the first batch. Returns what gives an epoch's batches, as float32 or uint8."""
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


def ours(place: Path, size: int, count: int, told: Figures) -> None:
    with tempfile.TemporaryDirectory() as fresh:
        os.environ["FOVEATE_CACHE"] = fresh
        for run in ("foveate, first epoch", "foveate, first epoch of a later run"):
            begun = time.perf_counter()
            epoch = epochs_of_ours(place, size)
            first = passed(epoch(True), count)
            told.setdefault(run, []).append(count / (time.perf_counter() - begun))
            told.setdefault(f"{run}: seconds to the first batch", []).append(first - begun)
        for name, as_float in (
            ("foveate, later epochs", True),
            ("foveate, later epochs, left as uint8", False),
        ):
            begun = time.perf_counter()
            passed(epoch(as_float), count)
            told.setdefault(name, []).append(count / (time.perf_counter() - begun))


def theirs(place: Path, size: int, count: int, workers: int, told: Figures) -> None:
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
        first = passed((images for images, _ in loader), count)
        told.setdefault(f"{name}, {epoch}", []).append(count / (time.perf_counter() - begun))
        if epoch == "first epoch":
            told.setdefault(f"{name}, first epoch: seconds to the first batch", []).append(
                first - begun
            )
        begun = time.perf_counter()


def spread(values: list[float], digits: int = 0) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def table(told: Figures) -> Iterator[str]:
    """Rows of Markdown. Ratios are to the better ImageFolder of the same kind of epoch, round by round."""
    yield "| | pictures a second, median (range) | times ImageFolder, median (range) | seconds to the first batch |"
    yield "|---|---|---|---|"
    for name, rates in told.items():
        if "seconds" in name:
            continue
        kind = "first epoch" if "first epoch" in name else "later epochs"
        baselines = [
            told[other]
            for other in told
            if other.startswith("ImageFolder") and other.endswith(kind)
        ]
        ratios = [rate / max(round_) for rate, *round_ in zip(rates, *baselines, strict=True)]
        waited = told.get(f"{name}: seconds to the first batch")
        yield f"| {name} | {spread(rates)} | {spread(ratios, 2)} | {spread(waited, 2) if waited else ''} |"


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("folder", type=Path)
    options.add_argument("--size", type=int, required=True)
    options.add_argument("--pictures", type=int)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--workers", type=int, nargs="+", default=[0, 2])
    given = options.parse_args()
    told: Figures = {}
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary, "pictures")
        count = copies(given.folder, place, given.images)
        print(
            f"{count:,} pictures to {given.size} px; {hardware()}; torch {torch.__version__}; n = {given.rounds}\n",
            flush=True,
        )
        for _ in range(given.rounds):
            ours(place, given.size, count, told)
            for workers in given.workers:
                theirs(place, given.size, count, workers, told)
    print("\n".join(table(told)))


if __name__ == "__main__":
    main()
