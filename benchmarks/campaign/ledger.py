"""The ledger: whoever opens a test split again is told, whatever was done to the run between."""

from __future__ import annotations

import re
import shutil

from lab import Lab, Result, check_polite, require
from materials import TRAINING, set_up
from runner import Attack

TASK = "classification"
TOLD = re.compile(r"opened|opening|tested", re.I)


def told(result: Result) -> bool:
    """Whether a message besides the closing advice speaks of an earlier opening."""
    lines = [line for line in (result.out + result.err).splitlines() if "foveate test" not in line]
    return any(TOLD.search(line) and "still locked" not in line for line in lines)


def again(lab: Lab, number: int) -> None:
    run = set_up(lab, TASK, "tested")
    ways = ("ledger removed", "run copied", "run moved", "another seed", "another fold",
            "another model", "data copied", "results removed")  # fmt: skip
    way = ways[number % len(ways)]
    lab.note(way)
    target: object = "run"
    if way in ("ledger removed", "results removed", "run copied", "run moved"):
        for name in ("test_ledger.json", "predictions_test.csv"):
            (run / name).unlink()
    if way == "results removed":
        shutil.copy2(lab.materials.run(TASK, "trained") / "run" / "results.json", run)
    elif way == "run copied":
        target = lab.copy(run, "copy")
    elif way == "run moved":
        target = run.rename(lab.folder / "moved")
    elif way in ("another seed", "another model", "data copied"):
        target = "new"
        data = lab.materials.data(TASK)
        if way == "data copied":
            data = lab.copy(data, "copied")
        more = ("--model", "mlp:16") if way == "another model" else ()
        lab.succeed("train", data, "--out", "new", *TRAINING[TASK], "--set", "lr=0.003", *more)
    elif way == "another fold":
        target = "new"
        lab.succeed(*[w if w != "run" else "new" for w in lab.materials.training(TASK)],
                    "--fold", "1/3")  # fmt: skip
    result = lab.run("test", target)
    check_polite(result, limits=False)
    require(told(result), f"a second opening of the same test images is not told: {result}")


def fresh(lab: Lab, number: int) -> None:
    """A first opening is not called a second one."""
    set_up(lab, TASK, "trained")
    if number % 2:
        lab.succeed("report", "run")
    result = lab.succeed("test", "run")
    repeated = [line for line in result.out.splitlines() if re.search(r"\bbefore\b", line)]
    require(not repeated, f"a first opening is called a later one: {repeated}")


ATTACKS = [
    Attack(
        "ledger-again",
        "a second opening of the same test images is reported",
        "after a test: ledger or results removed, run copied or moved, or another run on the same "
        "images (seed, model, fold, copied data) tested",
        again,
    ),
    Attack(
        "ledger-first",
        "a first opening is not called a second one",
        "test after training and after report",
        fresh,
        weight=0.3,
        most=40,
    ),
]
