"""Full disks: one message, nothing damaged, and its advice works once there is room."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from compare_files import content, run_differences, tree
from lab import Lab, Result, check_polite, require, tmpfs
from materials import FINDER, TRAINING, set_up
from runner import Attack

ROOMY = 64 << 20
"""Bytes of the file system: more than anything here needs."""
MEASURES = ("report.html", "results.json", "curves.csv", "split.csv", "data.json", "config.yaml")


@contextlib.contextmanager
def scarce(lab: Lab, disk: Path, most: int) -> Iterator[None]:
    """Leave little room on a disk, in one of three ways drawn by the lab, for a while.

    Args:
        lab: The bench.
        disk: A roomy tmpfs.
        most: Bytes that surely suffice.
    """
    way = lab.choice(("bytes", "bytes", "bytes", "files", "read-only"))
    if way == "bytes":
        free = int(most * lab.rng.random() ** 2)
        lab.note(f"{free:,} bytes are free")
        remount(disk, f"size={used(disk) + free}")
    elif way == "files":
        free = int(lab.rng.integers(0, 12))
        status = os.statvfs(disk)
        lab.note(f"room for {free} files")
        remount(disk, f"nr_inodes={status.f_files - status.f_ffree + free}")
    else:
        lab.note("read-only")
        remount(disk, "ro")
    try:
        yield
    finally:
        remount(disk, "rw", f"size={ROOMY}", "nr_inodes=100000")


def remount(disk: Path, *options: str) -> None:
    command = ["mount", "-o", ",".join(("remount", *options)), str(disk)]
    subprocess.run(command, check=True, capture_output=True)


def used(disk: Path) -> int:
    """Bytes in use, rounded up to pages as tmpfs counts."""
    status = os.statvfs(disk)
    return (status.f_blocks - status.f_bfree) * status.f_bsize


@contextlib.contextmanager
def on_disk(lab: Lab) -> Iterator[Lab]:
    """The bench, with everything that commands write on a small file system."""
    disk = lab.folder / "disk"
    records = lab.folder / "records"
    records.mkdir()
    with tmpfs(disk, f"size={ROOMY},nr_inodes=100000"):
        yield Lab(disk, lab.materials, lab.rng, lab.notes, records=records)


def advised(result: Result) -> Sequence[str] | None:
    """The command that the message advises, or None: the same command."""
    found = re.search(r"foveate ((?:train|test|report|predict|audit|convert|label) .*)", result.err)
    return None if found is None else shlex.split(found[1].rstrip(" .,;)`"))


def check_intact(folder: Path) -> None:
    """Check that every record of a run, which may be old or new, is whole."""
    for path in folder.iterdir():
        if path.suffix in (".json", ".csv", ".safetensors") and not path.name.startswith(".fov"):
            try:
                content(path)
            except Exception as error:
                require(False, f"{path.name} is damaged: {error}")


def train(lab: Lab, number: int) -> None:
    task = list(TRAINING)[number % len(TRAINING)] if number % 3 == 0 else "classification"
    reference = lab.materials.run(task, "trained") / "run"
    with on_disk(lab) as bench:
        command: Sequence[object] = lab.materials.training(task)
        with scarce(lab, bench.folder, 2 * sum(p.stat().st_size for p in reference.iterdir())):
            result = bench.run(*command)
        check_polite(result, limits=False)
        run = bench.folder / "run"
        if result.code:
            if run.exists():
                check_intact(run)
            result = bench.run(*(advised(result) or command))
            if result.code and not run.exists():
                result = bench.run(*command)
        check_polite(result, codes=(0,), limits=False)
        differences = run_differences(run, reference)
        require(not differences, f"after a full disk: {'; '.join(differences)}")


def finished(lab: Lab, number: int) -> None:
    """Test and report on a finished run."""
    task = list(TRAINING)[number // 2 % len(TRAINING)]
    words = ("test", "run") if number % 2 else ("report", "run")
    with on_disk(lab) as bench:
        run = set_up(bench, task, "trained")
        before = tree(run)
        with scarce(lab, bench.folder, 200_000):
            result = bench.run(*words)
        check_polite(result, limits=False)
        check_intact(run)
        for name in before:
            require((run / name).exists(), f"{name} is gone: {result}")
        again = bench.run(*(advised(result) or words) if result.code else words)
        check_polite(again, codes=(0,), limits=False)
        if words[0] == "test":
            differences = run_differences(run, lab.materials.run(task, "tested") / "run")
            require(not differences, f"after a full disk: {'; '.join(differences)}")


def outputs(lab: Lab, number: int) -> None:
    """Predict, audit, convert, label and split write to a full disk."""
    boxes, colours = lab.materials.data("detection"), lab.materials.data("classification")
    commands: list[tuple[object, ...]] = [
        ("predict", "run", boxes, "--json", "a.json", "--coco", "b.json", "--draw", "drawn"),
        ("audit", boxes, "--json", "a.json", "--html", "a.html", "--fix", "fixed"),
        ("convert", boxes, "converted", "--format", "yolo"),
        ("convert", colours, "converted", "--format", "csv"),
        ("label", boxes / "images", "--with", "run", "--out", "labels"),
        ("split", colours, "--out", "split.csv"),
        ("cache",),
        ("cache", "--clear"),
    ]
    words = commands[number % len(commands)]
    with on_disk(lab) as bench:
        run = set_up(bench, FINDER, "trained")
        before, inputs = tree(run), tree(boxes)
        with scarce(lab, bench.folder, 300_000):
            result = bench.run(*words)
        check_polite(result, codes=(0, 1, 2), limits=False)
        require(tree(run) == before, f"the run changed: {result}")
        require(tree(boxes) == inputs, f"the data changed: {result}")
        if result.code == 2:
            require("image" not in _blamed(result), f"an image is blamed for the disk: {result}")
            again = bench.run(*words)
            if again.code == 2 and ("new" in again.err or "exists" in again.err):
                left = [name for name in ("drawn", "fixed", "converted", "labels")
                        if (bench.folder / name).exists()]  # fmt: skip
                require(left in ([], ["drawn"]), f"left half done, so refused: {again}")
                return
            check_polite(again, codes=(0, 1), limits=False)


def _blamed(result: Result) -> str:
    """What stands before the message of the error: the place."""
    line = next(line for line in result.err.splitlines() if line.startswith("error: "))
    return "image" if re.search(r"\.png: ", line) and "detection/images" in line else ""


_HOW = "random few bytes or files are free, or it is read-only; then there is room again"

ATTACKS = [
    Attack(
        "disk-train",
        "a full disk stops a training with one message; what the message advises ends it with the "
        "same bits",
        f"run, cache and state on a small file system in memory: {_HOW}",
        train,
        weight=2,
    ),
    Attack(
        "disk-finished",
        "a full disk damages no record of a finished run; given again, test and report succeed",
        f"the same: {_HOW}",
        finished,
    ),
    Attack(
        "disk-outputs",
        "predict, audit, convert, label, split and cache say in one message that the disk is full; "
        "given again, they succeed",
        f"the same: {_HOW}",
        outputs,
    ),
]
