"""The ledger of the test split: each time it was used, when, with which weights and what result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from foveate import atomic_io
from foveate.errors import RunError


@dataclass(frozen=True)
class LedgerEntry:
    """One use of the test split.

    Attributes:
        when: ISO 8601 in UTC.
        weights: SHA-256 of best.safetensors.
        result: The metrics.
    """

    when: str
    weights: str
    result: dict[str, Any]


@dataclass(frozen=True)
class Ledger:
    """The file test_ledger.json. It only grows; a damaged one is refused, never restarted."""

    path: Path

    @property
    def entries(self) -> list[LedgerEntry]:
        """All uses, oldest first.

        Raises:
            RunError: If the file is damaged.
        """
        if not self.path.exists():
            return []
        try:
            return [LedgerEntry(**entry) for entry in atomic_io.read_json(self.path)["entries"]]
        except (KeyError, TypeError) as error:
            raise RunError(
                f"this ledger is damaged ({error}), so it is unknown how often the test split was "
                "used",
                where=self.path,
                remedy="Restore it from a backup. Do not delete it: it is what makes the test "
                "metrics trustworthy.",
            ) from None

    def find(self, weights: str) -> LedgerEntry | None:
        """The use with these weights, if there was one."""
        return next((entry for entry in self.entries if entry.weights == weights), None)

    def record(self, weights: str, result: Mapping[str, Any]) -> LedgerEntry:
        """Add a use."""
        entry = LedgerEntry(datetime.now(UTC).isoformat(timespec="seconds"), weights, dict(result))
        entries = [asdict(one) for one in [*self.entries, entry]]
        atomic_io.write_json(self.path, {"entries": entries})
        return entry
