"""A repaired copy of a dataset: faults are mended or left out, and every step is listed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Change
from foveate.audit import LEAK, Audit, rotation
from foveate.data.dataset import Dataset, Image, Sample, Source
from foveate.errors import DataError, SettingError
from foveate.ops.orientation import UPRIGHT
from foveate.wording import count_noun

MAX_LEFT_OUT = 1 / 3
"""Fraction of the images beyond which a repair leaves out too many to be one."""


@dataclass(frozen=True, slots=True)
class Repair:
    """One step of a repair.

    Attributes:
        id: The sample, or "" for the dataset.
        what: What was done, and why.
        before: What was changed, as it was.
        after: As it is now; "" if it was left out or removed.
    """

    id: str
    what: str
    before: str
    after: str = ""


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
_REENCODED = ("wrong extension", "rotated by EXIF", "unknown EXIF orientation")
_ROTATIONS = (rotation.AS_STORED, rotation.SIZE_AS_STORED)


def repair(audit: Audit, merge: Sequence[Sequence[str]] = ()) -> tuple[Dataset[Any], list[Repair]]:
    """Repair a dataset; the original stays as it is.

    Left out are samples that cannot be read or have no usable target, all but one of the duplicates
    within a split, and copies in another split than test (or than valid, if test has none). Changed
    are boxes and outlines beyond the image, swapped corners, shapes without area, pixels of unknown
    classes, annotations of images as stored that EXIF turns, and images with an EXIF orientation or
    a wrong extension, if a PNG of 8 bits can hold them. Near duplicates within a split stay: the
    split keeps them together.

    Args:
        audit: The dataset with its findings.
        merge: Groups of class names that are one class each; the most frequent name stays.

    Returns:
        The repaired dataset, and every step.

    Raises:
        SettingError: A name to merge is no class.
        DataError: No image, or less than two thirds of the images would be left.
    """
    rotations = tuple(one for one in audit.findings if one.check in _ROTATIONS)
    dataset = rotation.turned(audit.dataset, audit.image_stats, rotations)
    repairs = [Repair(s.id, f"left out: {s.reason}", "an image") for s in dataset.skipped]
    left_out = _left_out(audit)
    index, classes, merged = _merge_classes(dataset, merge)
    repairs += merged
    described = _descriptions(audit)
    turned = {id: one.check for one in rotations for id in one.ids}
    samples: list[Sample[Any]] = []
    sizes = zip(
        audit.image_stats["height"].tolist(), audit.image_stats["width"].tolist(), strict=True
    )
    for sample, (height, width) in zip(dataset, sizes, strict=True):
        target, changes = sample.target, list[Change]()
        if sample.id in turned:
            what = "annotation turned upright, as EXIF turns its image"
            if turned[sample.id] == rotation.SIZE_AS_STORED:
                what = "recorded size of the image corrected"
            before, after = f"{height} x {width} px, as stored", f"{width} x {height} px, upright"
            changes.append(Change(what, before, after))
        if target is not None and sample.id not in left_out:
            target, corrected = target.repair((height, width), index)
            changes += corrected
            if target is None:
                left_out[sample.id] = corrected[0].what
        if sample.id in left_out:
            repairs.append(Repair(sample.id, f"left out: {left_out[sample.id]}", "an image"))
            continue
        if sample.id in described:
            sample = replace(sample, source=ReencodedSource(sample.source))
            what = "the image was encoded again, upright, with the right extension"
            changes.append(Change(what, described[sample.id], "upright, extension of its format"))
        repairs += [Repair(sample.id, one.what, one.before, one.after) for one in changes]
        samples.append(replace(sample, target=target))
    _refuse_few(audit.dataset, len(samples), repairs)
    colours = dataset.colours and tuple(
        dataset.colours[dataset.classes.index(name)] for name in classes
    )
    repaired = replace(dataset, samples=samples, classes=classes, skipped=(), colours=colours)
    return repaired, repairs


def check_merge(dataset: Dataset[Any], merge: Sequence[Sequence[str]]) -> None:
    """Check groups of class names that are to be one class each.

    Raises:
        SettingError: A group has less than two names, a name is no class, or is named twice.
    """
    where = "--merge"
    for names in merge:
        if len(names) < 2:
            raise SettingError(
                f"two names of classes or more are expected, got {', '.join(names)!r}",
                where=where,
                remedy='Separate them by commas, and put a name with a comma into quotes: "a,b".',
            )
    for name, count in Counter(name for names in merge for name in names).items():
        if name not in dataset.classes or count > 1:
            got = f"{name!r} twice" if count > 1 else repr(name)
            raise SettingError(
                f"the name of a class is expected, each once, got {got}",
                where=where,
                remedy=f"Classes: {', '.join(map(repr, dataset.classes))}.",
            )


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


def _descriptions(audit: Audit) -> dict[str, str]:
    """The file of each sample that has to be encoded again, in a few words.

    Files of more than a PNG of 8 bits can hold stay as they are: deep ones, pages, and bands.
    """
    ids = {id for one in audit.findings if one.check in _REENCODED for id in one.ids}
    stats = audit.image_stats
    is_lossless = ~stats["deep"] & (stats["pages"] <= 1) & np.isin(stats["channels"], (1, 3))
    columns = (stats[name].tolist() for name in ("format", "orientation"))
    return {
        sample.id: format + ("" if turn == UPRIGHT else f", EXIF orientation {turn}")
        for sample, lossless, format, turn in zip(
            audit.dataset, is_lossless.tolist(), *columns, strict=True
        )
        if sample.id in ids and lossless
    }


def _merge_classes(
    dataset: Dataset[Any], merge: Sequence[Sequence[str]]
) -> tuple[NDArray[np.int64], tuple[str, ...], list[Repair]]:
    """Merge classes: (K,) new index of each class, the new names, and every step."""
    check_merge(dataset, merge)
    counts = Counter(
        k for sample in dataset if merge and sample.target for k in sample.target.present()
    )
    new_name = {name: name for name in dataset.classes}
    for names in merge:
        surviving = max(names, key=lambda name: counts[dataset.classes.index(name)])
        new_name.update(dict.fromkeys(names, surviving))
    names_left = tuple(name for name in dataset.classes if new_name[name] == name)
    index = np.array([names_left.index(new_name[name]) for name in dataset.classes], np.int64)
    steps = [
        Repair("", f"class merged ({count_noun(counts[k], 'image')})", name, new_name[name])
        for k, name in enumerate(dataset.classes)
        if new_name[name] != name
    ]
    return index, names_left, steps


def _refuse_few(dataset: Dataset[Any], left: int, repairs: Sequence[Repair]) -> None:
    """Raise DataError if a repair leaves nothing, or leaves out too much."""
    total = len(dataset) + len(dataset.skipped)
    if left and total - left <= MAX_LEFT_OUT * total:
        return
    reasons = Counter(
        one.what.split(" as ")[0] for one in repairs if one.what.startswith("left out: ")
    )
    raise DataError(
        "a repair that keeps two thirds of the images is expected, this one would leave out "
        f"{total - left:,} of {total:,}",
        where=str(dataset.origin or dataset.name),
        details=[
            f"{count_noun(count, 'image')} {reason}" for reason, count in reasons.most_common(10)
        ],
        remedy="Correct the cause in the data, or remove these images yourself.",
    )
