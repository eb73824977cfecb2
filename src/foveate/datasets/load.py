"""Loads any data: a folder, a file, a built-in dataset, or a published one by its name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foveate import formats
from foveate.data import task_views
from foveate.data.dataset import Dataset
from foveate.datasets import builtin, catalog, remote, shard_lists
from foveate.datasets.remote_shards import OverMachines, on_this_machine
from foveate.errors import DataError


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A dataset that is known by name.

    Attributes:
        name: Its name.
        summary: One line about it.
        where: Its folder, "built in", or None if it is not on this machine.
    """

    name: str
    summary: str
    where: Path | str | None


def load(
    data: str | Path | Dataset[Any],
    *,
    root: Path | None = None,
    download: bool = False,
    format: str | None = None,
    task: str | None = None,
    over_machines: OverMachines = on_this_machine,
) -> Dataset[Any]:
    """Load a dataset. Nothing is decoded yet; `load(dataset.origin)` gives the same data again.

    Args:
        data: A dataset, which is returned as it is; a path that exists; WebDataset shards by a
            pattern (`shard-{000..003}.tar`) or an address (`https://...`, `s3://...`, `file://...`);
            a built-in dataset (`digits`); or a published one (`mnist`, `fashion-mnist`,
            `cifar10`), which is searched for in root, FOVEATE_DATA, the user's data folder
            (~/.local/share/foveate) and /usr/share/datasets.
        root: A folder with published datasets.
        download: Fetch a published dataset that is not found, into the first of those folders.
        format: The format of the path, where it is ambiguous (see `foveate.formats`).
        task: The task that the path is read for, which chooses between formats that fit.
        over_machines: Has each machine of several fetch some of the shards at an address.

    Raises:
        DataError: If the data cannot be found or read.
        SettingError: If the data cannot serve the task.
    """
    if isinstance(data, Dataset):
        return data
    dataset = _load(data, root, download, format, task, over_machines)
    if task is not None:
        task_views.check_task(dataset, task)
    return dataset


def _load(
    data: str | Path,
    root: Path | None,
    download: bool,
    format: str | None,
    task: str | None,
    over_machines: OverMachines,
) -> Dataset[Any]:
    _check_given(data)
    data = remote.local_path(data) if isinstance(data, str) else data
    if shard_lists.is_shard_list(str(data)):
        return shard_lists.read(str(data), format, over_machines)
    path = formats.expand_user(data)
    if _exists(path):
        return catalog.with_metadata(formats.read(path, format, task))
    name = str(data)
    if name in builtin.all():
        return builtin.all()[name].read()
    if name in catalog.PUBLISHED:
        return catalog.read(catalog.PUBLISHED[name], root, download)
    raise _unknown(path)


def check_there(data: str) -> None:
    """Check that a path exists or a dataset of this name is known, before anything is read.

    Raises:
        DataError: There is none; the message names the nearest. Addresses are not opened.
    """
    _check_given(data)
    data = remote.local_path(data)
    path, named = formats.expand_user(data), data in builtin.all() or data in catalog.PUBLISHED
    if not (shard_lists.is_shard_list(data) or named or _exists(path)):
        raise _unknown(path)


def _check_given(data: str | Path) -> None:
    if not str(data).strip():
        raise DataError("a path or the name of a dataset is expected, got nothing", where="data")


def _unknown(path: Path) -> DataError:
    return formats.no_such_path(path, [*builtin.all(), *catalog.PUBLISHED])


def list_datasets(root: Path | None = None) -> list[CatalogEntry]:
    """List the datasets that are known by name, the built-in ones first."""
    built_in = [
        CatalogEntry(name, module.SUMMARY, "built in") for name, module in builtin.all().items()
    ]
    return built_in + [
        CatalogEntry(name, published.summary, catalog.find(published, root))
        for name, published in catalog.PUBLISHED.items()
    ]


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # it exists in a folder that may not be read: reading it reports that
        return True
