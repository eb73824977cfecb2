"""Small images from scratch: foveate's models and a plain ResNet-18 loop at equal minutes.

    python benchmarks/small_images.py DATA... [--models tiny_cnn airbench] [--minutes 5]
        [--seeds 0 1 2] [--test] [--resnet] [--set KEY=VALUE...]

foveate runs as a user runs it, in a process of its own: the minutes count from the start of the
command, with audit, split, baselines, validation, intervals and the report. Accuracies are those of
the valid split; `--test` opens the test split as well.

`--resnet` adds the ResNet-18 for small images (He et al., 2016, a 3x3 stem, no pooling after it)
in a loop of SGD with momentum, batches of 128, random shifts and mirrored images, a learning rate
that falls along a cosine, bfloat16 where the CPU has it, channels_last. It trains on the train
split of foveate's run with the same seed, and its minutes hold training alone.

OMP_NUM_THREADS=1 measures on one core. Times then compare models, if nothing else runs.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import foveate as fv
from foveate.experiment.prepare import reopen
from foveate.progress import NullReporter
from foveate.training.device import fastest_precision, hardware

CPU = torch.device("cpu")


def train(
    data: str, model: str, seed: int, given: argparse.Namespace, out: Path
) -> dict[str, float]:
    """Epochs, accuracies and seconds of one run."""
    options = [f"--set={one}" for one in given.set]
    command = [sys.executable, "-m", "foveate", "train", data, "--model", model, "--out", out]
    command += ["--minutes", given.minutes, "--seed", seed, "--allow-leak", *options]
    began = time.perf_counter()
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)
    row = {"seconds": round(time.perf_counter() - began, 1)}
    run = fv.Run.open(out)
    row["epochs"] = run.curves[-1]["epoch"]
    row["valid"] = run.results["valid"]["accuracy"]["value"]
    if given.test:
        row["test"] = fv.test(run)["accuracy"]["value"]
    return row


def arrays(run: fv.Run) -> dict[str, np.ndarray]:
    """Pixels and classes of each split of a run, as its net saw them."""
    prepared = reopen(run, NullReporter())
    found = {}
    for split in ("train", "valid", "test"):
        pixels, targets, _ = prepared.of(split)
        found[f"{split}_x"] = pixels[np.arange(len(targets))]
        found[f"{split}_y"] = np.array([target.index for target in targets])
    return found


class Block(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, channels: int, width: int, stride: int):
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width),
        )  # fmt: skip
        self.shortcut = nn.Sequential()
        if stride > 1 or channels != width:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.branch(x) + self.shortcut(x))


def resnet18(channels: int, classes: int) -> nn.Sequential:
    """The ResNet-18 for images of 32 px."""
    stem = [nn.Conv2d(channels, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    blocks, width = [], 64
    for wide, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        blocks += [Block(width, wide, stride), Block(wide, wide, 1)]
        width = wide
    return nn.Sequential(
        *stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes)
    )


def augmented(images: torch.Tensor, mirror: bool) -> torch.Tensor:
    """Shift each image by up to two pixels and, if that is safe, mirror half of them."""
    count, _, height, width = images.shape
    by = torch.randint(-2, 3, (2, count, 1))
    rows = (torch.arange(height) + by[0]).clamp(0, height - 1)[:, None, :, None]
    columns = (torch.arange(width) + by[1]).clamp(0, width - 1)[:, None, None, :]
    channels = torch.arange(images.shape[1])[None, :, None, None]
    images = images[torch.arange(count)[:, None, None, None], channels, rows, columns]
    if mirror:
        flips = torch.rand(count) < 0.5
        images = torch.where(flips[:, None, None, None], images.flip(3), images)
    return images


def plain_loop(
    data: dict[str, np.ndarray], mirror: bool, minutes: float, seed: int, splits: list[str]
) -> dict[str, float]:
    """The loop that tutorials end with, for so many minutes."""
    torch.manual_seed(seed)
    x, y = torch.from_numpy(data["train_x"]).permute(0, 3, 1, 2), torch.from_numpy(data["train_y"])
    mean, std = x.float().mean((0, 2, 3)).view(-1, 1, 1), x.float().std((0, 2, 3)).view(-1, 1, 1)
    net = resnet18(x.shape[1], int(y.max()) + 1).to(memory_format=torch.channels_last)
    bf16 = fastest_precision(CPU, on_cpu=True) == "bfloat16"
    sgd = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)

    def forward(images: torch.Tensor) -> torch.Tensor:
        images = ((images.float() - mean) / std).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return net(images).float()

    began, used, done = time.perf_counter(), 0, 0.0
    while done < 1:
        for rows in torch.randperm(len(x)).split(128):
            done = (time.perf_counter() - began) / (60 * minutes)
            if done >= 1:
                break
            for group in sgd.param_groups:
                group["lr"] = 0.1 * 0.5 * (1 + math.cos(math.pi * done))
            images = augmented(x[rows], mirror)
            sgd.zero_grad()
            F.cross_entropy(forward(images), y[rows]).backward()
            sgd.step()
            used += len(rows)
    row = {"seconds": round(time.perf_counter() - began, 1), "epochs": round(used / len(x), 2)}
    net.eval()
    with torch.no_grad():
        for split in splits:
            images = torch.from_numpy(data[f"{split}_x"]).permute(0, 3, 1, 2)
            classes = torch.cat([forward(some).argmax(1) for some in images.split(500)])
            row[split] = (classes.numpy() == data[f"{split}_y"]).mean().item()
    return row


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="+")
    parser.add_argument("--models", nargs="*", default=["tiny_cnn", "airbench"])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--test", action="store_true")
    parser.add_argument("--resnet", action="store_true")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    print(f"hardware: {hardware()}; {os.cpu_count()} cores; {given.minutes:g} minutes", flush=True)
    splits = ["valid", "test"] if given.test else ["valid"]
    for data in given.data:
        rows: dict[str, list[dict[str, float]]] = {}
        for seed in given.seeds:
            with tempfile.TemporaryDirectory() as folder:
                for model in given.models:
                    row = train(data, model, seed, given, Path(folder, model))
                    rows.setdefault(model, []).append(row)
                    print(Path(data).name, model, seed, row, flush=True)
                if given.resnet:
                    run = fv.Run.open(Path(folder, given.models[0]))
                    mirror = bool(run.settings.flip)
                    row = plain_loop(arrays(run), mirror, given.minutes, seed, splits)
                    rows.setdefault("ResNet-18, plain loop", []).append(row)
                    print(Path(data).name, "ResNet-18", seed, row, flush=True)
        for name, own in rows.items():
            print(f"{Path(data).name}, {name}: {summary(own)}", flush=True)


def summary(rows: list[dict[str, float]]) -> str:
    """Mean of each value, and its range over the seeds."""
    parts = []
    for key in rows[0]:
        values = [row[key] for row in rows]
        parts.append(
            f"{key} {statistics.mean(values):.4g} ({min(values):.4g} to {max(values):.4g})"
        )
    return f"{', '.join(parts)}, n = {len(rows)}"


if __name__ == "__main__":
    main()
