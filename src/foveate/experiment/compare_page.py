"""Runs side by side as one HTML page."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from foveate import outputs
from foveate.experiment.compare import Comparison, with_interval
from foveate.experiment.run_folder import RunFolder
from foveate.metrics.names import display_name, title_name
from foveate.report import charts
from foveate.report.page import write_html
from foveate.report.panels import Bar, Bars, Chart, Code, Note, Notes, Page, Panel, Table, Tone
from foveate.tasks import find
from foveate.wording import count_noun, percent

MAX_CURVES = 8
"""Runs whose learning curves are shown."""
KIND = outputs.html_kind("comparison")
"""The file of `write_page`."""


def check_page(path: Path, runs: Sequence[Path], *, overwrite: bool) -> None:
    """Check before any work that a page can be written; see `outputs.check_output`."""
    outputs.check_output(path, KIND, option="--html", overwrite=overwrite, data=runs)


def write_page(comparison: Comparison, path: Path) -> None:
    """Write a comparison as a page that loads nothing.

    Raises:
        StorageError: It cannot be written.
    """
    runs = [RunFolder.open(row.run) for row in comparison.rows]
    header, rows = comparison.table()
    order = "" if comparison.not_ranked else "The best on the validation split first."
    panels: list[Panel] = [] if comparison.not_ranked else [_bars(comparison)]
    panels.append(Table("The runs", order, header, rows, len(header)))
    if comparison.differences:
        names = [f"{number}." for number in range(1, len(runs) + 1)]
        cells = [[name, *values] for name, values in comparison.differences.items()]
        text = "The runs are numbered in their order above. All other settings are the same."
        panels.append(
            Table("Settings that differ", text, ["setting", *names], cells, 1 + len(names))
        )
    task = find(runs[0].settings.task)
    panels += [
        Chart(
            f"Learning curves of {number}.",
            row.run,
            charts.learning_curves(run.curves, task.curve_metric, task.kept_by),
        )
        for number, (row, run) in enumerate(zip(comparison.rows, runs, strict=True), 1)
        if number <= MAX_CURVES and run.curves
    ]
    command = shlex.join(["foveate", "compare", *(row.run for row in comparison.rows)])
    panels.append(Code("How to repeat this", "", f"{command} --html {shlex.quote(str(path))}"))
    headline, verdict, tone = _verdict(comparison)
    data = " and ".join(dict.fromkeys(str(run.data["name"]) for run in runs))
    page = Page(
        title=f"{count_noun(len(runs), 'run')} compared · foveate",
        subtitle=f"{count_noun(len(runs), 'run')} of {data} compared",
        headline=headline,
        verdict=verdict,
        tone=tone,
        panels=[*_warnings(comparison), *panels],
        kind="comparison",
    )
    write_html(page, path)


def _bars(comparison: Comparison) -> Bars:
    """The metric of each run on the validation split, the best one marked."""
    best = comparison.rows[0]
    return Bars(
        title_name(comparison.metric),
        "On the validation split, with 95% confidence intervals.",
        [
            Bar(
                row.run,
                row.valid["value"],
                row.valid["low"],
                row.valid["high"],
                percent(row.valid["value"]),
                row is best,
            )
            for row in comparison.rows
        ],
    )


def _verdict(comparison: Comparison) -> tuple[str, str, Tone]:
    """Headline, verdict and tone: which run is the best, and whether that is known."""
    if comparison.not_ranked:
        headline, _, reason = comparison.not_ranked.partition(". ")
        return f"{headline}.", reason, "careful"
    best, *others = comparison.rows
    headline = (
        f"{best.run} is the best on the validation split: {display_name(comparison.metric)} "
        f"{with_interval(best.valid)}."
    )
    if comparison.warnings:
        return headline, "Read the warnings first.", "careful"
    overlapping = sum(
        row.valid["low"] <= best.valid["high"] and best.valid["low"] <= row.valid["high"]
        for row in others
    )
    if overlapping:
        verdict = (
            f"The intervals of {count_noun(overlapping, 'other run')} overlap with its own: chance "
            "may have put it first."
        )
    else:
        verdict = "Its interval lies apart from all others."
    return headline, verdict, "plain"


def _warnings(comparison: Comparison) -> list[Panel]:
    notes = [Note("warning", text, tone="careful") for text in comparison.warnings]
    return [Notes("Warnings", "", notes)] if notes else []
