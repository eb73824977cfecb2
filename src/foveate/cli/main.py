"""The entry point: registers the commands, and turns errors into messages.

Whatever is printed can hold names from the user's files, in which control characters are escaped:
by errors themselves, by the console, and here for usage errors, warnings and tracebacks.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from foveate.cli import (
    data,
    export,
    inference,
    lessons,
    lists,
    predict,
    serving,
    settings,
    shipped,
    training,
    trials,
)
from foveate.cli.shared_cores import let_waiting_threads_sleep
from foveate.errors import Cancelled, FoveateError, Interrupted, SettingError
from foveate.wording import escape_controls


class _Commands(TyperGroup):
    """The commands; a usage error, which repeats what was typed, is safe to print."""

    def make_context(self, *args: Any, **options: Any) -> Any:
        """Parse the options before the command."""
        with _safe_usage_errors():
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        """Parse the command's options and run it."""
        with _safe_usage_errors():
            return super().invoke(ctx)


class _Command(TyperCommand):
    """A command that takes one tracker: of two, the first would be ignored in silence.

    Of any other option the last value counts, as in a shell's alias that is overridden.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command's options."""
        if not ctx.resilient_parsing:  # of the shell's completion
            given = Counter(self.make_parser(ctx).parse_args(args=list(args))[2])
            if any(option.name == "log" and times > 1 for option, times in given.items()):
                raise SettingError("a run has one tracker, and two are given", where="--log")
        return super().parse_args(ctx, args)


@contextlib.contextmanager
def _safe_usage_errors() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if hasattr(error, "format_message"):  # click's; typer has a copy of click that is private
            error.message = _escape_lines(error.message)  # type: ignore[attr-defined]
        raise


SHARED = ("train", "test", "predict", "label", "audit")
"""Commands that the processes that torchrun starts share; rank 0 does the others alone."""

app = typer.Typer(
    name="foveate",
    cls=_Commands,
    help="Train a vision model on your images, and find out how far to believe it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        import foveate

        print(f"foveate {foveate.__version__}")
        raise typer.Exit()


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    pass


for command in (
    training.demo, training.train, training.test,
    trials.cross_validate, trials.tune,
    predict.predict, inference.generate, inference.label,
    export.export, serving.serve, shipped.card, shipped.pack, shipped.watch,
    training.report, training.compare,
    data.audit, data.split, data.convert,
    lessons.lesson,
    lists.formats, lists.models, lists.tasks, settings.settings, lists.datasets, lists.cache,
):  # fmt: skip
    app.command(cls=_Command)(command)


def main() -> None:
    """Run the command line.

    A user's mistake prints one message and exits with code 2; only a bug prints a traceback.
    """
    warnings.formatwarning = _format_warning
    for stream in (sys.stdout, sys.stderr):
        # File names need not be Unicode, and must be printable all the same.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    let_waiting_threads_sleep()
    several = int(os.environ.get("WORLD_SIZE") or "1") > 1
    if several and os.environ.get("RANK", "0") != "0":
        if sys.argv[1:2] not in ([name] for name in SHARED):
            sys.exit(0)
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - of several processes, one reports
    try:
        app()
    except FoveateError as error:
        print(f"error: {error.with_command(['foveate', *sys.argv[1:]])}", file=sys.stderr)
        sys.exit(2)
    except (Cancelled, Interrupted) as stop:
        print(str(stop), file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader of the output has gone, e.g. `foveate models | head`
        sys.stderr.close()
        sys.exit(0)
    except Exception:  # a bug
        print(_escape_lines(traceback.format_exc()), file=sys.stderr, end="")
        sys.exit(1)


_plain_warning = warnings.formatwarning


def _format_warning(
    message: Warning | str, category: type[Warning], filename: str, *place: Any, **line: Any
) -> str:
    text, file = escape_controls(str(message)), escape_controls(filename)
    return _plain_warning(text, category, file, *place, **line)


def _escape_lines(text: str) -> str:
    return "\n".join(map(escape_controls, text.split("\n")))
