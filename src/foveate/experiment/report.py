"""The report of a run as one HTML page."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foveate import record_io
from foveate.audit.report import SEVERITY_TONES
from foveate.data.dataset import SPLITS, SplitName
from foveate.experiment.command_line import command_line
from foveate.experiment.mistakes_map import mistakes_map
from foveate.experiment.openings import ledger_panel
from foveate.experiment.predicted_split import PredictedSplit
from foveate.experiment.prepared_data import PreparedData
from foveate.experiment.run_folder import RunFolder
from foveate.experiment.training_views import training_views
from foveate.experiment.verdict import verdict_of
from foveate.metrics.best_weights import criterion
from foveate.metrics.definitions import definition
from foveate.metrics.names import display_name, interval_basis, rough_mark, title_name
from foveate.report import charts
from foveate.report.page import write_html
from foveate.report.panels import (
    Bar,
    Bars,
    Card,
    Chart,
    Code,
    Note,
    Notes,
    Page,
    Panel,
    Table,
)
from foveate.tasks.classification import Classification
from foveate.tasks.task import Task
from foveate.training import reproducibility
from foveate.wording import count_noun, percent, short_number

MAX_LISTED = 50
"""Skipped samples and leaks on the page; data.json has all."""


def write_report(run: RunFolder, prepared: PreparedData | None) -> Path:
    """Write report.html.

    Args:
        run: A trained run.
        prepared: Its data; None leaves the images out, where the data is gone or has changed.

    Returns:
        The path of the page.
    """
    results, data = run.results, run.data
    split: SplitName = "test" if results["test"] else "valid"
    task, _ = run.load()
    if list(task.classes) != data["classes"]:
        raise record_io.damaged(run.weights, "its classes are not those of data.json")
    verdict = verdict_of(run, results, split, task)
    classes = f"{count_noun(len(task.classes), 'class', 'classes')} · " if task.classes else ""
    page = Page(
        title=f"{data['name']} · {results['model']} · foveate",
        subtitle=(
            f"{data['name']} · {classes}{results['model']} · "
            f"{count_noun(results['weights'], 'parameter')}"
        ),
        headline=verdict.title,
        verdict=verdict.reason,
        context=verdict.context,
        tone=verdict.tone,
        cards=[metric_card(name, metric, task) for name, metric in results[split].items()],
        panels=[
            baselines_panel(results, split, task),
            Chart(
                "Learning curves",
                _curves_text(run, results, task),
                charts.learning_curves(run.curves, task.curve_metric, task.kept_by),
            ),
            Notes(
                "What the curves say",
                "",
                [Note(v["name"], v["text"], v["advice"], v["tone"]) for v in results["verdicts"]],
            ),
            *_predictions(run, prepared, split, task),
            *training_views(run, prepared),
            *_data(data),
            ledger_panel(run),
            _reproduction(run, results),
        ],
    )
    write_html(page, run.report_path)
    return run.report_path


# --- panels


def _with_percent(metric: Mapping[str, Any]) -> str:
    return "–" if metric["value"] is None else percent(metric["value"])


def metric_card(name: str, metric: Mapping[str, Any], task: Task[Any]) -> Card:
    """A metric with its interval."""
    title = title_name(name) + (" (lower is better)" if name in task.lower_is_better else "")
    if metric["value"] is None:
        return Card(title, "–", definition=definition(name))

    def text(value: float) -> str:
        return f"{value:.3f}" if name in task.raw_metrics else percent(value)

    if metric["low"] is None:
        return Card(title, text(metric["value"]), definition=definition(name))
    value, low, high = (text(metric[end]) for end in ("value", "low", "high"))
    ends = f"{low} to {high}"
    if low != high and value in (low, high) and value in (percent(0.0), percent(1.0)):
        ends = f"at most {high}" if value == low else f"at least {low}"
    return Card(title, value, f"{ends}{rough_mark(metric)}", definition(name))


def baselines_panel(
    results: Mapping[str, Any], split: SplitName, task: Task[Any], where: str | None = None
) -> Bars:
    """The model beside its baselines, with intervals.

    Args:
        results: Metrics, baselines and lift of the split, as results.json has them.
        split: The split.
        task: The task.
        where: The images, to follow "on"; by default the split.
    """
    metric = task.primary_metric
    where = where or f"the {'test' if split == 'test' else 'validation'} split"
    values = [(name, one[metric], False) for name, one in results["baseline"][split].items()]
    rows = [
        *sorted(values, key=lambda row: row[1]["value"]),
        (results["model"], results[split][metric], True),
    ]
    lift, basis = results["lift"][split][metric], interval_basis(results[split][metric])
    return Bars(
        "Model and baselines",
        f"{title_name(metric)} on {where}, with 95% "
        f"confidence intervals{basis}. The lift over the baseline {results['best_baseline']} "
        f"is {100 * lift['value']:+.1f} points ({100 * lift['low']:+.1f} to "
        f"{100 * lift['high']:+.1f}{rough_mark(lift)}).{_rough_note(results[split])}",
        [
            Bar(
                name,
                one["value"],
                one["low"],
                one["high"],
                _with_percent(one),
                is_model,
                not is_model and name == results["best_baseline"],
            )
            for name, one, is_model in rows
        ],
    )


def _rough_note(metrics: Mapping[str, Any]) -> str:
    if not any(metric.get("rough") for metric in metrics.values()):
        return ""
    return (
        " A rough interval rests on few images or groups, or on few that decide the metric, and "
        "may cover the true value in fewer than 92% of cases."
    )


def _curves_text(run: RunFolder, results: Mapping[str, Any], task: Task[Any]) -> str:
    metric = task.curve_metric
    name = display_name(metric)
    if not results["steps"]:
        return f"Loss and {name} of the linear layer, which was fitted at once."
    began = any(row["step"] == 0 for row in run.curves)
    start = "Epoch 0 is the linear probe that training began with. "
    images = "images" if run.settings.augment == "none" else "augmented images"
    return (
        f"Loss and {name} after each epoch. {start if began else ''}"
        f"The model has the weights with the {criterion(task.kept_by, run.curves)}, from epoch "
        f"{short_number(results['best_epoch'])} of {short_number(results['epochs'])}. "
        f"Training is measured on {images} while the model still learns, so its {name} can be "
        f"lower than that of validation.{_fitted_text(results, metric)}"
        f"{_mirrored_text(run, task)}"
    )


def _mirrored_text(run: RunFolder, task: Task[Any]) -> str:
    """Why the validation split has another metric in the curves than above."""
    if not (isinstance(task, Classification) and run.settings.flip):
        return ""
    return (
        " The curves are of images as they are; a prediction is the mean over an image and its "
        "mirror image."
    )


def _fitted_text(results: Mapping[str, Any], metric: str) -> str:
    fitted = (results.get("fitted") or {}).get(metric)
    if fitted is None:
        return ""
    return f" The kept weights reach {fitted:.1%} on train images that are not augmented."


def _predictions(
    run: RunFolder, prepared: PreparedData | None, split: SplitName, task: Task[Any]
) -> list[Panel]:
    """The panels of the task, and a map of the images."""
    predicted = PredictedSplit(run, prepared, split, task)
    panels = predicted.panels()
    if prepared is not None:
        ids, stats = predicted.ids, predicted.stats
        panels += mistakes_map(task, run.load()[1], prepared, split, ids, stats)
    return panels


def _data(data: Mapping[str, Any]) -> list[Panel]:
    counts = data["counts"]
    rows = [
        [name, *(f"{counts[split][k]:,}" for split in SPLITS)]
        for k, name in enumerate(data["classes"])
    ]
    total = ["all images", *(f"{data['images'][split]:,}" for split in SPLITS)]
    columns = ["class", *SPLITS]
    panels: list[Panel] = [
        Table("The data", "Images of each class in each split.", columns, rows, total=total)
    ]
    if data["audit"]:
        origin = shlex.quote(str(data["origin"] or data["name"]))
        groups = [
            [
                group["check"],
                group["severity"],
                group["first"],
                f"{group['samples']:,}" if group["samples"] else "–",
            ]
            for group in data["audit"]
        ]
        panels.append(
            Table(
                "Findings of the audit",
                f"Found before training. All of them: foveate audit {origin}",
                ["check", "severity", "for example", "samples"],
                groups,
                3,
                tones=[SEVERITY_TONES[group["severity"]] for group in data["audit"]],
            )
        )
    notes = [Note("note", note) for note in data["notes"]]
    notes += [
        Note(
            "leak, allowed by --allow-leak",
            f"{leak['reason']}: {', '.join(leak['ids'][:4])}",
            tone="bad",
        )
        for leak in data["leaks"][:MAX_LISTED]
    ]
    if notes:
        panels.append(Notes("Notes on the data", "", notes))
    if skipped := data["skipped"]:
        text = f"{count_noun(len(skipped), 'sample')} could not be used." + (
            f" The first {MAX_LISTED} are listed; data.json has all of them."
            if len(skipped) > MAX_LISTED
            else ""
        )
        listed = [[one["id"], one["reason"]] for one in skipped[:MAX_LISTED]]
        panels.append(Table("Skipped samples", text, ["sample", "reason"], listed, 2))
    return panels


def _reproduction(run: RunFolder, results: Mapping[str, Any]) -> Panel:
    seconds = " · ".join(f"{step} {value:.1f} s" for step, value in results["seconds"].items())
    versions = " · ".join(f"{name} {version}" for name, version in results["versions"].items())
    command = run.settings.command or command_line(run)
    timed = any(word.partition("=")[0] in ("--minutes", "minutes") for word in command.split())
    return Code(
        "Run it again",
        f"{results['hardware']}. {seconds}. {versions}. "
        + reproducibility.sentence(results.get("reproducible"), timed=timed),
        command,
        "The same with every choice written out, and all settings",
        f"{command_line(run)}\n\n{run.settings.to_yaml()}",
    )
