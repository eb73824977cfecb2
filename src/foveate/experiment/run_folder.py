"""The run folder: the one record of a training run, and the model that it holds.

config.yaml             every setting, resolved
data.json, split.csv    the data, its fingerprint, and the split of each sample
curves.csv              the learning curves
best.safetensors        the weights with the lowest validation loss
last.safetensors        all that a resume needs
evaluator.safetensors   the task's evaluator, where it has one
results.json            every metric with its interval and its lift
predictions_SPLIT.csv   target, prediction and per-image statistics of each image
test_ledger.json        every opening of the test split
report.html             all of it for people
.unfinished.yaml        the settings as they were asked for, until the run is finished
.lock, .owner.json      held by the process that works on the run
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from numpy.typing import NDArray
from torch import Tensor

from foveate import atomic_io, processes, record_io, tasks
from foveate.data.dataset import Dataset, SplitName
from foveate.errors import RunError
from foveate.experiment import predictions_file
from foveate.experiment.claim import UNFINISHED, settings_file, taken_folder
from foveate.experiment.model_file import header, load_model
from foveate.experiment.run_lock import LOCK, OWNER, locked
from foveate.metrics.ledger import Ledger
from foveate.models.model import VisionModel
from foveate.settings import Settings
from foveate.tasks.capabilities import HasEvaluator
from foveate.tasks.task import Task
from foveate.training import checkpoint, curves
from foveate.training.device import find, find_or_best, preserved_torch_state

if TYPE_CHECKING:
    from pydantic import BaseModel

RECORDS = (
    "config.yaml",
    "data.json",
    "split.csv",
    "curves.csv",
    "best.safetensors",
    "last.safetensors",
    "evaluator.safetensors",
    "results.json",
    "predictions_valid.csv",
    "predictions_test.csv",
    "test_ledger.json",
    "report.html",
    UNFINISHED,
)
"""Names of the files of a run, which only the process that holds its lock writes."""


@dataclass
class RunFolder:
    """The records of one training run, in `path`.

    Attributes:
        path: The folder.
        settings: Its settings, resolved as far as the run has come.
        dataset: The data, if it was built in memory and cannot be read again from its origin.
        device: What computes, if not the device of the settings: "cpu", "cuda", "cuda:1", ...
    """

    path: Path
    settings: Settings
    dataset: Dataset[Any] | None = None
    device: str | None = None
    _model: tuple[tuple[str, str], Task[Any], VisionModel] | None = field(default=None, repr=False)
    _digest: tuple[tuple[int, int, int], str] | None = field(default=None, repr=False)

    @classmethod
    @contextmanager
    def taken(
        cls, path: Path | None, settings: Settings, name: str, *, new: bool = False
    ) -> Iterator[Self]:
        """Take a folder for a run and hold its lock.

        It is a new folder, or the one in which a run with the same settings was interrupted.

        Args:
            path: The folder; None takes the first runs/NAME-MODEL-N that is one of both.
            settings: The settings as they were asked for.
            name: Name of the dataset.
            new: Whether only a new folder is taken.

        Raises:
            RunError: The folder is in use, or holds something else.
            StorageError: The folder cannot be created.
        """
        with taken_folder(path, settings, name, RECORDS, new=new) as folder:
            yield cls.open(folder)

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open the run in a folder.

        Raises:
            RunError: There is no run in it, or it is of another format.
        """
        path = Path(path)
        return cls(path, Settings.load(settings_file(path)))

    def locked(self) -> AbstractContextManager[None]:
        """Hold the run's lock, so that no other process writes into its folder.

        Raises:
            RunError: Another process holds it; with its number and its machine.
        """
        return locked(self.path, RECORDS)

    @property
    def quoted_path(self) -> str:
        """The path as a word of a command line."""
        return shlex.quote(str(self.path))

    @property
    def finished(self) -> bool:
        """Whether the run was trained, evaluated and reported to its end."""
        return not (self.path / UNFINISHED).exists() and (self.path / "results.json").exists()

    def restart(self) -> None:
        """Go back to the settings as they were asked for: the run has no checkpoint.

        Raises:
            RunError: They are missing.
        """
        if not (self.path / UNFINISHED).exists():
            raise RunError(
                "there is nothing to go on from: this run has no last.safetensors",
                where=self.path,
                remedy="Train again into another --out.",
            )
        self.settings = Settings.load(self.path / UNFINISHED)

    def finish(self) -> None:
        """Mark the run as finished."""
        (self.path / UNFINISHED).unlink(missing_ok=True)

    # --- records

    @property
    def results(self) -> dict[str, Any]:
        """The contents of results.json, with the validation split scored.

        Raises:
            RunError: The file is missing or damaged, or the run was interrupted before its end.
        """
        results = self.unscored_results
        if results["valid"] is None:
            raise RunError(
                "this run was interrupted before it was evaluated",
                where=self.path,
                remedy=f"Finish it first: foveate train --resume {self.quoted_path}",
            )
        return results

    @property
    def unscored_results(self) -> dict[str, Any]:
        """The contents of results.json, whatever is scored.

        Raises:
            RunError: The file is missing or damaged.
        """
        from foveate.experiment.records import ResultsRecord

        results = self._record("results.json", ResultsRecord)
        if results["task"] != self.settings.task:
            path = self.path / "results.json"
            raise record_io.damaged(path, f"it is not of the task {self.settings.task}")
        return results

    @property
    def data(self) -> dict[str, Any]:
        """The contents of data.json.

        Raises:
            RunError: The file is missing or damaged.
        """
        from foveate.experiment.records import DataRecord

        return self._record("data.json", DataRecord)

    def _record(self, name: str, schema: type[BaseModel]) -> dict[str, Any]:
        return record_io.read_record(self.path / name, schema, atomic_io.MAX_JSON_BYTES)

    @property
    def curves(self) -> list[curves.CurveRow]:
        """The rows of curves.csv.

        Raises:
            RunError: The file is damaged.
        """
        return curves.read(self.path / "curves.csv", tasks.find(self.settings.task).curve_metric)

    @property
    def ledger(self) -> Ledger:
        """The ledger of the test split."""
        return Ledger(self.path / "test_ledger.json")

    @property
    def weights(self) -> Path:
        """best.safetensors: the weights that the run is used with."""
        return self.path / "best.safetensors"

    @property
    def checkpoint(self) -> Path:
        """last.safetensors: what a resume needs."""
        return self.path / "last.safetensors"

    @property
    def evaluator_path(self) -> Path:
        """evaluator.safetensors: the task's evaluator, where it has one."""
        return self.path / "evaluator.safetensors"

    @property
    def report_path(self) -> Path:
        """report.html."""
        return self.path / "report.html"

    def save_settings(self, **updates: Any) -> None:
        """Change settings and write config.yaml."""
        self.settings = self.settings.model_copy(update=updates)
        if processes.is_main():
            self.settings.save(self.path / "config.yaml")

    def save_results(self, results: Mapping[str, Any]) -> None:
        """Write results.json."""
        atomic_io.write_json(self.path / "results.json", results)

    def write_predictions(
        self,
        split: SplitName,
        ids: Sequence[str],
        summaries: Sequence[tuple[str, str]],
        stats: Mapping[str, Any],
    ) -> None:
        """Write predictions_SPLIT.csv, one row for each image.

        Args:
            split: The split.
            ids: Of the images.
            summaries: Target and prediction of each, in a line for people.
            stats: Per-image statistics, from which `read_predictions` computes metrics again.
        """
        predictions_file.write(self._predictions_path(split), ids, summaries, stats)

    def read_predictions(self, split: SplitName) -> tuple[list[str], dict[str, NDArray[Any]]]:
        """Read ids and per-image statistics of predictions_SPLIT.csv.

        Raises:
            RunError: The file is missing or damaged.
        """
        data = self.data
        task = tasks.find(self.settings.task)(data["classes"])
        images = min(data["images"][split], task.max_eval_images or data["images"][split])
        return predictions_file.read(self._predictions_path(split), task.metric(), images)

    def _predictions_path(self, split: SplitName) -> Path:
        return self.path / f"predictions_{split}.csv"

    def discard_if_untrained(self) -> None:
        """Remove the files of a run that ended before its first step."""
        if not self.checkpoint.exists():
            for name in (*RECORDS, LOCK, OWNER):
                (self.path / name).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # something of the user's is in it, and stays
                self.path.rmdir()

    def weights_digest(self) -> str:
        """The sha256 of best.safetensors, computed again only if the file has changed."""
        try:
            stat = self.weights.stat()
            identity = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if self._digest is None or self._digest[0] != identity:
                self._digest = (identity, checkpoint.digest(self.weights))
        except (FileNotFoundError, NotADirectoryError):
            return ""
        return self._digest[1]

    @property
    def device_name(self) -> str:
        """What computes: `device`, or that of the settings, or the best one where it is missing."""
        return str(find(self.device) if self.device else find_or_best(self.settings.device))

    def load(self) -> tuple[Task[Any], VisionModel]:
        """The task and the net with the best weights, ready to predict.

        Raises:
            RunError: The weights are missing or damaged.
        """
        key = self.weights_digest(), self.device_name
        if self._model is None or self._model[0] != key:
            with preserved_torch_state():  # a new net draws its first weights
                task, net = load_model(self.weights)
            if task.name != self.settings.task:
                raise record_io.damaged(
                    self.weights, f"it is not of the task {self.settings.task}, as config.yaml says"
                )
            self.load_evaluator(task)
            self._model = (key, task, net.to(key[1]))
        return self._model[1:]

    def save_model(self, task: Task[Any], net: VisionModel) -> None:
        """Write best.safetensors."""
        checkpoint.write(self.weights, net.state_dict(), header(task, net, self.settings))

    def load_evaluator(self, task: Task[Any]) -> None:
        """Give a task its evaluator, if the run has one.

        Raises:
            RunError: The file is damaged.
        """
        if isinstance(task, HasEvaluator) and self.evaluator_path.exists():
            try:
                task.load_evaluator(*checkpoint.read(self.evaluator_path))
            except ValueError as error:
                raise record_io.damaged(self.evaluator_path, error) from None

    def save_evaluator(self, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
        """Write evaluator.safetensors, which every task that is loaded from now on gets."""
        checkpoint.write(self.evaluator_path, dict(tensors), dict(record))
        self._model = None
