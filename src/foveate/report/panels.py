"""What a report is made of. The page knows these shapes and no task; a task fills them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Tone = Literal["good", "careful", "bad", "plain"]


@dataclass(frozen=True)
class Key:
    """A line of a legend: a name, and the mark it stands beside."""

    name: str
    mark: Literal["model", "other", "kept", "dot", "gap"]


@dataclass(frozen=True)
class Drawing:
    """What `charts` draws. svgs: set side by side where there is room; described: the same for those who can't see."""

    svgs: Sequence[str]
    described: str
    keys: Sequence[Key] = ()


@dataclass(frozen=True)
class Chart:
    """A drawing with a title."""

    title: str
    words: str
    drawing: Drawing


@dataclass(frozen=True)
class Table:
    """Rows of text. Columns from `numbers` on are figures: aligned to the right, NaN as a dash, shares with a bar."""

    title: str
    words: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: int = 1


@dataclass(frozen=True)
class Matrix:
    """Counts of truth (rows) against answer (columns), shaded by their share of the row."""

    title: str
    words: str
    counts: NDArray[np.int64]
    labels: Sequence[str]


@dataclass(frozen=True)
class Item:
    """A picture, (H, W, C) uint8, with a caption and a second, smaller one."""

    image: NDArray[np.uint8]
    caption: str
    small: str = ""
    tone: Tone = "plain"


@dataclass(frozen=True)
class Gallery:
    """Pictures side by side; large: fewer in a row, in which more can be seen."""

    title: str
    words: str
    items: Sequence[Item]
    large: bool = False


@dataclass(frozen=True)
class Bar:
    """A value of 0 or more with its interval (NaN where there is none). told: as text; model: in the model's colour."""

    name: str
    value: float
    low: float
    high: float
    told: str
    model: bool = False


@dataclass(frozen=True)
class Bars:
    """Values side by side on one scale from 0 to 1 (or to the largest), with a close-up where they lie near the model."""

    title: str
    words: str
    bars: Sequence[Bar]


@dataclass(frozen=True)
class Note:
    """A paragraph with a name, and what to do about it."""

    name: str
    words: str
    next: str = ""
    tone: Tone = "plain"


@dataclass(frozen=True)
class Notes:
    """Paragraphs."""

    title: str
    words: str
    notes: Sequence[Note]


@dataclass(frozen=True)
class Code:
    """Commands or a file, as they are."""

    title: str
    words: str
    text: str


Panel = Chart | Table | Matrix | Gallery | Bars | Notes | Code


@dataclass(frozen=True)
class Card:
    """One figure, large."""

    name: str
    value: str
    small: str = ""


@dataclass(frozen=True)
class Page:
    """A whole report. answer: the one sentence at the top; tone: whether to believe it, verdict: that in a word or two."""

    title: str
    subtitle: str
    headline: str
    verdict: str
    tone: Tone
    cards: Sequence[Card] = ()
    panels: Sequence[Panel] = field(default_factory=tuple)


def shares(title: str, words: str, rows: Sequence[tuple[str, float]]) -> Bars:
    """Bars of names and shares, without intervals."""
    return Bars(
        title,
        words,
        [Bar(name, value, math.nan, math.nan, f"{value:.1%}", True) for name, value in rows],
    )
