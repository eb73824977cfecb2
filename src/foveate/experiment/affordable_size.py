"""The size of images at which a time budget trains some epochs, where the user names no size."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch

from foveate import models
from foveate.data.dataset import Dataset
from foveate.data.image_reading import ImageReading
from foveate.data.resizing import fit, letterbox_size
from foveate.data.rng import SampleRNG, sample_keys
from foveate.errors import FoveateError
from foveate.experiment.building import build_net
from foveate.settings import Settings
from foveate.tasks.task import Task
from foveate.training import device

TARGET_EPOCHS = 6
"""Epochs that a time budget should train."""
SMALLEST = 1 / 3
"""Of the usual size: a budget that buys less than that needs more minutes."""
TRAINING = 0.6
"""Share of a time budget that is left for training, in round numbers."""
_MIN_SIZE = 64
_IMAGES = 2
_MAX_READ = 20


def affordable_size(
    task: Task[Any], dataset: Dataset[Any], settings: Settings, size: int
) -> tuple[int, str | None]:
    """The largest size, up to `size`, at which TARGET_EPOCHS epochs fit the time budget.

    Args:
        task: The task.
        dataset: The images, not yet decoded; a few of them are read.
        settings: The run's settings, with minutes.
        size: The usual size in pixels.

    Returns:
        The size, and a sentence for the user if it is smaller than usual.
    """
    assert settings.minutes is not None, "there is a time budget"
    least = models.find(settings.model).smallest_size(pretrained=settings.weights is not None)
    smallest = max(_MIN_SIZE, least, math.ceil(size * SMALLEST))
    # Nets of other libraries take some sizes alone, and none lists them.
    if size <= smallest or settings.model == models.PROBE or ":" in settings.model:
        return size, None
    seconds = _seconds_per_image(task, dataset, settings, size)
    if seconds is None:
        return size, None
    train, valid, _ = settings.fractions
    # A backward pass takes about two forward passes.
    epoch = seconds * len(dataset) * (3 * train + valid)
    epochs = TRAINING * 60 * settings.minutes / epoch
    if epochs >= TARGET_EPOCHS:
        return size, None
    wanted = size * math.sqrt(epochs / TARGET_EPOCHS)
    step = 32 if size >= 128 else 8
    chosen = min(size, max(int(wanted) // step * step, -(-smallest // step) * step))
    if chosen == size:
        return size, None
    return chosen, (
        f"images are resized to {chosen} px instead of {size}: at {size} px, "
        f"{settings.minutes:g} min would train about {epochs:.1g} epochs; --size {size} does that"
    )


def _seconds_per_image(
    task: Task[Any], dataset: Dataset[Any], settings: Settings, size: int
) -> float | None:
    """Seconds of a forward pass and its loss for one image; None if too few can be read."""
    pixels, targets = [], []
    for sample in islice(dataset, _MAX_READ):
        if sample.target is None or task.audit(sample):
            continue
        try:
            image = sample.source.read()
            pixels.append(
                fit(image, size, 1 if image.shape[2] == 1 else 3, letterbox=task.letterbox)
            )
        except FoveateError:  # it is reported when the whole dataset is decoded
            continue
        height, width, _ = image.shape
        target = sample.target.clip((height, width), len(task.classes))
        if task.letterbox:
            inside = letterbox_size(height, width, size)
            target = task.resize(target, (height, width), inside)
        targets.append(target)
        if len(targets) == _IMAGES:
            channels = max(one.shape[2] for one in pixels)
            alike = [np.broadcast_to(one, (size, size, channels)) for one in pixels]
            return _time(task, dataset, settings, np.stack(alike), targets)
    return None


def _time(
    task: Task[Any],
    dataset: Dataset[Any],
    settings: Settings,
    pixels: np.ndarray[Any, np.dtype[np.uint8]],
    targets: Sequence[Any],
) -> float:
    where = device.find(settings.device)
    with device.preserved_torch_state(), torch.no_grad():
        own = type(task).from_settings(dataset, settings, targets, hflip=False)
        net = build_net(own, settings, pixels, ImageReading.of(settings)).to(where).eval()
        rng = SampleRNG(sample_keys([str(row) for row in range(len(pixels))]), seed=0)
        batch = torch.from_numpy(pixels).permute(0, 3, 1, 2)
        inputs, target = own.collate(batch, targets, rng)
        for _ in range(2):  # the first one prepares memory and kernels
            began = time.monotonic()
            own.loss(net(*(tensor.to(where) for tensor in inputs)), target)["total"].item()
            seconds = time.monotonic() - began
    return seconds / len(pixels)
