"""Taking a run folder: a new one, or the one in which the same command was interrupted."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

from foveate import atomic_io
from foveate.errors import RunError, StorageError
from foveate.experiment.run_lock import LOCK, OWNER, locked
from foveate.settings import Settings

UNFINISHED = ".unfinished.yaml"
"""The settings as they were asked for, from the moment a folder is taken until the run ends."""

TRIALS = "trials.json"
"""In a folder of runs (folds, seeds or trials): what was asked for."""
MAX_NAMED = 10
"""Runs of such a folder that a message names."""


def settings_file(path: Path) -> Path:
    """The file with the settings of the run in a folder.

    Raises:
        RunError: There is no run in it.
    """
    try:
        is_file, is_folder = path.is_file(), path.is_dir()
    except OSError as error:  # a name that is too long, a folder that may not be read
        raise RunError(f"it cannot be read ({error.strerror})", where=path) from None
    if is_file:
        raise RunError(
            "the folder of a run is expected, got a file",
            where=path,
            remedy="foveate predict, generate, serve and watch take the file of an exported model; "
            "other commands need its run.",
        )
    if not is_folder:
        raise RunError(
            "no such run",
            where=path,
            remedy="Runs are written by: foveate train DATA --out RUN.",
        )
    config, asked = path / "config.yaml", path / UNFINISHED
    if config.exists():
        return config
    if (path / TRIALS).is_file():
        raise _several_runs(path)
    if not asked.exists() and (path / LOCK).exists():
        raise RunError(
            "this run was interrupted before its settings were written",
            where=path,
            remedy="Give the same foveate train command again.",
        )
    return asked if asked.exists() else config


def _several_runs(path: Path) -> RunError:
    """The error where one run is expected and a folder holds those of many folds or trials."""
    runs = sorted(
        (results.parent for results in path.glob("*/results.json")),
        key=lambda run: [int(part) if part.isdigit() else 0 for part in run.name.split("-")],
    )
    finished = [run for run in runs if not (run / UNFINISHED).exists()][:MAX_NAMED]
    remedy = "It is not finished: give the same command again to go on."
    if (path / "report.html").exists():
        remedy = f"Its report is {path / 'report.html'}."
    if finished:
        remedy += f" Of one of them: foveate report {shlex.quote(str(finished[0]))}."
    if len(finished) > 1:
        remedy += f" Side by side: foveate compare {shlex.join(map(str, finished))}"
    return RunError(
        "one run is expected, and this folder holds those of several folds, seeds or trials",
        where=path,
        remedy=remedy,
    )


@contextmanager
def taken_folder(
    path: Path | None, settings: Settings, name: str, records: Collection[str], *, new: bool
) -> Iterator[Path]:
    """Take a folder for a run and hold its lock; see `RunFolder.taken`.

    Args:
        path: The folder; None takes the first runs/NAME-MODEL-N that is free.
        settings: The settings as they were asked for.
        name: Name of the dataset.
        records: See `run_lock.locked`.
        new: Whether an unfinished run is not taken.

    Raises:
        RunError: The folder is in use, or holds something else.
        StorageError: The folder cannot be created.
    """
    with ExitStack() as stack:
        for candidate in [path] if path is not None else _default_paths(settings, name):
            try:
                stack.enter_context(_claimed(candidate, settings, records, new=new))
            except StorageError:
                raise
            except RunError:
                if path is not None:
                    raise
                continue  # another run's
            yield candidate
            return


def _default_paths(settings: Settings, name: str) -> Iterator[Path]:
    stem = re.sub(r"[^\w.-]+", "-", f"{name}-{settings.model}").strip("-.") or "run"
    return (Path("runs") / f"{stem}-{number}" for number in count(1))


@contextmanager
def _claimed(
    path: Path, settings: Settings, records: Collection[str], *, new: bool
) -> Iterator[None]:
    """Take a folder that is free and hold its lock; of two processes one gets it."""
    _check_free(path, settings, new=new)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"the run folder cannot be made ({error.strerror})",
            where=path,
            cure="Choose another --out.",
        ) from None
    with locked(path, records):
        _check_free(path, settings, new=new)  # another process may have come first
        if not (path / UNFINISHED).is_file():
            settings.save(path / UNFINISHED)
        yield


def _check_free(path: Path, settings: Settings, *, new: bool) -> None:
    """Refuse a folder that holds more than an unfinished run with these settings."""
    if not path.exists() or (path.is_dir() and not any(map(_counts, path.iterdir()))):
        return
    if new or not (path / UNFINISHED).is_file():
        raise RunError(
            "this run exists already and would be overwritten",
            where=path,
            remedy="Choose another --out, or remove it yourself.",
        )
    asked = Settings.load(path / UNFINISHED).model_dump(mode="json")
    changed = [
        f"{name} {asked[name]}, not {value}"
        for name, value in settings.model_dump(mode="json").items()
        if value != asked[name] and name != "command"  # it can be typed in several ways
    ]
    if changed:
        resume = f"foveate train --resume {shlex.quote(str(path))}"
        if all(line.startswith("data ") for line in changed):
            resume += f" --data {shlex.quote(settings.data)}, if its data was moved there"
        raise RunError(
            f"an unfinished run with other settings is there ({'; '.join(changed[:3])})",
            where=path,
            remedy=f"Go on with it ({resume}), choose another --out, or remove it yourself.",
        )


def _counts(path: Path) -> bool:
    """Whether this is more than a process leaves that was killed while it took the folder."""
    return path.name not in (LOCK, OWNER) and not atomic_io.is_temporary(path)
