"""Data that is there without a download, found by a scan of this folder: a new set is one new file here.

A set is a module with NAME, SUMMARY (one line) and `read`.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Any, Protocol, cast

from foveate.data.dataset import Dataset


class Builtin(Protocol):
    """What each module of this folder offers."""

    NAME: str
    SUMMARY: str

    def read(self) -> Dataset[Any]:
        """The set, whose name and origin are NAME."""
        ...


@cache
def all() -> dict[str, Builtin]:
    """Every built-in set by its name."""
    modules = [
        importlib.import_module(f"{__name__}.{module.name}")
        for module in pkgutil.iter_modules(__path__)
    ]
    return {module.NAME: cast(Builtin, module) for module in modules}
