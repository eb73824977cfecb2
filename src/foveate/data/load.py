"""The one door to all data: a folder, a file, a built-in set, or a published one by its name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foveate import formats
from foveate.data import builtin, catalog
from foveate.data.dataset import Dataset
from foveate.errors import DataError


@dataclass(frozen=True, slots=True)
class Entry:
    """A set that is known by name.

    where: the folder it was found in, "built in", or None if it is not on this machine
    """

    name: str
    summary: str
    where: Path | str | None


def load(
    what: str | Path | Dataset[Any],
    *,
    root: Path | None = None,
    download: bool = False,
    format: str | None = None,
) -> Dataset[Any]:
    """The data that `what` says. Nothing is decoded yet.

    what: a dataset, which is returned as it is; a path that exists; a built-in set (`digits`); or a published
        one (`mnist`, `fashion-mnist`, `cifar10`), which is looked for under root, FOVEATE_DATA, the user's
        data folder (~/.local/share/foveate) and /usr/share/datasets
    root: a folder with published sets
    download: whether a published set that is not found may be fetched, into the first of those places
    format: what the path holds, where that cannot be told by looking (see foveate.formats)

    `load(dataset.origin)` gives the same data again. Raises DataError for what cannot be read.
    """
    if isinstance(what, Dataset):
        return what
    if not str(what).strip():
        raise DataError("a path or the name of a set is expected, got nothing", where="data")
    path = formats.expanded(what)
    if _exists(path):
        return catalog.dress(formats.read(path, format))
    name = str(what)
    if name in builtin.all():
        return builtin.all()[name].read()
    if name in catalog.NAMED:
        return catalog.read(catalog.NAMED[name], root, download)
    raise formats.missing(path, [*builtin.all(), *catalog.NAMED])


def catalogue(root: Path | None = None) -> list[Entry]:
    """The sets that are known by name, the built-in ones first."""
    inside = [Entry(name, one.SUMMARY, "built in") for name, one in builtin.all().items()]
    return inside + [
        Entry(name, one.summary, catalog.find(one, root)) for name, one in catalog.NAMED.items()
    ]


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # it exists, but lies where we may not look: reading it will say so
        return True
