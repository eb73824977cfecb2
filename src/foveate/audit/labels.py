"""Checks of targets and class names: unknown classes, two names for one, unfitting masks."""

from __future__ import annotations

import csv
import os
import shlex
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from typing import Any

from numpy.typing import NDArray

from foveate.audit import boxes
from foveate.audit.finding import Finding
from foveate.data.dataset import Dataset, Sample

TWO_NAMES = "two names for one class"
"""The check of class names that differ by case or spaces only."""


def check(dataset: Dataset[Any], image_stats: NDArray[Any]) -> Iterator[Finding]:
    """Findings about the targets and the class names.

    Args:
        dataset: The samples, whose images can be read.
        image_stats: (N,) records of IMAGE_STATS.
    """
    yield from _names(dataset)
    if any(sample.target is not None and sample.target.has_boxes for sample in dataset):
        yield from boxes.check(dataset, image_stats)
    yield from _in_images(dataset, image_stats)
    for sample in dataset:
        yield from check_target(sample, len(dataset.classes))
    yield from _unused(dataset)


def check_target(sample: Sample[Any], num_classes: int) -> Iterator[Finding]:
    """Faults that make a sample's target unusable, whatever its image looks like."""
    if sample.target is None:
        reason, remedy = "it has no annotation", "Annotate it or remove it."
        yield Finding("error", "no annotation", (sample.id,), reason, remedy)
        return
    for problem in sample.target.problems(num_classes):
        yield Finding.of(problem, sample.id)


def _in_images(dataset: Dataset[Any], image_stats: NDArray[Any]) -> Iterator[Finding]:
    """Faults of masks and outlines, whose pixels have to be read."""

    def check_one(row: int) -> list[Finding]:
        sample = dataset[row]
        assert sample.target is not None
        size = int(image_stats["height"][row]), int(image_stats["width"][row])
        problems = sample.target.image_problems(size, len(dataset.classes))
        return [Finding.of(problem, sample.id) for problem in problems]

    rows = [
        row
        for row, sample in enumerate(dataset)
        if sample.target is not None and (sample.target.per_pixel or sample.target.has_boxes)
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # few, as each holds a whole mask
        for findings in pool.map(check_one, rows):
            yield from findings


def normalised_name(name: str) -> str:
    """Return a class name without case and spaces: names that are then equal are one by mistake.

    Signs stay: CD4+ and CD4-, or C and C++, are different classes.
    """
    return "".join(name.casefold().split()) or name


def _names(dataset: Dataset[Any]) -> Iterator[Finding]:
    groups: dict[str, list[str]] = defaultdict(list)
    for name in dataset.classes:
        groups[normalised_name(name)].append(name)
    for names in groups.values():
        if len(names) > 1:
            ks = {dataset.classes.index(name) for name in names}
            ids = [
                s.id
                for s in dataset
                if s.target and not s.target.per_pixel and ks & set(s.target.present())
            ]
            reason = f"classes differ only by case or spaces: {', '.join(map(repr, names))}"
            remedy = f"Give them one name: foveate audit DATA --fix DST --merge {_quoted(names)}."
            yield Finding("error", TWO_NAMES, tuple(ids[:1]), reason, remedy)


def _quoted(names: list[str]) -> str:
    """The names as one argument of --merge, in quotes for a shell."""
    with StringIO() as line:
        csv.writer(line, lineterminator="").writerow(names)
        return shlex.quote(line.getvalue())


def _unused(dataset: Dataset[Any]) -> Iterator[Finding]:
    used: set[int] = set()
    for sample in dataset:
        if sample.target is None:
            continue
        if not sample.target.present_is_cheap:
            return  # the class balance reads the pixels anyway
        used.update(sample.target.present())
    for k, name in enumerate(dataset.classes):
        if k not in used:
            reason, remedy = f"no sample has the class {name!r}", "Remove it, or add samples."
            yield Finding("note", "unused class", (), reason, remedy)
