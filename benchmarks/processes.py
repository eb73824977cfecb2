"""How fast several processes train one net, beside one process with as many cores.

    python benchmarks/processes.py [--turns 5]

Each line is a net and a batch. In turns, it trains in one process with one thread, in one with two
threads, in two processes with one thread each under torchrun, and in a plain PyTorch loop over one
batch in memory with two threads, which neither reads nor augments images. Images a second are of
the steps after the first few; the ratios are those of one turn, as the machine has other work.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from itertools import islice
from typing import Any

NETS = (("tiny_cnn", 32, 128), ("resnet18", 32, 128), ("efficientnet_lite0", 128, 32))
"""Model, side in pixels, images in a batch."""
WAYS = {
    "one process, one thread": (1, 1, False),
    "one process, two threads": (1, 2, False),
    "two processes, one thread each": (2, 1, False),
    "plain loop, two threads": (1, 2, True),
}
"""Processes, threads of each, and whether it is the plain loop."""
IMAGES, CLASSES = 512, 10


def images_per_second(model: str, size: int, batch: int, seconds: float, *, plain: bool) -> float:
    """Train for so many seconds on made-up images."""
    import numpy as np
    import torch
    import torch.nn.functional as F

    from foveate import models
    from foveate.annotations import Label
    from foveate.data.augment.images import default_policy
    from foveate.data.batches import Batches
    from foveate.models.model import VisionModel
    from foveate.tasks.classification import Classification
    from foveate.training import distributed
    from foveate.training.loop import steps
    from foveate.training.optim import optimizer

    torch.manual_seed(0)
    names = tuple(f"class {number}" for number in range(CLASSES))
    task = Classification(names)
    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, size, size, 3), dtype=np.uint8)
    labels = [Label(row % CLASSES) for row in range(IMAGES)]
    backbone = models.build(model, channels=3, size=size)
    net = VisionModel(task.head(backbone), size=size, mean=[128.0] * 3, std=[64.0] * 3)
    net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    built = optimizer("adamw", net, lr=1e-3, weight_decay=1e-4)
    if plain:
        rows = torch.from_numpy(pixels[:batch]).permute(0, 3, 1, 2)
        target = torch.tensor([label.index for label in labels[:batch]])

        def stream() -> Any:
            while True:
                F.cross_entropy(net(rows), target, label_smoothing=0.1).backward()
                built.step()
                built.zero_grad(set_to_none=True)
                yield
    else:
        batches = Batches(
            task,
            pixels,
            labels,
            [str(row) for row in range(IMAGES)],
            batch_size=batch,
            seed=0,
            augment=default_policy(size, hflip_safe=True, classes=names),
            rank=distributed.rank(),
            ranks=distributed.size(),
        )

        def stream() -> Any:
            return steps(
                net,
                task.loss,
                batches(),
                built,
                lambda step: 1.0,
                forward=distributed.shared(net),
                loss_weight=batches.loss_weight,
            )

    running = stream()
    for _ in islice(running, 3):
        pass
    began, count = time.perf_counter(), 0
    while distributed.broadcast(time.perf_counter() - began < seconds):
        for _ in islice(running, 4):
            count += batch
    return count / (time.perf_counter() - began)


def measured(way: tuple[int, int, bool], seconds: float) -> list[float]:
    """Images a second of each net, measured in processes of their own."""
    processes, threads, plain = way
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    done = subprocess.run(
        [*command, "--standalone", __file__, "--measure", json.dumps([seconds, plain])],
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [float(rate) for rate in done.stdout.split()]


def main() -> None:
    """Measure each net in each way, in turns."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--measure", help="used by the program itself")
    given = parser.parse_args()
    if given.measure:
        import torch

        from foveate.training import distributed

        seconds, plain = json.loads(given.measure)
        with distributed.connected(torch.device("cpu")):
            for net in NETS:
                rate = images_per_second(*net, seconds, plain=plain)
                if distributed.is_main():
                    print(rate)
        return
    turns = [
        {name: measured(way, given.seconds) for name, way in WAYS.items()}
        for _ in range(given.turns)
    ]
    for number, net in enumerate(NETS):
        print(f"{net[0]}, {net[1]} px, batches of {net[2]}, n = {given.turns}")
        for name in WAYS:
            rates = [turn[name][number] for turn in turns]
            ratios = [
                turn[name][number] / turn["one process, two threads"][number] for turn in turns
            ]
            print(
                f"  {name}: {statistics.median(rates):,.0f} images/s, "
                f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) "
                "of one process with two threads",
                flush=True,
            )


if __name__ == "__main__":
    main()
