"""Units: samples that stay together in a split, as copies of an image and one group do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Sequence
from typing import Any

from foveate.data.dataset import Sample

Units = list[list[int]]
"""Rows of the samples of each unit."""


def group_into_units(samples: Sequence[Sample[Any]], image_keys: Sequence[Hashable]) -> Units:
    """Group rows that share a group or an image, directly or through others (union-find)."""
    parent = list(range(len(samples)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    first: dict[tuple[str, Hashable], int] = {}
    for row, (sample, image_key) in enumerate(zip(samples, image_keys, strict=True)):
        links: list[tuple[str, Hashable]] = [("image", image_key)]
        if sample.group is not None:
            links.append(("group", sample.group))
        for link in links:
            parent[root(row)] = root(first.setdefault(link, row))
    units = defaultdict(list)
    for row in range(len(samples)):
        units[root(row)].append(row)
    return list(units.values())


def units_without(units: Units, samples: Sequence[Sample[Any]], left_out: Collection[str]) -> Units:
    """The units without the samples that are left out."""
    rest = ([row for row in unit if samples[row].id not in left_out] for unit in units)
    return [unit for unit in rest if unit]


def unit_numbers(units: Units, count: int) -> tuple[int, ...]:
    """The number of each sample's unit."""
    number_of = [0] * count
    for number, unit in enumerate(units):
        for row in unit:
            number_of[row] = number
    return tuple(number_of)
