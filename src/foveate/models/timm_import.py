"""timm, imported when it is used: that takes a second."""

from __future__ import annotations

import warnings
from types import ModuleType


def import_timm() -> ModuleType:
    """Import timm, without what one of its libraries says in a notebook about widgets."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")
        import timm
    return timm
