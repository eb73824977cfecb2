"""How well `foveate train --minutes` keeps its budget: wall time of the whole command.

    python benchmarks/time_budget.py DATA[:TASK] ... --minutes 1 3

Each command runs alone, as a user types it. Printed are the wall time over the budget, the epochs,
and the number of validations.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    """Measure each dataset with each budget."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="+", metavar="DATA[:TASK]")
    parser.add_argument("--minutes", nargs="+", type=float, default=[1.0])
    options = parser.parse_args()
    print("| data | minutes | wall / budget | epochs | validations |")
    print("|---|---|---|---|---|")
    for name in options.data:
        data, _, task = name.partition(":")
        for minutes in options.minutes:
            print(measured(data, task, minutes), flush=True)


def measured(data: str, task: str, minutes: float) -> str:
    """Train once; a row of the table."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        words = ["train", data, "--minutes", str(minutes), "--out", run, "--drop-leaks"]
        words += ["--task", task] if task else []
        began = time.monotonic()
        subprocess.run([sys.executable, "-m", "foveate", *words], check=True, stdout=-1)
        ratio = (time.monotonic() - began) / 60 / minutes
        results = json.loads((run / "results.json").read_text())
        validations = len(list(csv.DictReader((run / "curves.csv").open())))
    label = f"{Path(data).name} {results['task']}"
    return f"| {label} | {minutes:g} | {ratio:.2f} | {results['epochs']:.1f} | {validations} |"


if __name__ == "__main__":
    main()
