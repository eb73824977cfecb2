"""Proof that a refactoring changed nothing: digests of a tiny run of each task.

    python benchmarks/equal_bits.py --save before.txt      # at the old commit
    python benchmarks/equal_bits.py --compare before.txt   # at the new one, on the same machine

A digest is over the sorted contents of the tensors of best.safetensors, or the sorted values of the
metrics, so both may be renamed. Each run has its own process with one thread, in float32, without
a time budget. All of them take four minutes on one core.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from safetensors.numpy import load_file

RUNS = {
    "quick": "digits --epochs 2",
    "cnn-sgd": "digits --epochs 1 --model cnn --set optimizer=sgd --lr 0.05",
    "resnet-muon": "digits --epochs 1 --model resnet18 --set optimizer=muon",
    "detection": "scenes --task detection --epochs 0.5",
    "semantic": "scenes --task semantic --epochs 0.3",
    "instance": "scenes --task instance --epochs 0.3",
    "promptable": "scenes --task promptable --epochs 0.1",
    "t2i": "digits --task text_to_image --epochs 1",
}
UNTESTED = {"t2i"}
"""Runs whose test split stays locked: scoring generated images takes as long as everything else."""


def main() -> int:
    """Train, print, and compare if asked to. Exit code 1 when a digest differs."""
    parser = argparse.ArgumentParser(description="digests of tiny runs")
    parser.add_argument("names", nargs="*", choices=[[], *RUNS], help="default: all of them")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the digests here")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="digests of another commit")
    options = parser.parse_args()
    expected = _read(options.compare) if options.compare else {}
    lines, different = [], []
    for name in options.names or RUNS:
        weights, metrics = digests(name)
        lines.append(f"{name} {weights} {metrics}")
        note = ""
        if name in expected and expected[name] != (weights, metrics):
            different.append(name)
            note = f"  differs: expected {' '.join(expected[name])}"
        print(lines[-1] + note, flush=True)
    if options.save:
        options.save.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if options.compare:
        print(f"different: {', '.join(different)}" if different else "all equal")
    return 1 if different else 0


def digests(name: str) -> tuple[str, str]:
    """Train one run in a temporary folder; the digests of its weights and its metrics."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / name
        options = ["--seed", "1", "--set", "precision=float32", "--out", str(run)]
        _foveate(folder, "train", *RUNS[name].split(), *options)
        if name not in UNTESTED:
            _foveate(folder, "test", str(run))
        tensors = load_file(run / "best.safetensors").values()
        results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    values = [
        repr(metric["value"])
        for split in ("valid", "test")
        for metric in (results[split] or {}).values()
    ]
    return _digest([hashlib.sha256(t.tobytes()).hexdigest() for t in tensors]), _digest(values)


def _digest(items: list[str]) -> str:
    return hashlib.sha256("".join(sorted(items)).encode()).hexdigest()[:16]


def _foveate(folder: str, *words: str) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "FOVEATE_CACHE": f"{folder}/cache"}
    command = [sys.executable, "-m", "foveate", *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-500:]}{done.stderr[-2000:]}")


def _read(path: Path) -> dict[str, tuple[str, str]]:
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line]
    return {name: (weights, metrics) for name, weights, metrics in rows}


if __name__ == "__main__":
    sys.exit(main())
