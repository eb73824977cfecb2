"""Schemas of metrics as results.json and the ledger keep them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Number = Annotated[float, Field(allow_inf_nan=False)]


class MetricRecord(BaseModel):
    """A metric with its interval; None where it is not defined."""

    model_config = ConfigDict(strict=True, extra="allow", defer_build=True)

    value: Number | None
    low: Number | None
    high: Number | None
    n: Annotated[int, Field(ge=0, le=2**53)]
    groups: Annotated[int, Field(ge=0, le=2**53)] | None = None
    rough: bool = False


Metrics = dict[str, MetricRecord]
"""Metric -> value."""


class TestResult(BaseModel):
    """What an opening of the test split has measured."""

    model_config = ConfigDict(strict=True, extra="allow", defer_build=True)

    metrics: Metrics
    baseline: dict[str, Metrics]
    lift: Metrics


class OpeningRecord(BaseModel):
    """An opening of the same test images by another run."""

    model_config = ConfigDict(strict=True, extra="forbid", defer_build=True)

    opened: str
    run: str
    weights: str
    shared: Annotated[int, Field(ge=0, le=2**53)]


class EntryRecord(BaseModel):
    """An entry of the ledger."""

    model_config = ConfigDict(strict=True, extra="forbid", defer_build=True)

    opened: str
    weights: str
    earlier: list[OpeningRecord]
    completed: str | None
    result: TestResult | None


class LedgerRecord(BaseModel):
    """The contents of test_ledger.json."""

    model_config = ConfigDict(strict=True, extra="forbid", defer_build=True)

    entries: list[EntryRecord]


def require(metrics: Mapping[str, MetricRecord], name: str, what: str) -> None:
    """Check that a metric is there, with a value and an interval; ValueError if it is not."""
    metric = metrics.get(name)
    if metric is None or None in (metric.value, metric.low, metric.high):
        raise ValueError(f"{what} has no {name} with an interval")
