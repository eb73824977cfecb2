"""The command that lists the settings."""

from __future__ import annotations

import textwrap
from typing import Annotated

import typer

from foveate.cli.console import ConsoleReporter

WIDTH = 80


def _setting_names() -> list[str]:
    from foveate.settings import Settings

    return list(Settings.model_fields)


def settings(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME...]", autocompletion=_setting_names, help="Only these settings."
        ),
    ] = None,
) -> None:
    """List the settings of a run, which --set NAME=VALUE changes."""
    from foveate.settings import Settings, check_setting_names, describe_values

    asked = [name.replace("-", "_") for name in names or []]
    check_setting_names(asked)
    reporter = ConsoleReporter()
    for name in asked or Settings.model_fields:
        field = Settings.model_fields[name]
        title = f"{name}: {describe_values(name)}; default {field.default!r}"
        meaning = textwrap.wrap(field.description or "", WIDTH - 4)
        for line in [*textwrap.wrap(title, WIDTH), *(f"    {line}" for line in meaning)]:
            reporter.info(line)
