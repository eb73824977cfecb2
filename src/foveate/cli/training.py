"""Commands that train and evaluate: demo, train, test, report and compare."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foveate.cli import BEGAN
from foveate.cli.console import ConsoleReporter
from foveate.cli.names import check_data, check_run, task_names
from foveate.cli.options import (
    Device,
    NewPlace,
    Overwrite,
    RunFolder,
    chosen_settings,
    given_options,
    parse_settings,
    takes_settings,
    typed_command,
)
from foveate.errors import SettingError

if TYPE_CHECKING:
    from foveate.data.dataset import SplitName
    from foveate.experiment import run_folder


def demo(
    task: Annotated[
        str, typer.Option(autocompletion=task_names, help="See: foveate tasks.")
    ] = "classification",
    minutes: Annotated[
        float | None,
        typer.Option(help="Time for all but the test (default: about 1, or 5 for other tasks)."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="A new run folder (default: runs/DATA-MODEL-N)."),
    ] = None,
) -> None:
    """Train, test and report on built-in images, in about a minute."""
    from foveate import tasks

    tasks.check_name(task)
    from foveate.experiment import pipeline, test_split
    from foveate.experiment.typed_command import recorded

    reporter = ConsoleReporter()
    shown = tasks.find(task)
    settings = dict(shown.demo_settings)
    if minutes is not None:
        settings.pop("epochs", None)
        settings["minutes"] = minutes
    with recorded(typed_command()):
        run = pipeline.train(
            shown.demo_data,
            out=out,
            reporter=reporter,
            began=BEGAN,
            task=task,
            **settings,
        )
    test_split.test(run, reporter=reporter)
    _print_conclusion(run, "test")


@takes_settings
def train(
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            help="A folder, a CSV, or the name of a known dataset.",
            callback=check_data,
        ),
    ] = None,
    *,
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="Download published weights to start from.")
    ] = False,
    download: Annotated[
        bool, typer.Option("--download", help="Download a known dataset that is not here.")
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Any other setting; see: foveate settings."
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option(help="Train so many times, to see the spread over seeds.")
    ] = 1,
    out: Annotated[Path | None, typer.Option(metavar="RUN", help="A new run folder.")] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Resume an interrupted run.")
    ] = None,
    place: NewPlace = None,
    **settings: Any,
) -> None:
    """Split, score baselines, train, validate and report.

    The test split stays locked: see foveate test.
    """
    chosen = chosen_settings(settings, set_, pretrained=pretrained)
    from foveate.experiment import pipeline
    from foveate.experiment.typed_command import recorded

    reporter = ConsoleReporter()
    if pretrained:
        settings["weights"] = "download"
    if resume is not None:
        if seeds != 1:
            raise SettingError("--resume goes on with one run", where=f"--seeds {seeds}")
        _check_resume(data, out)
        run = pipeline.resume(
            resume,
            data=place,
            reporter=reporter,
            **{**given_options(settings), **parse_settings(set_ or [])},
        )
        _print_conclusion(run, "valid")
        return
    if place is not None:
        raise SettingError(
            "a run to go on with is expected beside --data",
            where=place,
            remedy="Use: foveate train --resume RUN --data PLACE, or to train anew: foveate train "
            "PLACE.",
        )
    if data is None:
        raise SettingError(
            "DATA is missing", remedy="Try: foveate train digits, or foveate train FOLDER."
        )
    if seeds != 1:
        _train_seeds(data, seeds, out=out, reporter=reporter, download=download, **chosen)
        return
    with recorded(typed_command()):
        run = pipeline.train(
            data, out=out, reporter=reporter, download=download, began=BEGAN, **chosen
        )
    _print_conclusion(run, "valid")


def _train_seeds(data: str, count: int, **options: Any) -> None:
    from foveate.experiment.trials import seeds

    spread = seeds.train_seeds(data, seeds=count, **options)
    for line in seeds.conclusion(spread.results, spread.path):
        options["reporter"].info(line)


def _check_resume(data: str | None, out: Path | None) -> None:
    """Refuse what a run that goes on has already."""
    if data is not None:
        raise SettingError(
            "--resume takes a run and no DATA: the run knows its data",
            where=data,
            remedy=f"If the data was moved there, use: --data {data}.",
        )
    if out is not None:
        raise SettingError("--resume goes on in the run's own folder", where=f"--out {out}")


def test(run: RunFolder, place: NewPlace = None, device: Device = None) -> None:
    """Open the locked test split, and record that it was opened."""
    from foveate.experiment import run as runs

    opened = runs.Run.open(run)
    opened.device = device
    runs.test(opened, data=place, reporter=ConsoleReporter())
    _print_conclusion(opened, "test")


def report(run: RunFolder, place: NewPlace = None) -> None:
    """Write a run's report.html again, from its record."""
    from foveate.experiment.run import Run

    reporter, opened = ConsoleReporter(), Run.open(run)
    reporter.info(str(opened.report(data=place, reporter=reporter)))
    for entry in opened.ledger.entries:
        if entry.result is None:
            reporter.warning(
                f"the test split was opened on {entry.opened}, and no result was written; to "
                f"complete it: foveate test {opened.quoted_path}"
            )


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN RUN...", help="Two or more run folders.", callback=check_run),
    ],
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the comparison as a page too.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Compare runs, the best on the validation split first."""
    from foveate.experiment import compare, compare_page

    reporter = ConsoleReporter()
    if html is not None:
        compare_page.check_page(html, runs, overwrite=overwrite)
    comparison = compare.compare(runs)
    for line in comparison.lines():
        reporter.info(line)
    for warning in comparison.warnings:
        reporter.warning(warning)
    if html is not None:
        compare_page.write_page(comparison, html)
        reporter.info(f"page    {html}")


def _print_conclusion(run: run_folder.RunFolder, split: SplitName) -> None:
    from foveate.experiment.verdict import conclusion

    reporter = ConsoleReporter()
    for line in conclusion(run, split):
        reporter.info(line)
