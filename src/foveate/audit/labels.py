"""What is wrong with labels: classes that do not exist or are two names for one, masks that do not fit, empty words."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Boxes, Captions, Instances, Mask
from foveate.audit import boxes
from foveate.audit.finding import Finding
from foveate.data.dataset import Dataset, Sample
from foveate.errors import FoveateError


def check(dataset: Dataset[Any], image_stats: NDArray[Any]) -> Iterator[Finding]:
    """Findings of the truths and of the classes' names. looks: (N,) of LOOK."""
    yield from _names(dataset)
    if any(isinstance(sample.target, Boxes | Instances) for sample in dataset):
        yield from boxes.check(dataset, image_stats)
    if any(isinstance(sample.target, Mask) for sample in dataset):
        yield from _masks(dataset, image_stats)
    for sample in dataset:
        yield from of_one(sample, len(dataset.classes))
    yield from _unused(dataset)


def of_one(sample: Sample[Any], classes: int) -> Iterator[Finding]:
    """What makes one sample's truth unusable, whatever its picture is. classes: how many there are."""
    target = sample.target
    if target is None:
        yield Finding(
            "error",
            "no annotation",
            (sample.id,),
            "it has no annotation",
            "Annotate it or remove it.",
        )
        return
    if isinstance(target, Captions):
        if not target.texts or any(not text.strip() for text in target.texts):
            reason = "words are expected, got an empty caption"
            yield Finding("error", "empty caption", (sample.id,), reason, "Write one or remove it.")
        return
    if isinstance(target, Mask) and target.classes is None:
        return  # its pixels are read once, by _masks
    beyond = [k for k in target.present() if k >= classes]
    if beyond:
        reason = f"its label is class {beyond[0]}, but there are only {classes} classes"
        yield Finding(
            "error", "unknown class", (sample.id,), reason, "Correct it, or name the class."
        )


def _names(dataset: Dataset[Any]) -> Iterator[Finding]:
    alike: dict[str, list[str]] = defaultdict(list)
    for name in dataset.classes:
        alike["".join(c for c in name.casefold() if c.isalnum()) or name].append(name)
    for names in alike.values():
        if len(names) > 1:
            ks = {dataset.classes.index(name) for name in names}
            ids = [
                s.id
                for s in dataset
                if isinstance(s.target, Mask) is False and s.target and ks & set(s.target.present())
            ]
            yield Finding(
                "error",
                "two names for one class",
                tuple(ids[:1]),
                f"classes differ only by case, spaces or signs: {', '.join(map(repr, names))}",
                "Give them one name.",
            )


def _unused(dataset: Dataset[Any]) -> Iterator[Finding]:
    used: set[int] = set()
    for sample in dataset:
        if sample.target is not None and not (
            isinstance(sample.target, Mask) and sample.target.classes is None
        ):
            used.update(sample.target.present())
        elif isinstance(sample.target, Mask):
            return  # what its pixels hold is told by the balance
    for k, name in enumerate(dataset.classes):
        if k not in used:
            yield Finding(
                "note",
                "unused class",
                (),
                f"no sample has the class {name!r}",
                "Remove it, or add samples.",
            )


def _masks(dataset: Dataset[Any], image_stats: NDArray[Any]) -> Iterator[Finding]:
    def one(row: int) -> list[Finding]:
        return list(_mask(dataset[row], image_stats[row], len(dataset.classes)))

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # few, as each holds a whole mask
        for found in pool.map(
            one, [r for r in range(len(dataset)) if isinstance(dataset[r].target, Mask)]
        ):
            yield from found


def _mask(sample: Sample[Mask], look: NDArray[Any], classes: int) -> Iterator[Finding]:
    assert sample.target is not None
    try:
        values = sample.target.pixels.read()
    except FoveateError as error:
        yield Finding(
            "error",
            "mask cannot be read",
            (sample.id,),
            error.message,
            "Repair the file or remove it.",
        )
        return
    wanted = (int(look["height"]), int(look["width"]))
    if values.shape != wanted:
        reason = f"the mask has {values.shape[1]} x {values.shape[0]} px, the picture {wanted[1]} x {wanted[0]}"
        yield Finding(
            "error",
            "mask of another size",
            (sample.id,),
            reason,
            "Make it again from this picture.",
        )
    unknown = values >= classes
    if unknown.any():
        reason = f"{int(unknown.sum()):,} pixels have a value that is no class"
        remedy = "Add the value to classes.csv, or correct the mask."
        yield Finding(
            "error", "unknown class", (sample.id,), reason, remedy, score=float(unknown.mean())
        )
    if not (values >= 0).any():
        reason = "no pixel is labelled"
        yield Finding(
            "warning", "mask without a label", (sample.id,), reason, "Label it or remove it."
        )
    elif not np.any(values != values.flat[0]):
        reason = "all pixels are of one class"
        yield Finding("note", "mask of one class", (sample.id,), reason, "Check that this is so.")
