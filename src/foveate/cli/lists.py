"""Commands that list what there is: formats, models, tasks, data sets, decoded pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foveate.cli.console import ConsoleReporter
from foveate.errors import FoveateError


def formats() -> None:
    """List the formats of labelled pictures that are read and written."""
    from foveate import formats

    rows = [(name, " ".join(one.TASKS), one.SUMMARY) for name, one in sorted(formats.all().items())]
    ConsoleReporter().table(("format", "for", ""), rows)


def models() -> None:
    """List the models."""
    from foveate import models

    ConsoleReporter().table(
        ("model", "smallest", "", "paper"),
        [(m.name, f"{m.smallest} px", m.summary, m.paper) for m in models.all()],
    )


def tasks() -> None:
    """List the tasks."""
    from foveate import tasks

    ConsoleReporter().table(
        ("task", "figure", ""),
        [(t.name, t.primary_metric, t.description) for t in tasks.all().values()],
    )


def datasets(
    root: Annotated[Path | None, typer.Option(help="Where to look first.")] = None,
) -> None:
    """List the data sets known by name, and where they are."""
    from foveate.data.load import catalogue

    rows = [(e.name, e.summary, str(e.where or "not here")) for e in catalogue(root)]
    ConsoleReporter().table(("name", "", "found"), rows)


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove all of them.")] = False,
) -> None:
    """List the decoded pictures that are kept for later runs."""
    from foveate.data.cache import store

    reporter, place = ConsoleReporter(), store.root()
    try:
        if clear:
            reporter.info(f"{store.in_words(store.clear())} freed in {place}")
            return
        kept = store.entries()
    except OSError as error:
        raise FoveateError(f"the cache cannot be used ({error.strerror})", where=place) from None
    if not kept:
        reporter.info(f"no decoded pictures are kept in {place}")
        return
    reporter.table(
        ("data", "pictures", "size", "takes", "last used"), [store.row(entry) for entry in kept]
    )
    total, most = sum(entry.size for entry in kept), store.most_bytes()
    reporter.info(
        f"\n{store.in_words(total)} of at most {store.in_words(most)}; FOVEATE_CACHE_GB changes that"
    )
    reporter.info(f"in {place}; FOVEATE_CACHE changes that")
