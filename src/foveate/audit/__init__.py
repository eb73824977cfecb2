"""Checks of a dataset before training: files, images, duplicates, labels, balance and splits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from foveate.audit import (
    balance,
    depth,
    duplicates,
    files,
    labels,
    quality,
    representative,
    rotation,
)
from foveate.audit.duplicates import DuplicateClusters
from foveate.audit.finding import Finding, FindingGroup, Severity, group_findings
from foveate.data.dataset import SPLITS, Dataset

__all__ = ["LEAK", "UNUSABLE", "Audit", "Finding", "FindingGroup", "audit"]

LEAK = "leak between splits"
"""The check of images that lie in several splits."""
UNUSABLE = files.UNUSABLE


@dataclass(frozen=True)
class Audit:
    """The result of an audit.

    Attributes:
        dataset: The readable samples; the others are in its `skipped`.
        image_stats: (N,) of IMAGE_STATS.
        findings: All findings, unordered; see `groups`.
        duplicates: Which images are copies of one another.
    """

    dataset: Dataset[Any]
    image_stats: NDArray[Any]
    findings: tuple[Finding, ...]
    duplicates: DuplicateClusters

    @property
    def groups(self) -> list[FindingGroup]:
        """The findings grouped by check, the most important group first."""
        return group_findings(self.findings)

    def count(self, severity: Severity) -> int:
        """Count the findings of a severity."""
        return sum(finding.severity == severity for finding in self.findings)

    @property
    def errors(self) -> list[Finding]:
        """The findings that make metrics wrong."""
        return [finding for finding in self.findings if finding.severity == "error"]


def audit(
    dataset: Dataset[Any],
    hashes: Sequence[str],
    image_stats: NDArray[Any],
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Audit:
    """Run all checks that need no trained network.

    Args:
        dataset: The readable samples.
        hashes: The content hash of each image.
        image_stats: (N,) of IMAGE_STATS.
        on_progress: Called with (searches done, searches in all) by the search for duplicates.
    """
    directed = duplicates.directed_classes(dataset)
    clusters = duplicates.find(hashes, image_stats, on_progress, directed)
    rotations = rotation.find(dataset, image_stats)
    # Boxes are checked as the repair would turn them: one fault is not reported three times.
    upright = rotation.turned(dataset, image_stats, rotations) if rotations else dataset
    findings = [
        *files.check(dataset, image_stats),
        *depth.check(dataset, image_stats),
        *quality.check(dataset, image_stats),
        *check_duplicates(dataset, hashes, clusters),
        *rotations,
        *labels.check(upright, image_stats),
        *balance.check(dataset),
        *representative.check(dataset, image_stats, clusters.clusters),
    ]
    return Audit(dataset, image_stats, tuple(findings), clusters)


def check_duplicates(
    dataset: Dataset[Any], hashes: Sequence[str], clusters: DuplicateClusters
) -> Iterator[Finding]:
    """Find images that occur more than once.

    Args:
        dataset: The readable samples.
        hashes: The content hash of each image.
        clusters: Which images are copies of one another.
    """
    rows_of: dict[int, list[int]] = defaultdict(list)
    for row, cluster in enumerate(clusters.clusters.tolist()):
        rows_of[cluster].append(row)
    changes_of: dict[int, set[str]] = defaultdict(set)
    for row, change in zip(clusters.pairs[:, 0].tolist(), clusters.changes, strict=True):
        changes_of[int(clusters.clusters[row])].update([change] if change else [])
    for cluster, rows in rows_of.items():
        if len(rows) < 2:
            continue
        exact = len({hashes[row] for row in rows}) == 1
        changes = " or ".join(sorted(changes_of[cluster]))
        same = "the same image" if exact else "nearly the same image"
        same += f", {changes}," if changes else ""
        splits = [split for split in SPLITS if any(dataset[row].split == split for row in rows)]
        ids = tuple(dataset[row].id for row in _one_of_each_split_first(dataset, rows))
        if len(splits) > 1:
            reason = f"{same} lies in {' and '.join(splits)}, so a score would measure memory"
            remedy = "Keep all of them in one split."
            yield Finding("error", LEAK, ids, reason, remedy, score=len(rows))
        else:
            check = "duplicate" if exact else "near duplicate"
            reason = f"{same.removesuffix(',')}, {len(rows)} times"
            remedy = "Keep one; the split keeps them together."
            yield Finding("warning", check, ids, reason, remedy, score=len(rows))
        labels_of_rows = {text for row in rows if (text := _label(dataset, row)) is not None}
        if len(labels_of_rows) > 1:
            reason = f"{same} is labelled {' and '.join(sorted(labels_of_rows))}"
            remedy = "Decide which is right."
            yield Finding("warning", "duplicate with another label", ids, reason, remedy)


def _one_of_each_split_first(dataset: Dataset[Any], rows: list[int]) -> list[int]:
    firsts = {dataset[row].split: row for row in reversed(rows)}
    return [*sorted(firsts.values()), *(row for row in rows if row not in firsts.values())]


def _label(dataset: Dataset[Any], row: int) -> str | None:
    """The classes of a sample in words, if they describe the image as a whole."""
    target = dataset[row].target
    if target is None or target.per_pixel or not dataset.classes:
        return None
    names = [dataset.classes[k] for k in target.present() if k < len(dataset.classes)]
    return ", ".join(names) or "nothing"
