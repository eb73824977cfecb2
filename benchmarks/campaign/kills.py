"""Kills: a command that is killed at any moment, given again, ends as if nothing had happened."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from compare_files import changes, run_differences, tree
from lab import Lab, Process, Result, check_polite, require
from materials import FINDER, TRAINING, set_up
from runner import Attack

MAX_KILLS = 3
UNFINISHED = ".unfinished.yaml"
"""The run's first record: the settings as they were asked for."""
TEMPORARY = ".foveate-"
"""How names of unfinished files begin: a killed process cannot remove them."""
JOURNAL = ".partial.jsonl"
"""How names of journals of predictions end."""
INSTALLED = 0.04
"""Share of kills of the installed program, whose imports are killed, too."""


def hit(lab: Lab, writes: int, seconds: float, *words: object) -> Result:
    """Start a command and stop it in one of four ways, drawn by the lab.

    Args:
        lab: The bench.
        writes: How often the command writes when nobody stops it.
        seconds: How long it then takes.
        *words: The command.
    """
    way = lab.choice(("write", "write", "write", "time", "time", "size", "stop"))
    if way == "write":
        at = int(lab.rng.integers(0, writes + 1))
        lab.note(f"killed before its write number {at}")
        return lab.run(*words, die_at=at)
    if way == "size":
        size = int(2 ** lab.rng.uniform(4, 17))
        lab.note(f"killed when a file has {size} bytes")
        return lab.run(*words, max_file=size, die_of_size=True)
    installed = bool(lab.rng.random() < INSTALLED)
    process = lab.start(*words, installed=installed)
    after = float(lab.rng.uniform(0, 1.3 * seconds + 6 * installed))
    number = signal.SIGKILL if way == "time" else lab.choice((signal.SIGINT, signal.SIGTERM))
    lab.note(f"{signal.Signals(number).name} after {after:.2f} s")
    return signal_after(process, after, number)


def signal_after(process: Process, seconds: float, number: int) -> Result:
    """Send a signal after some seconds, or earlier if it ends by itself."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.running():
        time.sleep(0.002)
    process.signal(number)
    return process.wait()


def check_stopped(result: Result) -> None:
    """Check that a stopped command ended by the signal, with a message, or before it."""
    by_signal = result.code in (-signal.SIGKILL, -signal.SIGXFSZ, -signal.SIGTERM, -signal.SIGINT)
    early = "KeyboardInterrupt" in result.err  # before foveate watches for it
    if not by_signal and not early:
        check_polite(result, codes=(0, 1, 2, 130), limits=False)


def finish(lab: Lab, task: str, command: Sequence[object], seconds: float) -> None:
    """Kill a training and go on with it a few times, then let it end; check the run."""
    writes = lab.materials.writes[f"{task}-train"]
    reference = lab.materials.run(task, "trained") / "run"
    run = lab.folder / "run"
    resume = ("train", "--resume", "run")
    words: Sequence[object] = command
    for _ in range(int(lab.rng.integers(1, MAX_KILLS + 1))):
        result = hit(lab, writes, seconds, *words)
        check_stopped(result)
        words = lab.choice((command, resume)) if run.exists() else command
    result = go_on(lab, words, command)
    check_polite(result, limits=False)
    if result.code:
        # Refused is only what is finished already; the next command that works on it tidies up.
        check_polite(lab.run("report", "run"), codes=(0,), limits=False)
        differences = run_differences(run, reference)
        require(not differences, f"cannot go on, and {'; '.join(differences)}: {result}")
    differences = run_differences(run, reference)
    require(not differences, f"not as if never killed: {'; '.join(differences)}")


def go_on(lab: Lab, words: Sequence[object], command: Sequence[object]) -> Result:
    """Resume, or give the command again where the kill came before anything was recorded."""
    result = lab.run(*words)
    records = [path.name for path in (lab.folder / "run").glob("*")]
    if result.code == 2 and not any(name in records for name in ("config.yaml", UNFINISHED)):
        check_polite(result, limits=False)
        result = lab.run(*command)
    return result


def train(lab: Lab, number: int) -> None:
    task = "classification"
    writes = lab.materials.writes[f"{task}-train"]
    seconds = lab.materials.seconds[f"{task}-train"]
    if number <= writes:  # first every single write once, then at random
        lab.note(f"killed before its write number {number}")
        check_stopped(lab.run(*lab.materials.training(task), die_at=number))
        command = lab.materials.training(task)
        resumed = number % 2 and (lab.folder / "run").exists()
        check_polite(go_on(lab, ("train", "--resume", "run") if resumed else command, command))
        reference = lab.materials.run(task, "trained") / "run"
        differences = run_differences(lab.folder / "run", reference)
        require(not differences, f"not as if never killed: {'; '.join(differences)}")
        return
    finish(lab, task, lab.materials.training(task), seconds)
    check_tested(lab, task)


def train_others(lab: Lab, number: int) -> None:
    task = [one for one in TRAINING if one != "classification"][number % (len(TRAINING) - 1)]
    seconds = lab.materials.seconds[f"{task}-train"]
    finish(lab, task, lab.materials.training(task), seconds)


def test(lab: Lab, number: int) -> None:
    task = list(TRAINING)[number % len(TRAINING)]
    run = set_up(lab, task, "trained")
    writes = lab.materials.writes[f"{task}-test"]
    for _ in range(int(lab.rng.integers(1, MAX_KILLS + 1))):
        check_stopped(hit(lab, writes, lab.materials.seconds[f"{task}-test"], "test", "run"))
        if (run / "predictions_test.csv").exists():
            require(openings(run), "test images were predicted, and no opening is recorded")
        command = lab.choice(("test", "report", "resume"))
        if command == "report":
            check_polite(lab.run("report", "run"), limits=False)
        if command == "resume":
            check_stopped(hit(lab, writes, 1.0, "train", "--resume", "run"))
    check_tested(lab, task)


def check_tested(lab: Lab, task: str) -> None:
    """Test a run to its end, and check result, ledger and page."""
    run = lab.folder / "run"
    result = lab.succeed("test", "run")
    require("Traceback" not in result.err, str(result))
    differences = run_differences(run, lab.materials.run(task, "tested") / "run")
    require(not differences, f"tested otherwise than undisturbed: {'; '.join(differences)}")
    entries = openings(run)
    require(len(entries) == 1, f"{len(entries)} openings are recorded, one was made: {entries}")
    again = lab.succeed("test", "run")
    require(len(openings(run)) == 1, f"a second test counts as a second opening: {again}")


def openings(run: Path) -> list[object]:
    """The entries of the ledger in the run."""
    path = run / "test_ledger.json"
    if not path.exists():
        return []
    entries = json.loads(path.read_text())["entries"]
    assert isinstance(entries, list)
    return entries


def resume_tested(lab: Lab, number: int) -> None:
    """A finished, tested run is resumed and killed: its results stay."""
    run = set_up(lab, "classification", "tested")
    writes = lab.materials.writes["classification-train"]
    words = lab.choice(
        (
            ("train", "--resume", "run"),
            ("report", "run"),
            ("test", "run"),
            lab.materials.training("classification"),
        )
    )
    if number % 3:
        check_stopped(hit(lab, writes, 2.0, *words))
    else:
        check_polite(lab.run(*words), limits=False)
    record = json.loads((run / "results.json").read_text())
    reference = lab.materials.run("classification", "tested") / "run" / "results.json"
    require(record["test"] == json.loads(reference.read_text())["test"], "the test result is gone")
    check_tested(lab, "classification")


def _outputs(lab: Lab) -> dict[str, tuple[object, ...]]:
    colours, boxes = lab.materials.data("classification"), lab.materials.data("detection")
    return {
        "predict": ("predict", "run", boxes, "--json", "out/a.json", "--coco", "out/b.json"),
        "draw": ("predict", "run", boxes, "--draw", "out/drawn", "--json", "out/a.json"),
        "audit": ("audit", boxes, "--json", "out/a.json", "--html", "out/a.html"),
        "fix": ("audit", boxes, "--fix", "out/fixed", "--html", "out/a.html"),
        "convert": ("convert", boxes, "out/yolo", "--format", "yolo"),
        "csv": ("convert", colours, "out/csv", "--format", "csv"),
        "label": ("label", boxes / "images", "--with", "run", "--out", "out/labels"),
        "split": ("split", colours, "--out", "out/split.csv"),
    }


def outputs(lab: Lab, number: int) -> None:
    """Outputs appear whole or not at all; given again, the command succeeds or says why not.

    The journal of predictions stays: the command goes on from it.
    """
    run = set_up(lab, FINDER, "trained")
    out = lab.folder / "out"
    out.mkdir()
    commands = _outputs(lab)
    name = list(commands)[number % len(commands)]
    words = commands[name]
    undisturbed = lab.run(*words)
    check_polite(undisturbed, codes=(0, 1), limits=False)
    reference, records = tree(out), tree(run)
    out.rename(lab.folder / "reference")
    out.mkdir()
    check_stopped(hit(lab, undisturbed.writes, undisturbed.seconds, *words))
    require(tree(run) == records, f"the run changed: {changes(records, tree(run))}")
    partial = [
        entry
        for entry in changes({k: v for k, v in reference.items() if k in tree(out)}, tree(out))
        if not ("/" in entry and name in ("draw", "label", "convert", "csv", "fix"))
        and TEMPORARY not in entry
        and not entry.endswith(JOURNAL)
    ]
    require(not partial, f"an output is neither whole nor absent: {partial}")
    whole_folders(lab, reference, out, name)
    result = lab.run(*words)
    check_polite(result, codes=(0, 1, 2), limits=False)
    if result.code != 2:
        left = [entry for entry in changes(reference, tree(out)) if TEMPORARY not in entry]
        require(not left, f"given again, the command leaves other outputs: {left}")


def whole_folders(lab: Lab, reference: dict[str, str], out: Path, name: str) -> None:
    """A converted, repaired or labelled dataset is whole or absent."""
    target = {"convert": "yolo", "csv": "csv", "fix": "fixed", "label": "labels"}.get(name)
    if target is None or not (out / target).exists():
        return
    expected = {k: v for k, v in reference.items() if k.startswith(f"{target}/")}
    found = {k: v for k, v in tree(out).items() if k.startswith(f"{target}/")}
    require(found == expected, f"{target} is neither whole nor absent: {changes(expected, found)}")
    lab.note(f"{target} was whole")


_HOW = "killed before a write, while a file grows, at a random time, or told to stop; then again"

ATTACKS = [
    Attack(
        "kills-train",
        "a training killed at any moment and given again, or resumed, ends with the same weights, "
        "metrics and files, bit for bit",
        f"each of its writes once, then 1 to {MAX_KILLS} times in a row: {_HOW}",
        train,
        weight=4,
    ),
    Attack(
        "kills-others",
        "the same for detection, semantic and instance segmentation",
        f"1 to {MAX_KILLS} times in a row: {_HOW}",
        train_others,
        weight=2,
    ),
    Attack(
        "kills-test",
        "a test killed at any moment is recorded as one opening, and ends with the same result",
        f"test, report and resume, 1 to {MAX_KILLS} times in a row: {_HOW}",
        test,
        weight=2,
    ),
    Attack(
        "kills-finished",
        "a finished result is never unwritten",
        f"resume, train, test and report on a tested run: {_HOW}",
        resume_tested,
    ),
    Attack(
        "kills-outputs",
        "outputs of predict, audit, convert, label and split are whole or absent",
        _HOW,
        outputs,
        weight=2,
    ),
]
