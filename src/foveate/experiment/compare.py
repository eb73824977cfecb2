"""Runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foveate.errors import RunError
from foveate.experiment.run_folder import RunFolder
from foveate.metrics.names import display_name, rough_mark
from foveate.tasks import find
from foveate.wording import count_noun, escape_controls, percent

_NO_CHOICES = frozenset({"progress_segments", "command"})
"""Settings that a run finds out itself."""


@dataclass(frozen=True)
class ComparedRun:
    """One run among others.

    Attributes:
        run: Path of the run folder.
        model: Name of the model.
        parameters: Number of its parameters.
        seconds: Seconds of training.
        valid: The primary metric on the validation split: value, low, high and n.
        lift: Its lift over the best baseline, likewise.
        baseline: Name of that baseline.
        test: The primary metric on the test split; None while that is locked.
    """

    run: str
    model: str
    parameters: int
    seconds: float
    valid: dict[str, Any]
    lift: dict[str, Any]
    baseline: str
    test: dict[str, Any] | None


@dataclass(frozen=True)
class Comparison:
    """Runs of one task.

    Attributes:
        metric: The primary metric.
        rows: The runs, the best on the validation split first.
        warnings: Why the rows may not be comparable.
        differences: Setting -> its value in each run, for the settings in which they differ.
    """

    metric: str
    rows: list[ComparedRun]
    warnings: list[str]
    differences: dict[str, list[str]]

    def __repr__(self) -> str:
        return "\n".join(map(escape_controls, [*self.lines(), "", *self.warnings]))

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Header and rows as text."""
        metric = display_name(self.metric)
        header = ["run", "model", "parameters", "training", f"valid {metric}", "lift"]
        return [*header, f"test {metric}"], [
            [
                row.run,
                row.model,
                f"{row.parameters:,}",
                f"{row.seconds:.0f} s",
                with_interval(row.valid),
                f"{points(row.lift['value'])} over {row.baseline}",
                with_interval(row.test) if row.test else "locked",
            ]
            for row in self.rows
        ]

    def lines(self) -> list[str]:
        """The same for a terminal: a few short lines a run, with a number for each."""
        metric, lines = display_name(self.metric), []
        for number, row in enumerate(self.rows, 1):
            low, high = (f"{100 * row.lift[end]:+.1f}" for end in ("low", "high"))
            facts = {
                f"valid {metric}": with_interval(row.valid),
                f"test {metric}": with_interval(row.test) if row.test else "locked",
                "lift": f"{points(row.lift['value'])} ({low} to {high}) over {row.baseline}",
                "model": f"{row.model}, {count_noun(row.parameters, 'parameter')}, "
                f"trained in {row.seconds:.0f} s",
            }
            width = max(map(len, facts))
            lines.append(f"{number}. {row.run}")
            lines += [f"   {name:{width}}  {text}" for name, text in facts.items()]
        if self.differences:
            lines += ["", "Settings that differ, in the order of the runs:"]
            width = max(map(len, self.differences))
            lines += [
                f"  {name:{width}}  {' | '.join(values)}"
                for name, values in self.differences.items()
            ]
        return lines


def compare(runs: Sequence[str | Path | RunFolder]) -> Comparison:
    """Compare runs by their primary metric, best on the validation split first.

    Args:
        runs: Runs of one task, or their folders.

    Raises:
        RunError: The runs are of different tasks, or one of them is not trained to its end.
    """
    opened = [run if isinstance(run, RunFolder) else RunFolder.open(run) for run in runs]
    results = [(run, run.results) for run in opened]
    if len({record["task"] for _, record in results}) > 1:
        raise RunError(
            "these runs are of different tasks and share no metric", where=opened[0].path
        )
    metric = results[0][1]["primary"]
    sign = -1 if metric in find(results[0][1]["task"]).lower_is_better else 1
    results.sort(key=lambda pair: -sign * pair[1]["valid"][metric]["value"])
    rows = [
        ComparedRun(
            run=str(run.path),
            model=record["model"],
            parameters=record["weights"],
            seconds=record["seconds"].get("train", 0.0),
            valid=record["valid"][metric],
            lift=record["lift"]["valid"][metric],
            baseline=record["best_baseline"],
            test=record["test"][metric] if record["test"] else None,
        )
        for run, record in results
    ]
    runs_in_order = [run for run, _ in results]
    return Comparison(metric, rows, _warnings(opened, rows), _differences(runs_in_order))


def _differences(runs: Sequence[RunFolder]) -> dict[str, list[str]]:
    """The settings in which runs differ, as they stand in their config.yaml."""
    all_settings = [run.settings.model_dump() for run in runs]
    return {
        name: [str(one[name]) for one in all_settings]
        for name in all_settings[0]
        if name not in _NO_CHOICES
        and any(one[name] != all_settings[0][name] for one in all_settings)
    }


def _warnings(runs: Sequence[RunFolder], rows: Sequence[ComparedRun]) -> list[str]:
    warnings = []
    if len({run.data["fingerprint"] for run in runs}) > 1:
        warnings.append("These runs have different data, so their metrics do not compare.")
    elif len({run.data["split"]["hash"] for run in runs}) > 1:
        warnings.append(
            "These runs split the data differently, so their metrics compare only within their "
            "intervals."
        )
    if sum(row.test is not None for row in rows) > 1:
        warnings.append(
            "Choose by the validation column: the best of several test results is optimistic."
        )
    return warnings


def points(difference: float) -> str:
    """A difference of percentages: "+2.1 points"."""
    return f"{100 * difference:+.1f} points"


def with_interval(metric: dict[str, Any]) -> str:
    """A metric with its interval: "93.4% (91.0% to 95.1%)"."""
    ends = f"{percent(metric['low'])} to {percent(metric['high'])}{rough_mark(metric)}"
    return f"{percent(metric['value'])} ({ends})"
