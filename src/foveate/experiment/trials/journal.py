"""Optuna's journal of a study, in a file of a folder that several processes share."""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any

from filelock import FileLock
from optuna.storages.journal import JournalFileBackend


class Journal(JournalFileBackend):
    """A journal whose lock the system frees, and which a full disk or a kill leaves whole.

    Optuna's own lock is a link that outlives its process, and half a line makes its journal
    unreadable for good.
    """

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append lines, all or none."""
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        with FileLock(f"{self._file_path}.lock"), open(self._file_path, "r+b") as file:  # noqa: PTH123
            end = _end_of_lines(file)
            try:
                file.truncate(end)  # half a line of a killed process
                file.seek(end)
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(file.fileno(), end)
                raise


def _end_of_lines(file: Any) -> int:
    """Where the last whole line ends."""
    end: int = file.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - 4096)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + int(found) + 1
        end = start
    return 0
