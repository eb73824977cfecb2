"""Which samples belong together, and when each was taken, read from their names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import PIL.Image

from foveate.data.dataset import Sample
from foveate.errors import DataError, SettingError

A = TypeVar("A")

_TAKEN = (0x9003, 0x0132)  # EXIF's DateTimeOriginal, and DateTime where that is missing
_EXIF_FOLDER = 0x8769


def grouped(samples: Sequence[Sample[A]], by: str) -> list[Sample[A]]:
    """The samples, each in the group that its id tells.

    by: "folder:N", the N-th folder of the id, from 1; or a regular expression, of which the first bracket (or the whole, where
        there is none) is the group's name
    Raises SettingError for what is neither, and DataError with examples where an id tells no group.
    """
    names = _told(samples, by, "group")
    return [replace(sample, group=name) for sample, name in zip(samples, names, strict=True)]


def timed(samples: Sequence[Sample[Any]], by: str) -> list[str]:
    """When each sample was taken, as text that sorts in time.

    by: "exif", the camera's own record; "data", what the data tells, as numbers or dates (ISO 8601); or a regular expression on the id, of
        which the first bracket is the time (numbers in it count as numbers)
    """
    if by == "data":
        times = _sortable([sample.time for sample in samples])
    elif by == "exif":
        times = [_taken(getattr(sample.source, "path", None)) for sample in samples]
    else:
        times = list(_told(samples, by, "time"))
    missing = [sample.id for sample, time in zip(samples, times, strict=True) if time is None]
    if missing:
        raise DataError(
            f"a time for each sample is expected, {len(missing):,} have none (such as {missing[0]})",
            remedy="Give the times in a column of a CSV, or by a regular expression on the names.",
        )
    return [re.sub(r"\d+", lambda number: number[0].zfill(20), str(time)) for time in times]


def _sortable(told: Sequence[str | None]) -> list[str | None]:
    """Their places in time, counted from 0: "9:05" and "5/1/2024" as text would sort wrongly. Raises DataError for what is
    neither a number nor a date.
    """
    for read in (float, datetime.fromisoformat):
        try:
            moments: list[Any] = [None if one is None else read(one.strip()) for one in told]
            order = {
                moment: place
                for place, moment in enumerate(sorted({m for m in moments if m is not None}))
            }
        except (ValueError, TypeError):  # TypeError: some dates tell their time zone and some don't
            continue
        return [None if moment is None else str(order[moment]) for moment in moments]
    example = next(one for one in told if one is not None)
    raise DataError(
        f"times that are all numbers or all dates as 2026-03-31 or 2026-03-31T10:00 are expected, got e.g. {example!r}",
        remedy="Write all of them in the same way, all with a time zone or none.",
    )


def _told(samples: Sequence[Sample[Any]], by: str, what: str) -> list[str]:
    if match := re.fullmatch(r"folder:(\d+)", by):
        level = int(match[1])
        names = [
            folders[level - 1] if 0 < level <= len(folders := s.id.split("/")[:-1]) else None
            for s in samples
        ]
    else:
        try:
            pattern = re.compile(by)
        except re.error as error:
            raise SettingError(
                f"folder:N or a regular expression is expected, got {by!r} ({error})",
                where=f"{what}_by",
            ) from None
        found = [pattern.search(sample.id) for sample in samples]
        names = [(match[1] if pattern.groups else match[0]) if match else None for match in found]
    without = [sample.id for sample, name in zip(samples, names, strict=True) if not name]
    if without:
        raise DataError(
            f"a {what} is expected in each name by {by!r}, {len(without):,} have none (such as {without[0]})",
            remedy="Change the expression so that it fits all names.",
        )
    return [str(name) for name in names]


def _taken(path: Path | None) -> str | None:
    """When a picture was taken, by its EXIF, or None."""
    if path is None:
        return None
    try:
        with PIL.Image.open(path, formats=("JPEG", "PNG", "TIFF", "WEBP")) as image:
            exif = image.getexif()
            told = exif.get_ifd(_EXIF_FOLDER).get(_TAKEN[0]) or exif.get(_TAKEN[1])
        return datetime.strptime(str(told).strip("\0 "), "%Y:%m:%d %H:%M:%S").isoformat()
    except (
        Exception
    ):  # damaged EXIF raises anything at all; a sample without a time is told by the caller
        return None
