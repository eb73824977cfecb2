"""The model of a run where the user names none, by the task and the size of the images."""

from __future__ import annotations

from typing import Any

from foveate import models
from foveate.data import task_views
from foveate.data.dataset import Dataset
from foveate.data.natural_size import natural_size
from foveate.errors import SettingError
from foveate.experiment.probing import MODEL
from foveate.settings import Settings
from foveate.tasks.classification import Classification
from foveate.tasks.task import Task

AUTO = "auto"
"""The name that leaves the choice to foveate."""
PHOTOGRAPHS = 64
"""Pixels a side from which pretrained weights are the better start."""


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
    if settings.freeze or settings.weights == "download":
        return MODEL, "its pretrained weights are installed with foveate"
    scratch = task.default_settings["model"]
    if task.name != Classification.name:
        return scratch, f"it is the usual one for {task.name}"
    side = natural_size(task_views.for_task(dataset, task.name))
    if side < PHOTOGRAPHS:
        return scratch, f"images of {side} px are learnt well from random weights"
    return MODEL, f"pretrained weights are the best start for images of {side} px"


def check(settings: Settings, task: type[Task[Any]]) -> None:
    """Check that a probe is asked for where it can be fitted.

    Raises:
        SettingError: It is not; with the model to use.
    """
    if settings.model != models.PROBE:
        return
    if task.name != Classification.name:
        raise SettingError(
            f"a linear probe needs classification, one class for each image; this is {task.name}",
            where="model",
            remedy=f"Use --model {MODEL}, which starts from the same weights.",
        )
    if settings.epochs is not None:
        raise SettingError(
            "a linear probe is fitted at once, without epochs",
            where="epochs",
            remedy=f"Leave them out, or fine-tune the net with --model {MODEL}.",
        )
