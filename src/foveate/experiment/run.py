"""A run: the folder that one training leaves, and all that can be done with it afterwards."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from foveate import atomic_io, models, settings, tasks
from foveate.data.dataset import Dataset, Image, Images, SplitName
from foveate.data.rng import SampleRNG, keys
from foveate.data.vocabulary import numbered
from foveate.errors import RunError
from foveate.inference.predictor import Predictor
from foveate.metrics.ledger import Ledger
from foveate.models.interactive import InteractivePredictor
from foveate.models.model import VisionModel
from foveate.settings import Settings
from foveate.tasks.task import Task
from foveate.training import checkpoint, curves


@dataclass
class Run(Predictor):
    """The record of one training, in `path`. See docs/architecture.md for its files.

    dataset: the data, where it was built in memory and so cannot be read again from its origin
    """

    path: Path
    settings: Settings
    dataset: Dataset[Any] | None = None
    _loaded: tuple[str, Task[Any], VisionModel] | None = field(default=None, repr=False)

    @classmethod
    def create(cls, path: Path | None, settings: Settings, name: str) -> Run:
        """A new, empty run folder; `runs/NAME-MODEL-N` where no path is given. Raises RunError if it exists."""
        if path is None:
            stem = re.sub(r"[^\w.-]+", "-", f"{name}-{settings.model}").strip("-.") or "run"
            taken = (Path("runs") / f"{stem}-{number}" for number in range(1, 10**6))
            path = next(candidate for candidate in taken if not candidate.exists())
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise RunError(
                "this run exists already and would be overwritten",
                where=path,
                remedy=f"Choose another --out, go on with it (foveate train --resume {path}), or remove it yourself.",
            )
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(
                f"the run folder cannot be made ({error.strerror})",
                where=path,
                remedy="Choose another --out.",
            ) from None
        return cls(path, settings)

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """The run in this folder. Raises RunError if there is none, or it is from a newer foveate."""
        path = Path(path)
        if not path.is_dir():
            raise RunError(
                "no such run",
                where=path,
                remedy="Runs are written by: foveate train DATA --out RUN.",
            )
        return cls(path, settings.read(path / "config.yaml"))

    @property
    def name(self) -> str:
        """Its folder."""
        return str(self.path)

    @property
    def task(self) -> Task[Any]:
        """The task as its best weights answer it."""
        return self.load()[0]

    # --- records

    @property
    def results(self) -> dict[str, Any]:
        """results.json."""
        return atomic_io.read_json(self.path / "results.json")

    @property
    def data(self) -> dict[str, Any]:
        """data.json."""
        return atomic_io.read_json(self.path / "data.json")

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.path / "test_ledger.json")

    @property
    def weights(self) -> Path:
        return self.path / "best.safetensors"

    @property
    def studied(self) -> Path:
        return self.path / "referee.safetensors"

    @property
    def report_path(self) -> Path:
        return self.path / "report.html"

    @property
    def curves(self) -> list[curves.CurveRow]:
        """The rows of curves.csv."""
        return curves.read(self.path / "curves.csv")

    def write_predictions(
        self,
        split: SplitName,
        ids: Sequence[str],
        told: Sequence[tuple[str, str]],
        stats: Mapping[str, Any],
    ) -> None:
        """predictions_PART.csv: one row a picture: id, truth and answer for people, then the columns of the tally."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["id", "true", "answered", *(f"tally_{name}" for name in stats)])
        columns = [column.tolist() for column in stats.values()]
        for id, (true, predicted), *row in zip(ids, told, *columns, strict=True):
            table.writerow([id, true, predicted, *map(json.dumps, row)])
        atomic_io.write_text(self.path / f"predictions_{split}.csv", text.getvalue())

    def read_predictions(self, split: SplitName) -> tuple[list[str], dict[str, NDArray[Any]]]:
        """The ids and the tally of predictions_PART.csv. Raises RunError if it is missing or damaged."""
        path = self.path / f"predictions_{split}.csv"
        try:
            with path.open(newline="", encoding="utf-8") as file, _long_fields():
                rows = list(csv.DictReader(file))
            column = tasks.find(self.settings.task)(self.data["classes"]).column
            names = [name for name in rows[0] if name.startswith("tally_")] if rows else []
            stats = {
                name.removeprefix("tally_"): column([json.loads(row[name]) for row in rows])
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
        """Remove what a run left that ended before its first step, so that the same command can be given again."""
        if not (self.path / "last.safetensors").exists():
            for name in ("config.yaml", "data.json", "split.csv", self.studied.name):
                (self.path / name).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # something else lies there, and stays
                self.path.rmdir()

    # --- use

    def load(self) -> tuple[Task[Any], VisionModel]:
        """The task and the net with the best weights, ready to answer. Raises RunError if they are missing or damaged."""
        digest = checkpoint.digest(self.weights) if self.weights.is_file() else ""
        if self._loaded is None or self._loaded[0] != digest:
            self._loaded = (digest, *load_weights(self.weights))
            self.load_evaluator(self._loaded[1])
        return self._loaded[1:]

    def load_evaluator(self, task: Task[Any]) -> None:
        """Tell a task what was studied of the train part, if anything."""
        if self.studied.is_file():
            task.load_evaluator(*checkpoint.read(self.studied))

    def keep_studied(self, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
        """Leaves referee.safetensors, for all that is loaded from now on."""
        checkpoint.write(self.studied, dict(tensors), dict(record))
        self._loaded = None

    def predict_images(self, images: Images, tile: int | None = None) -> list[Any]:
        task, net = self.load()
        if tile is None:
            return task.predict(net, images)
        return [task.predict_tiled(net, image, tile) for image in images]

    def _set_image(self, image: Image) -> InteractivePredictor:
        task, net = self.load()
        return task.set_image(net, image)

    def generate(
        self,
        text: str,
        n: int = 1,
        *,
        seed: int = 0,
        guidance: float | None = None,
        steps: int | None = None,
    ) -> list[Image]:
        """N pictures of what is said, (S, S, C) uint8. The i-th of a text and seed is always the same. Raises SettingError for words that
        are not known, or if this run's task makes no pictures.
        """
        return [
            stages[-1]
            for stages in self.stages([text] * n, seed=seed, guidance=guidance, steps=steps)
        ]

    def stages(
        self,
        texts: Sequence[str],
        *,
        seed: int = 0,
        guidance: float | None = None,
        steps: int | None = None,
    ) -> Iterator[list[Image]]:
        """For each text all that noise is on its way to a picture. Texts that are there twice give different pictures."""
        task, net = self.load()
        return task.generate(
            net, texts, SampleRNG(keys(numbered(texts)), seed), guidance=guidance, steps=steps
        )

    def test(self) -> Mapping[str, Any]:
        """Open the locked test part, write that down, and return its figures. The same weights are tested only once."""
        from foveate.experiment.pipeline import test

        return test(self)

    def report(self) -> Path:
        """Write report.html again from the record, and return its path."""
        from foveate.experiment.pipeline import report

        return report(self)

    def _repr_html_(self) -> str:
        return (
            f'<a href="{self.report_path.as_uri()}">{self.path.name}</a>'
            if self.report_path.exists()
            else repr(self)
        )


def header(task: Task[Any], net: VisionModel, settings: Settings) -> dict[str, Any]:
    """What the weights need to be used: task, classes, model, preprocessing."""
    return {
        "task": task.name,
        "classes": list(task.classes),
        "options": task.options(),
        "model": models.portable(settings.model),
        "size": net.size,
        "channels": net.channels,
    }


def load_weights(path: Path) -> tuple[Task[Any], VisionModel]:
    """The task and net that a best.safetensors describes."""
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


@contextlib.contextmanager
def _long_fields() -> Iterator[None]:
    """What is said of thousands of things in one picture is longer than Python lets a field be."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)
