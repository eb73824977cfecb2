"""Small data and finished runs, made once for a campaign. No attack may change them."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from compare_files import tree
from lab import Lab, Result

import datasets

TRAINING = {
    "classification": ("--model", "mlp:24", "--epochs", "4", "--batch-size", "8"),
    "detection": ("--task", "detection", "--size", "32", "--epochs", "1", "--batch-size", "8"),
    "semantic": (
        "--task", "semantic", "--model", "unet:2x2",
        "--size", "16", "--epochs", "2", "--batch-size", "4",
    ),
    "instance": ("--task", "instance", "--size", "32", "--epochs", "1", "--batch-size", "8"),
}  # fmt: skip
"""The options of each task's run: as small as it can be."""

FINDER = "finder"
"""A run that is trained long enough to find boxes, for what is done with predictions."""

CONVERSIONS = {
    "csv": "classification",
    "webdataset": "classification",
    "voc": "detection",
    "yolo": "detection",
    "labelme": "instance",
}
"""Formats that foveate writes itself, and the data that each is made of."""


@dataclass
class Materials:
    """Data and runs.

    Attributes:
        root: The folder that holds them.
        writes: Of a task's train and test: how often the command wrote; seconds: how long it took.
    """

    root: Path
    writes: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def data(self, name: str) -> Path:
        """The data of a task, or in a format."""
        return self.root / "data" / ("detection" if name == FINDER else name)

    def run(self, task: str, state: str) -> Path:
        """A bench with a finished run: the folder holds `run`, `cache` and `state`.

        Args:
            task: Of the run.
            state: "trained" or "tested".
        """
        return self.root / "runs" / f"{task}-{state}"

    def training(self, task: str, *more: object) -> tuple[object, ...]:
        """The command that trained the run of a task, into ./run."""
        options = TRAINING.get(task, (*TRAINING["detection"], "--epochs", "30"))
        return ("train", self.data(task), "--out", "run", *options, *more)


def set_up(lab: Lab, task: str, state: str, *, data: bool = False) -> Path:
    """Copy a finished run with its cache and state; return the run.

    Args:
        lab: The bench.
        task: Of the run.
        state: "trained" or "tested".
        data: Whether the attack gets data of its own, which the run is told of.
    """
    source = lab.materials.run(task, state)
    for name in ("run", "cache", "state"):
        if (source / name).exists():
            shutil.copytree(source / name, lab.folder / name, symlinks=True)
    if data:
        own = lab.copy(lab.materials.data(task), "data")
        for record in ("config.yaml", "data.json"):
            path = lab.folder / "run" / record
            path.write_text(path.read_text().replace(str(lab.materials.data(task)), str(own)))
    return lab.folder / "run"


def make(root: Path) -> Materials:
    """Make the data of all formats and the runs of all tasks, or take what was made there."""
    record = root / "materials.json"
    if record.exists():
        return Materials(root, **json.loads(record.read_text()))
    materials = Materials(root)
    (root / "data").mkdir(parents=True)
    for name, write in datasets.WRITERS.items():
        write(materials.data(name))
    lab = Lab(root / "making", materials, np.random.default_rng(0))
    lab.folder.mkdir()
    for format, source in CONVERSIONS.items():
        result = lab.run(
            "convert", materials.data(source), materials.data(format), "--format", format
        )
        if result.code:
            print(f"no data in the format {format}: {result}")
    for task in (*TRAINING, FINDER):
        _train(materials, task)
    record.write_text(json.dumps({"writes": materials.writes, "seconds": materials.seconds}))
    return materials


def _train(materials: Materials, task: str) -> None:
    bench = materials.run(task, "trained")
    bench.mkdir(parents=True)
    lab = Lab(bench, materials, np.random.default_rng(0))
    _remember(materials, f"{task}-train", lab.succeed(*materials.training(task)))
    tested = materials.run(task, "tested")
    shutil.copytree(bench, tested)
    lab = Lab(tested, materials, np.random.default_rng(0))
    lab._processes = 1
    _remember(materials, f"{task}-test", lab.succeed("test", "run"))


def _remember(materials: Materials, name: str, result: Result) -> None:
    materials.writes[name], materials.seconds[name] = result.writes, result.seconds


def fingerprint(materials: Materials) -> dict[str, str]:
    """Every file of the materials, to tell at the end whether an attack has changed one."""
    return tree(materials.root)
