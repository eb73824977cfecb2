"""Commands that train many models: cross-validate."""

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
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any other setting.")
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
        **chosen_settings(settings, set_, pretrained=pretrained),
    )
    for line in conclusion(result.results, result.path, result.task):
        reporter.info(line)
