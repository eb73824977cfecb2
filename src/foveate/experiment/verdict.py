"""The verdict on a run: its result in a sentence, and how far to believe it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from foveate import record_io, tasks
from foveate.data.dataset import SplitName
from foveate.experiment.run_folder import RunFolder
from foveate.metrics.names import display_name, interval_basis
from foveate.report.panels import Tone
from foveate.tasks.task import Task
from foveate.wording import count_noun


@dataclass(frozen=True)
class Verdict:
    """What a person reads first.

    Attributes:
        headline: The result of the model and of the best baseline.
        sentence: Whether to believe it.
        tone: How serious the sentence is.
    """

    headline: str
    sentence: str
    tone: Tone


def judge(run: RunFolder, results: Mapping[str, Any], split: SplitName, task: Task[Any]) -> Verdict:
    """The verdict on the results of a split."""
    metric, name = task.primary_metric, results["best_baseline"]
    baseline, lift = results["baseline"][split][name][metric], results["lift"][split][metric]
    try:
        result = task.headline(results[split], split)
    except (KeyError, TypeError):  # a metric is missing, or has no value
        raise record_io.damaged(
            run.path / "results.json", f"a metric of the {split} split is missing"
        ) from None
    headline = (
        f"This model {result}. The best simple baseline, {name}, reaches {baseline['value']:.1%}."
    )
    leak = f" {_leak(run, split, task)}." if run.data["leaks"] else ""
    openings = len(run.ledger.entries)
    if doubt := doubt_of(lift, name, leak, lower=metric in task.lower_is_better):
        return Verdict(headline, *doubt)
    if split != "test":
        return Verdict(
            headline, "Better than every baseline. The test split is still locked.", "plain"
        )
    if openings > 1:
        return Verdict(headline, f"Careful: the test split was opened {openings} times.", "careful")
    return Verdict(
        headline,
        "Believe it: clearly better than every baseline, on images that it had never seen.",
        "good",
    )


def doubt_of(
    lift: Mapping[str, Any], baseline: str, leak: str = "", *, lower: bool
) -> tuple[str, Tone] | None:
    """Why a result should not be believed, and how serious that is; None if nothing speaks against.

    Args:
        lift: Of the primary metric over the best baseline, with its interval.
        baseline: Name of that baseline.
        leak: A sentence on images that several splits share, with a space before it.
        lower: Whether less of the metric is better.
    """
    low, high = (-lift["high"], -lift["low"]) if lower else (lift["low"], lift["high"])
    if high < 0:
        return f"Do not believe it: the baseline {baseline} is better.{leak}", "bad"
    if low <= 0:
        return f"Careful: it is not clearly better than {baseline}.{leak}", "careful"
    if leak:
        return f"Careful.{leak}", "careful"
    if lift.get("rough"):
        what = "groups of images" if interval_basis(lift) else "images"
        return (
            f"Careful: better than {baseline} by a rough interval, as few {what} decide it.",
            "careful",
        )
    return None


def _leak(run: RunFolder, split: SplitName, task: Task[Any]) -> str:
    """How many images of a split are in another split too, and the metric without them."""
    leaks = [leak for leak in run.data["leaks"] if split in leak["splits"]]
    leaked = {id for leak in leaks for id in leak["ids"]}
    ids, stats = run.read_predictions(split)
    clean = np.array([id not in leaked for id in ids], bool)
    images = count_noun(len(ids), f"{'test' if split == 'test' else 'validation'} image")
    if clean.all():
        return f"Other splits share images; none of the {images} is among them"
    count = len(ids) - int(clean.sum())
    sentence = (
        f"{count:,} of {images} {'belongs' if count == 1 else 'belong'} with images of another "
        "split, so the result is partly memory"
    )
    if not clean.any():
        return sentence
    without = task.metric().compute({name: rows[clean] for name, rows in stats.items()})
    value = without[task.primary_metric]
    return f"{sentence}. Without them: {display_name(task.primary_metric)} {value:.1%}"


def conclusion(run: RunFolder, split: SplitName) -> list[str]:
    """The lines that a command prints at its end."""
    results = run.results
    task = tasks.find(results["task"])(run.data["classes"])
    verdict = judge(run, results, split, task)
    lines = ["", verdict.headline, verdict.sentence]
    if split == "valid":
        lines += [f"{v['name']}: {v['text']} {v['advice']}" for v in results["verdicts"]]
    lines += ["", f"report  {run.report_path}"]
    if results["test"] is None:
        lines += [
            "The test split is still locked. To open it, once:",
            f"        foveate test {shlex.quote(str(run.path))}",
        ]
    return lines
