"""The group of each sample, and the time it was taken, read from names, EXIF or the data."""

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
from foveate.regular_file import open_regular

A = TypeVar("A")

_EXIF_FOLDER = 0x8769
_DATE_TIME_ORIGINAL, _DATE_TIME = 0x9003, 0x0132


def with_groups(samples: Sequence[Sample[A]], by: str) -> list[Sample[A]]:
    """Set the group of each sample from its id.

    Args:
        samples: The samples.
        by: "folder:N" for the N-th folder of the id, counted from 1; or a regular expression,
            whose first group (or whole match, if it has none) names the sample's group.

    Raises:
        SettingError: If `by` is neither.
        DataError: If an id does not match, with an example.
    """
    names = _extract(samples, by, "group")
    return [replace(sample, group=name) for sample, name in zip(samples, names, strict=True)]


def sample_times(samples: Sequence[Sample[Any]], by: str) -> list[str]:
    """Find when each sample was taken.

    Args:
        samples: The samples.
        by: "exif" for the camera's record; "data" for the `time` of the samples, as numbers or
            dates (ISO 8601); or a regular expression on the id, whose first group is the time
            (digits in it count as numbers).

    Returns:
        Texts that sort by time.

    Raises:
        SettingError: If `by` is no regular expression.
        DataError: If a sample has no time, or the times cannot be compared.
    """
    if by == "data":
        times = _ranks([sample.time for sample in samples])
    elif by == "exif":
        times = [_exif_time(getattr(sample.source, "path", None)) for sample in samples]
    else:
        times = list(_extract(samples, by, "time"))
    missing = [sample.id for sample, time in zip(samples, times, strict=True) if time is None]
    if missing:
        raise DataError(
            f"a time for each sample is expected, {len(missing):,} have none "
            f"(such as {missing[0]})",
            remedy="Give the times in a column of a CSV, or by a regular expression on the names.",
        )
    return [re.sub(r"\d+", lambda number: number[0].zfill(20), str(time)) for time in times]


def _ranks(texts: Sequence[str | None]) -> list[str | None]:
    """The rank of each time, from 0: as text, "9:05" and "5/1/2024" would sort wrongly."""
    for parse in (float, datetime.fromisoformat):
        try:
            times: list[Any] = [None if text is None else parse(text.strip()) for text in texts]
            distinct = sorted({time for time in times if time is not None})
        except (ValueError, TypeError):  # TypeError: only some dates have a time zone
            continue
        ranks = {time: rank for rank, time in enumerate(distinct)}
        return [None if time is None else str(ranks[time]) for time in times]
    example = next(text for text in texts if text is not None)
    raise DataError(
        "times that are all numbers or all dates as 2026-03-31 or 2026-03-31T10:00 are expected, "
        f"got e.g. {example!r}",
        remedy="Write all of them in the same way, all with a time zone or none.",
    )


def _extract(samples: Sequence[Sample[Any]], by: str, field: str) -> list[str]:
    if match := re.fullmatch(r"folder:(\d+)", by):
        names = [_folder(sample.id, int(match[1])) for sample in samples]
    else:
        try:
            pattern = re.compile(by)
        except re.error as error:
            raise SettingError(
                f"folder:N or a regular expression is expected, got {by!r} ({error})",
                where=f"{field}_by",
            ) from None
        matches = [pattern.search(sample.id) for sample in samples]
        names = [(match[1] if pattern.groups else match[0]) if match else None for match in matches]
    missing = [sample.id for sample, name in zip(samples, names, strict=True) if not name]
    if missing:
        raise DataError(
            f"a {field} is expected in each name by {by!r}, {len(missing):,} have none "
            f"(such as {missing[0]})",
            remedy="Change the expression so that it fits all names.",
        )
    return [str(name) for name in names]


def _folder(id: str, level: int) -> str | None:
    folders = id.split("/")[:-1]
    return folders[level - 1] if 0 < level <= len(folders) else None


def _exif_time(path: Path | None) -> str | None:
    """When an image was taken, by its EXIF block, or None."""
    if path is None:
        return None
    try:
        with (
            open_regular(path) as file,
            PIL.Image.open(file, formats=("JPEG", "PNG", "TIFF", "WEBP")) as image,
        ):
            exif = image.getexif()
            text = exif.get_ifd(_EXIF_FOLDER).get(_DATE_TIME_ORIGINAL) or exif.get(_DATE_TIME)
        return datetime.strptime(str(text).strip("\0 "), "%Y:%m:%d %H:%M:%S").isoformat()
    except Exception:  # damaged EXIF raises anything; the caller reports samples without a time
        return None
