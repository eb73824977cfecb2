"""Makes attacks one after the other, on several cores, and counts those that succeed."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import time
import traceback
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from lab import Failed, Lab, Skipped
from materials import Materials

KINDS = (
    "kills", "disk", "mutants", "records", "concurrency", "outputs", "names", "cache", "ledger",
    "pixels", "intervals",
)  # fmt: skip
"""The files that hold attacks, in the order of the table."""


@dataclass(frozen=True)
class Attack:
    """A way to attack a promise.

    Attributes:
        name: Its kind and what it aims at: "kills-train".
        promise: What must hold.
        how: How it is attacked.
        run: Makes the attack; raises Failed if the promise does not hold.
        weight: Its share of the time, beside the others.
        most: How often it is worth making.
    """

    name: str
    promise: str
    how: str
    run: Callable[[Lab, int], None]
    weight: float = 1.0
    most: int = 1_000_000


@dataclass(frozen=True)
class Outcome:
    """What became of one attack: "ok", "failed" or "skipped", and why."""

    attack: str
    number: int
    outcome: str
    detail: str
    seconds: float


def all_attacks(only: Sequence[str] = ()) -> list[Attack]:
    """Every attack, or those of these kinds and names."""
    attacks = [attack for kind in KINDS for attack in importlib.import_module(kind).ATTACKS]
    unknown = [one for one in only if one not in {*KINDS, *(a.name for a in attacks)}]
    if unknown:
        names = ", ".join((*KINDS, *(attack.name for attack in attacks)))
        raise SystemExit(f"no attack is called {', '.join(unknown)}; there are: {names}")
    return [a for a in attacks if not only or a.name in only or a.name.split("-")[0] in only]


def import_foveate() -> None:
    """Import all that commands import when it is used, once, before processes are forked."""
    for name in (
        "foveate.cli.main", "foveate.experiment.run", "foveate.experiment.verdict",
        "foveate.experiment.compare", "foveate.experiment.report", "foveate.experiment.split",
        "foveate.experiment.audit", "foveate.inference.predict", "foveate.inference.label",
        "foveate.inference.generate", "foveate.inference.foundation", "matplotlib.pyplot",
        "sklearn.linear_model", "sklearn.neighbors", "scipy.stats", "scipy.ndimage", "torchvision",
        "rich.progress", "rich.table",
    ):  # fmt: skip
        importlib.import_module(name)
    from PIL import Image

    from foveate import formats, models, tasks

    Image.init()
    for registry in (formats, models, tasks):
        registry.all()


def make_one(
    attack: Attack, number: int, folder: Path, materials: Materials, keep: bool = False
) -> Outcome:
    """Make the attack of this number: the same number makes the same attack.

    Args:
        attack: The attack.
        number: Its number, from 0 on.
        folder: A new folder.
        materials: Data and runs.
        keep: Whether the folder of a failed attack stays.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng([zlib.crc32(attack.name.encode()), number])
    lab = Lab(folder, materials, rng)
    began, outcome, detail = time.monotonic(), "ok", ""
    try:
        attack.run(lab, number)
    except Skipped as reason:
        outcome, detail = "skipped", str(reason)
    except Failed as reason:
        outcome, detail = "failed", str(reason)
    except Exception:  # the campaign's own fault must not pass for a promise kept
        outcome, detail = "failed", f"the attack itself broke: {traceback.format_exc()}"
    if outcome == "failed":
        detail = "\n".join((*lab.notes, detail)).replace(str(folder), "…")
    if not (keep and outcome == "failed"):
        shutil.rmtree(folder, ignore_errors=True)
    return Outcome(attack.name, number, outcome, detail, round(time.monotonic() - began, 2))


def make_all(
    attacks: Sequence[Attack],
    root: Path,
    materials: Materials,
    *,
    minutes: float,
    count: int | None,
    first: int,
    cores: int,
    keep: bool,
) -> list[Outcome]:
    """Make attacks until the time is over.

    Args:
        attacks: The attacks. Each gets its share of the time.
        root: A folder for them.
        materials: Data and runs.
        minutes: The time for all.
        count: Of each attack, instead of the time.
        first: The number of the first attack.
        cores: Attacks made at once.
        keep: Whether the folders of failed attacks stay.
    """
    ends = time.monotonic() + 60 * minutes
    workers = []
    for worker in range(cores):
        pid = os.fork()
        if pid == 0:
            try:
                record = root / f"outcomes-{worker}.jsonl"
                _work(
                    attacks, root / f"work-{worker}", record, materials,
                    ends=ends, count=count, numbers=(first, worker, cores), keep=keep,
                )  # fmt: skip
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        workers.append(pid)
    for pid in workers:
        os.waitpid(pid, 0)
    return read_outcomes(root)


def read_outcomes(root: Path) -> list[Outcome]:
    """The outcomes of the attacks made so far."""
    lines = [
        line
        for path in sorted(root.glob("outcomes-*.jsonl"))
        for line in path.read_text("utf-8").splitlines()
    ]
    return [Outcome(**json.loads(line)) for line in lines]


def _work(
    attacks: Sequence[Attack],
    folder: Path,
    record: Path,
    materials: Materials,
    *,
    ends: float,
    count: int | None,
    numbers: tuple[int, int, int],
    keep: bool,
) -> None:
    """Make every cores-th attack, of the kind that has had the least of its share of the time."""
    first, worker, step = numbers
    following = {attack.name: first + worker for attack in attacks}
    spent = {attack.name: 0.0 for attack in attacks}
    while True:
        due = [
            attack
            for attack in attacks
            if following[attack.name] < (attack.most if count is None else first + count)
        ]
        if not due or (count is None and time.monotonic() > ends):
            return
        attack = min(due, key=lambda one: spent[one.name] / one.weight)
        number = following[attack.name]
        following[attack.name] += step
        outcome = make_one(attack, number, folder / f"{attack.name}-{number}", materials, keep)
        spent[attack.name] += outcome.seconds
        with record.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(outcome)) + "\n")
        if outcome.outcome == "failed":
            print(f"FAILED {attack.name} {number}: {outcome.detail[-300:]}", flush=True)
