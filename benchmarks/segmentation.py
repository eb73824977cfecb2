"""Segmentation: metrics after a few minutes, milliseconds per image, and memory.

    python benchmarks/segmentation.py membranes DATA --minutes 5 --folds 0 1 2 3 4 --seeds 0 1 2
    python benchmarks/segmentation.py accuracy DATA --task instance --minutes 15 --seeds 0 1 2
    python benchmarks/segmentation.py speed
    python benchmarks/segmentation.py large

`membranes` is five-fold cross-validation: fold K tests every fifth image, from the K-th on; three
of the others select the weights. It trains with `foveate.train` (settings follow as --lr 0.01
--augment strong) and prints IoU, boundary F1 and Rand score of the test images; `smp_unet.py`
prints the same for another library's network. `accuracy` runs `foveate train` and `foveate test`
and prints the metrics of the test split. `large` segments an image of 10,000 x 10,000 px by tiles
and prints the peak memory.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from foveate.annotations import Mask
from measure import combine, format_row, foveate, median

CELL, MEMBRANE = 1, 0
"""Class indices of label values 255 and 0."""


def membranes(
    data: str, minutes: float, folds: Sequence[int], seeds: Sequence[int], more: dict[str, Any]
) -> None:
    """Train and test on each fold with each seed."""
    import foveate as fv

    dataset = fv.load(data)
    samples = sorted(dataset, key=lambda sample: int(re.findall(r"\d+", sample.id)[-1]))
    rows = []
    for seed in seeds:
        for fold in folds:
            rest = [place for place in range(len(samples)) if place % 5 != fold]
            splits = dict.fromkeys(rest, "train") | dict.fromkeys(rest[4::8], "valid")
            with_splits = [
                replace(sample, split=splits.get(place, "test"))
                for place, sample in enumerate(samples)
            ]
            began = time.perf_counter()
            with tempfile.TemporaryDirectory() as folder:
                given = replace(dataset, samples=with_splits, origin=None)
                run = fv.train(given, out=Path(folder) / "run", minutes=minutes, seed=seed, **more)
                seconds = time.perf_counter() - began
                tested = [sample for sample in with_splits if sample.split == "test"]
                predictions = run.predict_images([sample.source.read() for sample in tested])
                pairs = [
                    (a.pixels.read(), s.target.pixels.read())
                    for a, s in zip(predictions, tested, strict=True)
                ]
                rows.append({**score(pairs), "seconds": seconds, "epochs": run.results["epochs"]})
            print(f"seed {seed}, fold {fold}: {format_row(rows[-1])}", flush=True)
        of_seed = rows[-len(folds) :]
        print(
            f"seed {seed}, mean of {len(folds)} folds: "
            f"{format_row(combine(of_seed, statistics.fmean))}",
            flush=True,
        )
    if len(seeds) > 1:
        means = [
            combine(rows[at : at + len(folds)], statistics.fmean)
            for at in range(0, len(rows), len(folds))
        ]
        print(
            f"median of {len(seeds)} seeds: {format_row(combine(means, statistics.median))}",
            flush=True,
        )


def score(pairs: Sequence[tuple[Any, Any]]) -> dict[str, float]:
    """Metrics of pairs of prediction and target, each (H, W) of CELL and MEMBRANE."""
    from foveate.metrics import semantic

    scorer = semantic.Scorer(
        semantic.per_image_stats(
            [semantic.compare(predicted, target, 2) for predicted, target in pairs]
        ),
        2,
    )
    classes = scorer.per_class()
    return {
        "cell IoU": classes[CELL].iou,
        "membrane IoU": classes[MEMBRANE].iou,
        "boundary F1": scorer.metrics()["boundary_f1"],
        "Rand": statistics.fmean(
            rand(predicted == CELL, target == CELL) for predicted, target in pairs
        ),
    }


def rand(predicted: Any, target: Any) -> float:
    """The foreground-restricted Rand score.

    Arganda-Carreras et al., "Crowdsourcing the creation of image segmentation algorithms for
    connectomics", 2015. Cells are connected components. The score compares the pairs of pixels in
    one target cell with those in one predicted cell. Predicted membrane counts as one component
    more. The challenge's own program thins borders first and takes the best of many thresholds;
    this one does neither.

    Args:
        predicted: (H, W) bool, predicted cells.
        target: (H, W) bool, target cells.
    """
    from scipy.ndimage import label
    from scipy.sparse import coo_array

    one, other = label(predicted)[0][target], label(target)[0][target]
    shares = coo_array((np.ones(len(one)), (one, other))).tocsr() / max(1, len(one))
    both = shares.multiply(shares).sum()
    return float(2 * both / ((shares.sum(0) ** 2).sum() + (shares.sum(1) ** 2).sum()))


def accuracy(
    data: str, task: str, minutes: Sequence[float], seeds: Sequence[int], more: Sequence[str]
) -> None:
    """Train and test with each budget and seed."""
    for budget in minutes:
        rows = []
        for seed in seeds:
            with tempfile.TemporaryDirectory() as folder:
                run = Path(folder) / "run"
                trained = foveate(
                    "train",
                    data,
                    "--task",
                    task,
                    "--minutes",
                    budget,
                    "--seed",
                    seed,
                    "--out",
                    run,
                    *more,
                )
                foveate("test", run)
                results = json.loads((run / "results.json").read_text())
            primary_metric = results["primary"]
            metrics = {
                n: metric["value"]
                for n, metric in results["test"].items()
                if metric["value"] is not None
            }
            baselines = {
                name: metric[primary_metric]["value"]
                for name, metric in results["baseline"]["test"].items()
            }
            rows.append({**metrics, **baselines, "seconds": trained, "epochs": results["epochs"]})
            print(f"{budget:g} min, seed {seed}: {format_row(rows[-1])}", flush=True)
        if len(rows) > 1:
            print(
                f"{budget:g} min, median of {len(rows)}: "
                f"{format_row(combine(rows, statistics.median))}",
                flush=True,
            )


def speed(sizes: Sequence[int], models: Sequence[str]) -> None:
    """Print milliseconds per image of predicting and training, one process each for its memory."""
    for cores in (1, 2):
        for model in models:
            for size in sizes:
                subprocess.run(
                    [sys.executable, __file__, "_speed", model, f"{size}", f"{cores}"], check=True
                )


def _speed(model: str, size: int, cores: int) -> None:
    import torch

    from foveate import models as registry
    from foveate.data.rng import SampleRNG, sample_keys
    from foveate.models.model import VisionModel
    from foveate.tasks.semantic import Semantic
    from foveate.training import device
    from foveate.training.optim import optimizer

    torch.set_num_threads(cores)
    rng, task, batch = np.random.default_rng(0), Semantic(["a", "b"]), 8
    on_cpu = registry.find(model).recipe(pretrained=False).bf16
    half = device.fastest_precision(torch.device("cpu"), on_cpu=on_cpu) == "bfloat16"
    net = VisionModel(
        task.head(registry.build(model, channels=3, size=size)),
        size=size,
        mean=[110.0] * 3,
        std=[60.0] * 3,
    )
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = [rng.integers(0, 255, (size, size, 3), dtype=np.uint8) for _ in range(batch)]
    predicting = median(lambda: task.predict(net, images[:1]))
    predicted = _peak()
    targets = [Mask.from_array(rng.integers(0, 2, (size, size))) for _ in images]
    images = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    inputs, target = task.collate(
        images, targets, SampleRNG(sample_keys([f"{row}" for row in range(batch)]), seed=0)
    )
    built = optimizer("adamw", net, lr=1e-3, weight_decay=0.0)
    net.train()

    def step() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            loss = task.loss(net(*inputs), target)["total"]
        loss.backward()
        built.step()
        built.zero_grad()

    training = median(step) / batch
    print(
        f"{model} {size} px, {cores} cores, "
        f"{sum(w.numel() for w in net.parameters()) / 1e6:.2f} M weights: "
        f"predicting {1e3 * predicting:.0f} ms (peak {predicted:.2f} GB), "
        f"training {1e3 * training:.0f} ms an image in batches of {batch} "
        f"({'bfloat16' if half else 'float32'}, peak {_peak():.2f} GB)",
        flush=True,
    )


def large(side: int, tile: int) -> None:
    """Segment an image of side x side px by tiles."""
    import torch

    from foveate import models as registry
    from foveate.models.model import VisionModel
    from foveate.tasks.semantic import Semantic

    task = Semantic(["a", "b"])
    net = VisionModel(
        task.head(registry.build("unet:tiny_encoder", channels=3, size=tile)),
        size=tile,
        mean=[110.0] * 3,
        std=[60.0] * 3,
    )
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    image = np.random.default_rng(0).integers(0, 255, (side, side, 3), dtype=np.uint8)
    before, began = _peak(), time.perf_counter()
    task.predict_tiled(net, image, tile)
    print(
        f"{side} x {side} px by tiles of {tile}: {time.perf_counter() - began:.0f} s, "
        f"peak {_peak():.2f} GB, {before:.2f} GB of it with the image alone"
    )


def _peak() -> float:
    """Peak memory of this process in gigabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    if sys.argv[1:2] == ["_speed"]:
        _speed(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
        sys.exit()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = parser.add_subparsers(dest="kind", required=True)
    one = kinds.add_parser("membranes")
    one.add_argument("data")
    one.add_argument("--minutes", type=float, default=5.0)
    one.add_argument("--folds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    one.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    other = kinds.add_parser("accuracy")
    other.add_argument("data")
    other.add_argument("--task", required=True)
    other.add_argument("--minutes", type=float, nargs="+", default=[15.0])
    other.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    times = kinds.add_parser("speed")
    times.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    times.add_argument(
        "--models", nargs="+", default=["unet:tiny_encoder", "unet:resnet18", "unet:16x4"]
    )
    huge = kinds.add_parser("large")
    huge.add_argument("--side", type=int, default=10_000)
    huge.add_argument("--tile", type=int, default=512)
    given, more = parser.parse_known_args()
    match given.kind:
        case "membranes":
            options = dict(
                zip(
                    (word.removeprefix("--") for word in more[::2]),
                    map(yaml.safe_load, more[1::2]),
                    strict=True,
                )
            )
            membranes(given.data, given.minutes, given.folds, given.seeds, options)
        case "accuracy":
            accuracy(given.data, given.task, given.minutes, given.seeds, more)
        case "speed":
            speed(given.sizes, given.models)
        case "large":
            large(given.side, given.tile)
