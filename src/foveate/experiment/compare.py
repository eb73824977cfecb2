"""Runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from foveate.progress import Reporter
from foveate.errors import RunError
from foveate.experiment.run import Run
from foveate.metrics.names import written
from foveate.tasks import find


def compare_runs(runs: Sequence[Run], reporter: Reporter) -> None:
    """A table of the runs, best on the validation part first: that is the part on which to choose.

    Raises RunError where runs cannot be compared: other tasks, or none that was trained to its end.
    """
    records = [(run, run.results) for run in runs]
    if len({record["task"] for _, record in records}) > 1:
        raise RunError("these runs are of different tasks and share no figure", where=runs[0].path)
    primary_metric = records[0][1]["primary"]
    sign = -1 if primary_metric in find(records[0][1]["task"]).lower_is_better else 1
    records.sort(key=lambda pair: -sign * pair[1]["valid"][primary_metric]["value"])
    rows = []
    for run, record in records:
        best = record["best_baseline"]
        rows.append(
            (
                str(run.path),
                record["model"],
                f"{record['weights']:,}",
                f"{record['seconds']['train']:.0f} s",
                _told(record["valid"][primary_metric]),
                f"{record['lift']['valid'][primary_metric]['value']:+.1%} over {best}",
                _told(record["test"][primary_metric]) if record["test"] else "locked",
            )
        )
    told = written(primary_metric)
    reporter.table(
        ("run", "model", "weights", "training", f"valid {told}", "lift", f"test {told}"), rows
    )
    if len({run.data["fingerprint"] for run in runs}) > 1:
        reporter.warning("These runs saw different data, so their figures do not compare.")
    elif len({(run.path / "split.csv").read_bytes() for run in runs}) > 1:
        reporter.warning(
            "These runs split the data differently, so their figures compare only within their intervals."
        )
    if sum(bool(record["test"]) for _, record in records) > 1:
        reporter.warning(
            "Choose by the validation column: the best of several test figures flatters."
        )


def _told(metric: dict[str, Any]) -> str:
    return f"{metric['value']:.1%} ({metric['low']:.1%} to {metric['high']:.1%})"
