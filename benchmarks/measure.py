"""Helpers shared by the benchmarks."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def median(work: Callable[[], object], times: int = 9) -> float:
    """Median seconds of a call, after two calls as warm-up."""
    taken = []
    for turn in range(times + 2):
        began = time.perf_counter()
        work()
        if turn > 1:
            taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def foveate(*arguments: Any) -> float:
    """Run a foveate command and return its seconds, start-up included."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "foveate", *map(str, arguments)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - began


def format_row(row: Mapping[str, float | None]) -> str:
    """Metrics in one line, without those that are None."""
    known = {name: value for name, value in row.items() if value is not None}
    return ", ".join(
        f"{name} {value:.3f}" if value < 2 else f"{name} {value:.1f}"
        for name, value in known.items()
    )


def combine(
    rows: Sequence[Mapping[str, float]], statistic: Callable[[list[float]], float]
) -> dict[str, float]:
    """Mean or median of each metric."""
    return {name: statistic([row[name] for row in rows]) for name in rows[0]}
