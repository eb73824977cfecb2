"""Commands on labelled pictures, before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foveate.cli.console import ConsoleReporter
from foveate.cli.options import Data, Fold, Format, GroupBy, Root, TimeBy


def audit(
    data: Data,
    deep: Annotated[
        bool,
        typer.Option("--deep", help="Also find labels that are probably wrong: takes minutes."),
    ] = False,
    fix: Annotated[
        Path | None, typer.Option(metavar="DST", help="Write a repaired copy here.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write every finding here.")
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="The page.  [default: audit-DATA.html]"),
    ] = None,
    format: Format = None,
    root: Root = None,
    seed: Annotated[int, typer.Option(help="Of the nets that --deep trains.")] = 0,
) -> None:
    """Say what is wrong with labelled pictures. Exit code 1 where there are errors."""
    from foveate import atomic_io
    from foveate.audit import report
    from foveate.data.load import load

    reporter = ConsoleReporter()
    found = report.look(load(data, root=root, format=format), reporter, deep=deep, seed=seed)
    report.tell(found, reporter)
    page = page or Path(f"audit-{found.audit.dataset.name}.html")
    report.write_page(found, page)
    reporter.info(f"\npage    {page}")
    if json_file is not None:
        atomic_io.write_json(json_file, report.to_json(found))
    if fix is not None:
        repairs = report.fix(found, fix, format)
        reporter.info(f"copy    {fix}, {len(repairs):,} repairs, listed in {fix}.repairs.csv")
    if found.audit.errors:
        raise typer.Exit(1)


def split(
    data: Data,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write the split.")],
    seed: Annotated[int, typer.Option(help="Same seed, same split.")] = 0,
    group_by: GroupBy = None,
    time_by: TimeBy = None,
    fold: Fold = None,
    allow_leak: Annotated[
        bool, typer.Option("--allow-leak", help="Although parts share pictures.")
    ] = False,
    format: Format = None,
    root: Root = None,
) -> None:
    """Write a split into a file, for foveate train --split FILE. It is refused once the data under it changes."""
    from foveate.data.load import load
    from foveate.experiment import prepare
    from foveate.settings import Settings

    reporter = ConsoleReporter()
    wanted = Settings.of(
        seed=seed, group_by=group_by, time_by=time_by, fold=fold, allow_leak=allow_leak
    )
    reporter.info(prepare.write_split(load(data, root=root, format=format), out, reporter, wanted))


def convert(
    source: Annotated[
        str, typer.Argument(metavar="SRC", help="A folder, a file, or a known set's name.")
    ],
    place: Annotated[Path, typer.Argument(metavar="DST", help="A new folder.")],
    format: Annotated[
        str, typer.Option("--format", help="The format to write. See: foveate formats.")
    ],
    given: Annotated[
        str | None, typer.Option("--from", help="The format of SRC, where it cannot be told.")
    ] = None,
    leave: Annotated[
        list[str] | None,
        typer.Option("--without", metavar="WHAT", help="What to leave out, if DST cannot hold it."),
    ] = None,
    root: Root = None,
) -> None:
    """Write labelled pictures in another format. What that cannot hold is told, and nothing is written."""
    from foveate import formats
    from foveate.data import task_views
    from foveate.data.load import load

    reporter = ConsoleReporter()
    target = formats.find(format)
    dataset = load(source, root=root, format=given)
    target.write(task_views.without(dataset, leave or []), place)
    classes = (
        f" of {len(dataset.classes):,} class{'es' * (len(dataset.classes) != 1)}"
        if dataset.classes
        else ""
    )
    reporter.info(f"{len(dataset):,} pictures{classes}, written to {place} as {format}")
    for note in dataset.notes:
        reporter.warning(note)
    for skipped in dataset.skipped:
        reporter.warning(f"left out {skipped.id}: {skipped.reason}")
