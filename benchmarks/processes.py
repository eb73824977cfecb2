"""How fast two processes train beside one with as many cores, and what foveate's loop costs.

    torchrun --nproc-per-node 2 benchmarks/processes.py [--turns 7]

All ways are measured in turns in one start of two processes, in the steps after the first few: so
start-up counts nowhere, and each turn compares what ran within seconds of each other. While one
process trains, the other waits. The plain loop trains on one batch in memory, which it neither
reads nor augments. After --minutes no further turn begins, but for the first three.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from foveate import models, processes
from foveate.annotations import Label
from foveate.data.augment.images import default_policy
from foveate.data.batches import Batches
from foveate.models.model import VisionModel
from foveate.tasks.classification import Classification
from foveate.training import distributed
from foveate.training.loop import steps
from foveate.training.optim import optimizer

NETS = (("tiny_cnn", 32, 128), ("resnet18", 32, 16))
"""Model, side in pixels, images in a batch."""
COMPILED = "tiny_cnn"
"""The net that is also compiled: to compile takes half a minute."""
ONE, THREADS, TWO = "one thread", "two threads", "two processes of one thread"
PLAIN, FAST = "plain loop, one thread", "compiled, one thread"
IMAGES, CLASSES, WARM_UP, MIN_TURNS = 512, 10, 3, 3


def loop(model: str, size: int, batch: int, way: str) -> Iterator[Any]:
    """Train without end on made-up images; each item is a step."""
    torch.manual_seed(0)
    names = tuple(f"class {number}" for number in range(CLASSES))
    task = Classification(names)
    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, size, size, 3), dtype=np.uint8)
    labels = [Label(row % CLASSES) for row in range(IMAGES)]
    backbone = models.build(model, channels=3, size=size)
    net = VisionModel(task.head(backbone), size=size, mean=[128.0] * 3, std=[64.0] * 3)
    net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    built = optimizer("adamw", net, lr=1e-3, weight_decay=1e-4)
    if way == PLAIN:
        return _plain(net, built, pixels[:batch], [label.index for label in labels[:batch]])
    batches = Batches(
        task,
        pixels,
        labels,
        [str(row) for row in range(IMAGES)],
        batch_size=batch,
        seed=0,
        augment=default_policy(size, hflip_safe=True, classes=names),
        rank=processes.rank() if way == TWO else 0,
        ranks=processes.size() if way == TWO else 1,
    )
    forward: Any = distributed.shared(net) if way == TWO else None
    if way == FAST:
        forward = torch.compile(net)
    return steps(
        net,
        task.loss,
        batches(),
        built,
        lambda step: 1.0,
        forward=forward,
        loss_weight=batches.loss_weight,
    )


def _plain(net: VisionModel, built: Any, pixels: Any, labels: list[int]) -> Iterator[None]:
    rows, target = torch.from_numpy(pixels).permute(0, 3, 1, 2), torch.tensor(labels)
    net.train()
    while True:
        F.cross_entropy(net(rows), target, label_smoothing=0.1).backward()
        built.step()
        built.zero_grad(set_to_none=True)
        yield


def rate(
    running: Iterator[Any], batch: int, seconds: float, *, together: bool
) -> tuple[float, float]:
    """Train for about so many seconds: images a second, and milliseconds of processors an image."""
    agree = processes.broadcast if together else lambda value: value
    began, used, count = time.perf_counter(), time.process_time(), 0
    while agree(time.perf_counter() - began < seconds):
        next(running)
        count += batch
    used = time.process_time() - used
    if together:
        used = sum(processes.gather(used))
    return count / (time.perf_counter() - began), 1e3 * used / count


def measure(net: tuple[str, int, int], turns: int, seconds: float, deadline: float) -> None:
    """Measure all ways in turns, and print what they give."""
    main = processes.is_main()
    ways = [ONE, THREADS, TWO, PLAIN]
    if net[0] == COMPILED and shutil.which("c++"):
        ways.append(FAST)
    loops = {way: loop(*net, way) for way in ways if main or way == TWO}
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for turn in range(-1, turns):  # the first is a warm-up
        if not processes.broadcast(turn < MIN_TURNS or time.monotonic() < deadline):
            break
        for way in ways:
            torch.set_num_threads(2 if way == THREADS else 1)
            if way in loops and turn < 0:
                for _ in islice(loops[way], WARM_UP):
                    pass
            elif way in loops:
                found[way].append(rate(loops[way], net[2], seconds, together=way == TWO))
            processes.wait()
    if main:
        print(f"{net[0]}, {net[1]} px, batches of {net[2]}, n = {len(found[ONE])}")
        for way, values in found.items():
            rates, costs = zip(*values, strict=True)
            speed, cost = (
                [mine[index] / one[index] for mine, one in zip(values, found[ONE], strict=True)]
                for index in (0, 1)
            )
            print(
                f"  {way}: {spread(rates, '.0f')} images/s, {spread(speed, '.2f')} times; "
                f"{spread(costs, '.2f')} ms of processors an image, {spread(cost, '.2f')} times",
                flush=True,
            )


def spread(values: Sequence[float], digits: str) -> str:
    """Median, smallest and largest."""
    median, low, high = (format(f(values), digits) for f in (statistics.median, min, max))
    return f"{median} ({low} to {high})"


def main() -> None:
    """Measure each net."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--minutes", type=float, default=2.0)
    given = parser.parse_args()
    began = time.monotonic()
    with processes.connected(torch.device("cpu")):
        for number, net in enumerate(NETS, 1):
            deadline = began + 60 * given.minutes * number / len(NETS)
            measure(net, given.turns, given.seconds, deadline)


if __name__ == "__main__":
    main()
