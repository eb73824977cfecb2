"""A folder of runs that several processes fill: the same command, started once or more often.

trials.json     what was asked for, and by which version of foveate
NAME/           a run folder for each fold, seed or trial
.NAME.lock      held by the process that works on it; the system frees it when that process ends
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from foveate import atomic_io, processes, record_io
from foveate.errors import Cancelled, Interrupted, RunError, SettingError, StorageError
from foveate.experiment import claim
from foveate.experiment.choice import AUTO
from foveate.experiment.run_folder import RunFolder
from foveate.progress import Reporter

ASKED = claim.TRIALS
MAX_SEEDS = 1000
_FOLDER_LOCK = "folder"
_PATIENCE = 60.0  # seconds for another process that takes the folder or reads the data
_POLL = 0.5  # seconds between two looks at what other processes have finished


class TrialsFolder:
    """A folder of runs.

    Args:
        path: The folder.
        result: Name of the file that is written last.
    """

    def __init__(self, path: Path, result: str):
        self.path, self.result = path, path / result

    @classmethod
    def taken(
        cls, path: Path | None, default: str, asked: Mapping[str, Any], result: str
    ) -> TrialsFolder:
        """Take a new folder, or the one in which the same command is under way or was interrupted.

        Args:
            path: The folder; None takes the first runs/DEFAULT-N that is one of both.
            default: See `path`.
            asked: What is asked for, as JSON values, with a "kind".
            result: Name of the file that is written last.

        Raises:
            RunError: The folder holds something else, or another version of foveate began it.
            StorageError: The folder cannot be written to.
        """
        if processes.launched():
            raise SettingError(
                "torchrun starts processes that train one model together; here each process "
                "trains models of its own",
                where="torchrun",
                remedy="Give the command itself several times instead.",
            )
        if path is not None:
            return cls(path, result)._take(asked)
        stem = re.sub(r"[^\w.-]+", "-", default).strip("-.") or "runs"
        for number in count(1):
            folder = cls(Path("runs") / f"{stem}-{number}", result)
            if folder._free() or (folder._asked() == asked and not folder.result.exists()):
                return folder._take(asked)
        raise AssertionError("count does not end")

    def _free(self) -> bool:
        return not self.path.exists() or (
            self.path.is_dir()
            and not any(not _is_ours(entry) for entry in self.path.iterdir())
            and not (self.path / ASKED).exists()
        )

    def _asked(self) -> Any:
        """What the folder was begun for; None if nothing is recorded."""
        try:
            record = record_io.read_json(self.path / ASKED, atomic_io.MAX_JSON_BYTES)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return record.get("asked") if isinstance(record, dict) else None

    def _take(self, asked: Mapping[str, Any]) -> TrialsFolder:
        if not self._free() and self._asked() is None:  # before a lock lies in a user's folder
            raise self._foreign()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"the folder cannot be made ({error.strerror})",
                where=self.path,
                cure="Choose another --out.",
            ) from None
        with self.locked():
            if self._free():
                record = {"foveate": "trials", "version": version("foveate"), "asked": asked}
                atomic_io.write_json(self.path / ASKED, record)
            self._check(asked)
        return self

    def _foreign(self) -> RunError:
        return RunError(
            "this folder holds something already that would be overwritten",
            where=self.path,
            remedy="Choose another --out, or remove it yourself.",
        )

    def _check(self, asked: Mapping[str, Any]) -> None:
        """Refuse a folder that this command did not begin."""
        known = self._asked()
        if known is None or self.result.exists():
            raise self._foreign()
        if not isinstance(known, dict) or known.get("kind") != asked["kind"]:
            raise RunError(
                f"a {asked['kind']} is expected here, another command began this folder",
                where=self.path,
                remedy="Choose another --out.",
            )
        if changed := list(_differences(known, asked)):
            raise RunError(
                f"an unfinished {asked['kind']} with other settings is there "
                f"({'; '.join(changed[:3])})",
                where=self.path,
                remedy="Give the same settings to go on with it, or choose another --out.",
            )
        check_version(
            record_io.read_json(self.path / ASKED, atomic_io.MAX_JSON_BYTES).get("version"),
            self.path,
        )

    def discard_if_empty(self) -> None:
        """Remove the folder if no run has begun in it."""
        with contextlib.suppress(OSError, RunError), self.locked():
            entries = list(self.path.iterdir())
            if all(entry.name == ASKED or entry.suffix == ".lock" for entry in entries):
                for entry in entries:
                    entry.unlink(missing_ok=True)
                self.path.rmdir()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Say how to go on if the block is interrupted; if nothing has begun, leave no folder.

        Raises:
            Cancelled: A run of the folder was interrupted.
        """
        try:
            yield
        except Interrupted as stop:
            raise Cancelled(
                f"interrupted in {stop.path.name} at step {stop.step:,}; what is done is kept in "
                f"{self.path}: give the same command again to go on"
            ) from None
        except BaseException:
            self.discard_if_empty()
            raise

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder's lock, for the short work that one process does for all of them.

        Raises:
            RunError: Another process holds it for long.
            StorageError: The folder cannot be written to.
        """
        with self._lock(_FOLDER_LOCK, _PATIENCE) as mine:
            if not mine:
                raise RunError(
                    "another process works in this folder",
                    where=self.path,
                    remedy="Wait until it has ended, and give the same command again.",
                )
            yield

    @contextmanager
    def claimed(self, name: str) -> Iterator[bool]:
        """Claim a run of the folder; whether this process holds it now.

        Raises:
            StorageError: The folder cannot be written to.
        """
        with self._lock(name, 0.0) as mine:
            yield mine

    @contextmanager
    def _lock(self, name: str, seconds: float) -> Iterator[bool]:
        lock = FileLock(self.path / f".{name}.lock", timeout=seconds)
        try:
            lock.acquire()
        except Timeout:
            yield False
            return
        except OSError as error:
            raise StorageError(
                f"this folder cannot be written to ({error.strerror or error})",
                where=self.path,
                cure=atomic_io.storage_cure(error),
            ) from None
        try:
            yield True
        finally:
            lock.release()

    def fill(
        self,
        names: Collection[str],
        done: Callable[[str], bool],
        work: Callable[[str], None],
        reporter: Reporter,
    ) -> None:
        """Do all runs that no other process does, and wait for the others.

        A run whose process was killed is free again, and is taken up.

        Args:
            names: Of the runs.
            done: Whether a run is complete.
            work: Makes a run complete, from the beginning or from where it was interrupted.
            reporter: Receives whom this process waits for.
        """
        waiting: list[str] = []
        while left := [name for name in names if not done(name)]:
            worked = False
            for name in left:
                with self.claimed(name) as mine:
                    if mine and not done(name):
                        work(name)
                        worked = True
            if not worked and left != waiting:
                reporter.info(f"waiting for other processes: {', '.join(left)}")
                waiting = left
            if not worked:
                wait()


def is_finished(path: Path) -> bool:
    """Whether a folder holds a run that was trained, evaluated and reported to its end."""
    return (path / "results.json").exists() and RunFolder.open(path).finished


def check_count(name: str, value: int, low: int, high: int, why: str) -> None:
    """Check a number that the user gives.

    Raises:
        SettingError: It is out of its range.
    """
    if not low <= value <= high:
        raise SettingError(
            f"a number from {low} to {high:,} is expected ({why}), got {value}", where=name
        )


def wait() -> None:
    """Wait a moment for other processes.

    Raises:
        Cancelled: Ctrl-C.
    """
    try:
        time.sleep(_POLL)
    except KeyboardInterrupt:
        raise Cancelled(
            "stopped while waiting for other processes; they go on, and so does the same command"
        ) from None


def check_version(found: object, where: Path | str) -> None:
    """Refuse to mix results of several versions of foveate.

    Raises:
        RunError: `found` is not this version.
    """
    own = version("foveate")
    if found != own:
        raise RunError(
            f"foveate {found} began this, and this is foveate {own}: their results would not "
            "compare",
            where=where,
            remedy=f"Install foveate {found} on this machine, or begin anew in another --out.",
        )


def check_same_data(runs: Collection[RunFolder]) -> None:
    """Refuse runs that were not trained on the same images.

    Raises:
        RunError: The data changed between two of them.
    """
    prints: dict[str, RunFolder] = {}
    for run in runs:
        prints.setdefault(run.data["fingerprint"], run)
    if len(prints) > 1:
        first, other = list(prints.values())[:2]
        raise RunError(
            f"the data changed between {first.path.name} and {other.path.name}, so their metrics "
            "cannot be pooled",
            where=first.path.parent,
            remedy="Bring the data back as it was, or begin anew in another --out.",
        )


def shared_choices(
    runs: Sequence[RunFolder], settings: Mapping[str, Any], model: str
) -> dict[str, Any]:
    """What foveate chooses for all runs: the model, and the size where there is a time budget.

    Args:
        runs: Those that are done, which decide: another machine may choose otherwise.
        settings: What the user has given.
        model: The model that is chosen here.
    """
    shared: dict[str, Any] = {}
    if settings.get("model", AUTO) == AUTO:
        shared["model"] = runs[0].settings.model if runs else model
    if runs and settings.get("minutes") is not None and settings.get("size") is None:
        shared["size"] = runs[0].settings.size
    return shared


def _differences(known: Mapping[str, Any], asked: Mapping[str, Any]) -> Iterator[str]:
    for name, value in asked.items():
        before = known.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            yield from _differences(before, value)
        elif before != value:
            yield f"{name} {before}, not {value}"


def _is_ours(path: Path) -> bool:
    """Whether this is no more than a process leaves that was killed while it took the folder."""
    return path.name == f".{_FOLDER_LOCK}.lock" or atomic_io.is_temporary(path)
