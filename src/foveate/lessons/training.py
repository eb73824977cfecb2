"""Training in a line, by foveate's own loop, for nets that learn in a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import count as every
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foveate import models, tasks
from foveate.annotations import Label
from foveate.cli.console import Reporter
from foveate.data.augment.images import ImageAugment
from foveate.data.batches import Batches
from foveate.data.builtin import digits as builtin
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.data.rng import keys, shuffled
from foveate.models.model import VisionModel, pixel_statistics
from foveate.settings import Settings
from foveate.tasks.classification import Classification
from foveate.tasks.task import Task
from foveate.training.loop import Step, steps
from foveate.training.optim import optimizer
from foveate.training.schedule import schedule

torch.set_num_threads(1)  # nets as small as these are slower on two


def network(name: str, inputs: int, outputs: int, seed: int = 0) -> nn.Module:
    """Foveate's own MLP, for `inputs` numbers instead of a picture: (B, inputs, 1, 1) -> (B, outputs). name: mlp:4-4"""
    torch.manual_seed(seed)
    return Classification([str(k) for k in range(outputs)]).head(
        models.build(name, channels=inputs, size=1)
    )


def seeing(name: str, images: NDArray[np.uint8], seed: int = 0) -> VisionModel:
    """Foveate's own model of that name for ten classes of (N, S, S) pictures like these, uint8 in and normalised inside."""
    torch.manual_seed(seed)
    size = images.shape[1]
    body = Classification([str(k) for k in range(10)]).head(
        models.build(name, channels=1, size=size)
    )
    mean, std = pixel_statistics(images[..., None])
    return VisionModel(body, size=size, mean=mean, std=std)


def as_input(images: NDArray[np.uint8]) -> Tensor:
    """(N, S, S) -> (N, 1, S, S), as a net takes them."""
    return torch.from_numpy(images)[:, None]


def learn(
    net: nn.Module,
    loss: Callable[[Any, Any], dict[str, Tensor]],
    inputs: Tensor,
    target: Tensor,
    *,
    count: int,
    lr: float,
    batch: int | None = None,
    name: str = "adamw",
    rates: str = "one-cycle",
    seed: int = 0,
) -> Iterator[Step]:
    """`count` steps of foveate's loop over these (N, ...) inputs and their target. Whoever iterates watches.

    batch: samples a step, in an order that depends on the seed; all of them where there is none
    """
    factor = schedule(rates)
    yield from steps(
        net,
        loss,
        _batches(inputs, target, batch or len(inputs), count, seed),
        optimizer(name, net, lr=lr, weight_decay=0.0),
        lambda step: factor((step + 0.5) / count),
        seed=seed,
    )


def _batches(
    inputs: Tensor, target: Tensor, batch: int, count: int, seed: int
) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
    ids = keys([str(row) for row in range(len(inputs))])
    per_epoch, done = max(1, len(inputs) // batch), 0
    for epoch in every():
        order = torch.from_numpy(shuffled(ids, seed, epoch))
        for rows in order.tensor_split(per_epoch):
            if done == count:
                return
            yield (inputs[rows],), target[rows]
            done += 1


def taught(
    dataset: Dataset[Any],
    model: str,
    *,
    count: int,
    lr: float,
    batch: int,
) -> tuple[Task[Any], VisionModel]:
    """The dataset's own task and a net for it after `count` steps, whatever the task is. Pictures are square and of one size."""
    targets = [sample.target for sample in dataset]
    pixels = np.stack([sample.source.read() for sample in dataset])
    size, channels = pixels.shape[2:]
    task = tasks.find(dataset.task).from_settings(dataset, Settings.of(), targets, mirror=False)
    torch.manual_seed(0)
    backbone = models.build(model, channels=channels, size=size)
    mean, std = pixel_statistics(pixels)
    net = VisionModel(task.head(backbone), size=size, mean=mean, std=std)
    ids = [sample.id for sample in dataset]
    batches = Batches(task, pixels, targets, ids, batch_size=batch, seed=0, augment=ImageAugment())
    built, factor = optimizer("adamw", net, lr=lr, weight_decay=0.0), schedule("one-cycle")
    for _ in steps(
        net, task.loss, islice(batches(), count), built, lambda step: factor((step + 0.5) / count)
    ):
        pass
    return task, net


def squared(output: Tensor, target: Tensor) -> dict[str, Tensor]:
    """The mean squared error."""
    return {"total": nn.functional.mse_loss(output, target)}


def right(net: nn.Module, inputs: Tensor, target: Tensor) -> float:
    """The share of (N, ...) inputs whose largest output is at the (N,) target."""
    return float((answers(net, inputs).argmax(1) == target).float().mean())


def answers(net: nn.Module, inputs: Tensor) -> Tensor:
    """The net's outputs, without training it."""
    net.eval()
    with torch.no_grad():
        return torch.cat([net(some) for some in inputs.split(2000)])


@cache
def digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Foveate's built-in digits in an order by chance: (1797, 8, 8) uint8 and (1797,)."""
    data = builtin.read()
    order = shuffled(keys([sample.id for sample in data.samples]), 0, 0)
    chosen = [data.samples[row] for row in order]
    images = np.stack([sample.source.read()[..., 0] for sample in chosen])
    return images, np.array([sample.target.index for sample in chosen])


def bundle(
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    *,
    name: str = "digits",
    classes: tuple[str, ...] = tuple("0123456789"),
    parts: Any = None,
) -> Dataset[Label]:
    """(N, S, S) and (N,) as data that foveate takes. parts: of each picture, where the data is to bring a split of its own."""
    rows = np.ascontiguousarray(images)[..., None]
    samples = [
        Sample(
            f"{k:04d}",
            ArraySource(rows, k),
            Label(int(label)),
            split=None if parts is None else parts[k],
        )
        for k, label in enumerate(labels)
    ]
    return Dataset(name, "classification", classes, samples, hflip_safe=False)


class Heard(Reporter):
    """Keeps what foveate says while it works, as the terminal shows it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def warn(self, text: str) -> None:
        self.lines.append(f"! {text}")


cross_entropy = partial(Classification.loss, Classification(["0", "1"]))
"""(B, K) logits and (B,) classes -> the mean cross-entropy: the loss of foveate's classification."""
