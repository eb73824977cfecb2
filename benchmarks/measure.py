"""What the benchmarks of several tasks share."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def median(work: Callable[[], object], times: int = 9) -> float:
    """Seconds, after two calls that are not counted."""
    taken = []
    for turn in range(times + 2):
        began = time.perf_counter()
        work()
        if turn > 1:
            taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def foveate(*words: Any) -> float:
    """Run the command, and return its seconds, start-up included."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "foveate", *map(str, words)], check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - began


def told(row: Mapping[str, float | None]) -> str:
    """Figures in a line; those that do not exist are left out."""
    known = {name: value for name, value in row.items() if value is not None}
    return ", ".join(
        f"{name} {value:.3f}" if value < 2 else f"{name} {value:.1f}"
        for name, value in known.items()
    )


def over(
    rows: Sequence[Mapping[str, float]], combined: Callable[[list[float]], float]
) -> dict[str, float]:
    """A mean or median of each figure."""
    return {name: combined([row[name] for row in rows]) for name in rows[0]}
