"""The learning curves: one row for each validation, in curves.csv."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from foveate import atomic_io

CurveRow = dict[str, Any]
"""step, epoch, train_loss, valid_loss, train_METRIC and valid_METRIC, lr, seconds."""


def write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write all rows so far, whole or not at all."""
    text = io.StringIO()
    if rows:
        table = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    atomic_io.write_text(path, text.getvalue())


def read(path: Path) -> list[CurveRow]:
    """Read the rows of curves.csv as numbers; a missing file has no rows."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [
            {name: int(value) if name == "step" else float(value) for name, value in row.items()}
            for row in csv.DictReader(file)
        ]
