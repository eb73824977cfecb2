"""What images of service are compared with: of a run, or as an exported file holds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from foveate import record_io
from foveate.data.dataset import Images
from foveate.data.image_stats import IMAGE_STATS, THUMB_SIDE
from foveate.errors import RunError
from foveate.experiment.feature_cache import cached_features
from foveate.experiment.prepared_data import PreparedData
from foveate.experiment.run import Run
from foveate.experiment.shipped.observed import (
    Predictions,
    predicted_rates,
    predicts_alone,
    rates_of,
)
from foveate.inference.exported.model import ExportedModel
from foveate.inference.inputs import batches
from foveate.inference.predictor import Predictor
from foveate.models.features import map_statistics
from foveate.progress import Reporter
from foveate.tasks.presenters.rates import Rates
from foveate.tasks.task import Task

MAX_REFERENCE = 1000
"""Images of the validation split that are predicted for the comparison."""
MAX_RECORDED = 200
"""Images of each split that an exported file holds the statistics of."""
RECORDED_THUMB_SIDE = 8
"""Pixels a side of their thumbnails: as many as the comparison sees."""
_NUMBERS = ("height", "width", "brightness", "contrast", "dark", "bright", "sharpness")


@dataclass(frozen=True)
class Reference:
    """What images of service are compared with.

    Attributes:
        image_stats: (N,) of IMAGE_STATS, of the train split.
        units: (N,) equal for images of it that belong together.
        features: (M, D) of the net, of the validation split; None in an exported file, which gives
            none.
        valid_units: (M,) likewise, of the images whose features and predictions these are.
        predictions: Of the validation split; None if the task predicts from prompts.
    """

    image_stats: NDArray[Any]
    units: NDArray[np.int64]
    features: NDArray[np.float32] | None
    valid_units: NDArray[np.int64]
    predictions: Predictions | None

    @property
    def grouped(self) -> bool:
        """Whether many images belong together, so that single ones prove less."""
        return len(np.unique(self.valid_units)) < 0.9 * len(self.valid_units)


def reference_of(
    run: Run, model: Predictor, prepared: PreparedData, reporter: Reporter
) -> Reference:
    """Statistics of the train split; features and predictions of the validation split.

    Args:
        run: The run, whose net gives the features.
        model: What predicts: the run, or an export of it, whose predictions differ by its rounding.
        prepared: The data of the run.
        reporter: Receives the progress.
    """
    train, valid = prepared.splits["train"], prepared.drawn("valid", MAX_REFERENCE)
    task, net = run.load()
    width = 2 * sum(net.backbone.channels)
    points = cached_features(
        map_statistics, net, net.state_dict().items(), prepared.images, valid, width, reporter
    )
    predictions = None
    if predicts_alone(task):
        rates: list[Rates] = []
        sources = ((row, prepared.images.dataset[row].source.read()) for row in valid)
        with reporter.bar("predicting the validation split", len(valid)) as bar:
            for batch in batches(sources):
                rates += predicted_rates(model, [image for _, image in batch])
                bar(len(rates))
        predictions = Predictions.of(rates, task.classes)
    units = prepared.units
    return Reference(
        prepared.images.image_stats[train], units[train], points, units[valid], predictions
    )


# --- in an exported file


Numbers = Annotated[list[float], Field(max_length=MAX_RECORDED)]
Units = Annotated[list[int], Field(max_length=MAX_RECORDED)]
Thumb = Annotated[str, Field(pattern=rf"^[0-9a-f]{{{2 * RECORDED_THUMB_SIDE**2}}}$")]


class _RecordedRates(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    amounts: dict[str, float]
    objects: int | None
    confidence: float | None


class _Recorded(BaseModel):
    """The entry `watch` of the record of an exported file."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    numbers: dict[str, Numbers]
    colours: Annotated[list[list[int]], Field(max_length=MAX_RECORDED)]
    thumbs: Annotated[list[Thumb], Field(max_length=MAX_RECORDED)]
    units: Units
    valid_units: Units
    rates: Annotated[list[_RecordedRates], Field(max_length=MAX_RECORDED)] | None


def to_record(
    task: Task[Any], predict: Callable[[Images], list[Any]], prepared: PreparedData
) -> dict[str, Any]:
    """What an exported file holds, so that it can be watched without its run, as JSON values.

    Args:
        task: The task.
        predict: Predicts with the export itself: eight bits have other predictions than the run.
        prepared: The data of the run.
    """
    train, valid = (prepared.drawn(split, MAX_RECORDED) for split in ("train", "valid"))
    stats = prepared.images.image_stats[train]
    step = THUMB_SIDE // RECORDED_THUMB_SIDE
    shape = (-1, RECORDED_THUMB_SIDE, step, RECORDED_THUMB_SIDE, step)
    thumbs = stats["thumb"].reshape(shape).mean((2, 4)).round().astype(np.uint8)
    rates: list[Rates] | None = None
    if predicts_alone(task):
        rates = []
        sources = ((row, prepared.images.dataset[row].source.read()) for row in valid)
        for batch in batches(sources):
            rates += rates_of(task, predict([image for _, image in batch]))
    return {
        "numbers": {
            name: [round(float(one), 4) for one in stats[name].tolist()] for name in _NUMBERS
        },
        "colours": stats["colour"].tolist(),
        "thumbs": [thumb.tobytes().hex() for thumb in thumbs],
        "units": prepared.units[train].tolist(),
        "valid_units": prepared.units[valid].tolist(),
        "rates": None if rates is None else [_rounded(one) for one in rates],
    }


def _rounded(rates: Rates) -> dict[str, Any]:
    return {
        "amounts": {name: round(one, 5) for name, one in rates.amounts.items() if one},
        "objects": rates.objects,
        "confidence": rates.confidence,
    }


def from_record(model: ExportedModel) -> Reference:
    """What an exported file is compared with.

    Raises:
        RunError: The file holds nothing of it, or it is damaged.
    """
    remedy = "Export the run again, or name the run: foveate watch RUN IMAGES."
    if model.record.watch is None:
        raise RunError(
            "this file holds nothing that images could be compared with", where=model.name,
            remedy=remedy,
        )  # fmt: skip
    try:
        found = record_io.validated(_Recorded, model.record.watch)
        stats = np.zeros(len(found.units), IMAGE_STATS)
        for name in _NUMBERS:
            stats[name] = found.numbers[name]
        stats["colour"] = np.array(found.colours, np.uint8).reshape(-1, 3)
        small = np.frombuffer(bytes.fromhex("".join(found.thumbs)), np.uint8)
        small = small.reshape(-1, RECORDED_THUMB_SIDE, RECORDED_THUMB_SIDE)
        step = THUMB_SIDE // RECORDED_THUMB_SIDE
        stats["thumb"] = small.repeat(step, 1).repeat(step, 2)
        predictions = None
        if found.rates is not None:
            rates = [Rates(one.amounts, one.objects, one.confidence) for one in found.rates]
            predictions = Predictions.of(rates, model.task.classes)
        units, valid_units = (np.array(one, np.int64) for one in (found.units, found.valid_units))
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        raise record_io.damaged(Path(model.name), error, remedy=remedy) from None
    return Reference(stats, units, None, valid_units, predictions)
