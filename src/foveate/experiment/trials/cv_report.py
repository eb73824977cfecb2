"""The report of a cross-validation as one HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from foveate.data.dataset import Image
from foveate.experiment.evaluate import Predicted
from foveate.experiment.predicted_split import reduced
from foveate.experiment.prepared_data import PreparedData
from foveate.experiment.report import baselines_panel, metric_card
from foveate.experiment.run_folder import RunFolder
from foveate.experiment.trials.spread import seed_text, seeds_panel
from foveate.experiment.verdict import BELIEVE, Doubt, Verdict, context_of, doubt_of
from foveate.metrics.names import title_name
from foveate.report.page import write_html
from foveate.report.panels import (
    Bar,
    Bars,
    Code,
    Gallery,
    GalleryItem,
    Note,
    Notes,
    Page,
    Panel,
    Table,
)
from foveate.tasks.task import Task
from foveate.wording import count_noun, percent

MAX_SUSPECTS = 24
"""Doubtful labels on the page; label_errors.csv has all."""


def write_report(
    folder: Path,
    record: Mapping[str, Any],
    runs: Sequence[RunFolder],
    found: Predicted,
    wrong: Sequence[int] | None,
    prepared: PreparedData,
) -> None:
    """Write report.html.

    Args:
        folder: The cross-validation.
        record: The contents of cross_validation.json.
        runs: The run of each fold.
        found: What was predicted for each image.
        wrong: Rows of `found` whose label looks wrong; None if this is unknown.
        prepared: The data.
    """
    task, name = runs[0].load()[0], runs[0].data["name"]
    verdict = _verdict(record, task)
    samples = {sample.id: sample for sample in prepared.images.dataset}

    def read_image(row: int) -> Image:
        image: Image = reduced(task, samples[found.ids[row]].source.read())[0]
        return image

    def read_pair(row: int) -> tuple[Any, Any]:
        image = samples[found.ids[row]].source.read()
        _, prediction, target = reduced(task, image, found.predictions[row], found.targets[row])
        return prediction, target

    page = Page(
        title=f"{name} · cross-validation · foveate",
        subtitle=f"{name} · {record['model']} · cross-validation in {record['folds']} folds",
        headline=verdict.title,
        verdict=verdict.reason,
        context=verdict.context,
        tone=verdict.tone,
        cards=[metric_card(one, metric, task) for one, metric in record["test"].items()],
        panels=[
            baselines_panel(record, "test", task, "all images"),
            *seeds_panel(record, record["test"], task, "The same folds, trained with other seeds"),
            _folds(record, task),
            *task.report_panels(found.stats, found.ids, read_image, read_pair),
            *_label_errors(found, wrong, task, read_image),
            _openings(runs),
            _meaning(record),
            _use(folder, runs),
        ],
        kind="cross-validation",
    )
    write_html(page, folder / "report.html")


def _verdict(record: Mapping[str, Any], task: Task[Any]) -> Verdict:
    """The result over all images in a sentence, and whether to believe it."""
    metric, name = task.primary_metric, record["best_baseline"]
    baseline = record["baseline"]["test"][name][metric]
    doubt = doubt_of(record["lift"]["test"][metric], name, lower=metric in task.lower_is_better)
    reason = (
        "clearly better than every baseline, and no image was predicted by a model that had seen "
        "it."
    )
    return Verdict(
        f"cross-validated in {record['folds']} folds, {record['model']}",
        task.headline(record["test"], "test"),
        context_of(record["test"][metric], name, baseline["value"]),
        doubt or Doubt(BELIEVE, reason, "good"),
    )


def conclusion(record: Mapping[str, Any], folder: Path, task: Task[Any]) -> list[str]:
    """The lines that a command prints at its end."""
    verdict, metric = _verdict(record, task), task.primary_metric
    spread = record["spread"][metric]
    lines = [
        "",
        verdict.headline,
        verdict.sentence,
        f"spread over folds: {percent(spread['low'])} to {percent(spread['high'])}, standard "
        f"deviation {100 * spread['sd']:.1f} points",
    ]
    if record["seed_spread"] is not None:
        lines.append(f"spread over seeds: {seed_text(record, metric)}")
    if record["label_errors"]:
        count = count_noun(len(record["label_errors"]), "label looks", "labels look")
        lines.append(f"{count} wrong: {folder / 'label_errors.csv'}")
    return [*lines, "", f"report  {folder / 'report.html'}"]


# --- panels


def _folds(record: Mapping[str, Any], task: Task[Any]) -> Bars:
    metric = task.primary_metric
    spread = record["spread"][metric]
    bars = []
    for fold in record["by_fold"]:
        one = fold["test"][metric]
        bars.append(Bar(fold["run"], one["value"], one["low"], one["high"], percent(one["value"])))
    total = record["test"][metric]
    label = percent(total["value"])
    bars.append(Bar("all images", total["value"], total["low"], total["high"], label, True))
    return Bars(
        "Spread over folds",
        f"{title_name(metric)} of each fold, with 95% confidence intervals over its images. The "
        f"standard deviation over folds is {100 * spread['sd']:.1f} points: it holds the chance "
        "of which images fall into a fold as well as differences between the models, so it is "
        "no interval. The interval to quote is the one over all images.",
        bars,
    )


def _label_errors(
    found: Predicted, wrong: Sequence[int] | None, task: Task[Any], read_image: Any
) -> list[Panel]:
    if wrong is None:
        return []
    items = [
        GalleryItem(
            read_image(row),
            f"labelled {task.summary(found.targets[row])}",
            f"predicted {task.summary(found.predictions[row])} · {found.ids[row]}",
            "careful",
        )
        for row in wrong[:MAX_SUSPECTS]
    ]
    text = (
        f"{count_noun(len(wrong), 'label')} of {len(found.ids):,} that models which never saw the "
        "image find improbable (confident learning, Northcutt et al., 2021), the most suspicious "
        "first. Look at them and correct what is wrong; label_errors.csv lists all."
        if len(wrong)
        else "No label is improbable to the models that never saw its image."
    )
    return [Gallery("Labels that look wrong", text, items)]


def _openings(runs: Sequence[RunFolder]) -> Panel:
    """When the fold of each run was opened, and by whom before."""
    rows = []
    for run in runs:
        entry = run.ledger.find(run.weights_digest())
        if entry is not None:
            last = entry.earlier[-1] if entry.earlier else None
            rows.append(
                [
                    run.path.name,
                    entry.opened,
                    entry.weights[:12],
                    f"{last.run}, {last.opened}" if last else "no other run known",
                ]
            )
    return Table(
        "The test split of each fold",
        "A fold is the test split of its model: opened once, for the weights that the validation "
        "split had chosen, and noted in the fold's ledger. Whoever compares several "
        "cross-validations on the same images and keeps the best has an optimistic result.",
        ["fold", "opened", "weights (sha256)", "opened before by"],
        rows,
        4,
    )


def _meaning(record: Mapping[str, Any]) -> Panel:
    folds = record["folds"]
    return Notes(
        "What the number means",
        "",
        [
            Note(
                "each image once",
                f"Of {folds} folds one tests, the next one validates and the other {folds - 2} "
                "train. A model trained on all images would have more to learn from, so it is "
                "likely to be a little better.",
            ),
            Note(
                "the interval",
                "It rests on images, or on groups of images that belong together, drawn with "
                "replacement. The models of the folds share most of their images: what another "
                "training set would change is not in it.",
            ),
        ],
    )


def _use(folder: Path, runs: Sequence[RunFolder]) -> Panel:
    return Code(
        "How to use it",
        "All folds together predict by the mean of their probabilities, where the task has one. "
        "Each fold is a run of its own, with its own report.",
        f"foveate predict {folder} IMAGES\n"
        f"foveate predict {runs[0].path} IMAGES\n\n{runs[0].settings.to_yaml()}",
    )
