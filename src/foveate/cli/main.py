"""The entry point: registers the commands, and turns errors into messages."""

from __future__ import annotations

import io
import sys

import typer

from foveate.cli import data, inference, lessons, lists, training
from foveate.errors import FoveateError, Interrupted

app = typer.Typer(
    name="foveate",
    help="Train a vision model on your images, and find out how far to believe it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    training.demo, training.train, training.test,
    inference.predict, inference.generate, inference.label,
    training.report, training.compare,
    data.audit, data.split, data.convert,
    lessons.lesson,
    lists.formats, lists.models, lists.tasks, lists.datasets, lists.cache,
):  # fmt: skip
    app.command()(command)


def main() -> None:
    """Run the command line.

    A user's mistake prints one message and exits with code 2; only a bug prints a traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        # File names need not be Unicode, and must be printable all the same.
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
    except BrokenPipeError:  # the reader of the output has gone, e.g. `foveate models | head`
        sys.stderr.close()
        sys.exit(0)
