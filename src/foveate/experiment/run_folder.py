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
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Self

from numpy.typing import NDArray
from torch import Tensor

from foveate import atomic_io, models, tasks
from foveate.data.dataset import Dataset, SplitName
from foveate.errors import RunError
from foveate.metrics.ledger import Ledger
from foveate.models.model import VisionModel
from foveate.settings import Settings
from foveate.tasks.capabilities import HasEvaluator
from foveate.tasks.task import Task
from foveate.training import checkpoint, curves
from foveate.training.device import preserved_torch_state

_CLAIM = ".creating"  # held from the moment a folder is taken until its config.yaml is written


@dataclass
class RunFolder:
    """The records of one training run, in `path`.

    Attributes:
        path: The folder.
        settings: Its settings, resolved as far as the run has come.
        dataset: The data, if it was built in memory and cannot be read again from its origin.
    """

    path: Path
    settings: Settings
    dataset: Dataset[Any] | None = None
    _model: tuple[str, Task[Any], VisionModel] | None = field(default=None, repr=False)
    _digest: tuple[tuple[int, int, int], str] | None = field(default=None, repr=False)

    @classmethod
    def create(cls, path: Path | None, settings: Settings, name: str) -> Self:
        """Take a new folder, which no other process can get.

        Args:
            path: A new or empty folder; None takes the next free runs/NAME-MODEL-N.
            settings: The settings of the run.
            name: Name of the dataset.

        Raises:
            RunError: The folder is in use or cannot be created.
        """
        if path is not None:
            if not _claimed(path):
                raise RunError(
                    "this run exists already and would be overwritten",
                    where=path,
                    remedy=f"Choose another --out, resume it (foveate train --resume {path}), "
                    "or remove it yourself.",
                )
            return cls(path, settings)
        stem = re.sub(r"[^\w.-]+", "-", f"{name}-{settings.model}").strip("-.") or "run"
        for number in count(1):
            path = Path("runs") / f"{stem}-{number}"
            if not path.exists() and _claimed(path):
                return cls(path, settings)
        raise AssertionError  # count has no end

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open the run in a folder.

        Raises:
            RunError: There is no run in it, or it is of another format.
        """
        path = Path(path)
        if not path.is_dir():
            raise RunError(
                "no such run",
                where=path,
                remedy="Runs are written by: foveate train DATA --out RUN.",
            )
        return cls(path, Settings.load(path / "config.yaml"))

    # --- records

    @property
    def results(self) -> dict[str, Any]:
        """The contents of results.json."""
        record: dict[str, Any] = atomic_io.read_json(self.path / "results.json")
        return record

    @property
    def data(self) -> dict[str, Any]:
        """The contents of data.json."""
        record: dict[str, Any] = atomic_io.read_json(self.path / "data.json")
        return record

    @property
    def curves(self) -> list[curves.CurveRow]:
        """The rows of curves.csv."""
        return curves.read(self.path / "curves.csv")

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
        self.settings.save(self.path / "config.yaml")
        (self.path / _CLAIM).unlink(missing_ok=True)

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
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["id", "target", "prediction", *(f"stats_{name}" for name in stats)])
        columns = [column.tolist() for column in stats.values()]
        for id, (target, prediction), *row in zip(ids, summaries, *columns, strict=True):
            table.writerow([id, target, prediction, *map(json.dumps, row)])
        atomic_io.write_text(self.path / f"predictions_{split}.csv", text.getvalue())

    def read_predictions(self, split: SplitName) -> tuple[list[str], dict[str, NDArray[Any]]]:
        """Read ids and per-image statistics of predictions_SPLIT.csv.

        Raises:
            RunError: The file is missing or damaged.
        """
        path = self.path / f"predictions_{split}.csv"
        try:
            with path.open(newline="", encoding="utf-8") as file, _unlimited_fields():
                rows = list(csv.DictReader(file))
            column = tasks.find(self.settings.task)(self.data["classes"]).metric().to_column
            names = [name for name in rows[0] if name.startswith("stats_")] if rows else []
            stats = {
                name.removeprefix("stats_"): column([json.loads(row[name]) for row in rows])
                for name in names
            }
        except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
            raise RunError(
                f"this file cannot be read ({error})",
                where=path,
                remedy="Take it from a backup, or train again.",
            ) from None
        return [row["id"] for row in rows], stats

    def discard_if_untrained(self) -> None:
        """Remove the files of a run that ended before its first step."""
        if not self.checkpoint.exists():
            names = ("config.yaml", "data.json", "split.csv", self.evaluator_path.name, _CLAIM)
            for name in names:
                (self.path / name).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # something of the user's is in it, and stays
                self.path.rmdir()

    # --- the model

    def weights_digest(self) -> str:
        """The sha256 of best.safetensors, computed again only if the file has changed."""
        try:
            stat = self.weights.stat()
        except OSError:
            return ""
        identity = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if self._digest is None or self._digest[0] != identity:
            self._digest = (identity, checkpoint.digest(self.weights))
        return self._digest[1]

    def load(self) -> tuple[Task[Any], VisionModel]:
        """The task and the net with the best weights, ready to predict.

        Raises:
            RunError: The weights are missing or damaged.
        """
        digest = self.weights_digest()
        if self._model is None or self._model[0] != digest:
            with preserved_torch_state():  # a new net draws its first weights
                task, net = load_model(self.weights)
            self._model = (digest, task, net)
            self.load_evaluator(task)
        return self._model[1:]

    def save_model(self, task: Task[Any], net: VisionModel) -> None:
        """Write best.safetensors."""
        checkpoint.write(self.weights, net.state_dict(), header(task, net, self.settings))

    def load_evaluator(self, task: Task[Any]) -> None:
        """Give a task its evaluator, if the run has one."""
        if isinstance(task, HasEvaluator) and self.evaluator_path.is_file():
            task.load_evaluator(*checkpoint.read(self.evaluator_path))

    def save_evaluator(self, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
        """Write evaluator.safetensors, which every task that is loaded from now on gets."""
        checkpoint.write(self.evaluator_path, dict(tensors), dict(record))
        self._model = None


def header(task: Task[Any], net: VisionModel, settings: Settings) -> dict[str, Any]:
    """What weights must carry to be used: task, classes, model, preprocessing."""
    return {
        "task": task.name,
        "classes": list(task.classes),
        "options": task.options,
        "model": models.self_contained_name(settings.model),
        "size": net.size,
        "channels": net.channels,
    }


def load_model(path: Path) -> tuple[Task[Any], VisionModel]:
    """The task and the net that a best.safetensors describes.

    Raises:
        RunError: The file is missing or damaged, or does not fit its own header.
    """
    tensors, record = checkpoint.read(path)
    try:
        task = tasks.find(record["task"])(record["classes"], **record["options"])
        backbone = models.build(record["model"], channels=record["channels"], size=record["size"])
        zeros = [0.0] * record["channels"]
        net = VisionModel(task.head(backbone), size=record["size"], mean=zeros, std=zeros)
        net.load_state_dict(tensors)
    except (KeyError, TypeError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise RunError(
            f"these weights do not fit their own description ({reason})",
            where=path,
            remedy="The file was changed or cut; take it from a backup, or train again.",
        ) from None
    return task, net.eval()


def _claimed(path: Path) -> bool:
    """Create a folder, or take an empty one, exclusively: of two processes one gets it.

    Raises:
        RunError: The folder cannot be created.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            path.mkdir()
        if not path.is_dir() or any(path.iterdir()):
            return False
        (path / _CLAIM).touch(exist_ok=False)
        if len(list(path.iterdir())) == 1:
            return True
        (path / _CLAIM).unlink()  # another process has come and gone on in between
    except FileExistsError:
        pass
    except OSError as error:
        raise RunError(
            f"the run folder cannot be made ({error.strerror})",
            where=path,
            remedy="Choose another --out.",
        ) from None
    return False


@contextlib.contextmanager
def _unlimited_fields() -> Iterator[None]:
    """Let a CSV field be as long as the statistics of thousands of objects in one image."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)
