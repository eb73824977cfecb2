"""best.safetensors: the weights that a run is used with, and the description of their net."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from foveate import models, record_io
from foveate.data.image_reading import ImageReading
from foveate.errors import RunError, SettingError
from foveate.models import weight_file
from foveate.models.model import VisionModel
from foveate.settings import Settings
from foveate.tasks.options import checked_options
from foveate.tasks.task import Task
from foveate.training import checkpoint

_ERRORS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What building a net from a wrong description raises, in foveate and in the libraries."""


def header(task: Task[Any], net: VisionModel, settings: Settings) -> dict[str, Any]:
    """What weights must carry to be used: task, classes, model, preprocessing."""
    return {
        "task": task.name,
        "classes": list(task.classes),
        "options": task.options,
        "model": models.self_contained_name(settings.model),
        "size": net.size,
        "channels": net.channels,
        "reading": asdict(net.reading),
    }


def load_model(path: Path) -> tuple[Task[Any], VisionModel]:
    """The task and the net that a best.safetensors describes.

    Raises:
        RunError: The file is missing or damaged, or does not fit its own header.
    """
    from foveate.experiment.records import HeaderRecord, find_task

    tensors, record = checkpoint.read(path)
    try:
        described = record_io.validated(HeaderRecord, record)
        task_type = find_task(described.task)
        if task_type.class_aware and not described.classes:
            raise ValueError("it has no classes")
        task = task_type(described.classes, **checked_options(task_type, described.options))
        net = weight_file.filled(lambda: _build(task, described), tensors)
        if not (net.std > 0).all():
            raise ValueError("a standard deviation of pixels is not positive")
    except SettingError as error:
        raise RunError(
            f"the model of this run cannot be built ({error.message})",
            where=path,
            remedy=error.remedy or record_io.BACKUP,
        ) from None
    except _ERRORS as error:
        raise record_io.damaged(path, error) from None
    return task, net.eval()


def _build(task: Task[Any], described: Any) -> VisionModel:
    size, channels = described.size, described.channels
    backbone = models.build(described.model, channels=channels, size=size)
    reading = ImageReading(**described.reading.model_dump())
    zeros = [0] * channels
    return VisionModel(task.head(backbone), size=size, mean=zeros, std=zeros, reading=reading)
