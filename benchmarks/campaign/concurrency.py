"""Two processes at once: one wins, the other says who holds the run; no record is mixed up."""

from __future__ import annotations

import re
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path

from compare_files import run_differences, tree
from kills import openings
from lab import Lab, Process, Result, check_polite, require
from materials import set_up
from runner import Attack

TASK = "classification"


def both(lab: Lab, first: Sequence[object], second: Sequence[object]) -> tuple[Result, Result]:
    """Start two commands, the second up to three seconds later."""
    one = lab.start(*first)
    time.sleep(float(lab.choice((0, 0, 0.05, 0.3, 1, 3))) * float(lab.rng.random()))
    other = lab.start(*second)
    return one.wait(), other.wait()


def check_winner(results: Sequence[Result], pids: Sequence[int] = ()) -> None:
    """Check that each has succeeded, or was refused by a message that names pid and host."""
    for result in results:
        check_polite(result, limits=False)
    refused = [result for result in results if result.code]
    require(len(refused) < len(results), f"nobody wins: {results[0]}\n{results[1]}")
    for result in refused:
        if "exists already" in result.err:  # the other had finished
            continue
        require(re.search(r"\d+", result.err), f"the refusal names no pid: {result}")
        require(socket.gethostname() in result.err, f"the refusal names no host: {result}")
        if pids:
            named = any(str(pid) in result.err for pid in pids)
            require(named, f"the refusal names another pid than {pids}: {result}")


def check_run(lab: Lab, run: Path, state: str = "trained") -> None:
    """Check that a run is as if one process alone had worked on it."""
    differences = run_differences(run, lab.materials.run(TASK, state) / "run")
    require(not differences, f"not as if one had run alone: {'; '.join(differences)}")


def unfinished(lab: Lab) -> Path:
    """A run that was killed somewhere in its training."""
    at = int(lab.rng.integers(20, lab.materials.writes[f"{TASK}-train"] - 3))
    lab.run(*lab.materials.training(TASK), die_at=at)
    return lab.folder / "run"


def train_twice(lab: Lab, number: int) -> None:
    """Train into one --out, or resume one run, from two processes."""
    command = lab.materials.training(TASK)
    resume = ("train", "--resume", "run")
    pairs = ((command, command), (resume, resume), (resume, command), (command, resume))
    first, second = pairs[number % len(pairs)]
    if (first, second) != (command, command):
        unfinished(lab)
    results = both(lab, first, second)
    for result in results:
        check_polite(result, limits=False)
    check_winner(results)
    check_run(lab, lab.folder / "run")


def test_twice(lab: Lab, number: int) -> None:
    run = set_up(lab, TASK, "trained")
    others: tuple[tuple[object, ...], ...] = (
        ("test", "run"), ("report", "run"), ("train", "--resume", "run"),
    )  # fmt: skip
    results = both(lab, ("test", "run"), others[number % len(others)])
    check_winner(results)
    lab.succeed("test", "run")
    check_run(lab, run, "tested")
    require(len(openings(run)) == 1, f"{len(openings(run))} openings are recorded: one was made")


def beside_training(lab: Lab, number: int) -> None:
    """Read a run while it is trained."""
    lab.copy(lab.materials.data(TASK) / "red", "images")
    set_up_other(lab)
    holder = lab.start(*lab.materials.training(TASK, "--set", "save_seconds=0"))
    others: tuple[tuple[object, ...], ...] = (
        ("report", "run"), ("predict", "run", "images"), ("compare", "run", "other"),
        ("test", "run"), ("cache", "--clear"),
    )  # fmt: skip
    words = others[number % len(others)]
    beside: list[Result] = []
    while holder.running() and len(beside) < 4:
        time.sleep(float(lab.rng.uniform(0, 1)))
        beside.append(lab.run(*words))
    result = holder.wait()
    for one in beside:
        check_polite(one, limits=False)
    check_polite(result, codes=(0,), limits=False)
    if words[0] != "test":
        names = {path.name for path in (lab.folder / "run").iterdir()}
        foreign = names - {p.name for p in (lab.materials.run(TASK, "trained") / "run").iterdir()}
        require(not foreign, f"foreign files: {foreign}")


def set_up_other(lab: Lab) -> None:
    lab.copy(lab.materials.run(TASK, "trained") / "run", "other")


def default_names(lab: Lab, number: int) -> None:
    """Two runs without --out at once get a folder each."""
    command = [word for word in lab.materials.training(TASK) if word not in ("--out", "run")]
    other = [*command, "--seed", "1"] if number % 2 else command
    results = both(lab, command, other)
    for result in results:
        check_polite(result, codes=(0,), limits=False)
    runs = sorted((lab.folder / "runs").iterdir())
    require(len(runs) == 2, f"two runs were trained, found {[run.name for run in runs]}")
    reference = lab.materials.run(TASK, "trained") / "run"
    # Their records hold the command, which names no folder.
    same = [not run_differences(run, reference, places=False) for run in runs]
    require(sum(same) == (1 if number % 2 else 2), "a run is not as if it had run alone")


def takeover(lab: Lab, number: int) -> None:
    """The holder of a run is refused company; killed, it leaves the run to the next at once."""
    command = lab.materials.training(TASK, "--set", "save_seconds=0")
    if number % 2:
        unfinished(lab)
        command = ("train", "--resume", "run")
    holder = lab.start(*command)
    hold(lab, holder)
    refused = lab.run("train", "--resume", "run")
    if not holder.running():
        holder.wait()
        return  # it had finished: nothing was held
    holder.signal(signal.SIGKILL)
    holder.wait()
    if refused.code:
        check_winner((refused, lab.succeed("train", "--resume", "run")), (holder.pid,))
    else:
        require(False, f"two processes held one run: {refused}")
    run = lab.folder / "run"
    names = {path.name for path in run.iterdir()}
    reference = {p.name for p in (lab.materials.run(TASK, "trained") / "run").iterdir()}
    require(names == reference, f"foreign or missing files: {names ^ reference}")


def hold(lab: Lab, holder: Process) -> None:
    """Stop a training where it holds its run."""
    run = lab.folder / "run"
    while holder.running() and not (run.exists() and any(run.iterdir())):
        time.sleep(0.002)
    time.sleep(float(lab.rng.uniform(0, 0.5)))
    holder.signal(signal.SIGSTOP)


def one_cache(lab: Lab, number: int) -> None:
    """Several commands that decode the same images at once."""
    data = lab.materials.data(TASK)
    words: tuple[tuple[object, ...], ...] = (
        lab.materials.training(TASK),
        ("audit", data, "--html", "a.html"),
        ("cache", "--clear"),
        ("split", data, "--out", "split.csv"),
    )
    first, second = lab.materials.training(TASK), words[number % len(words)]
    if first == second:
        second = tuple(word if word != "run" else "run2" for word in second)
    results = both(lab, first, second)
    for result in results:
        check_polite(result, codes=(0, 1), limits=False)
    check_run(lab, lab.folder / "run")
    left = [name for name in tree(lab.folder / "cache") if name.endswith((".partial", ".tmp"))]
    require(not left, f"left in the cache: {left}")


ATTACKS = [
    Attack(
        "concurrency-train",
        "of two processes that train into one folder or resume one run, one ends it, with the same "
        "bits; the other is told the pid and host of the first",
        "started 0 to 3 s apart, on a new folder and on a killed run",
        train_twice,
    ),
    Attack(
        "concurrency-test",
        "two tests, or a test beside report or resume, count as one opening with one result",
        "started 0 to 3 s apart",
        test_twice,
    ),
    Attack(
        "concurrency-beside",
        "a training is not disturbed by report, predict, compare, test and cache --clear beside it",
        "up to four of them at random times of a training",
        beside_training,
    ),
    Attack(
        "concurrency-names",
        "two runs without --out at once get a folder each",
        "the same data twice, with one seed and with two",
        default_names,
        weight=0.5,
    ),
    Attack(
        "concurrency-takeover",
        "a run that is held is refused, with pid and host; when its holder is killed, the next "
        "goes on at once",
        "the holder is stopped at a random time, asked for its run, then killed",
        takeover,
    ),
    Attack(
        "concurrency-cache",
        "commands that decode the same images at once get the same bits",
        "training beside training, audit, split and cache --clear, on an empty cache",
        one_cache,
    ),
]
