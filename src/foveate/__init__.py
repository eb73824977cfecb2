"""foveate: from images and a question to a trained vision model, and whether to believe it.

import foveate as fv

data = fv.load("flowers/")
run = fv.train(data, model="resnet18", minutes=5)
run.test()
run.predict("x.jpg").class_name
"""

from __future__ import annotations

# With underscores, as editors that read this file would offer them after `fv.`
import sys as _sys
import types as _types
import typing as _typing

if _typing.TYPE_CHECKING:
    __version__: str
    from foveate.annotations import Label as Label
    from foveate.data.dataset import Dataset as Dataset
    from foveate.data.dataset import Sample as Sample
    from foveate.datasets.load import load as load
    from foveate.errors import FoveateError as FoveateError
    from foveate.experiment.audit import audit as audit
    from foveate.experiment.compare import compare as compare
    from foveate.experiment.export.export import export as export
    from foveate.experiment.figures import show_samples as show_samples
    from foveate.experiment.run import Run as Run
    from foveate.experiment.run import predict as predict
    from foveate.experiment.run import resume as resume
    from foveate.experiment.run import test as test
    from foveate.experiment.trials.cross_validate import cross_validate as cross_validate
    from foveate.experiment.trials.ensemble import CrossValidation as CrossValidation
    from foveate.experiment.trials.seeds import SeedSpread as SeedSpread
    from foveate.experiment.trials.seeds import train_seeds as train_seeds
    from foveate.experiment.trials.tune import Tuning as Tuning
    from foveate.experiment.trials.tune import tune as tune
    from foveate.experiment.typed_train import train as train
    from foveate.inference.exported.model import ExportedModel as ExportedModel
    from foveate.tasks.presenters.prediction import Prediction as Prediction

_PUBLIC = {
    "CrossValidation": "foveate.experiment.trials.ensemble",
    "Dataset": "foveate.data.dataset",
    "ExportedModel": "foveate.inference.exported.model",
    "FoveateError": "foveate.errors",
    "Label": "foveate.annotations",
    "Prediction": "foveate.tasks.presenters.prediction",
    "Run": "foveate.experiment.run",
    "Sample": "foveate.data.dataset",
    "SeedSpread": "foveate.experiment.trials.seeds",
    "Tuning": "foveate.experiment.trials.tune",
    "audit": "foveate.experiment.audit",
    "compare": "foveate.experiment.compare",
    "cross_validate": "foveate.experiment.trials.cross_validate",
    "export": "foveate.experiment.export.export",
    "load": "foveate.datasets.load",
    "predict": "foveate.experiment.run",
    "resume": "foveate.experiment.run",
    "show_samples": "foveate.experiment.figures",
    "test": "foveate.experiment.run",
    "train": "foveate.experiment.typed_train",
    "train_seeds": "foveate.experiment.trials.seeds",
    "tune": "foveate.experiment.trials.tune",
}

__all__ = sorted(_PUBLIC)


class _Package(_types.ModuleType):
    """Keeps a public name, `foveate.audit`, from being replaced by the subpackage of that name."""

    def __setattr__(self, name: str, value: _typing.Any) -> None:
        if not (name in _PUBLIC and isinstance(value, _types.ModuleType)):
            super().__setattr__(name, value)


_sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> _typing.Any:
    """Import on first use: torch takes seconds, and `foveate --help` does not need it."""
    if name == "__version__":
        from importlib.metadata import version

        return version("foveate")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'foveate' has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_PUBLIC[name]), name)
    return value


def __dir__() -> list[str]:
    """The public names, for completion: not what this module imports for itself."""
    return [*__all__, "__version__"]
