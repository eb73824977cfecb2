"""A cross-validation: its metrics, and the models of all folds as one that predicts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from foveate import atomic_io, record_io
from foveate.data.dataset import Image, Images
from foveate.data.image_reading import ImageReading
from foveate.errors import RunError, SettingError
from foveate.experiment.records import Record
from foveate.experiment.run import Run
from foveate.experiment.trials.folder import ASKED
from foveate.inference.predictor import Predictor
from foveate.metrics.records import Metrics
from foveate.models.interactive import InteractivePredictor
from foveate.tasks.capabilities import Averaged, require
from foveate.tasks.task import Task
from foveate.wording import describe_html

RESULT = "cross_validation.json"
"""The record of a cross-validation."""
Name = Annotated[str, Field(pattern=r"^fold-[1-9][0-9]{0,5}(-seed-[0-9]{1,20})?$")]


class _CrossValidationRecord(Record):
    """The contents of cross_validation.json."""

    task: str
    primary: str
    folds: Annotated[int, Field(ge=1)]
    runs: list[Name]
    test: Metrics
    label_errors: list[str] | None


@dataclass
class CrossValidation(Predictor):
    """A cross-validation in a folder.

    Attributes:
        path: The folder.
        runs: The run of each fold, by the first seed.
    """

    path: Path
    runs: list[Run] = field(repr=False)
    _record: dict[str, Any] = field(repr=False)

    @classmethod
    def is_one(cls, path: str | Path) -> bool:
        """Whether a folder holds a cross-validation, finished or not."""
        return (Path(path) / ASKED).is_file()

    @classmethod
    def open(cls, path: str | Path) -> CrossValidation:
        """Open the cross-validation in a folder.

        Raises:
            RunError: There is none, it is damaged, or it is not finished.
        """
        path = Path(path)
        if not (path / RESULT).is_file():
            raise RunError(
                "a finished cross-validation is expected, this folder has no " + RESULT,
                where=path,
                remedy="Give the same foveate cross-validate command again, or name one of the "
                "runs in it.",
            )
        record = record_io.read_record(
            path / RESULT, _CrossValidationRecord, atomic_io.MAX_JSON_BYTES
        )
        return cls(path, [Run.open(path / name) for name in record["runs"]], record)

    @property
    def results(self) -> dict[str, Any]:
        """The contents of cross_validation.json: `test` has each metric over all images."""
        return self._record

    @property
    def label_errors(self) -> list[str] | None:
        """Images whose label looks wrong, the most suspicious first; None if this is unknown."""
        errors: list[str] | None = self._record["label_errors"]
        return errors

    @property
    def report_path(self) -> Path:
        """report.html."""
        return self.path / "report.html"

    # --- predict

    @property
    def name(self) -> str:
        """The path of its folder."""
        return str(self.path)

    @property
    def task(self) -> Task[Any]:
        """The task, as it was calibrated for the first fold."""
        return self.runs[0].task

    @property
    def fingerprint(self) -> str:
        """The sha256 of the weights of each fold."""
        return " ".join(run.fingerprint for run in self.runs)

    @property
    def _own_reading(self) -> ImageReading:
        return self.runs[0].reading

    @property
    def channels(self) -> int | None:
        """Channels of the images that the nets take."""
        return self.runs[0].channels

    @property
    def device(self) -> str | None:
        """What computes the nets."""
        return self.runs[0].device

    @device.setter
    def device(self, name: str | None) -> None:
        for run in self.runs:
            run.device = name

    def predict_images(self, images: Images, tile: int | None = None) -> list[Any]:
        """The mean of the predictions of all folds; see `Predictor`.

        Raises:
            SettingError: The task has no such mean.
        """
        task = require(self.task, Averaged)
        if tile is not None:
            raise SettingError(
                "the folds together predict whole images", where="tile", remedy="Leave out --tile."
            )
        return task.predict_mean([run.load() for run in self.runs], images)

    def _set_image(self, image: Image) -> InteractivePredictor:
        del image
        raise SettingError(
            "prompts are for one model",
            where=self.name,
            remedy=f"Name the run of one fold: {self.runs[0].name}",
        )

    def _repr_html_(self) -> str:
        return describe_html(f"CrossValidation {str(self.path)!r}", {}, self.report_path)
