"""Object detection: metrics after a few minutes, and milliseconds per image.

    python benchmarks/detection.py accuracy DATA --size 320 --minutes 12 --seeds 0 1 2
    python benchmarks/detection.py overfit DATA --size 416 --minutes 12
    python benchmarks/detection.py speed

`accuracy` runs `foveate train` and `foveate test` as a user does, a process each, and prints the
metrics of the test split and the seconds of the processes, start-up included. `overfit` trains on
images (on their masks with --task instance) and validates on the same ones: a failure to overfit
shows a bug. `speed` times training and prediction on random images, on one core and on two, and
relates training to the machine's speed in a matrix product.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from measure import combine, format_row, foveate, median

METRICS = ("map50", "map", "map75", "recall")


def accuracy(
    data: str, size: int | None, minutes: list[float], seeds: list[int], more: list[str]
) -> None:
    """Train and test with each budget and seed."""
    for budget in minutes:
        rows = []
        for seed in seeds:
            with tempfile.TemporaryDirectory() as folder:
                run = Path(folder) / "run"
                options = [
                    "--task",
                    "detection",
                    "--minutes",
                    f"{budget}",
                    "--seed",
                    f"{seed}",
                    "--out",
                    str(run),
                ]
                options += ["--size", f"{size}"] if size else []
                trained = foveate("train", data, *options, *more)
                tested = foveate("test", str(run))
                results = json.loads((run / "results.json").read_text())
            metrics = {name: results["test"][name]["value"] for name in METRICS}
            best = max(
                metric[results["primary"]]["value"]
                for metric in results["baseline"]["test"].values()
            )
            rows.append(
                {
                    **metrics,
                    "baseline": best,
                    "train": trained,
                    "test": tested,
                    "epochs": results["epochs"],
                }
            )
            print(f"{budget:g} min, seed {seed}: {format_row(rows[-1])}", flush=True)
        if len(rows) > 1:
            print(
                f"{budget:g} min, median of {len(rows)}: "
                f"{format_row(combine(rows, statistics.median))}",
                flush=True,
            )


def overfit(data: str, task: str, size: int, minutes: float, batch: int) -> None:
    """Overfit: the same images are train, valid and test.

    They are in train four times, so that validation is rarer.
    """
    import foveate as fv

    dataset = fv.load(data)
    samples = [
        replace(sample, id=f"{place}/{sample.id}", split=split)
        for place, split in enumerate(["train"] * 4 + ["valid", "test"])
        for sample in dataset
    ]
    whole = replace(dataset, samples=samples, origin=None)
    with tempfile.TemporaryDirectory() as folder:
        run = fv.train(
            whole, task=task, out=Path(folder) / "run", size=size, minutes=minutes, augment="none",
            batch_size=batch, allow_leak=True, allow_errors=True,
        )  # fmt: skip
        metrics = {name: run.results["valid"][name]["value"] for name in (*METRICS, "map_small")}
        print(
            format_row({**metrics, **run.results["seconds"], "epochs": run.results["epochs"]}),
            flush=True,
        )


def speed(sizes: list[int], models: list[str]) -> None:
    """Print milliseconds per image."""
    import torch

    from foveate import models as registry
    from foveate.data.augment.boxes import BoxAugment
    from foveate.models.model import VisionModel
    from foveate.tasks.detection import Detection
    from foveate.training import device

    task = Detection(["a", "b", "c"])
    rng = np.random.default_rng(0)
    for cores in (1, 2):
        torch.set_num_threads(cores)
        matrix = {kind: _matrix_speed(kind) for kind in (torch.float32, torch.bfloat16)}
        speeds = ", ".join(
            f"{str(kind).split('.')[1]} {rate / 1e9:.0f} GFLOP/s" for kind, rate in matrix.items()
        )
        print(f"{cores} cores, product of 2048 x 2048 matrices: {speeds}", flush=True)
        for name in models:
            recipe = registry.find(name).recipe(pretrained=False)
            precision = device.fastest_precision(torch.device("cpu"), on_cpu=recipe.bf16)
            dtype = torch.bfloat16 if precision == "bfloat16" else None
            for size in sizes:
                torch.manual_seed(0)
                backbone = registry.build(name, channels=3, size=size)
                net = VisionModel(task.head(backbone), size=size, mean=[110.0] * 3, std=[60.0] * 3)
                net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
                batch = _batch(rng, size)
                trained, work = _training(net, task, batch, dtype)
                images = [rng.integers(0, 255, (size, size, 3), dtype=np.uint8) for _ in range(8)]
                net.eval()
                alone = median(lambda net=net, images=images: task.predict(net, images[:1]))
                many = median(lambda net=net, images=images: task.predict(net, images)) / len(
                    images
                )
                policy = BoxAugment(True, 0.5, 0.2, 0.2, 0.5)
                share = work / trained / matrix[dtype or torch.float32]
                weights = sum(weight.numel() for weight in net.parameters())
                print(
                    f"{name} {size} px, {weights / 1e6:.2f} M weights, "
                    f"{work / 6e9:.2f} G multiply-adds: training "
                    f"{1e3 * trained:.1f} ms an image "
                    f"({str(dtype or torch.float32).split('.')[1]}; "
                    f"{share:.0%} of the matrix product's speed), "
                    f"augmentation {1e3 * _augmenting(policy, batch):.1f}, "
                    f"predicting {1e3 * alone:.1f} alone, {1e3 * many:.1f} of {len(images)}",
                    flush=True,
                )


def _matrix_speed(kind: Any) -> float:
    import torch

    one = torch.randn(2048, 2048).to(kind)
    return float(2 * 2048**3 / median(lambda: one @ one))


def _batch(rng: np.random.Generator, size: int) -> tuple[Any, list[Any]]:
    """16 images of noise, ten boxes in each."""
    import torch

    from foveate.annotations import Boxes

    targets = []
    for _ in range(16):
        low = rng.uniform(0, 0.8 * size, (10, 2))
        corners = np.concatenate([low, low + rng.uniform(0.05, 0.2, (10, 2)) * size], 1)
        targets.append(Boxes(corners, rng.integers(0, 3, 10), size=(size, size)))
    return torch.from_numpy(rng.integers(0, 255, (16, 3, size, size), dtype=np.uint8)), targets


def _training(net: Any, task: Any, batch: tuple[Any, list[Any]], dtype: Any) -> tuple[float, float]:
    """Seconds per image of a training step, and operations per image: six per multiply-add."""
    import torch

    from foveate.data.rng import SampleRNG, sample_keys
    from foveate.training.optim import optimizer

    images, targets = batch
    inputs, target = task.collate(
        images, targets, SampleRNG(sample_keys([f"{row}" for row in range(16)]), seed=0)
    )
    built = optimizer("adamw", net, lr=1e-3, weight_decay=0.0)
    work = [0]
    hooks = [
        module.register_forward_hook(
            lambda m, _, out: work.append(out.numel() * m.weight[0].numel())
        )
        for module in net.modules()
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear)
    ]
    net.eval()
    with torch.no_grad():
        net(inputs[0][:1])
    for hook in hooks:
        hook.remove()
    net.train()

    def step() -> None:
        with torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
            loss = task.loss(net(*inputs), target)["total"]
        loss.backward()
        built.step()
        built.zero_grad()

    return median(step) / len(images), 6.0 * sum(work)


def _augmenting(policy: Any, batch: tuple[Any, list[Any]]) -> float:
    from foveate.data.rng import SampleRNG, sample_keys

    images = batch[0].permute(0, 2, 3, 1).contiguous()
    rng = SampleRNG(sample_keys([f"{row}" for row in range(16)]), seed=0)
    return median(lambda: policy.batch(images, batch[1], rng, 0.0)) / len(images)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = parser.add_subparsers(dest="kind", required=True)
    one = kinds.add_parser("accuracy")
    one.add_argument("data")
    one.add_argument("--size", type=int)
    one.add_argument("--minutes", type=float, nargs="+", default=[12.0])
    one.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    whole = kinds.add_parser("overfit")
    whole.add_argument("data")
    whole.add_argument("--size", type=int, default=416)
    whole.add_argument("--minutes", type=float, default=12.0)
    whole.add_argument("--task", default="detection")
    whole.add_argument("--batch", type=int, default=8)
    other = kinds.add_parser("speed")
    other.add_argument("--sizes", type=int, nargs="+", default=[320, 640])
    other.add_argument("--models", nargs="+", default=["yolo", "yolo:s", "tiny_cnn"])
    given, more = parser.parse_known_args()
    if given.kind == "accuracy":
        accuracy(given.data, given.size, given.minutes, given.seeds, more)
    elif given.kind == "overfit":
        overfit(given.data, given.task, given.size, given.minutes, given.batch)
    else:
        speed(given.sizes, given.models)
