"""Leaks: samples of one unit that the data's own splits put into several splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from foveate.data.dataset import SPLITS, Sample, SplitName
from foveate.errors import DataError
from foveate.wording import count_noun, list_some


@dataclass(frozen=True)
class Leak:
    """Samples of one unit that lie in several splits.

    Attributes:
        ids: The samples.
        splits: The splits that hold them.
        reason: Why they belong together.
    """

    ids: tuple[str, ...]
    splits: tuple[SplitName, ...]
    reason: str


def find(
    samples: Sequence[Sample[Any]],
    units: Sequence[Sequence[int]],
    assigned: Sequence[SplitName | None],
) -> list[Leak]:
    """The leaks.

    Args:
        samples: N samples.
        units: Rows of the samples that belong together.
        assigned: The split of each sample; None for no split.
    """
    leaks = []
    for unit in units:
        splits = tuple(split for split in SPLITS if any(assigned[row] == split for row in unit))
        if len(splits) > 1:
            groups = {samples[row].group for row in unit} - {None}
            reason = (
                f"group {sorted(map(str, groups))[0]}" if groups else "the same image, or nearly"
            )
            leaks.append(Leak(tuple(samples[row].id for row in unit), splits, reason))
    return leaks


def to_leave_out(
    leaks: Sequence[Leak], samples: Sequence[Sample[Any]], assigned: Sequence[SplitName | None]
) -> set[str]:
    """Ids of the samples without which nothing leaks.

    Each unit stays in test if it is there, else in valid, so that a published test split stays
    whole.
    """
    split_of = {sample.id: split for sample, split in zip(samples, assigned, strict=True)}
    return {id for leak in leaks for id in leak.ids if split_of[id] != leak.splits[-1]}


def describe_left_out(
    left_out: set[str], samples: Sequence[Sample[Any]], assigned: Sequence[SplitName | None]
) -> str:
    """A sentence on the samples that were left out."""
    rows = [
        (one, split) for one, split in zip(samples, assigned, strict=True) if one.id in left_out
    ]
    counts = [
        count_noun(sum(own == split for _, own in rows), f"{name} image")
        for split, name in (("train", "train"), ("valid", "validation"))
        if any(own == split for _, own in rows)
    ]
    verb = "is" if len(rows) == 1 else "are"
    return (
        f"{' and '.join(counts)} {verb} left out, because they belong with images of the splits "
        f"that measure: {list_some([one.id for one, _ in rows])}; split.csv lists them all"
    )


def error(
    leaks: Sequence[Leak], samples: Sequence[Sample[Any]], assigned: Sequence[SplitName | None]
) -> DataError:
    """The error for data that leaks, with examples and the ways to go on."""
    split_of = {sample.id: split for sample, split in zip(samples, assigned, strict=True)}
    examples = [
        f"{leak.reason}: " + ", ".join(f"{id} ({split_of[id]})" for id in leak.ids[:4])
        for leak in leaks[:5]
    ]
    more = [f"... and {len(leaks) - 5:,} more"] if len(leaks) > 5 else []
    subject = (
        "one image or group lies" if len(leaks) == 1 else f"{len(leaks):,} images or groups lie"
    )
    count = count_noun(len(to_leave_out(leaks, samples, assigned)), "image")
    return DataError(
        f"{subject} in more than one split, so a score would partly measure memory:",
        details=examples + more,
        options=(
            (f"Leave {count} out of train and valid; the test split stays whole", "--drop-leaks"),
            ("Go on with all of them; the record and the report will say so", "--allow-leak"),
        ),
    )
