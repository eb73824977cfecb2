"""Schemas of what training writes and reads back: the learning curves and the progress of a run."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from foveate.settings import MAX_SIZE, MAX_STEPS, check_segments

Finite = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=MAX_STEPS)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Segment = Annotated[tuple[Count, Finite, Count], Field(strict=False)]  # a list in JSON


class Row(BaseModel):
    """A row of the learning curves. A validation loss and a metric may be infinite or nan."""

    model_config = ConfigDict(strict=True, extra="allow", defer_build=True)
    __pydantic_extra__: dict[str, float]  # train_METRIC and valid_METRIC

    step: Count
    epoch: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    train_loss: Finite
    valid_loss: float
    lr: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    seconds: Seconds


class ProgressRecord(BaseModel):
    """What last.safetensors holds of `state.Progress`."""

    model_config = ConfigDict(strict=True, extra="forbid", defer_build=True)

    step: Count
    rows: list[Row]
    best_step: Annotated[int, Field(ge=-1)]
    loss_sum: Finite
    loss_batches: Count
    metric_sum: Finite
    metric_batches: Count
    seconds: Seconds
    segments: list[Segment]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        steps = [row.step for row in self.rows]
        if any(after <= before for before, after in pairwise([-1, *steps, self.step + 1])):
            raise ValueError("the steps of the curves are expected to rise up to the last step")
        if len({frozenset(row.model_extra or ()) for row in self.rows}) > 1:
            raise ValueError("the rows of the curves are expected to have the same columns")
        check_segments(self.segments)
        if self.best_step != -1 and self.best_step not in steps:
            raise ValueError("no row of the curves has the best step")
        return self


class EvaluatorRecord(BaseModel):
    """The record of evaluator.safetensors."""

    model_config = ConfigDict(strict=True, extra="allow", defer_build=True)

    words: list[str]
    max_length: Annotated[int, Field(ge=1, le=10_000)]
    size: Annotated[int, Field(ge=1, le=MAX_SIZE)]
    channels: Annotated[int, Field(ge=1, le=10_000)]


class StateRecord(BaseModel):
    """The record of last.safetensors."""

    model_config = ConfigDict(strict=True, extra="allow", defer_build=True)

    ema_updates: Count
    progress: ProgressRecord
    processes: Annotated[int, Field(ge=1, le=MAX_STEPS)] = 1
    irreproducible: Annotated[list[str], Field(max_length=1000)] = []
    loss_scale: Annotated[list[Finite], Field(min_length=2, max_length=2)] | None = None
