"""The panels a report is made of. They know no task; each task fills them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Tone = Literal["good", "careful", "bad", "plain"]


@dataclass(frozen=True)
class LegendEntry:
    """A name in a legend and the mark beside it."""

    name: str
    mark: Literal["model", "other", "best", "dot", "gap"]


@dataclass(frozen=True)
class Plot:
    """One or more SVG drawings from `charts`.

    Attributes:
        svgs: The drawings, shown side by side where the page is wide enough.
        alt: A description for readers who cannot see them.
        legend: The entries of their common legend.
    """

    svgs: Sequence[str]
    alt: str
    legend: Sequence[LegendEntry] = ()


@dataclass(frozen=True)
class Chart:
    """A plot with a title."""

    title: str
    text: str
    plot: Plot


@dataclass(frozen=True)
class Table:
    """Rows of text.

    Attributes:
        title: The heading of the panel.
        text: A sentence or two below the title.
        header: The heading of each column.
        rows: The cells of each row.
        text_columns: The number of leading columns that hold text. The others hold numbers: they
            are aligned to the right, NaN becomes a dash, and a percentage gets a bar.
    """

    title: str
    text: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    text_columns: int = 1


@dataclass(frozen=True)
class ConfusionMatrix:
    """Counts of target classes (rows) against predicted classes (columns).

    Attributes:
        title: The heading of the panel.
        text: A sentence or two below the title.
        counts: Shape (K, K), int64.
        labels: The K class names.
    """

    title: str
    text: str
    counts: NDArray[np.int64]
    labels: Sequence[str]


@dataclass(frozen=True)
class GalleryItem:
    """An image with a caption.

    Attributes:
        image: Shape (H, W, C), uint8.
        caption: The text below the image; it is also the alternative text.
        detail: A second line in smaller type.
        tone: The sign beside the caption; "plain" has none.
    """

    image: NDArray[np.uint8]
    caption: str
    detail: str = ""
    tone: Tone = "plain"


@dataclass(frozen=True)
class Gallery:
    """Images side by side; `large` shows fewer in a row, in more detail."""

    title: str
    text: str
    items: Sequence[GalleryItem]
    large: bool = False


@dataclass(frozen=True)
class Bar:
    """One value of a bar chart.

    Attributes:
        name: The name beside the bar.
        value: The length of the bar, 0 or more.
        low: The lower end of the confidence interval, NaN without one.
        high: The upper end of the confidence interval, NaN without one.
        label: The value as text.
        highlighted: Whether the bar has the model's colour.
    """

    name: str
    value: float
    low: float
    high: float
    label: str
    highlighted: bool = False


@dataclass(frozen=True)
class Bars:
    """Bars on one scale from 0 to 1, or to the largest value if that is above 1.

    A close-up follows if other bars lie near a highlighted one.
    """

    title: str
    text: str
    bars: Sequence[Bar]


@dataclass(frozen=True)
class Note:
    """A paragraph with a name, and advice on what to do next."""

    name: str
    text: str
    advice: str = ""
    tone: Tone = "plain"


@dataclass(frozen=True)
class Notes:
    """A list of notes."""

    title: str
    text: str
    notes: Sequence[Note]


@dataclass(frozen=True)
class Code:
    """Commands or a file, shown verbatim."""

    title: str
    text: str
    code: str


Panel = Chart | Table | ConfusionMatrix | Gallery | Bars | Notes | Code


@dataclass(frozen=True)
class Card:
    """One metric in large type, with a detail such as its interval."""

    name: str
    value: str
    detail: str = ""


@dataclass(frozen=True)
class Page:
    """A whole report.

    Attributes:
        title: The title of the browser window.
        subtitle: The line above the headline.
        headline: The result in one sentence.
        verdict: Whether to believe the result, in a few words.
        tone: The colour and sign of the verdict.
        cards: The metrics below the verdict.
        panels: The sections of the page.
        kind: What the page reports on; with it foveate recognises the page as its own.
    """

    title: str
    subtitle: str
    headline: str
    verdict: str
    tone: Tone
    cards: Sequence[Card] = ()
    panels: Sequence[Panel] = ()
    kind: str = "run"


def share_bars(title: str, text: str, shares: Sequence[tuple[str, float]]) -> Bars:
    """Make a bar chart of names and shares from 0 to 1, without intervals."""
    return Bars(
        title,
        text,
        [Bar(name, share, math.nan, math.nan, f"{share:.1%}", True) for name, share in shares],
    )
