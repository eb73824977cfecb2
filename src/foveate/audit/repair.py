"""A repaired set: what can be put right is, what cannot is left out, and each step is listed. The original stays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.audit import LEAK, Audit
from foveate.data.dataset import Dataset, Image, Sample, Source


@dataclass(frozen=True, slots=True)
class Repair:
    """What was done to a sample, and why."""

    id: str
    what: str


@dataclass(frozen=True, slots=True)
class ReencodedSource:
    """A picture as it is read, to be written anew: upright, with the ending that its content has."""

    source: Source

    def read(self) -> Image:
        return self.source.read()


LEFT_OUT = {
    "no annotation": "it has none",
    "empty caption": "it has an empty caption",
    "mask cannot be read": "its mask cannot be read",
    "mask of another size": "its mask is of another size",
    "annotation of another size": "its annotation is of a picture of another size",
    "same picture, other label": "a copy of it has another label",
}
"""Faults for which a sample is left out."""


def repaired(audit: Audit) -> tuple[Dataset[Any], list[Repair]]:
    """The data without the faults that can be repaired, and what was done.

    Left out: what cannot be read or has no usable truth; copies of a picture within a part, but for one; of a picture in several
    parts, those in train (in valid, if only test is left). Changed: boxes and outlines cut at the edge, corners put in order,
    those without area removed, pixels of unknown classes ignored, names that differ by signs only made one, pictures that
    lie on their side or have a wrong ending drawn anew. Near copies within one part stay: they are warned of, and the split
    keeps them together.
    """
    dataset, repairs = (
        audit.dataset,
        [Repair(s.id, f"left out: {s.reason}") for s in audit.dataset.skipped],
    )
    gone = _gone(audit)
    anew = {
        i for f in audit.findings if f.check in ("wrong ending", "turned by EXIF") for i in f.ids
    }
    index, classes, merged = _merged(dataset)
    repairs += [Repair("", text) for text in merged]
    kept: list[Sample[Any]] = []
    for sample, height, width in zip(dataset, *_sizes(audit), strict=True):
        target, changes = sample.target, []
        if target is not None and sample.id not in gone:
            target, changes = target.repair((height, width), index)
            if target is None:
                gone[sample.id] = changes[0]
        if sample.id in gone:
            repairs.append(Repair(sample.id, f"left out: {gone[sample.id]}"))
            continue
        repairs += [Repair(sample.id, what) for what in changes]
        if sample.id in anew:
            sample = replace(sample, source=ReencodedSource(sample.source))
            repairs.append(
                Repair(sample.id, "the picture was drawn anew, upright, with the right ending")
            )
        kept.append(replace(sample, target=target))
    colours = dataset.colours and tuple(
        dataset.colours[dataset.classes.index(name)] for name in classes
    )
    return replace(dataset, samples=kept, classes=classes, skipped=(), colours=colours), repairs


def _sizes(audit: Audit) -> tuple[list[int], list[int]]:
    return audit.image_stats["height"].tolist(), audit.image_stats["width"].tolist()


def _gone(audit: Audit) -> dict[str, str]:
    """Sample id -> why it is left out."""
    gone: dict[str, str] = {}
    part_of = {sample.id: sample.split for sample in audit.dataset}
    for finding in audit.findings:
        if finding.check in LEFT_OUT:
            gone.update(dict.fromkeys(finding.ids, LEFT_OUT[finding.check]))
        elif finding.check == "same picture twice":
            gone.update(
                dict.fromkeys(finding.ids[1:], f"it is the same picture as {finding.ids[0]}")
            )
        elif finding.check == LEAK:
            kept = "test" if any(part_of[id] == "test" for id in finding.ids) else "valid"
            reason = f"it is, or nearly is, a picture of the {kept} part"
            gone.update(dict.fromkeys((id for id in finding.ids if part_of[id] != kept), reason))
    return gone


def _merged(dataset: Dataset[Any]) -> tuple[NDArray[np.int64], tuple[str, ...], list[str]]:
    """(K,) the new index of each class, the names that are left, and what was done."""
    first: dict[str, str] = {}
    for name in dataset.classes:
        first.setdefault("".join(c for c in name.casefold() if c.isalnum()) or name, name)
    left = tuple(first.values())
    named = [
        first["".join(c for c in name.casefold() if c.isalnum()) or name]
        for name in dataset.classes
    ]
    told = [
        f"class {old!r} became {new!r}"
        for old, new in zip(dataset.classes, named, strict=True)
        if old != new
    ]
    return np.array([left.index(name) for name in named], np.int64), left, told
