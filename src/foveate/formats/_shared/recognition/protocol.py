"""What a module of this folder has to offer to be a format."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from foveate.data.dataset import Dataset


class Format(Protocol):
    """The interface of a format module.

    A module may offer more functions. `read_task(path, task)` reads the annotations of one of its
    tasks. Three are for messages: `describe(path) -> str`, one line on what it would read at a path
    that it recognises, and by which evidence; `missing(path) -> str | None`, what a path lacks that
    it does not recognise, None if the path is far from this format; and
    `question(path) -> DataError | None`, what the user has to answer before it can be recognised.

    Attributes:
        NAME: The name of the format.
        SUMMARY: How such a dataset is laid out on disk, in one line.
        TASKS: The tasks whose annotations the format can store.
    """

    NAME: str
    SUMMARY: str
    TASKS: tuple[str, ...]

    def sniff(self, path: Path) -> bool:
        """Return whether the data at a path looks like this format.

        It is cheap and never raises; it returns False if nothing can be read.
        """
        ...

    def read(self, path: Path) -> Dataset[Any]:
        """Read a dataset without decoding its images.

        Raises:
            DataError: If the data cannot be understood; the error names the file and, where there
                is one, the line.
        """
        ...


class WritableFormat(Format, Protocol):
    """A format that foveate writes, too; it has a function `write`."""

    def write(self, dataset: Dataset[Any], path: Path) -> None:
        """Write a dataset into a new folder, whole or not at all.

        Raises:
            DataError: If something exists at the path, or if the format cannot store the dataset;
                the error lists everything that it cannot store.
        """
        ...
