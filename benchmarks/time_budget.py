"""How well `foveate train --minutes` keeps its budget: wall time of the whole command.

    python benchmarks/time_budget.py DATA[:TASK] ... --minutes 1 3

Each command is one a user types. Printed are the wall time over the budget, the size of the images,
the epochs, the number of validations, the headline metric beside the best baseline, and the load of
the machine before and after (the mean number of running programs in the last minute).
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from foveate.experiment.run_folder import RunFolder

COLUMNS = ("data", "min", "wall / budget", "px", "epochs", "validations", "metric", "best baseline")
COLUMNS += ("load",)


def main() -> None:
    """Measure each dataset with each budget."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="+", metavar="DATA[:TASK]")
    parser.add_argument("--minutes", nargs="+", type=float, default=[1.0])
    options = parser.parse_args()
    print(
        "| data | minutes | wall / budget | px | epochs | validations | metric | baseline | load |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
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
        began, load = time.monotonic(), os.getloadavg()[0]
        subprocess.run([sys.executable, "-m", "foveate", *words], check=True, stdout=-1)
        ratio = (time.monotonic() - began) / 60 / minutes
        results = json.loads((run / "results.json").read_text())
        validations = len(list(csv.DictReader((run / "curves.csv").open())))
        size = RunFolder.open(run).settings.size
    metric, best = results["primary"], results["best_baseline"]
    values = results["valid"], results["baseline"]["valid"][best]
    model, baseline = (f"{one[metric]['value']:.3f}" for one in values)
    cells = [
        f"{Path(data).name} {results['task']}",
        f"{minutes:g}",
        f"{ratio:.2f}",
        f"{size}",
        f"{results['epochs']:.1f}",
        f"{validations}",
        f"{metric} {model}",
        f"{best} {baseline}",
        f"{load:.1f} to {os.getloadavg()[0]:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
