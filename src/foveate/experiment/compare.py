"""Runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foveate.errors import RunError
from foveate.experiment.run_folder import RunFolder
from foveate.metrics.names import display_name, rough_mark
from foveate.settings import RECORDED
from foveate.tasks import find
from foveate.wording import count_noun, describe_html, escape_controls, percent

_NO_CHOICES = frozenset({"progress_segments", *RECORDED})
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
        rows: The runs, the best on the validation split first, if they are ranked; otherwise in
            the order in which they were given.
        warnings: What to bear in mind when reading them.
        differences: Setting -> its value in each run, for the settings in which they differ.
        not_ranked: Why the runs are not ranked, as a sentence; "" if they are.
    """

    metric: str
    rows: list[ComparedRun]
    warnings: list[str]
    differences: dict[str, list[str]]
    not_ranked: str = ""

    def __repr__(self) -> str:
        return "\n".join(map(escape_controls, [*self.lines(), "", *self.warnings]))

    def _repr_html_(self) -> str:
        metric, rows = display_name(self.metric), self.rows
        order = "not ranked" if self.not_ranked else "the best first"
        facts = {
            f"{number}. {row.run}": f"{metric} {with_interval(row.valid)}, "
            f"{points(row.lift['value'])} over {row.baseline}; {row.model}"
            for number, row in enumerate(rows, 1)
        }
        cautions = [self.not_ranked, *self.warnings]
        facts["!"] = " ".join(filter(None, cautions))
        runs = count_noun(len(rows), "run")
        return describe_html(f"{runs} on the validation split, {order}", facts)

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Header and rows as text."""
        metric = display_name(self.metric)
        header = ["run", f"valid {metric}", "lift", f"test {metric}"]
        return [*header, "model", "parameters", "training"], [
            [
                row.run,
                with_interval(row.valid),
                f"{points(row.lift['value'])} over {row.baseline}",
                with_interval(row.test) if row.test else "locked",
                row.model,
                f"{row.parameters:,}",
                f"{row.seconds:.0f} s",
            ]
            for row in self.rows
        ]

    def lines(self) -> list[str]:
        """The same for a terminal: a few short lines a run, with a number for each."""
        metric, lines = display_name(self.metric), [self.not_ranked, ""] if self.not_ranked else []
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

    Runs of different data or splits are not ranked: their metrics are of different images.

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
    not_ranked = _not_ranked(opened)
    if not not_ranked:
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
    return Comparison(metric, rows, _warnings(rows), _differences(runs_in_order), not_ranked)


def _differences(runs: Sequence[RunFolder]) -> dict[str, list[str]]:
    """The settings in which runs differ, as they stand in their config.yaml."""
    all_settings = [run.settings.model_dump() for run in runs]
    return {
        name: [str(one[name]) for one in all_settings]
        for name in all_settings[0]
        if name not in _NO_CHOICES
        and any(one[name] != all_settings[0][name] for one in all_settings)
    }


def _not_ranked(runs: Sequence[RunFolder]) -> str:
    """What differs, so that runs are not ranked, and why not, in two sentences; or ""."""
    if len({run.data["fingerprint"] for run in runs}) > 1:
        return "These runs have different data. They are not ranked: their metrics do not compare."
    if len({run.data["split"]["hash"] for run in runs}) > 1:
        return (
            "These runs split their data differently. They are not ranked: their metrics are of "
            "different images."
        )
    return ""


def _warnings(rows: Sequence[ComparedRun]) -> list[str]:
    if sum(row.test is not None for row in rows) > 1:
        return ["Choose by the validation split: the best of several test results is optimistic."]
    return []


def points(difference: float) -> str:
    """A difference of percentages: "+2.1 points"."""
    return f"{100 * difference:+.1f} points"


def with_interval(metric: dict[str, Any]) -> str:
    """A metric with its interval: "93.4% (91.0% to 95.1%)"."""
    ends = f"{percent(metric['low'])} to {percent(metric['high'])}{rough_mark(metric)}"
    return f"{percent(metric['value'])} ({ends})"
