"""The commands as a user types them, run in this process."""

from __future__ import annotations

import contextlib
import io
import sys

import pytest

from foveate.cli import main
from foveate.metrics import resampling


def run_cli(*words: object) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of a command line."""
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.setattr(sys, "argv", ["foveate", *map(str, words)])
        try:
            main.main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
    return code, out.getvalue(), err.getvalue()


def refused(*words: object) -> str:
    """The message of a command that must exit with code 2: one line, details indented."""
    code, _, err = run_cli(*words)
    assert code == 2, err
    error = err[err.index("error: ") :]
    assert all(line.startswith("  ") for line in error.splitlines()[1:]), error
    assert "Traceback" not in err
    return error


def hurry(patch: pytest.MonkeyPatch) -> None:
    """Compute intervals from few resamples, which otherwise dominate the time of tiny runs."""
    patch.setitem(resampling.resample.__kwdefaults__, "resamples", 40)
