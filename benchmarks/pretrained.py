"""Models that start from pretrained weights, beside those that start from random ones.

    python benchmarks/pretrained.py DATA --models efficientnet_lite0 probe tiny_cnn --minutes 5
    python benchmarks/pretrained.py DATA --models efficientnet_lite0 yolo --task detection
        --minutes 5 [--seeds 0 1 2] [--size 224] [--test]

Each model is a `foveate train` of its own process with one thread, and all models of a seed start
at the same time. The seed also draws the split. Minutes are of the process, not of the clock: they
equal minutes of one idle core, whatever else the machine does. `--test` opens the test splits;
without it, the metrics are those of the validation split, on which choices are made.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import combine, format_row

TRAIN = """
import sys, time
time.monotonic = time.process_time
from foveate.cli.main import main
main()
"""
METRICS = ("accuracy", "log_loss", "map50", "map", "miou", "iou_1", "iou_5")


def started(out: Path, words: list[str]) -> subprocess.Popen[bytes]:
    """A training process."""
    command = [sys.executable, "-c", TRAIN, "train", *words, "--out", str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)


def metrics_of(run: Path, split: str) -> dict[str, float]:
    """The metrics of a run that has ended."""
    if split == "test":
        command = [sys.executable, "-m", "foveate", "test", str(run)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    found = {name: results[split][name]["value"] for name in METRICS if name in results[split]}
    return {**found, "epochs": results["epochs"]}


def main() -> None:
    """Train each model with each seed, and print a line for each, and their means."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data")
    parser.add_argument("--models", nargs="+", required=True)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--size", type=int)
    parser.add_argument("--task")
    parser.add_argument("--set", nargs="*", default=[], help="settings, as of foveate train")
    parser.add_argument("--test", action="store_true")
    given = parser.parse_args()
    rows: dict[str, list[dict[str, float]]] = {model: [] for model in given.models}
    with tempfile.TemporaryDirectory() as folder:
        for seed in given.seeds:
            runs = {}
            for number, model in enumerate(given.models):
                words = [given.data, "--minutes", f"{given.minutes:g}", "--seed", f"{seed}"]
                words += ["--model", model, "--allow-leak"]
                words += ["--task", given.task] if given.task else []
                words += ["--size", f"{given.size}"] if given.size else []
                words += [word for setting in given.set for word in ("--set", setting)]
                out = Path(folder) / f"{seed}-{number}"
                runs[model] = out, started(out, words)
            for model, (out, process) in runs.items():
                if process.wait():
                    sys.exit(f"foveate train --model {model} has failed")
                rows[model].append(metrics_of(out, "test" if given.test else "valid"))
                print(f"seed {seed}, {model}: {format_row(rows[model][-1])}", flush=True)
    for model, some in rows.items():
        print(f"mean of {len(some)}, {model}: {format_row(combine(some, statistics.fmean))}")


if __name__ == "__main__":
    main()
