"""What is wrong with a set of labelled pictures, before a minute of training is spent on it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from foveate.annotations import Mask
from foveate.audit import balance, duplicates, files, labels, quality, representative
from foveate.audit.finding import Finding, Kind, Severity, kinds
from foveate.data.dataset import PARTS, Dataset

__all__ = ["LEAK", "UNUSABLE", "Audit", "Finding", "Kind", "audit"]

LEAK = "leak between parts"
UNUSABLE = files.UNUSABLE


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    dataset: the samples that could be read; the rest is in its `skipped`
    looks: (N,) of LOOK, what each of them looks like
    findings: all of them, in no order: see `kinds`
    alike: which pictures are copies of one another
    """

    dataset: Dataset[Any]
    looks: NDArray[Any]
    findings: tuple[Finding, ...]
    alike: duplicates.Alike

    @property
    def kinds(self) -> list[Kind]:
        """The findings by check, what matters most first."""
        return kinds(self.findings)

    def count(self, severity: Severity) -> int:
        """How many findings are of this severity."""
        return sum(finding.severity == severity for finding in self.findings)

    @property
    def errors(self) -> list[Finding]:
        """The findings that a figure cannot be believed with."""
        return [finding for finding in self.findings if finding.severity == "error"]


def audit(
    dataset: Dataset[Any],
    hashes: Sequence[str],
    looks: NDArray[Any],
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> Audit:
    """Every check but the deep ones.

    dataset: the samples that could be read; hashes: of each one's content; looks: (N,) of LOOK
    tick: called now and then with how far the search for copies has come
    """
    alike = duplicates.find(hashes, looks, tick)
    found = [
        *files.check(dataset, looks),
        *quality.check(dataset, looks),
        *copies(dataset, hashes, alike),
        *labels.check(dataset, looks),
        *balance.check(dataset),
        *representative.check(dataset, looks),
    ]
    return Audit(dataset, looks, tuple(found), alike)


def copies(dataset: Dataset[Any], hashes: Sequence[str], alike: duplicates.Alike) -> Iterator[Finding]:
    """Findings of pictures that occur more than once."""
    together: dict[int, list[int]] = defaultdict(list)
    for row, cluster in enumerate(alike.clusters.tolist()):
        together[cluster].append(row)
    for rows in together.values():
        if len(rows) < 2:
            continue
        exact = len({hashes[row] for row in rows}) == 1
        how = "the same picture" if exact else "nearly the same picture"
        parts = [part for part in PARTS if any(dataset[row].part == part for row in rows)]
        ids = tuple(dataset[row].id for row in _one_a_part_first(dataset, rows))
        if len(parts) > 1:
            reason = f"{how} lies in {' and '.join(parts)}, so a score would partly be memory"
            yield Finding("error", LEAK, ids, reason, "Keep all of them in one part.", score=len(rows))
        else:
            check = "same picture twice" if exact else "nearly the same picture"
            reason = f"{how}, {len(rows)} times"
            yield Finding("warning", check, ids, reason, "Keep one; the split keeps them together.", score=len(rows))
        told = {label for row in rows if (label := _label(dataset, row)) is not None}
        if len(told) > 1:
            reason = f"{how} is labelled {' and '.join(sorted(told))}"
            yield Finding("warning", "same picture, other label", ids, reason, "Decide which is right.")


def _one_a_part_first(dataset: Dataset[Any], rows: list[int]) -> list[int]:
    firsts = {dataset[row].part: row for row in reversed(rows)}
    return [*sorted(firsts.values()), *(row for row in rows if row not in firsts.values())]


def _label(dataset: Dataset[Any], row: int) -> str | None:
    """The classes of a sample, where it is what is in the picture as a whole that they tell."""
    truth = dataset[row].truth
    if truth is None or isinstance(truth, Mask) or not dataset.classes:
        return None
    return ", ".join(dataset.classes[k] for k in truth.present() if k < len(dataset.classes)) or "nothing"
