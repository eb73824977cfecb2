"""Options that several commands share, and the options of `foveate train` that are settings."""

from __future__ import annotations

import csv
import inspect
import math
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from foveate.cli.names import check_data, check_run, check_task, model_names, task_names
from foveate.errors import SettingError

if TYPE_CHECKING:
    from foveate.data.image_reading import ImageReading

F = TypeVar("F", bound=Callable[..., Any])


Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="A folder, a file, or the name of a known dataset.",
        callback=check_data,
    ),
]
Root = Annotated[Path | None, typer.Option(help="Folder where known datasets are searched first.")]
Format = Annotated[
    str | None, typer.Option("--format", help="Format of DATA, if it cannot be recognised.")
]
ReadAs = Annotated[
    str | None,
    typer.Option(
        "--task",
        callback=check_task,
        autocompletion=task_names,
        help="Task that DATA is for, if it can be read for several.",
    ),
]
GroupBy = Annotated[
    str | None,
    typer.Option(
        metavar="RULE",
        help="Keep groups of images together: folder:N, or a regular expression on file names.",
    ),
]
TimeBy = Annotated[
    str | None,
    typer.Option(
        metavar="RULE",
        help="Test on the latest images: exif, data (a column), or a regular expression.",
    ),
]
Fold = Annotated[
    str | None, typer.Option(metavar="I/K", help="Test on fold I of K, counted from 1.")
]
Classes = Annotated[
    str | None, typer.Option(metavar="A,B,...", help="Names of the classes, for clip only.")
]
Download = Annotated[
    bool, typer.Option("--download", help="Download the foundation model from the hub.")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace output files that foveate wrote before.")
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", callback=check_run)]
NewPlace = Annotated[
    str | None,
    typer.Option("--data", metavar="PLACE", help="Where the run's data lies now, if it was moved."),
]
SetReading = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="How image files are read: black, white, pages or max_pixels; may be repeated.",
    ),
]
DropLeaks = Annotated[
    bool,
    typer.Option(
        "--drop-leaks", help="Leave out train and valid images that a later split holds too."
    ),
]
RareClasses = Annotated[
    str | None,
    typer.Option(
        metavar="HOW",
        help="Classes with fewer images than splits: train (in train alone), merge or drop.",
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="What computes: cpu, cuda, cuda:1, mps or xpu (default: the best of this machine).",
    ),
]
MODEL_HELP = "A run folder, an exported file, or clip:DIR, sam:DIR or sam2:DIR."


class SettingOptions:
    """The options of `foveate train` that are settings; an attribute is named as its setting.

    Options without a value are left to the task's default.
    """

    task: Annotated[
        str | None,
        typer.Option(
            autocompletion=task_names, help="See: foveate tasks (default: what DATA fits)."
        ),
    ] = None
    model: Annotated[
        str | None,
        typer.Option(
            autocompletion=model_names, help="See: foveate models (default: chosen by the data)."
        ),
    ] = None
    epochs: Annotated[float | None, typer.Option(help="Passes over the train split.")] = None
    minutes: Annotated[float | None, typer.Option(help="Time budget, instead of --epochs.")] = None
    size: Annotated[int | None, typer.Option(help="Side of the images in pixels.")] = None
    seed: Annotated[
        int | None, typer.Option(help="Same seed, same machine, same numbers (default: 0).")
    ] = None
    device: Device = None
    lr: Annotated[str | None, typer.Option(help="Peak learning rate, or 'find' to measure it.")] = (
        None
    )
    batch_size: Annotated[
        int | None, typer.Option(help="Images per step (default: as many as suit the model).")
    ] = None
    weights: Annotated[
        str | None, typer.Option(metavar="FILE", help="Start from published weights in a file.")
    ] = None
    root: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Folder where known datasets are searched first."),
    ] = None
    data_format: Format = None
    flip: Annotated[
        bool | None,
        typer.Option("--flip/--no-flip", help="Whether mirrored images are valid examples."),
    ] = None
    log: Annotated[
        str | None,
        typer.Option(metavar="TRACKER", help="Log to tensorboard, mlflow or wandb too."),
    ] = None
    allow_leak: Annotated[
        bool, typer.Option("--allow-leak", help="Train although the splits share images.")
    ] = False
    drop_leaks: DropLeaks = False
    rare_classes: RareClasses = None
    allow_skipped: Annotated[
        bool, typer.Option("--allow-skipped", help="Train although many images are unreadable.")
    ] = False
    allow_errors: Annotated[
        bool, typer.Option("--allow-errors", help="Train although the audit finds errors.")
    ] = False
    group_by: GroupBy = None
    time_by: TimeBy = None
    fold: Fold = None
    split: Annotated[
        str | None, typer.Option(metavar="FILE", help="Use a split written by foveate split.")
    ] = None


def typed_command() -> str:
    """The command line of this process."""
    return shlex.join(["foveate", *sys.argv[1:]])


def takes_settings(command: F) -> F:
    """Give a command an option for each attribute of SettingOptions, as its **settings."""
    signature = inspect.signature(command, eval_str=True)
    parameters = list(signature.parameters.values())[:-1]
    options = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=getattr(SettingOptions, name),
            annotation=annotation,
        )
        for name, annotation in inspect.get_annotations(SettingOptions, eval_str=True).items()
    ]
    positional = [one for one in parameters if one.kind is not inspect.Parameter.KEYWORD_ONLY]
    keywords = [one for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY]
    command.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*positional, *options, *keywords]
    )
    return command


def given_options(settings: dict[str, Any]) -> dict[str, Any]:
    """Those of the SettingOptions that the user gave."""
    return {
        name: value
        for name, value in settings.items()
        if value is not None and value is not getattr(SettingOptions, name, None)
    }


def parse_settings(pairs: list[str]) -> dict[str, Any]:
    """Parse KEY=VALUE pairs, the values as YAML: numbers, true, null and lists.

    Raises:
        SettingError: A pair or a value cannot be parsed, or a name is given twice.
    """
    import yaml

    settings: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise SettingError(f"KEY=VALUE is expected, got {pair!r}", where="--set")
        name = key.strip().replace("-", "_")
        if name in settings:
            raise SettingError("it is given twice", where=f"--set {name}")
        try:
            settings[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise SettingError(f"the value of {pair!r} cannot be read", where="--set") from None
    return settings


def chosen_settings(
    settings: dict[str, Any], pairs: list[str] | None, *, pretrained: bool
) -> dict[str, Any]:
    """The settings that a user chose, by options and by KEY=VALUE pairs.

    Raises:
        SettingError: A pair or a value cannot be parsed, or a setting is given twice.
    """
    weights = {"weights": "download"} if pretrained else {}
    set_, options = parse_settings(pairs or []), given_options(settings)
    for name in (*set_, *weights):
        if name in options or (name in set_ and name in weights):
            raise SettingError(
                "it is given twice, by an option of its own and by another one",
                where=name,
                remedy="Leave out one of them: --pretrained gives weights, --set what it names.",
            )
    everything = {**settings, **weights, **set_}
    check_names(everything)
    return {name: value for name, value in everything.items() if value is not None}


def check_names(settings: dict[str, Any]) -> None:
    """Check the names of settings, task, model and format, before torch is imported.

    Raises:
        SettingError: A name is unknown; the message lists those that exist.
    """
    from foveate import models, tasks

    task, model, data_format = (settings.get(name) for name in ("task", "model", "data_format"))
    if isinstance(task, str):
        tasks.check_name(task)
    if isinstance(model, str) and model != "auto":
        models.check_name(model)
    if isinstance(data_format, str):
        from foveate import formats  # takes half a second

        formats.find(data_format)
    from foveate.settings import check_given

    check_given(settings)


def parse_reading(pairs: list[str] | None, reading: ImageReading) -> ImageReading:
    """Change how image files are read by KEY=VALUE pairs.

    Raises:
        SettingError: A pair is none, or names no such setting.
    """
    from foveate.settings import Settings

    values = parse_settings(pairs or [])
    names = ("black", "white", "pages", "max_pixels")
    for name in values:
        if name not in names:
            raise SettingError(
                f"{', '.join(names[:-1])} or {names[-1]} is expected, got {name!r}", where="--set"
            )
    checked = Settings.of(**values)
    return replace(reading, **{name: getattr(checked, name) for name in values})


def parse_names(text: str) -> list[str]:
    """Parse names separated by commas; a name with a comma is in double quotes."""
    return next(csv.reader([text]), [])


def parse_numbers(text: str, count: int, option: str) -> tuple[float, ...]:
    """Parse numbers separated by commas.

    Args:
        text: The user's text.
        count: How many numbers are expected.
        option: The option, for the message.

    Raises:
        SettingError: These are not so many finite numbers.
    """
    try:
        numbers = tuple(map(float, text.split(",")))
    except ValueError:
        numbers = ()
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise SettingError(
            f"{count} numbers separated by commas are expected, got {text!r}", where=option
        )
    return numbers
