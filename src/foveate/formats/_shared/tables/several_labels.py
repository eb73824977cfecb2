"""The answer to images with several labels, which no task of foveate takes."""

from __future__ import annotations

from pathlib import Path

from foveate.errors import DataError

SEVERAL = (
    "foveate learns one label an image. Keep one label each; or make a table for each class with "
    "the labels yes and no, and train on each"
)


def several_labels(found: str, where: Path, line: int | None = None, hint: str = "") -> DataError:
    """Return the error for an image with several labels.

    Args:
        found: What was found.
        where: The file.
        line: Its line.
        hint: What else to do, as a sentence.
    """
    return DataError(
        f"one label an image is expected, got {found}",
        where=where,
        line=line,
        remedy=f"{SEVERAL}. {hint}".strip(),
    )
