"""The tasks. A new vision problem is one file in this folder, or a class given to `register`.

Importing this package does not import torch.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from inspect import isabstract
from typing import TYPE_CHECKING, Any, TypeVar

from foveate.errors import SettingError
from foveate.tasks.catalog import CATALOG, WITHOUT_TASK, Entry
from foveate.wording import did_you_mean

if TYPE_CHECKING:
    from foveate.settings import Settings
    from foveate.tasks.task import Task

T = TypeVar("T", bound="type[Task[Any]]")

_REGISTERED: dict[str, type[Task[Any]]] = {}


def register(task: T) -> T:
    """Add a task from outside this package; also a class decorator."""
    _REGISTERED[task.name] = task
    return task


def all() -> dict[str, type[Task[Any]]]:
    """Every task by its name."""
    return dict(sorted({**_in_this_folder(), **_REGISTERED}.items()))


@cache
def _in_this_folder() -> dict[str, type[Task[Any]]]:
    from foveate.tasks.task import Task

    tasks: dict[str, type[Task[Any]]] = {}
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and issubclass(value, Task) and not isabstract(value):
                tasks[value.name] = value
    return tasks


def entries() -> dict[str, Entry]:
    """What describes each task, by its name. Tasks of this package are not imported for it."""
    files = {module.name for module in pkgutil.iter_modules(__path__)}
    others = all() if files - CATALOG.keys() - WITHOUT_TASK else _REGISTERED
    described = {
        name: Entry(name, task.primary_metric, task.description) for name, task in others.items()
    }
    return dict(sorted({**CATALOG, **described}.items()))


def check_name(name: str) -> None:
    """Check that a task has this name, without importing torch.

    Raises:
        SettingError: If there is none; the message lists the tasks.
    """
    known = entries()
    if name not in known:
        raise SettingError(
            f"no task is called {name!r}{did_you_mean(name, known)}",
            where="task",
            remedy=f"Tasks: {', '.join(known)}.",
        )


def find(name: str) -> type[Task[Any]]:
    """The task of this name.

    Raises:
        SettingError: If there is none; the message lists the tasks.
    """
    check_name(name)
    return all()[name]


def check_settings(task: type[Task[Any]], settings: Settings) -> None:
    """Check the settings that only some tasks have, before any image is read.

    Raises:
        SettingError: For such a setting if the task does not have it, or if its value is wrong.
    """
    names = sorted({name for other in all().values() for name in other.extra_settings})
    for name in names:
        value = getattr(settings, name)
        if value is None:
            continue
        if name not in task.extra_settings:
            users = [other.name for other in all().values() if name in other.extra_settings]
            raise SettingError(
                f"the task {task.name} does not use this setting",
                where=name,
                remedy=f"Leave it out, or train with --task {' or '.join(users)}.",
            )
        task.extra_settings[name](value)
