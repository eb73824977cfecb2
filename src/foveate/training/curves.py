"""The learning curves: one row for each validation, in curves.csv."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from foveate import csv_file, record_io

CurveRow = dict[str, Any]
"""step, epoch, train_loss, valid_loss, train_METRIC and valid_METRIC, lr, seconds."""
MAX_BYTES = 200_000_000
"""Largest curves.csv: of a million epochs."""


def write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write all rows so far, whole or not at all."""
    names = list(rows[0]) if rows else ["step"]
    csv_file.write(path, names, ([row[name] for name in names] for row in rows))


def read(path: Path, metric: str) -> list[CurveRow]:
    """Read the rows of curves.csv as numbers; a missing file has no rows.

    Args:
        path: The file.
        metric: The METRIC that it shows.

    Raises:
        RunError: The file is damaged; with the line.
    """
    from foveate.training.records import Row

    try:
        record_io.check_file(path, MAX_BYTES)
    except FileNotFoundError:
        return []
    columns = [*Row.model_fields, f"train_{metric}", f"valid_{metric}"]
    rows: list[CurveRow] = []
    for line, cells in csv_file.read(path, columns, remedy=record_io.BACKUP):
        try:
            row: CurveRow = {
                name: int(value) if name == "step" else float(value)
                for name, value in cells.items()
            }
            record_io.validated(Row, row)
            if rows and row["step"] <= rows[-1]["step"]:
                raise ValueError("the steps are expected to rise")
        except ValueError as error:
            raise record_io.damaged(path, error, line=line) from None
        rows.append(row)
    if not rows:
        raise record_io.damaged(path, "it has no rows")
    return rows
