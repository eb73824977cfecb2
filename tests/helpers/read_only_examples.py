"""Example files of the formats that foveate reads but does not write, for the contract tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

READ_ONLY: dict[str, Callable[[Path], None]] = {}
"""By the name of the format: lays a small dataset out in a folder that exists and is empty."""
