"""What an audit says: one finding a fault, with the samples it is in, the reason and the remedy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from foveate.annotations import Problem

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""error: a figure would be untrue, or an answer cannot be learnt; warning: look at it; note: good to know."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault.

    check: the kind of fault, in a few words; the same for all faults of a kind
    ids: the samples it is in, the one to look at first; empty if it is the set as a whole
    reason: what was expected and what was found
    remedy: what to do, in the imperative
    rows: of the annotation, where single boxes or things are at fault
    score: how bad, to put the worst first among those of a kind
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
        """The finding of one sample's problem."""
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
        """As a record for programs."""
        return {**asdict(self), "ids": list(self.ids), "rows": list(self.rows)}


@dataclass(frozen=True, slots=True)
class FindingGroup:
    """All findings of one check: what a person reads first."""

    severity: Severity
    check: str
    findings: tuple[Finding, ...]

    @property
    def samples(self) -> int:
        """How many samples it is in."""
        return len({id for finding in self.findings for id in finding.ids})


def kinds(findings: Sequence[Finding]) -> list[FindingGroup]:
    """The findings by check: errors first, then what is in most samples; within a check the worst first."""
    together: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        together.setdefault((finding.severity, finding.check), []).append(finding)
    made = [
        FindingGroup(
            found[0].severity, found[0].check, tuple(sorted(found, key=lambda f: -f.score))
        )
        for found in together.values()
    ]
    return sorted(
        made, key=lambda kind: (SEVERITIES.index(kind.severity), -kind.samples, kind.check)
    )
