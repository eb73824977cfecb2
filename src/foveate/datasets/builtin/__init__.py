"""Built-in datasets, which need no download. A new one is one new module in this folder.

A dataset is a module with NAME, SUMMARY (one line) and `read`.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Any, Protocol, cast

from foveate.data.dataset import Dataset


class Builtin(Protocol):
    """The interface of each module of this folder."""

    NAME: str
    SUMMARY: str

    def read(self) -> Dataset[Any]:
        """Build the dataset; its name and origin are NAME."""
        ...


@cache
def all() -> dict[str, Builtin]:
    """Return every built-in dataset by its name."""
    modules = [
        importlib.import_module(f"{__name__}.{module.name}")
        for module in pkgutil.iter_modules(__path__)
    ]
    return {module.NAME: cast(Builtin, module) for module in modules}
