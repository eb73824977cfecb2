"""Commands for a model that is handed over: its card, its package, and what it sees in service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foveate.cli.console import ConsoleReporter
from foveate.cli.options import Device, NewPlace, Overwrite, RunFolder

License = Annotated[
    str | None,
    typer.Option(
        "--license",
        metavar="NAME",
        help="Licence of the model, such as apache-2.0 (default: none).",
    ),
]


def card(
    run: RunFolder,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The file to write (default: RUN/card.md).")
    ] = None,
    license: License = None,
    overwrite: Overwrite = False,
) -> None:
    """Write a model card: data, metrics with intervals, baseline, limits, how to use it."""
    from foveate.experiment.run import Run
    from foveate.experiment.shipped.card import write_card

    reporter, opened = ConsoleReporter(), Run.open(run)
    path = write_card(opened, out, license=license, overwrite=overwrite)
    reporter.info(f"card  {path}")
    if opened.results["test"] is None:
        reporter.warning(
            "it says that the test split was never opened; to open it, once: foveate test "
            f"{opened.quoted_path}"
        )


def pack(
    run: RunFolder,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The zip to write (default: RUN/package.zip)."),
    ] = None,
    license: License = None,
    overwrite: Overwrite = False,
) -> None:
    """Write exported files, model card, reports and checksums into one zip."""
    from foveate.experiment.run import Run
    from foveate.experiment.shipped.pack import pack

    reporter = ConsoleReporter()
    made = pack(Run.open(run), out, license=license, overwrite=overwrite, reporter=reporter)
    for name, size in made.files.items():
        reporter.info(f"{size / 1e6:9.3f} MB  {name}")
    reporter.info("")
    reporter.info(f"package  {made.path}, {made.path.stat().st_size / 1e6:.1f} MB")
    reporter.info("Unzipped, it is checked with: sha256sum -c SHA256SUMS")


def watch(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run folder, or an exported file.")],
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...", help="Images, folders of them, or files of foveate predict --json."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="PAGE", help="Write a page (HTML), without images.")
    ] = None,
    overwrite: Overwrite = False,
    data: NewPlace = None,
    device: Device = None,
) -> None:
    """Compare images of service with the training data, and predictions with validation."""
    from foveate.experiment.shipped.watch import watch
    from foveate.experiment.shipped.watch_page import KIND, show, write_page
    from foveate.outputs import check_output

    if out is not None:
        check_output(out, KIND, option="--out", overwrite=overwrite, data=paths)
    reporter = ConsoleReporter()
    found = watch(run, paths, data=data, device=device, reporter=reporter)
    show(found, reporter.table, reporter.info)
    if out is not None:
        write_page(found, out, run)
        reporter.info(f"page  {out}")
