"""The report of an audit: lines of text for the console, and one HTML page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw

from foveate.audit import Audit, FindingGroup
from foveate.audit.data_panels import data_panels
from foveate.audit.deep_panels import deep_panels
from foveate.audit.feature_space import FeatureSpace
from foveate.audit.finding import SEVERITIES
from foveate.audit.label_errors import LabelErrors
from foveate.data.dataset import Dataset, Image
from foveate.errors import BadImage
from foveate.report.page import write_html
from foveate.report.panels import Card, Gallery, GalleryItem, Page, Panel, Table, Tone
from foveate.wording import count_noun

MAX_THUMBNAILS = 12
"""Findings of each check on the page."""
MAX_TABLE_ROWS = 30
"""Findings without an image on the page."""
SEVERITY_TONES: dict[str, Tone] = {"error": "bad", "warning": "careful", "note": "plain"}
"""The sign and colour of a severity."""
_MARK = (230, 40, 90)  # colour of boxes at fault


def summary_lines(audit: Audit) -> Iterator[str]:
    """A line for each check with findings, and an example of each; errors first."""
    dataset = audit.dataset
    images = count_noun(len(dataset), "image")
    of_classes = f" of {_classes(dataset)}" if dataset.classes else ""
    yield f"{dataset.name}: {images}{of_classes}, for {dataset.task}"
    yield from (f"! {note}" for note in dataset.notes)
    yield ""
    for group in audit.groups:
        count = count_noun(len(group.findings), group.severity)
        first = group.findings[0]
        ids = ", ".join(first.ids[:2])
        yield f"{count:>10} {_images(group):<14}  {group.check}: {first.remedy}"
        example = "e.g. " if len(group.findings) > 1 else ""
        yield f"{'':27}{example}{f'{ids}: ' if ids else ''}{first.reason}"
    if audit.groups:
        yield ""
    yield _verdict(audit)[0]


def description(audit: Audit) -> tuple[str, dict[str, str]]:
    """A title, and a fact for each check with findings; errors first."""
    facts = {
        f"{group.severity}: {group.check}": f"{len(group.findings):,} {_images(group)}".rstrip()
        + f". {group.findings[0].remedy}"
        for group in audit.groups
    }
    return f"Audit of {audit.dataset.name!r}: {_verdict(audit)[0]}", facts


def write_page(
    audit: Audit, label_errors: LabelErrors | None, space: FeatureSpace | None, path: Path
) -> None:
    """Write the findings as one HTML page, with thumbnails of the worst.

    Args:
        audit: The findings.
        label_errors: What probes say about the labels, in a deep audit.
        space: Where the images lie in feature space, in a deep audit.
        path: The page.
    """
    dataset, groups = audit.dataset, audit.groups
    headline, verdict, tone = _verdict(audit)
    rows = {sample.id: row for row, sample in enumerate(dataset)}
    panels: list[Panel] = [
        Table(
            "Findings",
            "Errors first. Each check leads to its worst examples. "
            "Error: metrics would be wrong. Warning: look at it first. Note: good to know. "
            "A finding can concern several images, as copies do, or the dataset as a whole."
            if groups
            else "Every check passed. What the data holds is shown below.",
            ["check", "severity", "findings", "what to do"],
            [
                [
                    group.check,
                    group.severity,
                    f"{len(group.findings):,} {_images(group)}",
                    group.findings[0].remedy,
                ]
                for group in groups
            ],
            4,
            sections=[_title(group) for group in groups],
            tones=[SEVERITY_TONES[group.severity] for group in groups],
        ),
        *(_gallery(group, dataset, rows) for group in groups),
    ]
    read = partial(_thumbnail, dataset, faulty=())
    if space is not None:
        panels += deep_panels(dataset, label_errors, space, read)
    panels += data_panels(dataset, audit.image_stats, space, read)
    counts = {"Images": len(dataset), "Skipped": len(dataset.skipped)}
    counts |= {f"{severity.capitalize()}s": audit.count(severity) for severity in SEVERITIES}
    classes = [_classes(dataset)] if dataset.classes else []
    page = Page(
        title=f"{dataset.name} · audit · foveate",
        subtitle=" · ".join([f"audit of {dataset.name}", *classes, dataset.task]),
        headline=headline,
        verdict=verdict,
        tone=tone,
        cards=[Card(name, f"{count:,}") for name, count in counts.items()],
        panels=panels,
        kind="audit",
    )
    write_html(page, path)


def _classes(dataset: Dataset[Any]) -> str:
    return count_noun(len(dataset.classes), "class", "classes")


def _verdict(audit: Audit) -> tuple[str, str, Tone]:
    """Headline, verdict and tone."""
    errors, warnings = audit.count("error"), audit.count("warning")
    notes = 0 if errors or warnings else audit.count("note")
    counts = [
        count_noun(count, name)
        for name, count in (("error", errors), ("warning", warnings), ("note", notes))
        if count
    ]
    images = count_noun(len(audit.dataset), "image")
    headline = f"{' and '.join(counts) or 'No fault'} in {images}."
    if errors:
        return (
            headline,
            "Repair the errors first: metrics on this data would not mean what they say.",
            "bad",
        )
    if warnings:
        return headline, "A model can be trained on it. Look at the warnings first.", "careful"
    nothing = "No error and no warning. " if notes else ""
    return headline, f"{nothing}A model can be trained on it.", "good"


def _title(group: FindingGroup) -> str:
    """The title of the section on a check."""
    return f"{group.check[0].upper()}{group.check[1:]}"


def _images(group: FindingGroup) -> str:
    """How many images a group concerns; "" for the dataset as a whole."""
    return f"in {count_noun(group.samples, 'image')}" if group.samples else ""


def _gallery(group: FindingGroup, dataset: Dataset[Any], rows: dict[str, int]) -> Panel:
    """Thumbnails of a group's worst findings, or a table if none has an image."""
    title = _title(group)
    items = []
    for finding in group.findings[:MAX_THUMBNAILS]:
        for id in finding.ids[:2]:
            image = _thumbnail(dataset, rows[id], finding.rows) if id in rows else None
            if image is not None:
                items.append(GalleryItem(image, id, finding.reason, SEVERITY_TONES[group.severity]))
    if items:
        return Gallery(title, _remedy(group, MAX_THUMBNAILS), items)
    table = [
        [", ".join(finding.ids[:3]) or "the dataset", finding.reason]
        for finding in group.findings[:MAX_TABLE_ROWS]
    ]
    return Table(title, _remedy(group, MAX_TABLE_ROWS), ["sample", "reason"], table, 2)


def _remedy(group: FindingGroup, max_shown: int) -> str:
    """What to do about a group, and how many of its findings are shown if not all."""
    count = len(group.findings)
    more = f" Of {count:,} findings, the worst {max_shown} are shown." if count > max_shown else ""
    return f"{group.findings[0].remedy}{more}"


def _thumbnail(dataset: Dataset[Any], row: int, faulty: Sequence[int]) -> Image | None:
    """The image with its faulty boxes drawn on it; None if it cannot be read any more."""
    sample = dataset[row]
    try:
        image = sample.source.read()
    except BadImage:
        return None
    boxes = sample.target.as_boxes() if faulty and sample.target is not None else None
    if boxes is None:
        return image
    rgb = np.repeat(image, 3, 2) if image.shape[2] == 1 else image[..., :3]
    canvas = Pillow.fromarray(np.ascontiguousarray(rgb))
    width = max(2, round(max(canvas.size) / 90))
    for index in faulty:
        left, top, right, bottom = boxes.corners[index]
        box = (min(left, right), min(top, bottom), max(left, right), max(top, bottom))
        ImageDraw.Draw(canvas).rectangle(box, outline=_MARK, width=width)
    return np.asarray(canvas)
