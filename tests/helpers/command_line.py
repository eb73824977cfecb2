"""The commands as a user types them, run in this process."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from pathlib import Path

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


_WITHOUT_TORCH = """
import sys
for name in ("torch", "torchvision", "timm", "sklearn", "matplotlib", "safetensors"):
    sys.modules[name] = None  # importing it is an error
from foveate.cli.main import main
main()
"""


def run_without_torch(*words: object, cwd: Path | None = None) -> str:
    """The stdout of a command in a process in which torch cannot be imported; it must succeed."""
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TORCH, *map(str, words)],
        capture_output=True,
        text=True,
        cwd=cwd,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def hurry(patch: pytest.MonkeyPatch) -> None:
    """Compute intervals from few resamples, which otherwise dominate the time of tiny runs."""
    patch.setitem(resampling.resample.__kwdefaults__, "resamples", 40)
