"""What the tests of damaged run folders share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import foveate as fv
from foveate.experiment.verdict import conclusion


@pytest.fixture
def use(trained, colours: Path) -> Callable[[Path, str], Any]:
    """Do one thing with a run folder, as the command of that name does."""

    def predict(path: Path) -> Any:
        return fv.predict(path, colours / "red" / "000.png")

    def compare(path: Path) -> Any:
        return fv.compare([path, trained.path])

    def report(path: Path) -> Any:
        run = fv.Run.open(path)
        run.report()
        return conclusion(run, "valid")

    operations = {
        "predict": predict, "compare": compare, "report": report, "resume": fv.resume,
        "test": fv.test,
    }  # fmt: skip
    return lambda path, name: operations[name](path)
