"""The command that answers requests: serve."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from foveate.cli.console import ConsoleReporter
from foveate.cli.inference import open_model
from foveate.cli.names import check_run
from foveate.cli.options import MODEL_HELP, Classes, Device, Download


def serve(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help=MODEL_HELP, callback=check_run)
    ],
    port: Annotated[int, typer.Option(min=0, max=65_535, help="The port; 0: a free one.")] = 8000,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Who may connect: 127.0.0.1 this machine, 0.0.0.0 all, with FOVEATE_TOKEN set.",
        ),
    ] = "127.0.0.1",
    runtime: Annotated[
        str | None, typer.Option(metavar="NAME", help="What computes the nets of runs.")
    ] = None,
    max_mb: Annotated[int, typer.Option(min=1, help="MiB of a request, at most 512.")] = 32,
    max_pixels: Annotated[
        int, typer.Option(min=1, max=10**9, help="Pixels of an image.")
    ] = 50_000_000,
    max_images: Annotated[int, typer.Option(min=1, max=10_000, help="Images of a request.")] = 64,
    requests: Annotated[
        int, typer.Option(min=1, max=100_000, help="Requests that a model takes at once.")
    ] = 128,
    batch: Annotated[
        int, typer.Option(min=1, max=10_000, help="Images that are predicted at once.")
    ] = 32,
    seconds: Annotated[
        float, typer.Option(min=0.1, max=3600, help="Time from a request to its response.")
    ] = 30.0,
    device: Device = None,
    classes: Classes = None,
    download: Download = False,
) -> None:
    """Answer requests over HTTP, and show a page to try the models on."""
    from foveate.serving import server
    from foveate.serving.limits import MIB, Limits

    limits = Limits(max_mb * MIB, max_pixels, max_images, requests, batch=batch, seconds=seconds)
    server.check_libraries()
    limits.check()
    server.find_token(host)  # before models are loaded
    models = {}
    for name, run in zip(server.names_of(runs), runs, strict=True):
        models[name] = model = open_model(run, classes, download, device)
        if runtime is not None:
            model.runtime = runtime
    say = ConsoleReporter().info
    if not server.serve(models, host=host, port=port, limits=limits, say=say):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)  # a thread in torch would be cut off in the middle, and bring the process down
