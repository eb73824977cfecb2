"""What is wrong with a set of labelled pictures, before a minute of training is spent on it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from foveate.audit import balance, duplicates, files, labels, quality, representative
from foveate.audit.finding import Finding, FindingGroup, Severity, kinds
from foveate.data.dataset import SPLITS, Dataset

__all__ = ["LEAK", "UNUSABLE", "Audit", "Finding", "FindingGroup", "audit"]

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
    image_stats: NDArray[Any]
    findings: tuple[Finding, ...]
    alike: duplicates.Alike

    @property
    def kinds(self) -> list[FindingGroup]:
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
    image_stats: NDArray[Any],
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> Audit:
    """Every check but the deep ones.

    dataset: the samples that could be read; hashes: of each one's content; looks: (N,) of LOOK
    tick: called now and then with how far the search for copies has come
    """
    alike = duplicates.find(hashes, image_stats, tick)
    found = [
        *files.check(dataset, image_stats),
        *quality.check(dataset, image_stats),
        *copies(dataset, hashes, alike),
        *labels.check(dataset, image_stats),
        *balance.check(dataset),
        *representative.check(dataset, image_stats),
    ]
    return Audit(dataset, image_stats, tuple(found), alike)


def copies(
    dataset: Dataset[Any], hashes: Sequence[str], alike: duplicates.Alike
) -> Iterator[Finding]:
    """Findings of pictures that occur more than once."""
    together: dict[int, list[int]] = defaultdict(list)
    for row, cluster in enumerate(alike.clusters.tolist()):
        together[cluster].append(row)
    for rows in together.values():
        if len(rows) < 2:
            continue
        exact = len({hashes[row] for row in rows}) == 1
        how = "the same picture" if exact else "nearly the same picture"
        splits = [split for split in SPLITS if any(dataset[row].split == split for row in rows)]
        ids = tuple(dataset[row].id for row in _one_a_part_first(dataset, rows))
        if len(splits) > 1:
            reason = f"{how} lies in {' and '.join(splits)}, so a score would partly be memory"
            yield Finding(
                "error", LEAK, ids, reason, "Keep all of them in one part.", score=len(rows)
            )
        else:
            check = "same picture twice" if exact else "nearly the same picture"
            reason = f"{how}, {len(rows)} times"
            yield Finding(
                "warning",
                check,
                ids,
                reason,
                "Keep one; the split keeps them together.",
                score=len(rows),
            )
        told = {label for row in rows if (label := _label(dataset, row)) is not None}
        if len(told) > 1:
            reason = f"{how} is labelled {' and '.join(sorted(told))}"
            yield Finding(
                "warning", "same picture, other label", ids, reason, "Decide which is right."
            )


def _one_a_part_first(dataset: Dataset[Any], rows: list[int]) -> list[int]:
    firsts = {dataset[row].split: row for row in reversed(rows)}
    return [*sorted(firsts.values()), *(row for row in rows if row not in firsts.values())]


def _label(dataset: Dataset[Any], row: int) -> str | None:
    """The classes of a sample, where it is what is in the picture as a whole that they tell."""
    target = dataset[row].target
    if target is None or target.per_pixel or not dataset.classes:
        return None
    return (
        ", ".join(dataset.classes[k] for k in target.present() if k < len(dataset.classes))
        or "nothing"
    )
