"""What one machine can do: throughput, cache, and memory, as docs/scale.md states them.

    python benchmarks/scale.py throughput FOLDER [--size 128] [--images 2000]
    python benchmarks/scale.py cache FOLDER [--sizes 32 64 128 224]
    python benchmarks/scale.py memory [--images 100000 300000 1000000] [--audit 30000 100000]

FOLDER holds one folder of images per class. Everything runs in one process on one core. Rates are
images per second of processor time, the best of --rounds, so that other work on the machine counts
little. Memory is the resident set of a process that does this and nothing else, less that of one
that has only imported foveate. Images of the memory rows are made: smooth thumbnails, all
different.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from foveate import formats
from foveate.annotations import Label
from foveate.audit import audit
from foveate.data.cache import decoding, encoded, store, workers
from foveate.data.cache.spread_pixels import PixelServer, Share, SpreadPixels
from foveate.data.cache.workers import DecodeSpec
from foveate.data.dataset import Dataset, Sample
from foveate.data.image_stats import IMAGE_STATS
from foveate.data.images import FileSource

BATCH = 128
SECRET = b"benchmark"
MODELS = ("tiny_cnn",)


def rate(work: Callable[[], object], count: int, rounds: int) -> float:
    """Images per second of processor time: the best of some rounds."""
    best = 0.0
    for _ in range(rounds):
        began = time.process_time()
        work()
        best = max(best, count / (time.process_time() - began))
    return best


def read_batches(pixels: Any, rng: np.random.Generator) -> None:
    for rows in np.array_split(rng.permutation(len(pixels)), max(1, len(pixels) // BATCH)):
        pixels[rows]


def throughput(folder: Path, size: int, count: int, rounds: int) -> None:
    import torch

    from foveate import models, tasks
    from foveate.data.augment.images import ImageAugment
    from foveate.data.batches import Batches
    from foveate.models.model import VisionModel
    from foveate.training.device import hardware
    from foveate.training.loop import steps

    torch.set_num_threads(1)
    print(f"{hardware()}; one core used; {size} px; best of {rounds}\n")
    print("| what | images a second |\n|---|---|", flush=True)
    dataset = formats.read(folder)
    step = max(1, len(dataset) // count)
    dataset = Dataset(dataset.name, dataset.task, dataset.classes, dataset.samples[::step][:count])
    sources = [sample.source for sample in dataset]

    def decoded() -> None:
        for _ in workers.read_all(sources, DecodeSpec(size)):
            pass

    print(f"| decoded, with statistics | {rate(decoded, len(dataset), rounds):,.0f} |", flush=True)
    raw = decoding.decode(dataset, size, encoding="raw")
    jpeg = decoding.decode(dataset, size, encoding="jpeg")
    rng = np.random.default_rng(0)
    for name, images in (("cached, raw", raw), ("cached, JPEG", jpeg)):
        read_batches(images.pixels, rng)
        value = rate(lambda one=images.pixels: read_batches(one, rng), len(raw.hashes), rounds)
        print(f"| {name} | {value:,.0f} |", flush=True)
    value = rate(lambda: audit(raw.dataset, raw.hashes, raw.image_stats), len(raw.hashes), 1)
    print(f"| audited, {len(raw.hashes):,} images | {value:,.0f} |", flush=True)
    task = tasks.find("classification")(dataset.classes)
    targets, ids = [s.target for s in raw.dataset], [s.id for s in raw.dataset]
    for name in MODELS:
        backbone = models.build(name, channels=3, size=size, weights=None)
        net = VisionModel(task.head(backbone), size=size, mean=[0.5] * 3, std=[0.25] * 3)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        for group in optimizer.param_groups:
            group["peak_lr"] = 0.01
        for kind, images in (("raw", raw), ("JPEG", jpeg)):
            batches = Batches(
                task, images.pixels, targets, ids, batch_size=64, seed=0, augment=ImageAugment()
            )
            loop = steps(net, task.loss, batches(), optimizer, lambda number: 1.0, seed=0)
            next(loop)
            value = rate(lambda loop=loop: list(islice(loop, 4)), 4 * 64, rounds)
            print(f"| trained, {name}, {kind} | {value:,.0f} |", flush=True)
        net.eval()

        def predicted(net: Any = net) -> None:
            with torch.inference_mode():
                images = np.stack(
                    [workers.read_chunk([one], DecodeSpec(size)).images[0] for one in sources[:256]]
                )
                net(torch.from_numpy(images).permute(0, 3, 1, 2))

        print(f"| predicted from files, {name} | {rate(predicted, 256, rounds):,.0f} |", flush=True)


def cache(folder: Path, sizes: list[int], rounds: int) -> None:
    """Images encoded and read a second; error is the mean difference in grey levels, 0 to 255.

    Those of another machine come over the loopback interface; the time of both ends counts.
    """
    print(
        "| px | MB a thousand: raw | JPEG | encoded a second | read a second: raw | JPEG "
        "| raw, of another machine | error |"
    )
    print("|---|---|---|---|---|---|---|---|")
    dataset = formats.read(folder)
    step = max(1, len(dataset) // 2048)
    dataset = Dataset(dataset.name, dataset.task, dataset.classes, dataset.samples[::step][:2048])
    rng = np.random.default_rng(0)
    for size in sizes:
        raw = decoding.decode(dataset, size, encoding="raw").pixels
        jpeg = decoding.decode(dataset, size, encoding="jpeg").pixels
        pixels, keep = np.asarray(raw), np.zeros(len(raw), bool)
        blobs = encoded.encode_all(pixels, keep)
        error = np.abs(np.asarray(jpeg).astype(np.int16) - pixels).mean()
        encoding = rate(lambda p=pixels, k=keep: encoded.encode_all(p, k), len(pixels), rounds)
        server = PixelServer(raw, SECRET, "127.0.0.1")
        nothing = Share((0, *raw.shape[1:]), "127.0.0.1", 0, None)
        share = Share(raw.shape, "127.0.0.1", server.port, None)
        sent = SpreadPixels([nothing, share], SECRET, 0)
        reading = [
            rate(lambda one=one: read_batches(one, rng), len(pixels), rounds)
            for one in (raw, jpeg, sent)
        ]
        server.close()
        length = sum(map(len, blobs)) / len(blobs)
        print(
            f"| {size} | {pixels.nbytes / len(pixels) / 1e3:.1f} | {length / 1e3:.2f} "
            f"| {encoding:,.0f} | {reading[0]:,.0f} | {reading[1]:,.0f} "
            f"| {reading[2]:,.0f} | {error:.2f} |",
            flush=True,
        )


def samples(count: int) -> Dataset[Any]:
    return Dataset(
        "made", "classification", ("a", "b"),
        [
            Sample(f"train/{number % 1000:03}/{number:09}.jpg",
                   FileSource(Path(f"/data/train/{number % 1000:03}/{number:09}.jpg")),
                   Label(number % 2))
            for number in range(count)
        ],
    )  # fmt: skip


def image_stats(count: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    rows = np.zeros(count, IMAGE_STATS)
    for field, value in (("height", 128), ("width", 128), ("channels", 3), ("orientation", 1),
                         ("pages", 1), ("contrast", 50), ("sharpness", 0.3)):  # fmt: skip
        rows[field] = value
    rows["brightness"] = rng.normal(120, 20, count)
    rows["format"], rows["mode"] = "JPEG", "RGB"
    for start in range(0, count, 10_000):
        some = rng.integers(0, 256, (min(10_000, count - start), 6, 6)).astype(np.float32)
        wide = np.repeat(np.repeat(some, 6, 1), 6, 2)[:, 2:34, 2:34]
        smooth = (wide + np.roll(wide, 2, 1) + np.roll(wide, 2, 2) + np.roll(wide, 3, (1, 2))) / 4
        rows["thumb"][start : start + len(some)] = smooth
    return rows


def hashes(count: int) -> tuple[str, ...]:
    return tuple(f"{number:032x}" for number in range(count))


PARTS: dict[str, Callable[[int], object]] = {
    "nothing": lambda count: None,
    "sample list": samples,
    "content hashes": hashes,
    "statistics": image_stats,
    "audit": lambda count: audit(samples(count), hashes(count), image_stats(count)),
}


def alone(part: str, count: int) -> None:
    """Measure one part: print seconds, processor seconds and the largest resident set in bytes."""
    import resource

    began, busy = time.perf_counter(), time.process_time()
    kept = PARTS[part](count)
    seconds, cpu = time.perf_counter() - began, time.process_time() - busy
    print(seconds, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, type(kept))


def memory(counts: list[int], audited: list[int]) -> None:
    def measured(part: str, count: int) -> list[float]:
        command = [sys.executable, __file__, "alone", part, str(count)]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return [float(word) for word in out.split()[:3]]

    base = measured("nothing", 0)[2]
    print("| what | images | seconds | processor seconds | MB | bytes an image |")
    print("|---|---|---|---|---|---|")
    jobs = [(part, count) for part in list(PARTS)[1:4] for count in counts]
    for part, count in [*jobs, *(("audit", count) for count in audited)]:
        seconds, cpu, peak = measured(part, count)
        used = max(0.0, peak - base)
        print(f"| {part} | {count:,} | {seconds:.0f} | {cpu:.0f} | {used / 1e6:,.0f} "
              f"| {used / count:,.0f} |", flush=True)  # fmt: skip


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rounds", type=int, default=3)
    what = options.add_subparsers(dest="what", required=True)
    for name in ("throughput", "cache"):
        what.add_parser(name).add_argument("folder", type=Path)
    what.choices["throughput"].add_argument("--size", type=int, default=128)
    what.choices["throughput"].add_argument("--images", type=int, default=2000)
    what.choices["cache"].add_argument("--sizes", type=int, nargs="+", default=[32, 64, 128, 224])
    part = what.add_parser("memory")
    part.add_argument("--images", type=int, nargs="*", default=[100_000, 300_000, 1_000_000])
    part.add_argument("--audit", type=int, nargs="*", default=[30_000, 100_000])
    one = what.add_parser("alone", help="one row of `memory`, in a process of its own")
    one.add_argument("part", choices=PARTS)
    one.add_argument("count", type=int)
    given = options.parse_args()
    encoded.cores = workers.cores = lambda: 1  # the time of threads adds up
    if given.what == "alone":
        alone(given.part, given.count)
    elif given.what == "memory":
        memory(given.images, given.audit)
    else:
        with tempfile.TemporaryDirectory() as place:
            os.environ["FOVEATE_CACHE"] = place
            if given.what == "cache":
                cache(given.folder, given.sizes, given.rounds)
            else:
                throughput(given.folder, given.size, given.images, given.rounds)
            store.clear()


if __name__ == "__main__":
    main()
