"""Training in one line for the small networks of the lessons, by foveate's own loop."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foveate import models, tasks
from foveate.annotations import Label
from foveate.data.augment.images import ImageAugment
from foveate.data.batches import Batches
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.data.rng import epoch_order, sample_keys
from foveate.datasets.builtin import digits as builtin
from foveate.models.model import VisionModel, pixel_statistics
from foveate.progress import NullReporter
from foveate.settings import Settings
from foveate.tasks.classification import Classification
from foveate.tasks.task import Task
from foveate.training.loop import Step, steps
from foveate.training.optim import optimizer
from foveate.training.schedule import schedule

torch.set_num_threads(1)  # a second thread makes networks as small as these slower


def points_network(name: str, inputs: int, outputs: int, seed: int = 0) -> nn.Module:
    """Build foveate's MLP for points instead of images: (B, inputs, 1, 1) -> (B, outputs).

    Args:
        name: Such as "mlp:4-4", two hidden layers of four neurons.
        inputs: Coordinates per point.
        outputs: Outputs of the last layer.
        seed: Of the initial weights.
    """
    torch.manual_seed(seed)
    return Classification([str(k) for k in range(outputs)]).head(
        models.build(name, channels=inputs, size=1)
    )


def digit_classifier(name: str, images: NDArray[np.uint8], seed: int = 0) -> VisionModel:
    """Build foveate's model of that name for ten classes.

    Args:
        name: Of the backbone.
        images: (N, S, S) uint8 training images; the model normalises by their statistics.
        seed: Of the initial weights.
    """
    torch.manual_seed(seed)
    size = images.shape[1]
    net = Classification([str(k) for k in range(10)]).head(
        models.build(name, channels=1, size=size)
    )
    mean, std = pixel_statistics(images[..., None])
    return VisionModel(net, size=size, mean=mean, std=std)


def to_tensor(images: NDArray[np.uint8]) -> Tensor:
    """Convert (N, S, S) images to the (N, 1, S, S) tensor that a network takes."""
    return torch.from_numpy(images)[:, None]


def train_steps(
    net: nn.Module,
    loss: Callable[[Any, Any], dict[str, Tensor]],
    inputs: Tensor,
    target: Tensor,
    *,
    count: int,
    lr: float,
    batch_size: int | None = None,
    optimizer_name: str = "adamw",
    schedule_name: str = "one-cycle",
    seed: int = 0,
) -> Iterator[Step]:
    """Run `count` steps of foveate's training loop, and yield each step.

    Args:
        net: The network; it is trained in place.
        loss: Maps the output and the target to named losses.
        inputs: (N, ...) training inputs.
        target: (N, ...) training target.
        count: Steps.
        lr: The peak learning rate.
        batch_size: Samples per step, shuffled by the seed in each epoch; by default all samples.
        optimizer_name: Of foveate's optimizers.
        schedule_name: Of foveate's learning rate schedules.
        seed: Of the order of the samples.
    """
    factor = schedule(schedule_name)
    yield from steps(
        net,
        loss,
        _batches(inputs, target, batch_size or len(inputs), count, seed),
        optimizer(optimizer_name, net, lr=lr, weight_decay=0.0),
        lambda step: factor((step + 0.5) / count),
        seed=seed,
    )


def _batches(
    inputs: Tensor, target: Tensor, batch_size: int, count: int, seed: int
) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
    ids = sample_keys([str(index) for index in range(len(inputs))])
    per_epoch, done = max(1, len(inputs) // batch_size), 0
    for epoch in itertools.count():
        order = torch.from_numpy(epoch_order(ids, seed, epoch))
        for batch in order.tensor_split(per_epoch):
            if done == count:
                return
            yield (inputs[batch],), target[batch]
            done += 1


def train_task(
    dataset: Dataset[Any], model: str, *, count: int, lr: float, batch_size: int
) -> tuple[Task[Any], VisionModel]:
    """Train a network on a dataset of any task.

    Args:
        dataset: Its images are square and of one size.
        model: Name of the backbone.
        count: Steps.
        lr: The peak learning rate.
        batch_size: Samples per step.

    Returns:
        The dataset's task and the trained network.
    """
    targets = [sample.target for sample in dataset]
    pixels = np.stack([sample.source.read() for sample in dataset])
    size, channels = pixels.shape[2:]
    task = tasks.find(dataset.task).from_settings(dataset, Settings.of(), targets, hflip=False)
    torch.manual_seed(0)
    backbone = models.build(model, channels=channels, size=size)
    mean, std = pixel_statistics(pixels)
    net = VisionModel(task.head(backbone), size=size, mean=mean, std=std)
    ids = [sample.id for sample in dataset]
    batches = Batches(
        task, pixels, targets, ids, batch_size=batch_size, seed=0, augment=ImageAugment()
    )
    adamw, factor = optimizer("adamw", net, lr=lr, weight_decay=0.0), schedule("one-cycle")
    training = steps(
        net,
        task.loss,
        itertools.islice(batches(), count),
        adamw,
        lambda step: factor((step + 0.5) / count),
    )
    for _ in training:
        pass
    return task, net


def squared_error(output: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Return the mean squared error as the total loss."""
    return {"total": nn.functional.mse_loss(output, target)}


def accuracy_score(net: nn.Module, inputs: Tensor, target: Tensor) -> float:
    """Return the share of (N, ...) inputs whose largest output is the (N,) target class."""
    return float((net_outputs(net, inputs).argmax(1) == target).float().mean())


def net_outputs(net: nn.Module, inputs: Tensor) -> Tensor:
    """Return the network's outputs in evaluation mode, without gradients."""
    net.eval()
    with torch.no_grad():
        starts = range(0, len(inputs), 2000)
        return torch.cat([net(inputs[start : start + 2000]) for start in starts])


@cache
def load_digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return foveate's built-in digits, shuffled: (1797, 8, 8) uint8 images and (1797,) labels."""
    data = builtin.read()
    order = epoch_order(sample_keys([sample.id for sample in data.samples]), 0, 0)
    samples = [data.samples[index] for index in order]
    images = np.stack([sample.source.read()[..., 0] for sample in samples])
    return images, np.array([sample.target.index for sample in samples])


def make_dataset(
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    *,
    name: str = "digits",
    classes: tuple[str, ...] = tuple("0123456789"),
    splits: Any = None,
) -> Dataset[Label]:
    """Return a classification dataset for foveate.

    Args:
        images: (N, S, S) uint8.
        labels: (N,) class indices.
        name: Of the dataset.
        classes: Names of the classes.
        splits: The split of each image, for a dataset that brings its own split.
    """
    pixels = np.ascontiguousarray(images)[..., None]
    samples = [
        Sample(
            f"{index:04d}",
            ArraySource(pixels, index),
            Label(int(label)),
            split=None if splits is None else splits[index],
        )
        for index, label in enumerate(labels)
    ]
    return Dataset(name, "classification", classes, samples, hflip_safe=False)


class RecordingReporter(NullReporter):
    """Records the lines that the terminal would display.

    Attributes:
        lines: The lines so far; a warning begins with "! ".
    """

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, text: str, /) -> None:
        """Record a line of information."""
        self.lines.append(text)

    def warning(self, text: str, /) -> None:
        """Record a warning."""
        self.lines.append(f"! {text}")


cross_entropy = partial(Classification.loss, Classification(["0", "1"]))
"""(B, K) logits and (B,) classes -> the mean cross-entropy, foveate's classification loss."""
