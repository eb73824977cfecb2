"""One process works on a run at a time: the system frees the lock when that process ends."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from foveate import atomic_io
from foveate.errors import FoveateError, RunError, StorageError
from foveate.metrics.ledger import now

LOCK, OWNER = ".lock", ".owner.json"
"""Names of the files in a run folder: the lock, and who holds it."""


@contextmanager
def locked(folder: Path, records: Collection[str]) -> Iterator[None]:
    """Hold the lock of a run folder, so that no other process writes into it.

    A process that was killed holds no lock. Where a file system knows no locks, filelock falls back
    to a file with the process's name, and recognises a stale one.

    Args:
        folder: The run folder.
        records: Names of the files that only the holder writes: what killed processes left of them
            is removed.

    Raises:
        RunError: Another process holds it; with its number and its machine.
        StorageError: The folder cannot be written to.
    """
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise _in_use(folder) from None
    except OSError as error:
        raise StorageError(
            f"this run cannot be written to ({error.strerror or error})",
            where=folder,
            cure="Give yourself the right to write, or copy the run to another place.",
        ) from None
    try:
        atomic_io.remove_temporaries(folder, {*records, OWNER})
        atomic_io.write_json(folder / OWNER, _this_process())
        yield
    finally:
        with contextlib.suppress(OSError):
            (folder / OWNER).unlink(missing_ok=True)
        lock.release()


def _this_process() -> dict[str, str | int]:
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:500],
        "since": now(),
    }


def _in_use(folder: Path) -> RunError:
    try:
        owner = atomic_io.read_json(folder / OWNER)
        pid, host = int(owner["pid"]), str(owner["host"])
        who = f"process {pid} on {host} ({str(owner['command'])[:200]}, since {owner['since']})"
        stop = f"kill {pid}" if host == socket.gethostname() else f"kill {pid}, on {host}"
        remedy = f"Wait until it has ended, or stop it: {stop}"
    except (FoveateError, KeyError, TypeError, ValueError):
        who, remedy = "another process", "Wait until it has ended."
    return RunError(f"this run is in use by {who}", where=folder, remedy=remedy)
