"""The lessons: listed, opened in the browser, or written as pages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foveate.cli.console import ConsoleReporter
from foveate.errors import SettingError


def lesson(
    name: Annotated[
        str | None, typer.Argument(help="Name of the lesson; without it, lessons are listed.")
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the lesson as a page that needs no Python."),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--site", metavar="DIR", help="Write all lessons and an index as pages."),
    ] = None,
    no_open: Annotated[
        bool, typer.Option("--no-open", help="Serve the lesson, but open no browser.")
    ] = False,
) -> None:
    """Open an interactive lesson in the browser."""
    from foveate.lessons import site

    reporter = ConsoleReporter()
    if folder is not None:
        if name is not None or html is not None:
            raise SettingError(
                "--site writes all lessons, so it takes no name and no --html", where="site"
            )
        site.write_site(folder, reporter.info)
    elif name is None:
        if html is not None:
            raise SettingError(
                "--html needs the name of a lesson",
                where="html",
                remedy="foveate lesson lists them.",
            )
        reporter.table(
            ("lesson", "title", "summary"),
            [(one.name, one.title, one.summary) for one in site.list_lessons()],
        )
        reporter.info("")
        reporter.info("Open one with: foveate lesson NAME")
    elif html is not None:
        site.write_page(site.find_lesson(name), html)
        reporter.info(str(html))
    else:
        site.serve(site.find_lesson(name), reporter.info, browser=not no_open)
