"""The tasks. A new vision problem is one file in this folder, or a class given to `register`."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from functools import cache
from inspect import isabstract
from typing import Any, TypeVar

from foveate.errors import SettingError
from foveate.settings import Settings
from foveate.tasks.task import Task

T = TypeVar("T", bound=type[Task[Any]])

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
    tasks: dict[str, type[Task[Any]]] = {}
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and issubclass(value, Task) and not isabstract(value):
                tasks[value.name] = value
    return tasks


def find(name: str) -> type[Task[Any]]:
    """The task of this name.

    Raises:
        SettingError: If there is none; the message lists the tasks.
    """
    tasks = all()
    if name not in tasks:
        near = difflib.get_close_matches(name, tasks, n=1)
        raise SettingError(
            f"no task is called {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""),
            where="task",
            remedy=f"Tasks: {', '.join(tasks)}.",
        )
    return tasks[name]


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
