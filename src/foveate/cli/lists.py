"""Commands that list formats, models, tasks, datasets and cache files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foveate.cli.console import ConsoleReporter
from foveate.errors import FoveateError


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

    rows = [(m.name, f"{m.min_size} px", m.summary, m.paper) for m in models.all()]
    ConsoleReporter().table(("model", "min size", "description", "paper"), sorted(rows))


def tasks() -> None:
    """List the tasks."""
    from foveate import tasks

    rows = [(t.name, t.primary_metric, t.description) for t in tasks.all().values()]
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
        [store.to_row(entry) for entry in entries],
    )
    total, limit = sum(entry.size for entry in entries), store.max_bytes()
    reporter.info("")
    reporter.info(
        f"{store.format_bytes(total)} of at most {store.format_bytes(limit)} used; "
        "set FOVEATE_CACHE_GB to change the limit"
    )
    reporter.info(f"in {folder}; set FOVEATE_CACHE to change the folder")
