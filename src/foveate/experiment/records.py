"""Schemas of the records of a run folder: results.json, data.json and the header of the weights."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from foveate import tasks
from foveate.audit.finding import Severity
from foveate.data.cache.encoded import Encoding
from foveate.data.dataset import SPLITS
from foveate.data.reading_record import ReadingRecord
from foveate.errors import SettingError
from foveate.metrics.records import Metrics, Number, require
from foveate.settings import FORMAT, MAX_SIZE
from foveate.tasks.task import Task

MAX_CHANNELS = 1000
MAX_CLASSES = 1_000_000
Count = Annotated[int, Field(ge=0, le=2**53)]
Split = Literal["train", "valid", "test"]


class Record(BaseModel):
    """A JSON object. It may hold more than its schema says, but nothing of another type."""

    model_config = ConfigDict(strict=True, extra="allow", defer_build=True, protected_namespaces=())


class VerdictRecord(Record):
    """A verdict of the curve doctor."""

    name: str
    text: str
    advice: str
    tone: Literal["good", "careful", "bad", "plain"]


class ReproducibleRecord(Record):
    """Whether the same command gives the same bits; None where nobody knows."""

    to_the_bit: bool | None
    reasons: list[str]


class ResultsRecord(Record):
    """The contents of results.json; before the end of training nothing is scored yet."""

    format: int
    task: str
    model: str
    primary: str
    weights: Count
    ended: str
    best_epoch: Number
    epochs: Number
    steps: Count
    fitted: dict[str, Number | None] | None = None
    baseline: dict[Split, dict[str, Metrics]]
    lift: dict[Split, Metrics]
    valid: Metrics | None
    test: Metrics | None
    verdicts: list[VerdictRecord]
    seconds: dict[str, Number]
    hardware: str
    versions: dict[str, str]
    reproducible: ReproducibleRecord | None = None
    best_baseline: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.format != FORMAT:
            raise ValueError(f"format {FORMAT} is expected, got {self.format}")
        if self.primary != find_task(self.task).primary_metric:
            raise ValueError(f"{self.task} has another primary metric than {self.primary!r}")
        for split, metrics in (("valid", self.valid), ("test", self.test)):
            if metrics is not None:
                self._check_split(split, metrics)
        return self

    def _check_split(self, split: Any, metrics: Metrics) -> None:
        baselines = self.baseline.get(split, {})
        if self.best_baseline not in baselines:
            raise ValueError(f"the best baseline is not among those of the {split} split")
        require(metrics, self.primary, f"{split}")
        require(self.lift.get(split, {}), self.primary, f"lift.{split}")
        for name, baseline in baselines.items():
            require(baseline, self.primary, f"baseline.{split}.{name}")


class LeakRecord(Record):
    """Images that several splits share."""

    ids: list[str]
    splits: list[Split]
    reason: str


class SkippedRecord(Record):
    """A sample that could not be used."""

    id: str
    reason: str


class FindingsRecord(Record):
    """Findings of one check of the audit."""

    severity: Severity
    check: str
    samples: Count
    first: str
    remedy: str | None


class SplitRecord(Record):
    """What data.json keeps of split.csv; see `data.split.file.record`."""

    hash: str
    letters: str


class DataRecord(Record):
    """The contents of data.json."""

    name: str
    origin: str | None
    fingerprint: str
    classes: Annotated[list[str], Field(max_length=MAX_CLASSES)]
    images: dict[Split, Count]
    counts: dict[Split, list[Count]]
    notes: list[str]
    leaks: list[LeakRecord]
    skipped: list[SkippedRecord]
    audit: list[FindingsRecord]
    split: SplitRecord
    encoding: Encoding = "raw"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for split in SPLITS:
            if split not in self.images or split not in self.counts:
                raise ValueError(f"the {split} split is not counted")
            if len(self.counts[split]) != len(self.classes):
                raise ValueError(f"a count for each class is expected of the {split} split")
        return self


class HeaderRecord(Record):
    """The header of best.safetensors."""

    task: str
    classes: Annotated[list[str], Field(max_length=MAX_CLASSES)]
    options: dict[str, Any]
    model: str
    size: Annotated[int, Field(ge=1, le=MAX_SIZE)]
    channels: Annotated[int, Field(ge=1, le=MAX_CHANNELS)]
    reading: ReadingRecord = ReadingRecord()


def find_task(name: str) -> type[Task[Any]]:
    """The task of this name; ValueError if there is none."""
    try:
        return tasks.find(name)
    except SettingError as error:
        raise ValueError(error.message) from None
