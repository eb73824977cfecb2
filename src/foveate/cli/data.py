"""Commands on datasets before training: audit, split and convert."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from foveate.cli.console import ConsoleReporter
from foveate.cli.options import (
    Data,
    DropLeaks,
    Fold,
    Format,
    GroupBy,
    Overwrite,
    RareClasses,
    ReadAs,
    Root,
    SetReading,
    TimeBy,
    parse_names,
    parse_reading,
)
from foveate.errors import SettingError


def audit(
    data: Data,
    deep: Annotated[
        bool,
        typer.Option(
            "--deep",
            help="Also find wrong labels, outliers and splits that differ, by a pretrained net.",
        ),
    ] = False,
    fix: Annotated[
        Path | None, typer.Option(metavar="DST", help="Write a repaired copy of the dataset.")
    ] = None,
    merge: Annotated[
        list[str] | None,
        typer.Option(
            metavar="A,B,...",
            help="With --fix: make these classes one, under its most frequent name; repeatable.",
        ),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write all findings into a JSON file."),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="File of the page (default: audit-DATA.html)."),
    ] = None,
    overwrite: Overwrite = False,
    format: Format = None,
    task: ReadAs = None,
    root: Root = None,
    set_: SetReading = None,
    seed: Annotated[int, typer.Option(help="Seed of the folds that --deep uses.")] = 0,
) -> None:
    """Find errors in a dataset. Exits with code 1 if there are any."""
    from foveate.atomic_io import storage_advice
    from foveate.audit.repair import check_merge
    from foveate.data.image_reading import DEFAULT_READING
    from foveate.datasets.load import load
    from foveate.experiment import audit as audits
    from foveate.wording import count_noun

    merged = [parse_names(names) for names in merge or []]
    if merged and fix is None:
        raise SettingError("--fix DST is expected beside it", where="--merge")
    reporter = ConsoleReporter()
    dataset = load(data, root=root, format=format, task=task)
    audits.AuditOutputs(page, json_file, fix, overwrite).check(dataset)
    check_merge(dataset, merged)
    is_default = page is None
    page = page or audits.default_page(dataset)
    reading = parse_reading(set_, DEFAULT_READING)
    with audits.led() as leads:
        if not leads:
            return
        result = audits.audit(dataset, deep=deep, seed=seed, reading=reading, reporter=reporter)
    for line in result.summary():
        reporter.info(line)
    with storage_advice("The findings are those above. Or name another place with --html."):
        result.write_page(page, overwrite=overwrite or is_default)
    reporter.info("")
    reporter.info(f"page    {page}")
    if json_file is not None:
        with storage_advice(f"The findings are on the page {page}, too."):
            result.write_json(json_file, overwrite=overwrite)
    if fix is not None:
        repairs = result.write_repaired(fix, format, merge=merged, overwrite=overwrite)
        count = count_noun(len(repairs), "repair")
        reporter.info(f"copy    {fix}, with {count}, listed in {audits.repairs_path(fix)}")
    if result.audit.errors:
        raise typer.Exit(1)


def split(
    data: Data,
    out: Annotated[Path, typer.Option(metavar="FILE", help="A new file for the split.")],
    overwrite: Overwrite = False,
    seed: Annotated[int, typer.Option(help="Same seed, same split.")] = 0,
    group_by: GroupBy = None,
    time_by: TimeBy = None,
    fold: Fold = None,
    allow_leak: Annotated[
        bool, typer.Option("--allow-leak", help="Split although the splits share images.")
    ] = False,
    drop_leaks: DropLeaks = False,
    rare_classes: RareClasses = None,
    format: Format = None,
    task: ReadAs = None,
    root: Root = None,
    set_: SetReading = None,
) -> None:
    """Write a split into a file, for foveate train --split FILE.

    A run refuses the file if the data has changed since.
    """
    from foveate.data.image_reading import DEFAULT_READING
    from foveate.datasets.load import load
    from foveate.experiment.split import write_split
    from foveate.settings import Settings

    reporter = ConsoleReporter()
    settings = Settings.of(
        seed=seed, group_by=group_by, time_by=time_by, fold=fold, allow_leak=allow_leak,
        drop_leaks=drop_leaks, rare_classes=rare_classes or "refuse",
        **asdict(parse_reading(set_, DEFAULT_READING)),
    )  # fmt: skip
    dataset = load(data, root=root, format=format, task=task)
    counts = write_split(dataset, out, reporter, settings, overwrite=overwrite)
    sizes = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    reporter.info(f"{sizes}, written to {out}")
    words = ["foveate", "train", data, "--split", str(out)]
    for name, value in {"format": format, "task": task, "root": root}.items():
        words += [f"--{name}", f"{value}"] if value is not None else []
    words += ["--rare-classes", "drop"] if rare_classes == "drop" else []
    words += [word for one in set_ or () for word in ("--set", one)]
    reporter.info(f"Train on it:  {shlex.join(words)}")


def convert(
    source: Annotated[
        str,
        typer.Argument(metavar="SRC", help="A folder, a file, or the name of a known dataset."),
    ],
    out: Annotated[Path, typer.Argument(metavar="DST", help="A new folder.")],
    format: Annotated[str, typer.Option("--format", help="Format to write. See: foveate formats.")],
    source_format: Annotated[
        str | None, typer.Option("--from", help="Format of SRC, if it cannot be recognised.")
    ] = None,
    task: ReadAs = None,
    without: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHAT", help="Leave this out, if the format cannot hold it; may be repeated."
        ),
    ] = None,
    root: Root = None,
) -> None:
    """Write a dataset in another format.

    Nothing is written if the format cannot hold all of it.
    """
    from foveate import formats, outputs
    from foveate.data import task_views
    from foveate.datasets.load import load
    from foveate.wording import count_noun

    reporter = ConsoleReporter()
    writer = formats.find_writer(format)
    dataset = load(source, root=root, format=source_format, task=task)
    outputs.check_folder(out, option="DST", data=dataset.origin_paths)
    writer.write(task_views.drop(dataset, without or []), out)
    classes = (
        f" of {count_noun(len(dataset.classes), 'class', 'classes')}" if dataset.classes else ""
    )
    images = count_noun(len(dataset), "image")
    reporter.info(f"{images}{classes}, written to {out} as {format}")
    for note in dataset.notes:
        reporter.warning(note)
    for skipped in dataset.skipped:
        reporter.warning(f"left out {skipped.id}: {skipped.reason}")
