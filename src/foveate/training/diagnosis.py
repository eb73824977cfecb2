"""What the curve doctor says of a run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Diagnosis:
    """One diagnosis.

    Attributes:
        name: In two or three words, e.g. "overfitting".
        text: What the curves show.
        advice: What to try.
        tone: How serious it is.
    """

    name: str
    text: str
    advice: str
    tone: Literal["good", "careful", "bad"]

    def to_json(self) -> dict[str, Any]:
        """The diagnosis as a record."""
        return asdict(self)


def unclear(text: str, advice: str) -> Diagnosis:
    """The verdict where the curves fit two others: a wrong one would cost more than none."""
    return Diagnosis("no clear verdict", text, advice, "careful")
