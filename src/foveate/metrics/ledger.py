"""The ledger of the test split: each opening, when, for which weights, and what came of it.

An opening is written down before the test split is read, and completed with the result. A process
that is killed in between leaves an opening that was not completed, which the report says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from foveate import atomic_io, record_io
from foveate.errors import RunError
from foveate.metrics.known_openings import Opening


@dataclass(frozen=True)
class LedgerEntry:
    """One opening of the test split.

    Attributes:
        opened: When, ISO 8601 in UTC.
        weights: SHA-256 of best.safetensors.
        earlier: Openings of the same images by other runs, as far as this machine knows them.
        completed: When the result was there; None if it never was.
        result: What was measured: `metrics`, and those of each `baseline` and the `lift`; None if
            the opening was not completed.
    """

    opened: str
    weights: str
    earlier: tuple[Opening, ...] = ()
    completed: str | None = None
    result: dict[str, Any] | None = None


@dataclass(frozen=True)
class Ledger:
    """The file test_ledger.json. It only grows; a damaged one is refused, never restarted."""

    path: Path

    @property
    def entries(self) -> list[LedgerEntry]:
        """All openings, oldest first.

        Raises:
            RunError: The file is damaged.
        """
        from foveate.metrics.records import LedgerRecord

        if not self.path.exists():
            return []
        try:
            record = atomic_io.read_json(self.path)
            record_io.validated(LedgerRecord, record)
            return [_entry(**values) for values in record["entries"]]
        except (KeyError, TypeError, ValueError, RunError) as error:
            reason = error.message if isinstance(error, RunError) else str(error)
            raise RunError(
                f"this ledger is damaged ({reason}), so it is unknown how often the test split was "
                "opened",
                where=self.path,
                remedy="Restore it from a backup. Do not delete it: it is what makes the test "
                "metrics trustworthy.",
            ) from None

    def find(self, weights: str) -> LedgerEntry | None:
        """The opening for these weights, if there was one."""
        return next((entry for entry in self.entries if entry.weights == weights), None)

    def open(self, weights: str, earlier: Sequence[Opening] = ()) -> LedgerEntry:
        """Write an opening down, durably, before the test split is read."""
        entry = LedgerEntry(now(), weights, tuple(earlier))
        self._write([*self.entries, entry])
        return entry

    def complete(self, weights: str, result: Mapping[str, Any]) -> None:
        """Add the result to the opening for these weights."""
        completed = now()
        self._write(
            [
                replace(entry, completed=completed, result=dict(result))
                if entry.weights == weights
                else entry
                for entry in self.entries
            ]
        )

    def _write(self, entries: list[LedgerEntry]) -> None:
        atomic_io.write_json(self.path, {"entries": [asdict(entry) for entry in entries]})


def _entry(
    *, opened: str, weights: str, earlier: Any, completed: str | None, result: Any
) -> LedgerEntry:
    """An entry from a record that fits its schema; ValueError if it contradicts itself."""
    for time in (opened, completed):
        if time is not None:
            datetime.fromisoformat(time)
    if (completed is None) != (result is None):
        raise ValueError("an opening is completed by its result, and one of both is missing")
    openings = tuple(Opening(**one) for one in earlier)
    return LedgerEntry(opened, weights, openings, completed, result)


def now() -> str:
    """The time in UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
