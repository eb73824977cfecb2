"""The lessons: listed, opened in the browser, or written as pages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foveate.cli.console import ConsoleReporter
from foveate.errors import SettingError


def lesson(
    name: Annotated[str | None, typer.Argument(help="Which; without it they are listed.")] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write it as one page that needs no Python, instead.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--site", help="Write all of them, and an index, into this folder."),
    ] = None,
    no_open: Annotated[
        bool, typer.Option("--no-open", help="Serve it, but open no browser.")
    ] = False,
) -> None:
    """Open a lesson: why it works, on live numbers, with pictures that you move."""
    from foveate.lessons import site

    reporter = ConsoleReporter()
    if folder is not None:
        if name is not None or html is not None:
            raise SettingError(
                "--site writes all lessons, so it goes without a name and without --html",
                where="site",
            )
        site.write_site(folder, reporter.info)
    elif name is None:
        if html is not None:
            raise SettingError(
                "a lesson's name is expected beside --html",
                where="html",
                remedy="foveate lesson lists them.",
            )
        reporter.table(
            ("lesson", "", ""), [(one.name, one.title, one.summary) for one in site.list_lessons()]
        )
        reporter.info("\nopen one with: foveate lesson NAME")
    elif html is not None:
        site.write_page(site.find_lesson(name), html)
        reporter.info(str(html))
    else:
        site.serve(site.find_lesson(name), reporter.info, browser=not no_open)
