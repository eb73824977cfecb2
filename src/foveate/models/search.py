"""What `foveate tune` tries: ranges and choices of settings, which models and tasks declare."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SearchRange:
    """Numbers from low to high.

    Attributes:
        low: The smallest.
        high: The largest.
        log: Whether each factor counts the same, as for learning rates.
    """

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class SearchChoice:
    """One of a few values."""

    options: tuple[str, ...]


SearchSpace = dict[str, SearchRange | SearchChoice]
"""Name of a setting -> what is tried."""

AUGMENT = SearchChoice(("auto", "none", "strong"))
"""How images are augmented."""
