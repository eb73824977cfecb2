"""The way in: all commands by name, and what a mistake looks like."""

from __future__ import annotations

import io
import sys

import typer

from foveate.cli import data, lessons, lists, runs
from foveate.errors import FoveateError, Interrupted

app = typer.Typer(
    name="foveate",
    help="From pictures and a question to a trained vision model, and a straight answer on whether to believe it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    runs.demo, runs.train, runs.test, runs.predict, runs.generate, runs.label, runs.report, runs.compare,
    data.audit, data.split, data.convert,
    lessons.lesson,
    lists.formats, lists.models, lists.tasks, lists.datasets, lists.cache,
):  # fmt: skip
    app.command()(command)


def main() -> None:
    """The entry point: one clear message and exit code 2 for the user's mistakes, a traceback only for ours."""
    for stream in (
        sys.stdout,
        sys.stderr,
    ):  # a file's name need not be Unicode, and is told all the same
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except FoveateError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except Interrupted as stop:
        print(str(stop), file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output has gone, e.g. `foveate models | head`
        sys.stderr.close()
        sys.exit(0)
