"""report.html while training goes on: the curves so far, on a page that reloads itself.

The report of the finished run takes its place.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from foveate.errors import StorageError
from foveate.experiment.prepared_data import PreparedData
from foveate.experiment.run_folder import RunFolder
from foveate.experiment.trackers import Tracked
from foveate.experiment.watchers import WatchedReporter
from foveate.metrics.best_weights import best_row, criterion
from foveate.metrics.names import display_name, title_name
from foveate.progress import Reporter, TrainingProgress
from foveate.report.live_chart import draw_lines
from foveate.report.page import write_html
from foveate.report.panels import Card, Chart, Code, LegendEntry, Page, Panel, Plot
from foveate.training.stopping import ended_by_sigterm
from foveate.training.time_budget import UNKNOWN_TOTAL
from foveate.wording import short_number

RELOAD_SECONDS = 5
MAX_SHARE = 0.02
"""Share of the time that is spent on the page."""
MAX_DONE = 0.99
"""Share of the training that is done, at most, while it goes on."""


class LiveReport:
    """Writes the page after validations, as often as it costs next to nothing.

    Args:
        run: The run.
        name: Of its data.
        metric: The metric of its curves.
        kept_by: See `best_row`.
        reporter: Receives where the page is.
    """

    def __init__(self, run: RunFolder, name: str, metric: str, kept_by: str, reporter: Reporter):
        self.run, self.name, self.reporter = run, name, reporter
        self.metric, self.kept_by = metric, kept_by
        self._written, self._cost = 0.0, 0.0
        self._stopped = "Training was stopped before its end"
        self._rows: Sequence[Any] = ()

    def validated(self, progress: TrainingProgress) -> None:
        """Write the page, unless it was written a moment ago."""
        first = not self._rows
        self._rows = progress.rows
        if time.monotonic() - self._written < self._cost / MAX_SHARE:
            return
        began = time.monotonic()
        total = progress.total
        share = min(MAX_DONE, progress.step / max(1, total))  # it goes on: it is not all done
        self._write(
            "Training goes on", "" if total >= UNKNOWN_TOTAL else f"{share:.0%}", reload=True
        )
        self._written = time.monotonic()
        self._cost = self._written - began
        if first:
            self.reporter.info(
                f"the curves so far, until the report is there: {self.run.report_path}"
            )

    def trained(self) -> None:
        """Say that training has ended and the run is evaluated now."""
        self._stopped = "Training has ended, and the run was stopped before its report was written"
        self._write("Training has ended, and the run is being evaluated", "", reload=True)

    def stopped(self) -> None:
        """Say that the run was stopped before its end; the page reloads no more."""
        self._write(self._stopped, "", reload=False)

    def _write(self, state: str, done: str, *, reload: bool) -> None:
        if not self._rows:
            return
        name = self.name
        page = Page(
            title=f"{name} · {self.run.settings.model} · training · foveate",
            subtitle=f"{name} · {self.run.settings.model}",
            headline=f"{state}: {self._so_far()}.",
            verdict="This is not the result: the report takes the place of this page when the run "
            "is finished.",
            tone="careful",
            context=self._best_so_far(),
            cards=self._cards(done),
            panels=self._panels(reload=reload),
            reload_seconds=RELOAD_SECONDS if reload else None,
        )
        try:
            write_html(page, self.run.report_path)
        except StorageError:  # training goes on: what it needs to save it reports itself
            return

    def _so_far(self) -> str:
        row, name = self._rows[-1], display_name(self.metric)
        value, epoch = row[f"valid_{self.metric}"], short_number(row["epoch"])
        return f"validation {name} {value:.1%} at epoch {epoch}"

    def _best_so_far(self) -> str:
        epoch = short_number(self._best()["epoch"])
        return f"The {criterion(self.kept_by, self._rows)} so far is that of epoch {epoch}."

    def _best(self) -> Any:
        """The row of the best weights so far."""
        return self._rows[best_row(self._rows, self.kept_by) or 0]

    def _cards(self, done: str) -> list[Card]:
        row, best = self._rows[-1], self._best()
        minutes, seconds = divmod(round(row["seconds"]), 60)
        cards = [
            Card("Epoch", short_number(row["epoch"]), f"{done} of the training" if done else ""),
            Card(
                "Validation loss",
                f"{row['valid_loss']:.4g}",
                f"with the best weights {best['valid_loss']:.4g}",
            ),
            Card(
                f"Validation {display_name(self.metric)}",
                f"{row[f'valid_{self.metric}']:.1%}",
                f"with the best weights {best[f'valid_{self.metric}']:.1%}",
            ),
            Card("Time of training", f"{minutes}:{seconds:02}", f"written at {_now()}"),
        ]
        return cards

    def _panels(self, *, reload: bool) -> list[Panel]:
        epochs = [row["epoch"] for row in self._rows]
        svgs = [
            draw_lines(
                name,
                epochs,
                {
                    split: [row[f"{split}_{key}"] for row in self._rows]
                    for split in ("valid", "train")
                },
                percent=key != "loss",
            )
            for name, key in (("Loss", "loss"), (title_name(self.metric), self.metric))
        ]
        legend = [LegendEntry("validation", "model"), LegendEntry("training", "other")]
        alt = f"Loss and {display_name(self.metric)} by epoch so far"
        again = "This page reloads itself. " if reload else ""
        return [
            Chart("Learning curves so far", "Loss and metric by epoch.", Plot(svgs, alt, legend)),
            Code(
                "If it was stopped",
                f"{again}A run that was stopped goes on from its last checkpoint.",
                f"foveate train --resume {self.run.quoted_path}",
            ),
        ]


@contextmanager
def watched(
    run: RunFolder, prepared: PreparedData, tracked: Tracked, reporter: Reporter
) -> Iterator[tuple[WatchedReporter, LiveReport]]:
    """Write report.html after validations in the block, in which the run is trained, and log them.

    The block ends once the report has taken the place of that page. Whatever ends it before,
    SIGTERM too, leaves a page that says so and reloads no more.

    Args:
        run: The run.
        prepared: Its data.
        tracked: Its tracker.
        reporter: Receives the progress.

    Yields:
        The reporter for the training, and the page, whose `trained` is called after it.
    """
    name, task = prepared.images.dataset.name, prepared.task
    live = LiveReport(run, name, task.curve_metric, task.kept_by, reporter)
    try:
        with ended_by_sigterm():
            yield WatchedReporter(reporter, [live, tracked]), live
    except BaseException:
        live.stopped()
        tracked.stopped()
        raise


def _now() -> str:
    return time.strftime("%H:%M:%S")
