"""Intervals: their coverage is measured, in a short form, by benchmarks/coverage.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from lab import Lab, Skipped, require
from runner import Attack

SCRIPT = Path(__file__).resolve().parents[1] / "coverage.py"


def coverage(lab: Lab, number: int) -> None:
    if not SCRIPT.exists():
        raise Skipped(f"there is no {SCRIPT.name}")
    done = subprocess.run(
        [sys.executable, SCRIPT, "--quick", "--seed", str(number)],
        capture_output=True, text=True, cwd=lab.folder, check=False,
    )  # fmt: skip
    require(done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-1000:]}")


ATTACKS = [
    Attack(
        "intervals-coverage",
        "a 95% interval covers the truth in 92 to 98% of repeats, or the report calls it rough",
        "repeats of each metric at small n, with and without groups (benchmarks/coverage.py)",
        coverage,
        most=2,
    ),
]
