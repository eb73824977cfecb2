"""Commands that train many models: cross-validate and tune."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from foveate.cli.console import ConsoleReporter
from foveate.cli.options import Data, chosen_settings, takes_settings

Pretrained = Annotated[
    bool, typer.Option("--pretrained", help="Download published weights to start from.")
]
DownloadData = Annotated[
    bool, typer.Option("--download", help="Download a known dataset that is not here.")
]
SetSetting = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any other setting; see: foveate settings."),
]


@takes_settings
def cross_validate(
    data: Data,
    *,
    folds: Annotated[int, typer.Option(help="Folds, each tested once.")] = 5,
    seeds: Annotated[int, typer.Option(help="Models a fold, to see the spread over seeds.")] = 1,
    pretrained: Pretrained = False,
    download: DownloadData = False,
    set_: SetSetting = None,
    out: Annotated[Path | None, typer.Option(metavar="CV", help="A new folder.")] = None,
    **settings: Any,
) -> None:
    """Test every image once, by a model that never saw it.

    Start the same command several times, and the processes share the folds. --minutes is the time
    of one fold.
    """
    chosen = chosen_settings(settings, set_, pretrained=pretrained)
    from foveate.experiment.trials.cross_validate import cross_validate
    from foveate.experiment.trials.cv_report import conclusion

    reporter = ConsoleReporter()
    result = cross_validate(
        data,
        folds=folds,
        seeds=seeds,
        out=out,
        reporter=reporter,
        download=download,
        **chosen,
    )
    for line in conclusion(result.results, result.path, result.task):
        reporter.info(line)


@takes_settings
def tune(
    data: Data,
    *,
    trials: Annotated[int | None, typer.Option(help="How many, in all processes together.")] = None,
    study: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Database of machines without a shared disk (default: a file in the folder).",
        ),
    ] = None,
    pretrained: Pretrained = False,
    download: DownloadData = False,
    set_: SetSetting = None,
    out: Annotated[Path | None, typer.Option(metavar="STUDY", help="A new folder.")] = None,
    **settings: Any,
) -> None:
    """Search settings by many trials, and train the best ones.

    --minutes is the time of the whole search; each trial has --epochs, or as many as the model's
    recipe says. Start the same command several times, and the processes share the trials.
    """
    chosen = chosen_settings(settings, set_, pretrained=pretrained)
    from foveate.experiment.trials.tune import tune
    from foveate.experiment.trials.tune_result import conclusion

    reporter = ConsoleReporter()
    result = tune(
        data,
        trials=trials,
        study=study,
        out=out,
        reporter=reporter,
        download=download,
        **chosen,
    )
    for line in conclusion(result.results, result.path):
        reporter.info(line)
