"""Images a second in fine-tuning: foveate's training steps beside a plain loop, in turns.

    python benchmarks/fine_tuning.py [--size 128] [--batch-size 32] [--rounds 8]

Both train `efficientnet_lite0` in channels_last with AdamW. The plain loop sees one batch of random
numbers again and again; foveate's steps read uint8 images, augment and normalise them, and check
the loss, with the layer rates and the running statistics of its default recipe. Times are of the
process, so that other work on the machine counts little; images a second are per core then.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import timm
import torch
import torch.nn.functional as F

from foveate import models
from foveate.annotations import Label
from foveate.data.augment.images import default_policy
from foveate.data.batches import Batches
from foveate.models.model import VisionModel, published_statistics
from foveate.tasks.classification import Classification
from foveate.training.device import hardware
from foveate.training.loop import steps
from foveate.training.optim import layer_rates, optimizer

NAME, CLASSES, STEPS = "efficientnet_lite0", ("a", "b", "c", "d", "e"), 8


def of_foveate(size: int, batch_size: int) -> Callable[[], object]:
    """A function that takes one training step of foveate's."""
    recipe = models.find(NAME).recipe(pretrained=True)
    backbone = models.build(NAME, channels=3, size=size, weights=models.INCLUDED)
    policy = default_policy(size, hflip_safe=True, classes=CLASSES, epochs=None)
    task = Classification(CLASSES, label_smoothing=0.1, hflip=policy.flip)
    mean, std = published_statistics(3, backbone.statistics)
    net = VisionModel(task.head(backbone), size=size, mean=mean, std=std)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    net.keeps_statistics = True
    count = 10 * batch_size
    pixels = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)
    labels = [Label(row % len(CLASSES)) for row in range(count)]
    ids = [f"{row}.png" for row in range(count)]
    batches = Batches(task, pixels, labels, ids, batch_size=batch_size, seed=0, augment=policy)
    rates = layer_rates(backbone, recipe.rate_decay)
    built = optimizer(recipe.optimizer, net, lr=1e-4, weight_decay=5e-4, rates=rates)
    training = steps(net, task.loss, batches(), built, lambda step: 1.0)
    return lambda: next(training)


def of_plain_loop(size: int, batch_size: int) -> Callable[[], object]:
    """A function that takes one step of a plain loop."""
    net = timm.create_model(f"tf_{NAME}", num_classes=len(CLASSES))
    net = net.to(memory_format=torch.channels_last).train()
    images = torch.randn(batch_size, 3, size, size).to(memory_format=torch.channels_last)
    labels = torch.arange(batch_size) % len(CLASSES)
    adamw = torch.optim.AdamW(net.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        F.cross_entropy(net(images), labels).backward()
        adamw.step()
        adamw.zero_grad()

    return step


def main() -> None:
    """Print the medians of both, and of their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=8)
    given = parser.parse_args()
    torch.manual_seed(0)
    loops = [make(given.size, given.batch_size) for make in (of_foveate, of_plain_loop)]
    rates: list[list[float]] = [[], []]
    for round_ in range(given.rounds + 1):
        for loop, measured in zip(loops, rates, strict=True):
            began = time.process_time()
            for _ in range(STEPS):
                loop()
            seconds = (time.process_time() - began) / torch.get_num_threads()
            if round_:  # the first one warms up
                measured.append(STEPS * given.batch_size / seconds)
    ratios = [ours / plain for ours, plain in zip(*rates, strict=True)]
    print(f"{hardware()}, n = {given.rounds}")
    for name, values in (("foveate", rates[0]), ("plain loop", rates[1]), ("ratio", ratios)):
        print(f"{name}: {statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})")


if __name__ == "__main__":
    main()
