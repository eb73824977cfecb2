"""The spread of metrics over several models: over folds, and over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from foveate.metrics.names import display_name, rough_mark
from foveate.report.panels import Panel, Table
from foveate.tasks.task import Task
from foveate.wording import count_noun, percent


def values_of(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The value of each metric; NaN where it is not defined."""
    return {name: np.nan if one["value"] is None else one["value"] for name, one in metrics.items()}


def spread_of(metrics: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Mean, standard deviation, lowest and highest of each metric over several models."""
    table = {name: np.array([one[name] for one in metrics], float) for name in metrics[0]}
    return {
        name: {
            "mean": float(values.mean()),
            "sd": float(values.std(ddof=1)),
            "low": float(values.min()),
            "high": float(values.max()),
        }
        for name, values in table.items()
    }


def seed_text(record: Mapping[str, Any], metric: str) -> str:
    """The spread of a metric over seeds, in words.

    Args:
        record: With `by_seed`, the values of each seed, and `seed_spread`.
        metric: The metric.
    """
    spread = record["seed_spread"][metric]
    return (
        f"{percent(spread['low'])} to {percent(spread['high'])}, mean {percent(spread['mean'])}, "
        f"standard deviation {100 * spread['sd']:.1f} points over "
        f"{count_noun(len(record['by_seed']), 'seed')}"
    )


def seeds_panel(
    record: Mapping[str, Any], metrics: Mapping[str, Any], task: Task[Any], what: str
) -> list[Panel]:
    """The spread over seeds beside the interval over images; nothing where there is one seed.

    Args:
        record: See `seed_text`.
        metrics: Those of the first seed, with intervals over images.
        task: The task.
        what: What the seeds share, to precede a colon.
    """
    if record["seed_spread"] is None:
        return []
    metric, total = task.primary_metric, metrics[task.primary_metric]
    text = (
        f"{what}: {seed_text(record, metric)}. Beside it stands the interval over images, "
        f"{percent(total['low'])} to {percent(total['high'])}{rough_mark(total)}, of the first "
        "seed. The one says how far chance in training moves the metric, the other how far the "
        "choice of images does. A difference between two settings that is smaller than the "
        "spread over seeds is chance."
    )
    names = [metric, *(name for name in metrics if name != metric)]
    rows = [
        [str(one["seed"]), *(_shown(one["metrics"][name], name, task) for name in names)]
        for one in record["by_seed"]
    ]
    return [Table("Spread over seeds", text, ["seed", *map(display_name, names)], rows)]


def _shown(value: float | None, name: str, task: Task[Any]) -> str:
    if value is None or np.isnan(value):
        return "–"
    return f"{value:.3f}" if name in task.raw_metrics else percent(value)
