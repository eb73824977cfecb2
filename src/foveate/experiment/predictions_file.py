"""predictions_SPLIT.csv: what a model predicted for each image, and how right it was."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from foveate import csv_file, record_io
from foveate.metrics.columns import check_row
from foveate.metrics.metric import Metric

MAX_BYTES = 8_000_000_000
"""Largest file: thousands of objects in each of a million images."""
_COLUMNS = ("id", "target", "prediction")
_PREFIX = "stats_"


def write(
    path: Path,
    ids: Sequence[str],
    summaries: Sequence[tuple[str, str]],
    stats: Mapping[str, NDArray[Any]],
    *,
    runs: Sequence[str] | None = None,
) -> None:
    """Write one row for each image.

    Args:
        path: The file.
        ids: Of the images.
        summaries: Target and prediction of each, in a line for people.
        stats: Per-image statistics, from which metrics can be computed again.
        runs: The run that predicted each image, where several did.
    """
    columns = [column.tolist() for column in stats.values()]
    made_by = [()] * len(ids) if runs is None else [(run,) for run in runs]
    rows = zip(ids, summaries, made_by, *columns, strict=True)
    header = [*_COLUMNS, *([] if runs is None else ["run"])]
    csv_file.write(
        path,
        [*header, *(f"{_PREFIX}{name}" for name in stats)],
        ([id, *summary, *run, *map(json.dumps, row)] for id, summary, run, *row in rows),
    )


def read(path: Path, metric: Metric[Any], images: int) -> tuple[list[str], dict[str, NDArray[Any]]]:
    """Read ids and per-image statistics.

    Args:
        path: The file.
        metric: Knows what the statistics may hold.
        images: How many there must be.

    Raises:
        RunError: The file is missing or damaged; with the line.
    """
    columns, shared = metric.columns(), dict[str, int]()
    values: dict[str, list[Any]] = {name: [] for name in columns}
    ids: dict[str, None] = {}
    names = [*_COLUMNS, *(f"{_PREFIX}{name}" for name in columns)]
    with contextlib.suppress(FileNotFoundError):  # csv_file tells it
        record_io.check_file(path, MAX_BYTES)
    for line, cells in csv_file.read(path, names, remedy=record_io.BACKUP):
        try:
            if cells["id"] in ids:
                raise ValueError(f"the id {cells['id']!r} is there twice")
            ids[cells["id"]] = None
            row = {
                name: record_io.parse_json(cells[f"{_PREFIX}{name}"], finite=False)
                for name in columns
            }
            check_row(row, columns, shared)
        except ValueError as error:
            raise record_io.damaged(path, error, line=line) from None
        for name, value in row.items():
            values[name].append(value)
    if len(ids) != images:
        raise record_io.damaged(path, f"{images:,} images are expected, it has {len(ids):,}")
    return list(ids), {name: metric.to_column(column) for name, column in values.items()}
