"""The findings of an audit: one for each fault, with its samples, a reason and a remedy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from foveate.annotations import Problem

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""error: a metric would be wrong, or a target cannot be learnt; warning: look at it before you
trust a metric; note: good to know."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault.

    Attributes:
        severity: How much it matters.
        check: The name of the check, the same for all faults of a kind.
        ids: The samples concerned, the one to look at first; empty for the dataset as a whole.
        reason: What is expected, and what is there.
        remedy: What to do, in the imperative.
        rows: Rows of the annotation, if single boxes or instances are at fault.
        score: How bad it is, to sort the faults of one check.
    """

    severity: Severity
    check: str
    ids: tuple[str, ...]
    reason: str
    remedy: str
    rows: tuple[int, ...] = ()
    score: float = 0.0

    @classmethod
    def of(cls, problem: Problem, id: str) -> Finding:
        """Make a finding of a problem of one sample's annotation."""
        return cls(
            problem.severity,
            problem.check,
            (id,),
            problem.reason,
            problem.remedy,
            problem.rows,
            problem.score,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the finding as a JSON record."""
        return {**asdict(self), "ids": list(self.ids), "rows": list(self.rows)}


@dataclass(frozen=True, slots=True)
class FindingGroup:
    """All findings of one check.

    Attributes:
        severity: Of all of them.
        check: The name of the check.
        findings: The worst first.
    """

    severity: Severity
    check: str
    findings: tuple[Finding, ...]

    @property
    def samples(self) -> int:
        """Number of samples concerned."""
        return len({id for finding in self.findings for id in finding.ids})


def group_findings(findings: Sequence[Finding]) -> list[FindingGroup]:
    """Group findings by check: errors first, then by number of samples."""
    by_check: dict[tuple[Severity, str], list[Finding]] = {}
    for finding in findings:
        by_check.setdefault((finding.severity, finding.check), []).append(finding)
    groups = [
        FindingGroup(severity, check, tuple(sorted(members, key=lambda one: -one.score)))
        for (severity, check), members in by_check.items()
    ]
    return sorted(
        groups, key=lambda group: (SEVERITIES.index(group.severity), -group.samples, group.check)
    )
