"""The verdict on a run: its result in a sentence, and how far to believe it."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from foveate import record_io, tasks
from foveate.data.dataset import SplitName
from foveate.experiment.run_folder import RunFolder
from foveate.metrics.best_weights import best_row
from foveate.metrics.metric import PerImageStats
from foveate.metrics.names import display_name, interval, interval_basis, with_article
from foveate.report.panels import Tone
from foveate.tasks.task import Task
from foveate.wording import count_noun, percent

BELIEVE = "Believe this value"
HARDLY_TRAINED = 0.1
"""Epochs below which a verdict says so."""
FAR_BELOW = 0.05
"""How far below the metric of all classes that of the worst class is named."""


@dataclass(frozen=True)
class Doubt:
    """Whether to believe a result, and why.

    Attributes:
        word: Two or three words, e.g. "Careful".
        reason: A sentence without its capital letter.
        tone: How serious it is.
    """

    word: str
    reason: str
    tone: Tone


@dataclass(frozen=True)
class Verdict:
    """What a person reads first.

    Attributes:
        subject: What the result is of, e.g. "this model".
        result: The result, to follow the subject.
        context: Its interval, and the result of the best baseline, in sentences.
        doubt: Whether to believe it.
    """

    subject: str
    result: str
    context: str
    doubt: Doubt

    @property
    def title(self) -> str:
        """The verdict and the result, in one sentence."""
        return f"{self.doubt.word}: {self.subject} {self.result}."

    @property
    def headline(self) -> str:
        """The result with its interval and the best baseline."""
        subject = self.subject[:1].upper() + self.subject[1:]
        return f"{subject} {self.result}. {self.context}"

    @property
    def sentence(self) -> str:
        """Whether to believe it, and why."""
        return f"{self.doubt.word}: {self.doubt.reason}"

    @property
    def reason(self) -> str:
        """Why, as a sentence of its own."""
        return self.doubt.reason[:1].upper() + self.doubt.reason[1:]

    @property
    def tone(self) -> Tone:
        """How serious it is."""
        return self.doubt.tone


def context_of(metric: Mapping[str, Any], baseline: str, value: float) -> str:
    """The interval of a metric and the best baseline, in two sentences.

    Args:
        metric: The metric with low and high.
        baseline: Name of the baseline.
        value: The same metric of the baseline.
    """
    return (
        f"The {interval(metric)}. The best simple baseline, {baseline}, reaches {percent(value)}."
    )


def verdict_of(
    run: RunFolder, results: Mapping[str, Any], split: SplitName, task: Task[Any]
) -> Verdict:
    """The verdict on the results of a split."""
    metric, name = task.primary_metric, results["best_baseline"]
    baseline, lift = results["baseline"][split][name][metric], results["lift"][split][metric]
    try:
        result = task.headline(results[split], split)
    except (KeyError, TypeError):  # a metric is missing, or has no value
        raise record_io.damaged(
            run.path / "results.json", f"a metric of the {split} split is missing"
        ) from None
    context = context_of(results[split][metric], name, baseline["value"])

    def verdict(doubt: Doubt) -> Verdict:
        unmoved = no_training(run.curves, task.kept_by)
        reason = f"{doubt.reason}{unmoved or short_training(results)}"
        doubt = replace(doubt, reason=reason)
        return Verdict("this model", result, context, doubt)

    leak = f" {_leak(run, split, task)}." if run.data["leaks"] else ""
    openings = len(run.ledger.entries)
    worst = worst_class(task, run.read_predictions(split)[1], results[split][metric]["value"])
    if doubt := doubt_of(lift, name, leak, lower=metric in task.lower_is_better):
        return verdict(replace(doubt, reason=f"{doubt.reason}{worst}"))
    if split != "test":
        reason = f"better than every baseline, and the test split is still locked.{worst}"
        return verdict(Doubt("Not yet tested", reason, "plain"))
    if openings > 1:
        reason = f"the test split was opened {openings} times.{worst}"
        return verdict(Doubt("Careful", reason, "careful"))
    reason = f"clearly better than every baseline, on images that the model had never seen.{worst}"
    return verdict(Doubt(BELIEVE, reason, "good"))


def no_training(rows: Sequence[Mapping[str, Any]], kept_by: str) -> str:
    """A sentence, with a space before it, if training improved nothing; or ""."""
    best = best_row(rows, kept_by)
    if best is None or rows[best]["step"] > 0:
        return ""
    return " Its weights are those of the linear probe that training began with."


def short_training(results: Mapping[str, Any]) -> str:
    """A sentence, with a space before it, if a model has hardly been trained; or ""."""
    if not results["steps"] or results["epochs"] >= HARDLY_TRAINED:
        return ""
    steps = count_noun(results["steps"], "step")
    return f" It was trained for only {steps}, {results['epochs']:.1%} of an epoch."


def caution(run: RunFolder) -> str | None:
    """A sentence for whoever uses a run to predict, if one of its baselines is better."""
    results = run.unscored_results
    split = "test" if results["test"] else "valid"
    if not results[split]:  # it was interrupted before its evaluation
        return None
    task, name = tasks.find(results["task"]), results["best_baseline"]
    lift = results["lift"][split][task.primary_metric]
    doubt = doubt_of(lift, name, lower=task.primary_metric in task.lower_is_better)
    if doubt is None or doubt.tone != "bad":
        return None
    return f"on the {split} split, the baseline {name} is better than this model"


def worst_class(task: Task[Any], stats: PerImageStats, overall: float) -> str:
    """A sentence on the class with the lowest metric, if it is far below the metric of all.

    Args:
        task: The task.
        stats: Per-image statistics of a split.
        overall: The primary metric on it.

    Returns:
        The sentence, with a space before it, or "".
    """
    metric, values = task.class_values(stats) or ("", [])
    known = {name: v for name, v in zip(task.classes, values, strict=False) if not math.isnan(v)}
    if len(known) < 2:
        return ""
    name = min(known, key=lambda name: known[name])
    if known[name] > overall - FAR_BELOW:
        return ""
    return f" Its worst class is {name!r}, with {with_article(metric)} of {percent(known[name])}."


def doubt_of(
    lift: Mapping[str, Any], baseline: str, leak: str = "", *, lower: bool
) -> Doubt | None:
    """Why a result should not be believed, and how serious that is; None if nothing speaks against.

    Args:
        lift: Of the primary metric over the best baseline, with its interval.
        baseline: Name of that baseline.
        leak: A sentence on images that several splits share, with a space before it.
        lower: Whether less of the metric is better.
    """
    low, high = (-lift["high"], -lift["low"]) if lower else (lift["low"], lift["high"])
    if high < 0:
        return Doubt("Do not use it", f"the baseline {baseline} is better.{leak}", "bad")
    if low <= 0:
        reason = f"it is not clearly better than {baseline}.{leak}"
        return Doubt("Careful", reason, "careful")
    if leak:
        return Doubt("Careful", leak.strip(), "careful")
    if lift.get("rough"):
        what = "groups of images" if interval_basis(lift) else "images"
        reason = f"better than {baseline}, but few {what} decide it, so the interval is rough."
        return Doubt("Careful", reason, "careful")
    return None


def _leak(run: RunFolder, split: SplitName, task: Task[Any]) -> str:
    """How many images of a split are in another split too, and the metric without them."""
    leaks = [leak for leak in run.data["leaks"] if split in leak["splits"]]
    leaked = {id for leak in leaks for id in leak["ids"]}
    ids, stats = run.read_predictions(split)
    clean = np.array([id not in leaked for id in ids], bool)
    images = count_noun(len(ids), f"{'test' if split == 'test' else 'validation'} image")
    if clean.all():
        return f"other splits share images; none of the {images} is among them"
    count = len(ids) - int(clean.sum())
    sentence = (
        f"{count:,} of {images} {'belongs' if count == 1 else 'belong'} with images of another "
        "split, so the result is partly memory"
    )
    if not clean.any():
        return sentence
    without = task.metric().compute({name: rows[clean] for name, rows in stats.items()})
    value = without[task.primary_metric]
    return f"{sentence}. Without them: {display_name(task.primary_metric)} {percent(value)}"


def conclusion(run: RunFolder, split: SplitName) -> list[str]:
    """The lines that a command prints at its end."""
    results = run.results
    task = tasks.find(results["task"])(run.data["classes"])
    verdict = verdict_of(run, results, split, task)
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
