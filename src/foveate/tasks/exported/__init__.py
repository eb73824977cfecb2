"""Tasks of exported models: what follows the net, as an ONNX graph and in NumPy, without torch.

One file a task. An ONNX file that takes images holds the net between two small graphs: the one
before it resizes and pads images, the one after it makes what the file returns.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from inspect import signature
from typing import Any

from foveate.errors import SettingError
from foveate.tasks.exported.exported_task import ExportedTask
from foveate.tasks.options import checked_options


def find(name: str) -> type[ExportedTask[Any]]:
    """The exported form of a task.

    Raises:
        SettingError: Models of this task cannot be exported.
    """
    classes = {
        "classification": "ExportedClassification",
        "detection": "ExportedDetection",
        "instance": "ExportedInstance",
        "promptable": "ExportedPromptable",
        "semantic": "ExportedSemantic",
        "text_to_image": "ExportedTextToImage",
    }
    if name not in classes:
        raise SettingError(
            f"models of the task {name} cannot be exported; those of {', '.join(classes)} can",
            where="RUN",
        )
    found: type[ExportedTask[Any]] = getattr(
        importlib.import_module(f"{__name__}.{name}"), classes[name]
    )
    return found


def build(name: str, classes: tuple[str, ...], options: Mapping[str, Any]) -> ExportedTask[Any]:
    """The exported form of a task with its classes, and with those of its options that it uses.

    Raises:
        SettingError: Models of this task, or with these options, cannot be exported.
        ValueError: The options do not fit the task.
    """
    exported = find(name)
    for option in exported.refused_options.keys() & options.keys():
        raise SettingError(
            f"this model cannot be exported: {exported.refused_options[option]}",
            where="RUN",
            remedy=f"Use the run itself, or train without {option}.",
        )
    used = signature(exported).parameters.keys() & options.keys()
    return exported(classes, **checked_options(exported, {key: options[key] for key in used}))
