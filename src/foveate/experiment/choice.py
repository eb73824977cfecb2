"""The model of a run where the user names none, by the task and the size of the images."""

from __future__ import annotations

import math
from typing import Any

import torch

from foveate import models
from foveate.data import task_views
from foveate.data.dataset import Dataset
from foveate.data.natural_size import natural_size
from foveate.errors import SettingError
from foveate.experiment.prepare import default_size
from foveate.experiment.probing import MODEL
from foveate.experiment.rehearsal import about_epochs
from foveate.settings import Settings
from foveate.tasks.classification import Classification
from foveate.tasks.task import Task
from foveate.training.device import find as find_device

AUTO = "auto"
"""The name that leaves the choice to foveate."""
PHOTOGRAPHS = 64
"""Pixels a side from which pretrained weights are the better start."""
FEW_BOXES = 2_000
"""Boxes up to which detection starts from pretrained weights: with more, random ones learn as much
from the data in less time."""
MIN_EPOCHS = 8
"""Epochs that boxes need from pretrained weights: nets that start from random ones are smaller, see
each image more often in the same time, and win where time is short."""
MIN_FINE_TUNING = 1.5
"""Epochs from which fine-tuning is worth its time, if all of it were training: about half of a
short time is. It then ends a little better than the linear probe (benchmarks/README.md)."""
OF_STEPS = (
    "batch_size", "optimizer", "schedule", "lr", "weight_decay", "clip", "accumulate", "ema",
    "patience", "augment", "flip", "label_smoothing",
)  # fmt: skip
"""Settings of training by steps, which a linear probe does without."""
SECONDS_PER_PIXEL = 1.8e-6
"""Of one core, for a training step of the pretrained net."""


def with_model(settings: Settings, task: type[Task[Any]], dataset: Dataset[Any]) -> Settings:
    """Return the settings with the model that suits the data, and why.

    Args:
        settings: The settings of the run.
        task: Its task.
        dataset: Its images; the headers of a few of them are read.
    """
    model, reason = _choose(settings, task, dataset)
    return settings.model_copy(update={"model": model, "model_reason": reason})


def _choose(settings: Settings, task: type[Task[Any]], dataset: Dataset[Any]) -> tuple[str, str]:
    scratch, pretrained = task.default_settings["model"], task.pretrained_model
    if settings.freeze or settings.weights == "download":
        return pretrained or MODEL, "its pretrained weights are installed with foveate"
    if pretrained is None:
        return scratch, f"it is the usual one for {task.name}"
    view = task_views.for_task(dataset, task.name)
    side = natural_size(view)
    if side < PHOTOGRAPHS:
        return scratch, f"images of {side} px are learnt well from random weights"
    least = models.find(pretrained).smallest_size(pretrained=True)
    if settings.size is not None and settings.size < least:
        return scratch, f"pretrained weights need images of {least} px or more"
    best = f"pretrained weights are the best start for images of {side} px"
    if task.name == Classification.name:
        epochs = _affordable_epochs(settings, task, dataset, view)
        if settings.minutes and epochs < MIN_FINE_TUNING and not _asks_for_steps(settings):
            return models.PROBE, (
                f"there is time for {about_epochs(epochs)} of fine-tuning at most, and a linear "
                "probe is as good"
            )
        return pretrained, best
    boxes = sum(len(sample.target) for sample in view if sample.target is not None)
    if boxes > FEW_BOXES:
        return scratch, f"{boxes:,} boxes are enough for random weights"
    epochs = _affordable_epochs(settings, task, dataset, view)
    if epochs < MIN_EPOCHS:
        return scratch, (
            f"pretrained weights need {MIN_EPOCHS} epochs of images of {side} px, and there are "
            f"about {epochs:.1f}"
        )
    return pretrained, f"{best} with few boxes ({boxes:,})"


def _asks_for_steps(settings: Settings) -> bool:
    """Whether the user has changed a setting that a linear probe does without."""
    fields = Settings.model_fields
    return any(getattr(settings, name) != fields[name].default for name in OF_STEPS)


def _affordable_epochs(
    settings: Settings, task: type[Task[Any]], dataset: Dataset[Any], view: Dataset[Any]
) -> float:
    """Epochs of the pretrained net that are asked for, or that a CPU with these cores can do."""
    if settings.epochs is not None:
        return settings.epochs
    if settings.minutes is None or find_device(settings.device).type != "cpu":
        return math.inf
    side = settings.size or default_size(view, task, models.INCLUDED)
    train = sum(sample.split == "train" for sample in dataset) or settings.fractions[0] * len(
        dataset
    )
    seconds = train * side**2 * SECONDS_PER_PIXEL / torch.get_num_threads()
    return 60 * settings.minutes / max(seconds, 1e-9)


def check(settings: Settings, task: type[Task[Any]]) -> None:
    """Check that a probe is asked for where it can be fitted.

    Raises:
        SettingError: It is not; with the model to use.
    """
    if settings.model != models.PROBE:
        return
    other = task.pretrained_model or task.default_settings["model"]
    if task.name != Classification.name:
        raise SettingError(
            f"a linear probe needs classification, one class for each image; this is {task.name}",
            where="model",
            remedy=f"Use --model {other}.",
        )
    if settings.epochs is not None:
        raise SettingError(
            "a linear probe is fitted at once, without epochs",
            where="epochs",
            remedy=f"Leave them out, or fine-tune the net with --model {other}.",
        )
