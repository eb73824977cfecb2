"""The cache of decoded images: rotten or cut, at rest or in use, it changes no weights."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from compare_files import run_differences
from lab import Lab, Result, check_polite, require
from mutate import bytes_of, draw
from runner import Attack

TASK = "classification"


def files(lab: Lab) -> list[Path]:
    """The cache's files of images."""
    return [
        path for path in sorted((lab.folder / "cache").rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    ]  # fmt: skip


def check(lab: Lab, result: Result) -> None:
    """Check for the same weights, or one error."""
    require(result.code != -signal.SIGBUS, f"killed by SIGBUS: {result}")
    check_polite(result, limits=False)
    run = lab.folder / "run"
    if result.code == 0:
        differences = run_differences(run, lab.materials.run(TASK, "trained") / "run")
        require(not differences, f"other results in silence: {'; '.join(differences)}")


def at_rest(lab: Lab, number: int) -> None:
    lab.copy(lab.materials.run(TASK, "trained") / "cache", "cache")
    for path in files(lab):
        data = path.read_bytes()
        if number % 2:  # pixels alone: the likely place of a rotten byte
            at = int(lab.rng.integers(len(data)))
            changed = data[:at] + bytes([data[at] ^ 1 << int(lab.rng.integers(8))]) + data[at + 1 :]
            way = f"one bit of byte {at:,}"
        else:
            way, changed = bytes_of(lab.rng, data)
        path.write_bytes(changed)
        lab.note(f"{path.name[-12:]}: {way}")
    check(lab, lab.run(*lab.materials.training(TASK)))


def in_use(lab: Lab, number: int) -> None:
    """Truncate, overwrite or remove the file while a training uses it."""
    if number % 2:
        lab.copy(lab.materials.run(TASK, "trained") / "cache", "cache")
    process = lab.start(*lab.materials.training(TASK))
    until = time.monotonic() + lab.materials.seconds[f"{TASK}-train"] * lab.rng.uniform(0, 1.2)
    way = draw(lab.rng, ("truncate", "truncate", "empty", "flip", "zeros", "remove"))
    while time.monotonic() < until and process.running():
        time.sleep(0.005)
    for path in files(lab):
        size = path.stat().st_size
        with path.open("r+b") as file:
            if way in ("truncate", "empty"):
                file.truncate(0 if way == "empty" else int(lab.rng.integers(size + 1)))
            elif way == "remove":
                path.unlink()
            else:
                file.seek(int(lab.rng.integers(size + 1)))
                file.write(bytes(64) if way == "zeros" else lab.rng.bytes(1))
    lab.note(f"while it ran: {way}")
    check(lab, process.wait())
    check(lab, resumed(lab))


def resumed(lab: Lab) -> Result:
    """The command that ends what was stopped by an error."""
    run = lab.folder / "run"
    if not run.exists():
        return lab.run(*lab.materials.training(TASK))
    result = lab.run("train", "--resume", "run")
    require(result.code == 0, f"after the error it cannot go on: {result}")
    return result


ATTACKS = [
    Attack(
        "cache-rest",
        "a rotten or cut cache gives the same weights, or one error",
        "a bit flipped, or bytes cut, swapped, inserted, repeated, before a training",
        at_rest,
    ),
    Attack(
        "cache-use",
        "a cache that is cut, overwritten or removed under a training gives the same weights, or "
        "one error, never a crash; the run then goes on",
        "at a random time of a training",
        in_use,
    ),
]
