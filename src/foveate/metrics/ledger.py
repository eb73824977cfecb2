"""The ledger of the test part: every time it was opened, when, by which weights, with what result."""

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
    """when: ISO 8601, UTC; weights: sha256 of best.safetensors; result: the figures on the test part."""

    when: str
    weights: str
    result: dict[str, Any]


@dataclass(frozen=True)
class Ledger:
    """test_ledger.json. It only ever grows; a damaged one is refused, never started anew."""

    path: Path

    @property
    def entries(self) -> list[LedgerEntry]:
        """All openings, oldest first. Raises RunError for a damaged ledger."""
        if not self.path.exists():
            return []
        try:
            return [LedgerEntry(**entry) for entry in atomic_io.read_json(self.path)["entries"]]
        except (KeyError, TypeError) as error:
            raise RunError(
                f"this ledger is damaged ({error}), so it is not known how often the test part was opened",
                where=self.path,
                remedy="Take it from a backup. Do not remove it: it is what makes the test figure worth something.",
            ) from None

    def find(self, weights: str) -> LedgerEntry | None:
        """The opening by these weights, if there was one."""
        return next((entry for entry in self.entries if entry.weights == weights), None)

    def record(self, weights: str, result: Mapping[str, Any]) -> LedgerEntry:
        """Add an opening."""
        entry = LedgerEntry(datetime.now(UTC).isoformat(timespec="seconds"), weights, dict(result))
        atomic_io.write_json(
            self.path, {"entries": [asdict(old) for old in [*self.entries, entry]]}
        )
        return entry
