"""The size of images at which a time budget trains some epochs, where the user names no size."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
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
from foveate.experiment.building import build_net, recipe_of
from foveate.experiment.probing import (
    MAX_BASELINE_IMAGES,
    MAX_PROBE_IMAGES,
    starts_from_probe,
)
from foveate.experiment.rehearsal import about_epochs, seconds_of, slowness
from foveate.settings import Settings
from foveate.tasks.capabilities import with_prompts
from foveate.tasks.task import Task
from foveate.training import device
from foveate.training.time_budget import MIN_VALIDATIONS

TARGET_EPOCHS, TARGET_STEPS = 6, 200
"""Epochs and steps that a time budget should train: with few images, epochs are short."""
MIN_EPOCHS = 0.1
"""Epochs that suffice where training begins with the linear probe, which is a good model already,
and worse at smaller sizes (benchmarks/README.md)."""
FEATURES = 0.5
"""What the features of an image cost, as a share of a forward pass in training mode."""
SMALLEST = 1 / 3
"""Of the usual size: a budget that buys less than that needs more minutes."""
OTHER_SECONDS = 12.0
"""Of processor time, for what does not shrink with the images: decoding, audit, baselines,
intervals and report."""
_FIT = 1  # validations after training: of the fit to the train images
_OTHER_LIBRARIES = ("hf:", "timm:")
_MIN_SIZE = 64
_IMAGES = 2
_MAX_READ = 20


@dataclass(frozen=True)
class Cost:
    """Seconds for one image at the usual size.

    Attributes:
        forward: A forward pass in training mode, and its loss.
        prediction: A prediction, as it is evaluated.
    """

    forward: float
    prediction: float


def affordable_size(
    task: Task[Any],
    dataset: Dataset[Any],
    settings: Settings,
    size: int,
    began: float | None = None,
) -> tuple[int, str | None]:
    """The largest size, up to `size`, at which enough epochs and steps fit the time budget.

    Validation and evaluation shrink with the images too, so they are part of what is compared.

    Args:
        task: The task.
        dataset: The images, not yet decoded; a few of them are read.
        settings: The run's settings, with minutes.
        size: The usual size in pixels.
        began: time.monotonic() at which the time budget began; by default, now.

    Returns:
        The size, and a sentence for the user if it is smaller than usual.
    """
    assert settings.minutes is not None, "there is a time budget"
    least = models.find(settings.model).smallest_size(pretrained=settings.weights is not None)
    smallest = max(_MIN_SIZE, least, math.ceil(size * SMALLEST))
    # Nets of other libraries take some sizes alone, and none lists them.
    others = any(one in settings.model for one in _OTHER_LIBRARIES)
    if size <= smallest or others:
        return size, None
    cost = _cost(task, dataset, settings, size)
    if cost is None:
        return size, None
    named = Counter(sample.split for sample in dataset)
    train = named["train"] or settings.fractions[0] * len(dataset)
    valid = named["valid"] or settings.fractions[1] * len(dataset)
    evaluated = min(valid, task.max_eval_images or valid)
    predictions = evaluated + task.calibration_predictions(round(valid))
    batch_size = min(settings.batch_size or recipe_of(settings).batch_size, train)
    wanted = max(TARGET_EPOCHS, TARGET_STEPS * batch_size / max(1, train))
    validations, fitted = MIN_VALIDATIONS + _FIT, 0.0
    if settings.model == models.PROBE:
        wanted, validations, fitted = 0.0, _FIT, min(train, MAX_PROBE_IMAGES) + valid
    elif starts_from_probe(settings):
        wanted, fitted = MIN_EPOCHS, min(train, MAX_BASELINE_IMAGES) + valid
    features = cost.forward * FEATURES * fitted
    evaluation = cost.forward * valid * validations + cost.prediction * predictions
    epoch = 3 * cost.forward * train  # a backward pass takes about two forward passes
    elapsed = 0.0 if began is None else time.monotonic() - began
    left = 60 * settings.minutes - elapsed - OTHER_SECONDS * slowness(began)
    share = left / (features + wanted * epoch + evaluation)
    if share >= 1:
        return size, None
    affordable = size * math.sqrt(max(share, 0.0))
    step = 32 if size >= 128 else 8
    chosen = min(size, max(int(affordable) // step * step, -(-smallest // step) * step))
    if chosen == size:
        return size, None
    if settings.model == models.PROBE:
        return chosen, (
            f"images are resized to {chosen} px instead of {size}, whose features take longer than "
            f"{settings.minutes:g} min; --size {size} computes them"
        )
    epochs = max(0.0, left - features - evaluation) / epoch
    return chosen, (
        f"images are resized to {chosen} px instead of {size}: at {size} px, "
        f"{settings.minutes:g} min would train {about_epochs(epochs)}; --size {size} does that"
    )


def _cost(task: Task[Any], dataset: Dataset[Any], settings: Settings, size: int) -> Cost | None:
    """The cost of an image; None if too few can be read."""
    pixels, targets, sizes = [], [], []
    for sample in islice(dataset, _MAX_READ):
        if sample.target is None or task.audit(sample):
            continue
        try:
            image = sample.source.read()
            height, width, channels = image.shape
            shown = fit(image, size, 1 if channels == 1 else 3, letterbox=task.letterbox)
            target = sample.target.clip((height, width), len(task.classes))
            inside = (size, size)
            if task.letterbox:
                inside = letterbox_size(height, width, size)
                target = task.resize(target, (height, width), inside)
        except FoveateError:  # it is reported when the whole dataset is decoded and prepared
            continue
        pixels.append(shown)
        targets.append(target)
        sizes.append(inside)
        if len(targets) == _IMAGES:
            channels = max(one.shape[2] for one in pixels)
            alike = [np.broadcast_to(one, (size, size, channels)) for one in pixels]
            return _measured(task, dataset, settings, np.stack(alike), targets, sizes)
    return None


def _measured(
    task: Task[Any],
    dataset: Dataset[Any],
    settings: Settings,
    pixels: np.ndarray[Any, np.dtype[np.uint8]],
    targets: Sequence[Any],
    sizes: Sequence[tuple[int, int]],
) -> Cost:
    where = device.find(settings.device)
    with device.preserved_torch_state(), torch.no_grad():
        own = type(task).from_settings(dataset, settings, targets, hflip=False)
        net = build_net(own, settings, pixels, ImageReading.of(settings)).to(where).eval()
        rng = SampleRNG(sample_keys([str(row) for row in range(len(pixels))]), seed=0)
        batch = torch.from_numpy(pixels).permute(0, 3, 1, 2)
        inputs, target = own.collate(batch, targets, rng)
        forward = seconds_of(
            lambda: own.loss(net(*(tensor.to(where) for tensor in inputs)), target)["total"].item()
        )
        images = [one[:height, :width] for one, (height, width) in zip(pixels, sizes, strict=True)]
        prompted = with_prompts(own, images, targets)
        prediction = seconds_of(lambda: own.predict(net, prompted))
    return Cost(forward / len(pixels), prediction / len(pixels))
