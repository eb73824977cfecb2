"""The panels a report is made of. They know no task; each task fills them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from foveate.report.drawing import Colour
from foveate.report.overlays import Layer
from foveate.wording import percent

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
        total: A last row below all others, however they are sorted.
        sections: For each row the title of the panel that its first cell leads to; empty for none.
        tones: For each row the sign in its second column.
    """

    title: str
    text: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    text_columns: int = 1
    total: Sequence[str] = ()
    sections: Sequence[str] = ()
    tones: Sequence[Tone] = ()


@dataclass(frozen=True)
class ConfusionMatrix:
    """Counts of target classes (rows) against predicted classes (columns).

    Attributes:
        title: The heading of the panel.
        text: A sentence or two below the title.
        counts: Shape (K, K), int64.
        labels: The K class names.
        indices: The K indices of these classes, if they are some of all. A cell whose images are
            on the page, see `GalleryItem.cells`, shows them when it is pressed.
        counted: What is counted.
    """

    title: str
    text: str
    counts: NDArray[np.int64]
    labels: Sequence[str]
    indices: Sequence[int] = ()
    counted: Literal["image", "pixel"] = "image"


@dataclass(frozen=True)
class GalleryItem:
    """An image with a caption.

    Attributes:
        image: Shape (H, W, C), uint8.
        caption: The text below the image; it is also the alternative text.
        detail: A second line in smaller type.
        tone: The sign beside the caption; "plain" has none.
        layers: What is drawn over the image.
        kinds: What it shows an example of, to filter by, e.g. "missed".
        classes: Names of the classes concerned, to filter by.
        cells: Cells of the confusion matrix that it belongs to: target and predicted class.
    """

    image: NDArray[np.uint8]
    caption: str
    detail: str = ""
    tone: Tone = "plain"
    layers: Sequence[Layer] = ()
    kinds: Sequence[str] = ()
    classes: Sequence[str] = ()
    cells: Sequence[tuple[int, int]] = ()


@dataclass(frozen=True)
class Gallery:
    """Images side by side.

    Attributes:
        title: The heading of the panel.
        text: A sentence or two below the title.
        items: The images.
        large: Whether fewer are shown in a row, in more detail.
        legend: Names of colours.
        first: The number of images that are not folded away.
    """

    title: str
    text: str
    items: Sequence[GalleryItem]
    large: bool = False
    legend: Sequence[tuple[str, Colour]] = ()
    first: int = 24


@dataclass(frozen=True)
class ThresholdCounts:
    """What is predicted of one class at each confidence threshold.

    Attributes:
        name: The class.
        label: Its index.
        objects: The number of targets.
        threshold: The threshold that was chosen.
        predicted: (102,) predictions with a confidence of 0.00, 0.01, ..., 1.00 or more, and of
            the chosen threshold or more.
        correct: (102,) those of them that are correct.
    """

    name: str
    label: int
    objects: int
    threshold: float
    predicted: NDArray[np.int64]
    correct: NDArray[np.int64]


@dataclass(frozen=True)
class Thresholds:
    """Precision and recall by confidence threshold: a table, and a slider where scripts run.

    The slider also hides and shows the predictions that are drawn over images.

    Attributes:
        title: The heading of the panel.
        text: A sentence or two below the title.
        classes: All classes that occur, by index; totals are those of all of them.
    """

    title: str
    text: str
    classes: Sequence[ThresholdCounts]


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
        compared: Whether the highlighted bars are compared with it: a close-up shows it.
    """

    name: str
    value: float
    low: float
    high: float
    label: str
    highlighted: bool = False
    compared: bool = False


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
    """Commands or a file, shown verbatim.

    Attributes:
        title: The heading of the panel.
        text: A sentence or two below the title.
        code: What is shown.
        more_title: What the rest is; a click on it opens it.
        more: The rest, which is folded away.
    """

    title: str
    text: str
    code: str
    more_title: str = ""
    more: str = ""


Panel = Chart | Table | ConfusionMatrix | Gallery | Thresholds | Bars | Notes | Code


@dataclass(frozen=True)
class Card:
    """One metric in large type, with a detail such as its interval and its definition."""

    name: str
    value: str
    detail: str = ""
    definition: str = ""


@dataclass(frozen=True)
class Page:
    """A whole report.

    Attributes:
        title: The title of the browser window.
        subtitle: The line above the headline.
        headline: The verdict and the result in one sentence, two lines of a wide page at most.
        verdict: Why, or what to do, in a sentence.
        tone: The colour and sign of the verdict.
        context: What the result is to be read with, e.g. its interval.
        cards: The metrics below the verdict.
        panels: The sections of the page.
        kind: What the page reports on; with it foveate recognises the page as its own.
        reload_seconds: Seconds after which a browser reads the page again; None for never.
    """

    title: str
    subtitle: str
    headline: str
    verdict: str
    tone: Tone
    context: str = ""
    cards: Sequence[Card] = ()
    panels: Sequence[Panel] = ()
    kind: str = "run"
    reload_seconds: int | None = None


def share_bars(title: str, text: str, shares: Sequence[tuple[str, float]]) -> Bars:
    """Make a bar chart of names and shares from 0 to 1, without intervals."""
    return Bars(
        title,
        text,
        [Bar(name, share, math.nan, math.nan, percent(share), True) for name, share in shares],
    )
