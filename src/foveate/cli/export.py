"""Commands that hand a trained model over."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foveate.cli.console import ConsoleReporter
from foveate.cli.options import NewPlace, RunFolder
from foveate.errors import SettingError


def export(
    run: RunFolder,
    format: Annotated[
        str, typer.Option(metavar="NAME", help="onnx, openvino, or pt2 (torch.export).")
    ] = "onnx",
    int8: Annotated[
        bool,
        typer.Option("--int8", help="Eight-bit convolutions, calibrated on training images."),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The file to write (default: RUN/model.onnx)."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier export in this file.")
    ] = False,
    data: NewPlace = None,
) -> None:
    """Write the model as a file for another runtime, if it predicts the same there."""
    from foveate.experiment.export.export import export
    from foveate.experiment.export.page import PAGE, conclusion
    from foveate.experiment.run import Run
    from foveate.inference import foundation

    if foundation.is_reference(str(run)):
        raise SettingError(
            "foundation models are not exported: there is no validation split that a file could be "
            "compared on",
            where=str(run),
            remedy="Their own libraries export many of them, such as Optimum: optimum-cli export "
            "onnx.",
        )
    opened, reporter = Run.open(run), ConsoleReporter()
    made = export(
        opened,
        format=format,
        int8=int8,
        out=out,
        overwrite=overwrite,
        data=data,
        reporter=reporter,
    )
    for line in conclusion(made.record, made.path, opened.task):
        reporter.info(line)
    reporter.info(f"report  {opened.path / PAGE}")
