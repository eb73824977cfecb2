"""Commands that use a trained or foundation model: generate and label."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foveate.cli.console import ConsoleReporter
from foveate.cli.names import check_run
from foveate.cli.options import (
    MODEL_HELP,
    Classes,
    Device,
    Download,
    SetReading,
    parse_reading,
)
from foveate.errors import SettingError

if TYPE_CHECKING:
    from foveate.experiment.run import Run
    from foveate.inference.generate import Generator
    from foveate.inference.predictor import Predictor

LISTED_PROPOSALS = 5
"""Proposals that `foveate label` prints; the table lists all."""


def generate(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="A run folder, an exported model, or diffusion:DIR.",
            callback=check_run,
        ),
    ],
    prompts: Annotated[
        list[str], typer.Argument(metavar="TEXT...", help="What to show, in quotes.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder.")],
    n: Annotated[int, typer.Option("-n", min=1, max=10_000, help="Images per text.")] = 4,
    seed: Annotated[int, typer.Option(help="Same seed, same text, same images.")] = 0,
    guidance: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=20,
            help="Scale of classifier-free guidance; 1 is none "
            "(default: calibrated on the validation split; 7.5 for diffusion).",
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1000,
            help="Steps from noise to image (default: 20; 50 for diffusion).",
        ),
    ] = None,
    download: Download = False,
) -> None:
    """Generate images from text."""
    from foveate.inference.generate import generate

    generate(
        _open_generator(run, download),
        prompts,
        out,
        n=n,
        seed=seed,
        guidance=guidance,
        steps=steps,
        reporter=ConsoleReporter(),
    )


def _open_generator(name: str, download: bool) -> Generator:
    """Open what generates: an exported model, before anything needs torch; a run, or diffusion."""
    from foveate.inference.exported.model import ExportedModel

    if ExportedModel.is_one(name):
        _refuse_options({"--download": download})
        return ExportedModel.open(name)
    from foveate.inference import foundation

    if foundation.is_reference(name):
        return foundation.open_generator(name, download=download)
    return _open_run(name, {"--download": download})


def label(
    images: Annotated[Path, typer.Argument(metavar="IMAGES", help="A folder of images.")],
    run: Annotated[str, typer.Option("--with", metavar="RUN", help=MODEL_HELP, callback=check_run)],
    out: Annotated[Path, typer.Option(metavar="DST", help="A new folder.")],
    format: Annotated[
        str | None,
        typer.Option(
            "--format", help="Format to write; see: foveate formats (default: the task's)."
        ),
    ] = None,
    device: Device = None,
    classes: Classes = None,
    set_: SetReading = None,
    download: Download = False,
) -> None:
    """Propose labels, for a person to correct and foveate train to use."""
    from foveate.inference.label import label
    from foveate.wording import count_noun

    reporter = ConsoleReporter()
    model = open_model(run, classes, download, device)
    model.reading = parse_reading(set_, model.reading)
    proposals = label(model, images, out, format=format, reporter=reporter)
    for proposal in proposals[:LISTED_PROPOSALS]:
        unknown = math.isnan(proposal.confidence)
        confidence = "" if unknown else f"  (lowest confidence {proposal.confidence:.0%})"
        reporter.info(f"{proposal.id}  {proposal.summary}{confidence}")
    reporter.info("")
    reporter.info(f"{count_noun(len(proposals), 'image')} labelled in {out}")
    reporter.info(f"All proposals, the least confident first: {out}.proposals.csv")


def open_model(name: str, classes: str | None, download: bool, device: str | None) -> Predictor:
    """Open a run, the models of a cross-validation, an exported or a foundation model."""
    from foveate.inference.exported.model import ExportedModel

    foundation_options = {"--classes": classes, "--download": download}
    model: Predictor
    if ExportedModel.is_one(name):  # before anything that needs torch
        _refuse_options(foundation_options)
        model = ExportedModel.open(name)
    else:
        model = _open_with_torch(name, foundation_options)
    model.device = device
    return model


def is_foundation(name: str) -> bool:
    """Whether a model is a foundation model; raise SettingError for an unknown family."""
    from foveate.inference import foundation
    from foveate.inference.exported.model import ExportedModel

    return not ExportedModel.is_one(name) and foundation.is_reference(name)


def _open_with_torch(name: str, foundation_options: Mapping[str, Any]) -> Predictor:
    """Open a foundation model, a run, or the models of a cross-validation."""
    from foveate.inference import foundation

    if not is_foundation(name):
        return _open_trained(name, foundation_options)
    classes = foundation_options["--classes"]
    names = None if classes is None else classes.split(",")
    return foundation.open(name, classes=names, download=foundation_options["--download"])


def _open_trained(path: str, foundation_options: Mapping[str, Any]) -> Predictor:
    """Open a run, or the models of a cross-validation."""
    from foveate.experiment.trials.ensemble import CrossValidation

    if CrossValidation.is_one(path):
        _refuse_options(foundation_options)
        return CrossValidation.open(path)
    return _open_run(path, foundation_options)


def _open_run(path: str, foundation_options: Mapping[str, Any]) -> Run:
    """Open a run; options for foundation models are refused."""
    from foveate.experiment.run import Run

    _refuse_options(foundation_options)
    return Run.open(path)


def _refuse_options(foundation_options: Mapping[str, Any]) -> None:
    for option, value in foundation_options.items():
        if value:
            raise SettingError(
                "this option is for foundation models; a run has its own classes and weights",
                where=option,
            )
