"""Trackers of experiments: they get what a run records, for people who follow many runs there.

The run folder remains the record. A tracker that fails is left out with a warning, and the training
goes on. Nothing leaves the machine unless the tracker is set up for it (`MLFLOW_TRACKING_URI`,
`WANDB_API_KEY`).
"""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Mapping
from typing import Any

from foveate import atomic_io, record_io
from foveate.errors import SettingError, StorageError
from foveate.experiment.run_folder import RunFolder
from foveate.experiment.trackers.tracker import Tracker
from foveate.progress import Reporter, TrainingProgress
from foveate.settings import Settings

RECORD = "tracker.json"
"""Which run of the tracker a run folder belongs to."""
_MAX_RECORD_BYTES = 100_000
_LIBRARIES = {"tensorboard": "tensorboard", "mlflow": "mlflow", "wandb": "wandb"}
_ARTIFACTS = ("report.html", "config.yaml", "results.json", "curves.csv")
_CURVES = ("train_", "valid_", "lr")


def check(settings: Settings) -> None:
    """Check before any work that the tracker of a run is installed.

    Raises:
        SettingError: It is not.
    """
    if settings.log is None or importlib.util.find_spec(_LIBRARIES[settings.log]) is not None:
        return
    raise SettingError(
        f"{settings.log} is not installed",
        where="log",
        remedy=f"pip install 'foveate[{settings.log}]'",
    )


def refuse(settings: Settings) -> None:
    """Refuse a tracker where many runs are trained.

    Raises:
        SettingError: There is one.
    """
    if settings.log is not None:
        raise SettingError(
            f"{settings.log} logs single runs, and here many are trained",
            where="log",
            remedy="Leave it out; the report of all runs compares them.",
        )


class Tracked:
    """The run of a tracker that belongs to a run folder; a watcher, see `watchers`.

    Args:
        run: The run.
        reporter: Warned if the tracker fails.
    """

    def __init__(self, run: RunFolder, reporter: Reporter):
        self.run, self.reporter = run, reporter
        self._tracker: Tracker | None = None
        self._failed = run.settings.log is None

    def validated(self, progress: TrainingProgress) -> None:
        """Log the new row of the curves; the first time, open the tracker's run."""
        row = progress.rows[-1]
        values = {key: value for key, value in row.items() if key.startswith(_CURVES)}
        self._do(lambda one: one.log(int(row["step"]), finite(values)), int(row["step"]))

    def finished(self, results: Mapping[str, Any]) -> None:
        """Log the metrics on the validation split, and the report.

        Args:
            results: The contents of results.json.
        """
        metrics = {f"final_valid_{name}": one["value"] for name, one in results["valid"].items()}
        step = int(results["steps"])
        files = [path for name in _ARTIFACTS if (path := self.run.path / name).is_file()]

        def finish(tracker: Tracker) -> None:
            tracker.log(step, finite(metrics))
            tracker.finish(files)

        # Nothing is replaced, where a run goes on that was stopped after its training.
        self._do(finish, step + 1)

    def stopped(self) -> None:
        """Close the tracker's run, which may go on later."""
        if self._tracker is not None:
            self._do(lambda one: one.stop(), 0)

    def _do(self, what: Any, step: int) -> None:
        if self._failed:
            return
        try:
            if self._tracker is None:
                self._tracker = self._open(step)
            what(self._tracker)
        except Exception as error:
            self._failed = True
            said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            self.reporter.warning(
                f"{self.run.settings.log} fails, and the training goes on without it ({said})"
            )

    def _open(self, step: int) -> Tracker:
        """The tracker's run: the one of the record, or a new one, which is recorded."""
        name = self.run.settings.log
        module = importlib.import_module(f"foveate.experiment.trackers.to_{name}")
        config = self.run.settings.model_dump(mode="json")
        tracker: Tracker = module.open_tracker(self.run.path, config, self._recorded(name), step)
        atomic_io.write_json(self.run.path / RECORD, {"log": name, **tracker.record})
        self.reporter.info(f"{name}: {tracker.where}")
        return tracker

    def _recorded(self, name: str | None) -> dict[str, str] | None:
        try:
            record = record_io.read_json(self.run.path / RECORD, _MAX_RECORD_BYTES)
        except (OSError, ValueError, StorageError):
            return None
        if not isinstance(record, dict) or record.get("log") != name:
            return None
        return {str(key): str(value) for key, value in record.items() if key != "log"}


def finite(values: Mapping[str, Any]) -> dict[str, float]:
    """The values that are finite numbers: trackers refuse others, or draw them as 0."""
    return {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }
