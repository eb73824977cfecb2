"""The campaign's table, and its list of failures with how to repeat each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runner import Attack, Outcome

HEADER = ("what is promised", "how it is attacked", "n", "failures")


def rows(attacks: Sequence[Attack], outcomes: Sequence[Outcome]) -> list[tuple[str, ...]]:
    """A row for each attack: promise, how, n tried, n failed."""
    listed: list[tuple[str, ...]] = []
    for attack in attacks:
        of_it = [one.outcome for one in outcomes if one.attack == attack.name]
        tried = sum(one != "skipped" for one in of_it)
        failed = str(of_it.count("failed")) if tried else "not tried"
        listed.append((attack.promise, attack.how, f"{tried:,}", failed))
    return listed


def markdown(table: Sequence[Sequence[str]]) -> str:
    """The table for docs/reliability.md."""
    lines = [HEADER, ("---", "---", "---:", "---:"), *table]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def write_failures(outcomes: Sequence[Outcome], path: Path) -> int:
    """Write each failure with the command that repeats it; return their number."""
    failures = [one for one in outcomes if one.outcome == "failed"]
    parts = [
        f"## {one.attack}, number {one.number}\n\n"
        f"python benchmarks/campaign --only {one.attack} --first {one.number} --count 1\n\n"
        f"{one.detail}\n"
        for one in failures
    ]
    path.write_text("\n".join(parts), "utf-8", "backslashreplace")
    return len(failures)
