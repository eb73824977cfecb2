"""A repaired copy of a dataset: faults are mended or left out, and every step is listed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.audit import LEAK, Audit
from foveate.audit.labels import normalised_name
from foveate.data.dataset import Dataset, Image, Sample, Source


@dataclass(frozen=True, slots=True)
class Repair:
    """One step of a repair.

    Attributes:
        id: The sample, or "" for the dataset.
        what: What was done, and why.
    """

    id: str
    what: str


@dataclass(frozen=True, slots=True)
class ReencodedSource:
    """An image to be encoded again: upright, with the extension of its format.

    Attributes:
        source: The original.
    """

    source: Source

    def read(self) -> Image:
        """Decode the original, (H, W, C) uint8, upright."""
        return self.source.read()


LEFT_OUT = {
    "no annotation": "it has no annotation",
    "empty caption": "it has an empty caption",
    "mask cannot be read": "its mask cannot be read",
    "mask of another size": "its mask is of another size",
    "annotation of another size": "its annotation is of an image of another size",
    "duplicate with another label": "a copy of it has another label",
}
"""Checks whose samples are left out, with the reason."""


def repair(audit: Audit) -> tuple[Dataset[Any], list[Repair]]:
    """Repair a dataset; the original stays as it is.

    Left out are samples that cannot be read or have no usable target, all but one of the duplicates
    within a split, and copies in another split than test (or than valid, if test has none). Changed
    are boxes and outlines beyond the image, swapped corners, shapes without area, pixels of unknown
    classes, class names that differ by signs only, and images with an EXIF rotation or a wrong
    extension. Near duplicates within a split stay: the split keeps them together.

    Returns:
        The repaired dataset, and every step.
    """
    dataset = audit.dataset
    repairs = [Repair(s.id, f"left out: {s.reason}") for s in dataset.skipped]
    left_out = _left_out(audit)
    reencoded = {
        id
        for finding in audit.findings
        if finding.check in ("wrong extension", "rotated by EXIF")
        for id in finding.ids
    }
    index, classes, merged = _merge_classes(dataset.classes)
    repairs += [Repair("", change) for change in merged]
    samples: list[Sample[Any]] = []
    sizes = zip(
        audit.image_stats["height"].tolist(), audit.image_stats["width"].tolist(), strict=True
    )
    for sample, size in zip(dataset, sizes, strict=True):
        target, changes = sample.target, []
        if target is not None and sample.id not in left_out:
            target, changes = target.repair(size, index)
            if target is None:
                left_out[sample.id] = changes[0]
        if sample.id in left_out:
            repairs.append(Repair(sample.id, f"left out: {left_out[sample.id]}"))
            continue
        if sample.id in reencoded:
            sample = replace(sample, source=ReencodedSource(sample.source))
            changes = [*changes, "the image was encoded again, upright, with the right extension"]
        repairs += [Repair(sample.id, change) for change in changes]
        samples.append(replace(sample, target=target))
    colours = dataset.colours and tuple(
        dataset.colours[dataset.classes.index(name)] for name in classes
    )
    repaired = replace(dataset, samples=samples, classes=classes, skipped=(), colours=colours)
    return repaired, repairs


def _left_out(audit: Audit) -> dict[str, str]:
    """Sample id -> why it is left out."""
    left_out: dict[str, str] = {}
    split_of = {sample.id: sample.split for sample in audit.dataset}
    for finding in audit.findings:
        if finding.check in LEFT_OUT:
            left_out.update(dict.fromkeys(finding.ids, LEFT_OUT[finding.check]))
        elif finding.check == "duplicate":
            reason = f"it is the same image as {finding.ids[0]}"
            left_out.update(dict.fromkeys(finding.ids[1:], reason))
        elif finding.check == LEAK:
            chosen = "test" if any(split_of[id] == "test" for id in finding.ids) else "valid"
            reason = f"it is, or nearly is, an image of the {chosen} split"
            others = (id for id in finding.ids if split_of[id] != chosen)
            left_out.update(dict.fromkeys(others, reason))
    return left_out


def _merge_classes(
    classes: Sequence[str],
) -> tuple[NDArray[np.int64], tuple[str, ...], list[str]]:
    """Merge names of one class: (K,) new index of each class, the new names, and the changes."""
    first: dict[str, str] = {}
    for name in classes:
        first.setdefault(normalised_name(name), name)
    merged = [first[normalised_name(name)] for name in classes]
    changes = [
        f"class {old!r} became {new!r}"
        for old, new in zip(classes, merged, strict=True)
        if old != new
    ]
    names = tuple(first.values())
    return np.array([names.index(name) for name in merged], np.int64), names, changes
