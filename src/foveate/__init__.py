"""foveate: from pictures and a question to a trained vision model, and a straight answer on whether to believe it.

import foveate as fv

data = fv.load("flowers/")
run = fv.train(data, model="resnet18", minutes=5)
run.test()
run.predict("x.jpg")
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

# Between two parallel regions torch's OpenMP threads spin, by default for milliseconds. Alone on a machine that is a fifth
# faster than sleeping; beside other work it burns the very cores that they wait for, and is twice as slow or worse
# (benchmarks/README.md). The setting is read once, when torch is imported, and changes no result.
if hasattr(os, "getloadavg") and os.getloadavg()[0] > 0.7 * (os.cpu_count() or 1):
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

if TYPE_CHECKING:
    from foveate.annotations import Label as Label
    from foveate.data.dataset import Dataset as Dataset
    from foveate.data.dataset import Sample as Sample
    from foveate.data.load import load as load
    from foveate.errors import FoveateError as FoveateError
    from foveate.experiment.pipeline import resume as resume
    from foveate.experiment.pipeline import train as train
    from foveate.experiment.run import Run as Run

_HOMES = {
    "Dataset": "foveate.data.dataset",
    "FoveateError": "foveate.errors",
    "Label": "foveate.annotations",
    "Run": "foveate.experiment.run",
    "Sample": "foveate.data.dataset",
    "load": "foveate.data.load",
    "resume": "foveate.experiment.pipeline",
    "train": "foveate.experiment.pipeline",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Import on first use: torch takes seconds, and `foveate --help` needs none of it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'foveate' has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
