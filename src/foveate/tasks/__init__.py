"""The tasks, found by a scan of this folder: a new vision problem is one new file here."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from functools import cache
from inspect import isabstract
from typing import Any

from foveate.errors import SettingError
from foveate.tasks.task import Task


@cache
def all() -> dict[str, type[Task[Any]]]:
    """Every task by its name."""
    found: dict[str, type[Task[Any]]] = {}
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and issubclass(value, Task) and not isabstract(value):
                found[value.name] = value
    return dict(sorted(found.items()))


def find(name: str) -> type[Task[Any]]:
    """The task of that name. Raises SettingError with what there is."""
    if name not in all():
        near = difflib.get_close_matches(name, all(), n=1)
        raise SettingError(
            f"no task is called {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""),
            where="task",
            remedy=f"Tasks: {', '.join(all())}.",
        )
    return all()[name]
