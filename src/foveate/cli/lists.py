"""Commands that list formats, models, tasks, datasets and cache files."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foveate.cli.console import ConsoleReporter
from foveate.errors import FoveateError

if TYPE_CHECKING:
    from foveate.data.cache.store import CacheEntry


def formats() -> None:
    """List the dataset formats, all of which are read, and which of them are written."""
    from foveate import formats

    rows = [
        (name, "yes" if name in formats.writers() else "no", " ".join(one.TASKS), one.SUMMARY)
        for name, one in sorted(formats.all().items())
    ]
    ConsoleReporter().table(("format", "written", "tasks", "description"), rows)


def models() -> None:
    """List the models."""
    from foveate import models

    rows = [(m.name, f"{m.min_size} px", m.summary, m.paper) for m in models.entries()]
    ConsoleReporter().table(("model", "min size", "description", "paper"), sorted(rows))


def tasks() -> None:
    """List the tasks."""
    from foveate import tasks

    rows = [(t.name, t.primary_metric, t.description) for t in tasks.entries().values()]
    ConsoleReporter().table(("task", "metric", "description"), rows)


def datasets(
    root: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder that is searched first.")
    ] = None,
) -> None:
    """List the known datasets, and where they are."""
    from foveate.datasets.load import list_datasets

    rows = [(e.name, e.summary, str(e.where or "not here")) for e in list_datasets(root)]
    ConsoleReporter().table(("dataset", "description", "location"), rows)


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove all cache files.")] = False,
) -> None:
    """List what earlier runs keep in the cache: images, features and converted nets."""
    from foveate.data.cache import store

    reporter, folder = ConsoleReporter(), store.root()
    try:
        if clear:
            reporter.info(f"{store.format_bytes(store.clear())} freed in {folder.parent}")
            return
        entries, computed = store.entries(), store.computed_files()
    except OSError as error:
        raise FoveateError(f"the cache cannot be used ({error.strerror})", where=folder) from None
    if computed:
        taken = store.format_bytes(sum(size for _, size in computed))
        names = " and ".join(store.COMPUTED)
        reporter.info(f"{taken} of features and converted nets in {folder.parent}: {names}")
    if not entries:
        reporter.info(f"no images are cached in {folder}")
        return
    reporter.table(
        ("dataset", "images", "size", "on disk", "last used"),
        [cache_row(entry) for entry in entries],
    )
    total, limit = sum(entry.size for entry in entries), store.max_bytes()
    reporter.info("")
    reporter.info(
        f"{store.format_bytes(total)} of at most {store.format_bytes(limit)} used; "
        "set FOVEATE_CACHE_GB to change the limit"
    )
    reporter.info(f"in {folder}; set FOVEATE_CACHE to change the folder")


def cache_row(entry: CacheEntry) -> tuple[str, ...]:
    """Describe a cache file in words: dataset, number of images, their size, bytes, last use."""
    from foveate.data.cache import store

    count, side = (
        ("", "") if entry.shape is None else (f"{entry.shape[0]:,}", f"{entry.shape[1]} px")
    )
    used = datetime.fromtimestamp(entry.used).strftime("%Y-%m-%d %H:%M")
    side = "no pixels" if side == "0 px" else side
    side += ", JPEG" * entry.path.stem.endswith("jpeg")
    return entry.data, count, side, store.format_bytes(entry.size), used
