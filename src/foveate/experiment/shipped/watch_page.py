"""What `foveate watch` says: lines for the console, and a page without any image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from foveate.audit import drift
from foveate.audit.drift import Comparison
from foveate.audit.representative import MIN_IMAGES
from foveate.experiment.shipped.watch import (
    CLASSES,
    CONFIDENCE,
    FEATURES,
    OBJECTS,
    STATISTICS,
    Watched,
)
from foveate.outputs import html_kind
from foveate.report.page import write_html
from foveate.report.panels import Card, Note, Notes, Page, Panel, Table, Tone
from foveate.wording import count_noun, percent

KIND = html_kind("watch")
"""A page of `write_page`."""
HEADER = ["compared", "reference", "service", "difference", "by chance", "verdict"]
MAX_CLASSES = 100
"""Classes in the table of the page."""
_MEASURES = ("brightness", "contrast", "sharpness", "height", "width", "dark", "bright")
_ADVICE: Mapping[str, str] = {
    STATISTICS: "look at some of the images beside training images, and check camera, light and "
    "how the files are written",
    FEATURES: "label a sample of these images and measure the model on them; if it is worse, train "
    "with such images",
    CLASSES: "check by labelling a sample whether the classes really come in other shares; if so, "
    "read the metrics class by class",
    OBJECTS: "look at the images with the most and the fewest objects",
    CONFIDENCE: "label the least confident images first: foveate label IMAGES --with RUN --out DIR",
}


def rows(watched: Watched) -> list[list[str]]:
    """A row of text for each comparison, under HEADER."""
    return [
        [one.name, one.reference, one.service, one.size, _chance(one.p), _verdict(one, watched)]
        for one in watched.comparisons
    ]


def _chance(p: float) -> str:
    return f"{p:.1%}" if p >= 0.001 else "under 0.1%"


def _verdict(one: Comparison, watched: Watched) -> str:
    if one not in watched.changed:
        return "alike"
    return "changed" if one.large else "changed a little"


def headline(watched: Watched) -> tuple[str, Tone]:
    """What was found in a sentence, and how serious it is."""
    count, changed = count_noun(watched.service.count, "image"), watched.changed
    if watched.service.count < MIN_IMAGES:
        return f"{count} of service cannot tell yet: at least {MIN_IMAGES} are needed.", "plain"
    if not watched.comparisons:
        return f"{count} of service cannot be compared: the run has too few images.", "plain"
    if not changed:
        return f"Nothing speaks for a change in {count} of service.", "good"
    names = _listed([one.name for one in changed])
    tone: Tone = "bad" if any(one.large for one in changed) else "careful"
    return f"In {count} of service something has changed: {names}.", tone


def advice(watched: Watched) -> str:
    """What to do now, in a sentence."""
    if watched.service.count < MIN_IMAGES:
        return "Collect more images, and give the command again."
    if not watched.comparisons:
        return "Train on more images, so that the validation split has enough of them."
    if not watched.changed:
        return "Go on, and give the command again with the next images."
    first = watched.changed[0]
    small = "" if any(one.large for one in watched.changed) else " The change is small."
    return f"What to do: {_ADVICE[first.name]}.{small}"


def power(watched: Watched) -> str:
    """Which differences so many images show."""
    reference = len(np.unique(watched.reference.units))
    service = len(np.unique(watched.service.units))
    if watched.service.image_stats is None or not watched.comparisons:
        return ""
    auc = drift.detectable_auc(reference, service, len(watched.comparisons))
    found = f"a difference of an AUC from {auc:.2f} on is found in four of five cases"
    return f"With so many images {found if auc < 1 else 'only the plainest differences are found'}."


def notes(watched: Watched) -> list[str]:
    """What the user should know to read the comparisons."""
    texts = [*watched.service.notes, *watched.missing]
    if watched.reference.grouped:
        texts.append(
            "images of the data belong together in groups: new groups alone can look like a change"
        )
    if watched.comparisons:
        texts.append(
            f"if nothing has changed, something is reported in up to {drift.LEVEL:.0%} of the cases"
        )
    return [f"{text[:1].upper()}{text[1:]}." for text in texts]


def write_page(watched: Watched, path: Path, model: str) -> None:
    """Write the page. It holds numbers and class names, and no image.

    Args:
        watched: What was found.
        path: The file.
        model: Name of the model.
    """
    sentence, tone = headline(watched)
    panels: list[Panel] = []
    if watched.comparisons:
        panels.append(
            Table(
                "What was compared",
                "An AUC of 0.50 is chance: a simple classifier cannot tell images of service from "
                "the others; at 1.00 it always can. By chance: how often images of one kind would "
                f"differ that much. {power(watched)}",
                HEADER,
                rows(watched),
                len(HEADER),
            )
        )
    panels += [*_measures(watched), *_classes(watched)]
    listed = [Note("note", text, tone="plain") for text in notes(watched)]
    panels.append(Notes("How to read this", _READING, listed))
    write_html(
        Page(
            title=f"{model} · watch · foveate",
            subtitle=f"{model} · images of service",
            headline=sentence,
            verdict=advice(watched),
            tone=tone,
            cards=_cards(watched),
            panels=panels,
            kind="watch",
        ),
        path,
    )


_READING = (
    "A change is no proof that the model is worse, and without a change it can be: only labelled "
    "images tell. How images look is compared with the train split; features and predictions with "
    "the validation split, which the weights were not fitted to."
)


def _cards(watched: Watched) -> list[Card]:
    cards = [
        Card("images of service", f"{watched.service.count:,}"),
        Card("train images", f"{len(watched.reference.units):,}"),
        Card("validation images", f"{len(watched.reference.valid_units):,}"),
    ]
    both = watched.reference.predictions, watched.service.predictions
    if both[0] is not None and both[1] is not None and len(both[1].confidences):
        before = np.median(both[0].confidences) if len(both[0].confidences) else np.nan
        cards.append(
            Card(
                "median confidence",
                percent(np.median(both[1].confidences)),
                f"validation: {percent(before)}",
            )
        )
    return cards


def _medians(watched: Watched) -> list[list[str]]:
    """Statistic, its medians in train and service, and the distance; the largest first."""
    if watched.service.image_stats is None or not watched.service.count:
        return []
    from scipy.stats import ks_2samp

    table = []
    for name in _MEASURES:
        train, service = (
            one[name].astype(float)
            for one in (watched.reference.image_stats, watched.service.image_stats)
        )
        distance = ks_2samp(train, service, method="asymp").statistic
        medians = f"{np.median(train):.3g}", f"{np.median(service):.3g}"
        table.append((distance, [name, *medians, f"{distance:.2f}"]))
    return [row for _, row in sorted(table, key=lambda pair: -pair[0])]


def most_moved(watched: Watched) -> str:
    """The statistic that differs most, if the statistics of images have changed."""
    if STATISTICS not in [one.name for one in watched.changed]:
        return ""
    name, train, service, _ = _medians(watched)[0]
    return f"What differs most: {name}, a median of {service} where training images have {train}."


def _measures(watched: Watched) -> list[Panel]:
    """Medians of the statistics of images."""
    if not (table := _medians(watched)):
        return []
    return [
        Table(
            "How the images look",
            "Medians; the largest difference first. The distance of Kolmogorov and Smirnov is 0 "
            "for equal distributions and 1 for those that do not overlap. Brightness and contrast "
            "are grey values from 0 to 255; dark and bright are shares of such pixels.",
            ["statistic", "train", "service", "distance"],
            table,
        )
    ]


def _classes(watched: Watched) -> list[Panel]:
    """Shares of the predicted classes, those that moved most first."""
    both = watched.reference.predictions, watched.service.predictions
    if both[0] is None or both[1] is None or not len(both[1].amounts):
        return []
    shares = [one.amounts.sum(0) / max(one.amounts.sum(), 1e-12) for one in both if one]
    order = np.argsort(-np.abs(shares[0] - shares[1]), kind="stable")[:MAX_CLASSES]
    table: list[Sequence[Any]] = [
        [
            watched.classes[k],
            percent(shares[0][k]),
            percent(shares[1][k]),
            f"{100 * (shares[1][k] - shares[0][k]):+.1f}",
        ]
        for k in order
    ]
    return [
        Table(
            "Predicted classes",
            "The share of each class among all predictions; the class that moved most comes first.",
            ["class", "validation", "service", "points"],
            table,
        )
    ]


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def show(
    watched: Watched,
    table: Callable[[Sequence[str], Sequence[Sequence[str]]], None],
    line: Callable[[str], None],
) -> None:
    """Print what was found, and at the end what to do.

    Args:
        watched: What was found.
        table: Prints a table.
        line: Prints a line.
    """
    if watched.comparisons:
        table(HEADER, rows(watched))
        line("")
    for text in [*notes(watched), power(watched), most_moved(watched)]:
        if text:
            line(text)
    line("")
    line(headline(watched)[0])
    line(advice(watched))
