"""The audit as a command: look at every picture and label once, tell what is wrong, and write it down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from foveate import atomic_io, formats
from foveate.annotations import boxes_of
from foveate.audit import Audit, FindingGroup, audit
from foveate.audit.finding import SEVERITIES
from foveate.audit.repair import Repair, repaired
from foveate.progress import Reporter
from foveate.data.cache import decoding
from foveate.data.dataset import Dataset, Image
from foveate.errors import BadImage
from foveate.report.page import write_html
from foveate.report.panels import Card, Gallery, GalleryItem, Page, Panel, Table, Tone

SHOWN = 12
"""Thumbnails of each check on the page, and rows of the deep lists."""
_LISTED = 30
_TONES: dict[str, Tone] = {"error": "bad", "warning": "careful", "note": "plain"}


@dataclass(frozen=True)
class AuditResult:
    """What the command found. deep: rows by doubt, where it was asked for."""

    audit: Audit
    kinds: list[FindingGroup]
    deep: Any = None


def look(
    dataset: Dataset[Any], reporter: Reporter, *, deep: bool = False, seed: int = 0
) -> AuditResult:
    """Audit a set. deep: also train nets to find labels that are probably wrong, which takes minutes."""
    with reporter.bar("looking at pictures", len(dataset)) as bar:
        tick = lambda done, _: bar(done)  # noqa: E731
        if deep:
            size = min(decoding.natural_size(dataset), 64)
            images = decoding.decode(dataset, max(size, 16), most_skipped=1.0, tick=tick)
        seen = images if deep else decoding.survey(dataset, tick=tick)
    found = audit(seen.dataset, seen.hashes, seen.image_stats)
    if not deep:
        return AuditResult(found, found.kinds)
    from foveate.audit.label_errors import find_label_errors, findings

    with reporter.bar("asking nets about each label", 1000) as bar:
        nets = find_label_errors(images, found.alike.clusters, seed=seed, tick=bar)
    whole = Audit(
        found.dataset,
        found.image_stats,
        (*found.findings, *findings(nets, found.dataset)),
        found.alike,
    )
    return AuditResult(whole, whole.kinds, nets)


def tell(audited: AuditResult, reporter: Reporter) -> None:
    """The summary: a line for each kind of fault, errors first."""
    found, dataset = audited.audit, audited.audit.dataset
    classes = (
        f" of {len(dataset.classes)} class{'es' * (len(dataset.classes) != 1)}"
        if dataset.classes
        else ""
    )
    reporter.info(f"{dataset.name}: {len(dataset):,} pictures{classes}, for {dataset.task}")
    for note in dataset.notes:
        reporter.warning(note)
    reporter.info("")
    for kind in audited.kinds:
        count, unit = (kind.samples, "sample") if kind.samples else (len(kind.findings), "time")
        many = f"{count:,} {unit}{'s' if count > 1 else ''}"
        reporter.info(f"{kind.severity:8} {many:>14}  {kind.check}: {kind.findings[0].remedy}")
        reporter.info(f"{'':25}e.g. {_example(kind)}")
    reporter.info("")
    reporter.info(_verdict(found)[0])


def _example(kind: FindingGroup) -> str:
    first = kind.findings[0]
    ids = ", ".join(first.ids[:2])
    return f"{ids}: {first.reason}" if ids else first.reason


def _verdict(found: Audit) -> tuple[str, str, Tone]:
    errors, warnings = found.count("error"), found.count("warning")
    told = " and ".join(
        f"{count:,} {name}{'s' if count > 1 else ''}"
        for name, count in (("error", errors), ("warning", warnings))
        if count
    )
    sentence = f"{told or 'No fault'} in {len(found.dataset):,} pictures."
    sentence = sentence[0].upper() + sentence[1:]
    if errors:
        return (
            sentence,
            "Repair the errors first: a figure from these data would not mean what it says.",
            "bad",
        )
    if warnings:
        return sentence, "It can be trained on. Look at the warnings.", "careful"
    return sentence, "Nothing stands against training on it.", "good"


def to_json(audited: AuditResult) -> dict[str, Any]:
    """Everything that was found, as a record for programs."""
    dataset = audited.audit.dataset
    record: dict[str, Any] = {
        "name": dataset.name,
        "origin": str(dataset.origin),
        "task": dataset.task,
        "classes": list(dataset.classes),
        "pictures": len(dataset),
        "notes": list(dataset.notes),
        "counts": [
            {"severity": k.severity, "check": k.check, "samples": k.samples} for k in audited.kinds
        ],
        "findings": [finding.to_json() for kind in audited.kinds for finding in kind.findings],
    }
    if audited.deep is not None:
        order = np.argsort(-audited.deep.doubt, kind="stable")
        record["labels_by_doubt"] = [
            {"id": dataset[int(row)].id, "doubt": round(float(audited.deep.doubt[row]), 4)}
            for row in order
        ]
        ambiguous = np.argsort(-audited.deep.ambiguous, kind="stable")
        record["ambiguous"] = [dataset[int(row)].id for row in ambiguous[:100]]
    return record


def fix(audited: AuditResult, place: Path, format: str | None = None) -> list[Repair]:
    """Write a repaired copy, in the data's own format or another one, and PLACE.repairs.csv beside it with a line for each."""
    import csv
    import io

    dataset, repairs = repaired(audited.audit)
    formats.find(format or dataset.format or "folder").write(dataset, place)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["sample", "repair"])
    table.writerows([repair.id, repair.what] for repair in repairs)
    # Beside the copy, not in it: there it would be taken for data.
    atomic_io.write_text(place.with_name(f"{place.name}.repairs.csv"), text.getvalue())
    return repairs


# --- the page


def write_page(audited: AuditResult, path: Path) -> None:
    """The findings as one HTML page, with thumbnails of the worst."""
    found, dataset = audited.audit, audited.audit.dataset
    sentence, verdict, tone = _verdict(found)
    rows = {sample.id: row for row, sample in enumerate(dataset)}
    panels: list[Panel] = [
        Table(
            "What was found",
            "Errors first. Each is shown below with the worst of its kind.",
            ["what", "severity", "what to do", "samples"],
            [
                [k.check, k.severity, k.findings[0].remedy, f"{k.samples:,}" if k.samples else "–"]
                for k in audited.kinds
            ],
            3,
        )
    ]
    panels += [_gallery(kind, dataset, rows) for kind in audited.kinds]
    if audited.deep is not None:
        panels += _deep(audited)
    cards = [Card("Pictures", f"{len(dataset):,}"), Card("Left out", f"{len(dataset.skipped):,}")]
    cards += [
        Card(f"{severity.capitalize()}s", f"{found.count(severity):,}") for severity in SEVERITIES
    ]
    page = Page(
        title=f"{dataset.name} · audit · foveate",
        subtitle=f"audit of {dataset.name} · {len(dataset.classes)} classes · {dataset.task}",
        headline=sentence,
        verdict=verdict,
        tone=tone,
        cards=cards,
        panels=panels,
    )
    write_html(page, path)


def _gallery(kind: FindingGroup, dataset: Dataset[Any], rows: dict[str, int]) -> Panel:
    title = f"{kind.check[0].upper()}{kind.check[1:]}"
    words = f"{kind.findings[0].remedy}" + (
        f" {len(kind.findings):,} in all, the first {SHOWN} are shown."
        if len(kind.findings) > SHOWN
        else ""
    )
    items = []
    for finding in kind.findings[:SHOWN]:
        for id in finding.ids[:2]:
            if id in rows and (image := _picture(dataset, rows[id], finding.rows)) is not None:
                items.append(GalleryItem(image, id, finding.reason, _TONES[kind.severity]))
    if items:
        return Gallery(title, words, items)
    table = [[", ".join(f.ids[:3]) or "the set", f.reason] for f in kind.findings[:_LISTED]]
    return Table(title, words, ["sample", "reason"], table, 2)


def _picture(dataset: Dataset[Any], row: int, marked: Sequence[int]) -> Image | None:
    """The picture, with the boxes at fault drawn in. None if it cannot be read any more."""
    from PIL import Image as Pillow
    from PIL import ImageDraw

    sample = dataset[row]
    try:
        image = sample.source.read()
    except BadImage:
        return None
    if not marked:
        return image
    boxes = boxes_of(sample.target)
    canvas = Pillow.fromarray(
        np.ascontiguousarray(np.repeat(image, 3, 2) if image.shape[2] == 1 else image[..., :3])
    )
    pen = max(2, round(max(canvas.size) / 90))
    for at in marked:
        left, top, right, bottom = boxes.corners[at]
        box = (min(left, right), min(top, bottom), max(left, right), max(top, bottom))
        ImageDraw.Draw(canvas).rectangle(box, outline=(230, 40, 90), width=pen)
    return np.asarray(canvas)


def _deep(audited: AuditResult) -> list[Panel]:
    dataset, deep = audited.audit.dataset, audited.deep

    def gallery(title: str, words: str, order: Any) -> Gallery:
        items = []
        for row in order[: 2 * SHOWN]:
            image = _picture(dataset, int(row), ())
            if image is not None:
                label = dataset.classes[deep.labels[row]]
                best = np.argsort(-deep.probabilities[row])[:2]
                told = ", ".join(
                    f"{dataset.classes[k]} {deep.probabilities[row, k]:.0%}" for k in best
                )
                items.append(
                    GalleryItem(image, f"labelled {label}", f"nets say {told} · {dataset[int(row)].id}")
                )
        return Gallery(title, words, items)

    return [
        gallery(
            "Labels most in doubt",
            "Each picture was shown to a net that had not been trained on it. Here another class was believed most against the "
            "label: wrong labels first, then what is hard.",
            np.argsort(-deep.doubt, kind="stable"),
        ),
        gallery(
            "Most ambiguous",
            "Two classes were nearly as likely. No label may be wrong; ask whether the classes are clear.",
            np.argsort(-deep.ambiguous, kind="stable"),
        ),
    ]
