"""The command that predicts for images, videos and cameras."""

from __future__ import annotations

import atexit
import math
import os
import shutil
import sys
import tempfile
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foveate.cli.console import ConsoleReporter
from foveate.cli.inference import is_foundation, open_model
from foveate.cli.names import check_run
from foveate.cli.options import (
    MODEL_HELP,
    Device,
    Download,
    SetReading,
    parse_names,
    parse_numbers,
    parse_reading,
)
from foveate.errors import FoveateError, SettingError

if TYPE_CHECKING:
    from foveate.inference.predict import Prompt


def predict(
    run: Annotated[str, typer.Argument(metavar="RUN", help=MODEL_HELP, callback=check_run)],
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH...", help="Images, videos, folders of them; or 0, a camera."),
    ],
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write the predictions into a JSON file."),
    ] = None,
    coco_file: Annotated[
        Path | None,
        typer.Option(
            "--coco", metavar="FILE", help="Write boxes and masks with scores in COCO's format."
        ),
    ] = None,
    csv_file: Annotated[
        Path | None,
        typer.Option(
            "--csv", metavar="FILE", help="Write a table: a row for each object, or each image."
        ),
    ] = None,
    pixel_size: Annotated[
        float | None,
        typer.Option(
            metavar="UM", help="Side of a pixel in micrometres, to measure in the table of --csv."
        ),
    ] = None,
    draw: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write copies of images and videos with predictions."),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write the predicted masks as label images."),
    ] = None,
    conf: Annotated[
        float | None,
        typer.Option(
            metavar="SCORE",
            min=0,
            max=1,
            help="Only objects of this score or more (default: chosen on the validation split).",
        ),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...", help="Only objects of these classes; for clip: what there may be."
        ),
    ] = None,
    show: Annotated[
        bool,
        typer.Option("--show", help="Show a camera (PATH is its number, 0) or a video in a page."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace earlier predictions in these files.")
    ] = False,
    tile: Annotated[
        int | None,
        typer.Option(
            metavar="PX", min=1, help="Cut larger images into overlapping tiles of this side."
        ),
    ] = None,
    point: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X,Y",
            help="A pixel of the object, for promptable runs and sam; may be repeated.",
        ),
    ] = None,
    outside: Annotated[
        list[str] | None,
        typer.Option(metavar="X,Y", help="A pixel of the background; may be repeated."),
    ] = None,
    box: Annotated[
        str | None, typer.Option(metavar="L,T,R,B", help="A box around the object.")
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What computes the net of a run: torch, or onnx (ONNX Runtime: faster on a CPU).",
        ),
    ] = None,
    device: Device = None,
    set_: SetReading = None,
    download: Download = False,
) -> None:
    """Predict for images and videos."""
    from foveate.inference.predict import predict_paths, show_live
    from foveate.inference.prediction_outputs import Outputs

    outputs = Outputs(json_file, coco_file, draw, masks, overwrite, csv_file, pixel_size)
    prompt = _parse_prompt(point or [], outside or [], box)
    _check_live(
        paths,
        show,
        [
            *outputs.by_option,
            *(["--point, --outside or --box"] if prompt else []),
            *(["--pixel-size"] if pixel_size is not None else []),
            *(["--overwrite"] if overwrite else []),
        ],
    )
    if pixel_size is not None and not (math.isfinite(pixel_size) and pixel_size > 0):
        raise SettingError(
            f"micrometres above 0 are expected, got {pixel_size:g}", where="--pixel-size"
        )
    named = classes if is_foundation(run) else None  # what a run may predict is known
    model = open_model(run, named, download, device)
    if runtime is not None:
        model.runtime = runtime
    model.reading = parse_reading(set_, model.reading)
    wanted = parse_names(classes) if classes and named is None else None
    reporter = ConsoleReporter()
    if caution := model.caution:
        reporter.warning(caution)
    if show:
        show_live(
            model, paths[0], tile=tile, conf=conf, classes=wanted, reporter=reporter,
            on_page=_open_browser,
        )  # fmt: skip
        return
    result = predict_paths(
        model, paths, outputs,
        tile=tile, prompt=prompt, conf=conf, classes=wanted, reporter=reporter,
    )  # fmt: skip
    if result.skipped and not result.count:
        raise FoveateError("none of these images could be read", where=paths[0])


def _check_live(paths: Sequence[Path], show: bool, others: Sequence[str]) -> None:
    """Refuse what does not go with a live view.

    Raises:
        SettingError: Something does not.
    """
    from foveate.inference.live import is_camera

    cameras = [path for path in paths if is_camera(path)]
    if cameras and not show:
        raise SettingError(
            "there is no file of this name, and a number is a camera only with --show",
            where=cameras[0],
            remedy=f"Check the path, or show camera {cameras[0]}: add --show.",
        )
    if show and len(paths) > 1:
        raise SettingError("one camera or video is expected", where="--show")
    if show and others:
        raise SettingError(
            f"a live view writes nothing and takes no clicks, got {', '.join(others)}",
            where="--show",
            remedy="Leave these out, or predict for a video file without --show.",
        )


def _open_browser(address: str) -> None:
    """Open a page where a person sits before a screen."""
    has_screen = sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    if has_screen and sys.stdout.isatty():
        _open_page(address)


def _open_page(address: str) -> None:
    """Open an address that other users of this machine may not see.

    They can read the command line of a browser, so it gets a file that leads to the address, which
    only its owner can read. The file goes at the end of the process: a browser may open it late.
    """
    folder = tempfile.mkdtemp(prefix="foveate-")  # for its owner alone
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    page = Path(folder) / "live.html"
    page.touch(0o600)
    page.write_text(
        '<!doctype html><meta charset="utf-8"><title>foveate</title>'
        f'<meta http-equiv="refresh" content="0;url={address}"><a href="{address}">Live view</a>\n',
        encoding="utf-8",
    )
    webbrowser.open(page.as_uri())


def _parse_prompt(points: list[str], outside: list[str], box: str | None) -> Prompt | None:
    from foveate.inference.predict import Prompt

    clicks = [
        (*parse_numbers(text, 2, option), inside)
        for option, inside, texts in (("--point", True, points), ("--outside", False, outside))
        for text in texts
    ]
    corners = None if box is None else parse_numbers(box, 4, "--box")
    return Prompt(clicks, corners) if clicks or corners else None  # type: ignore[arg-type]
