"""How foveate reports its work to a person: in a terminal, in a file, in a notebook."""

from __future__ import annotations

import sys

from foveate import processes
from foveate.progress import NullReporter, Reporter


def choose_reporter(reporter: Reporter | None, *, progress: bool) -> Reporter:
    """The reporter of a function that is called from Python.

    Args:
        reporter: The caller's own, which is taken if there is one.
        progress: Whether the progress is shown, where there is none: in the notebook, or on stderr.
    """
    if reporter is not None:
        return reporter
    if not progress or not processes.is_main():
        return NullReporter()
    if in_notebook():
        from foveate.console.notebook import NotebookReporter

        return NotebookReporter()
    from rich.console import Console

    from foveate.console.terminal import TerminalReporter

    return TerminalReporter(
        Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)
    )


def in_notebook() -> bool:
    """Whether the code runs in a kernel of Jupyter (or Colab, or VS Code)."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None
