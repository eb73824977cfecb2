"""The commands, thin: each reads its options, calls one function, and prints what came of it."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foveate.console import Terminal
from foveate.errors import FoveateError, Interrupted, SettingError

if TYPE_CHECKING:
    from foveate.data.dataset import Part
    from foveate.run import Run

app = typer.Typer(
    name="foveate",
    help="From pictures and a question to a trained vision model, and a straight answer on whether to believe it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Data = Annotated[str, typer.Argument(metavar="DATA", help="A folder, a file, or a known set's name.")]
Root = Annotated[Path | None, typer.Option(help="Where known sets are looked for first.")]
Format = Annotated[str | None, typer.Option("--format", help="What DATA is, where that cannot be told by looking.")]
GroupBy = Annotated[
    str | None, typer.Option(metavar="HOW", help="What stays together: folder:N, or a regular expression on names.")
]
TimeBy = Annotated[
    str | None, typer.Option(metavar="HOW", help="Test on the latest: exif, data (a column), or an expression.")
]
Fold = Annotated[str | None, typer.Option(metavar="I/K", help="Test on the I-th of K equal parts, from 1.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A folder that foveate train wrote.")]


@app.command()
def demo(
    out: Annotated[Path | None, typer.Option(help="The run folder.  [default: runs/digits-quick-N]")] = None,
) -> None:
    """Train on the built-in handwritten digits, test once, and write a report: the whole path in a minute."""
    from foveate.experiment import test, train

    watch = Terminal()
    run = train("digits", out=out, watch=watch, size=24, epochs=30)  # chosen on the validation part
    test(run, watch=watch)
    _conclude(run, "test")


@app.command()
def train(
    data: Annotated[str | None, typer.Argument(metavar="DATA", help="A folder, a CSV, or a known set's name.")] = None,
    task: Annotated[str | None, typer.Option(help="See: foveate tasks.  [default: what DATA is for]")] = None,
    model: Annotated[
        str | None, typer.Option(help="See: foveate models.  [default: quick, or what the task prefers]")
    ] = None,
    epochs: Annotated[float | None, typer.Option(help="How often each picture is seen.")] = None,
    minutes: Annotated[float | None, typer.Option(help="A time budget, instead of epochs.")] = None,
    size: Annotated[int | None, typer.Option(help="Side of the pictures in pixels.")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same machine, same numbers.")] = 0,
    lr: Annotated[str | None, typer.Option(help="Peak learning rate, or: find.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Pictures a step.  [default: 128, or what the task prefers]")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="RUN", help="The run folder.")] = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="Go on with an interrupted run.")] = None,
    pretrained: Annotated[bool, typer.Option("--pretrained", help="Download published weights to start from.")] = False,
    weights: Annotated[Path | None, typer.Option(help="Published weights in a local file to start from.")] = None,
    root: Root = None,
    format: Format = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch a known set that is not here.")] = False,
    flip: Annotated[bool | None, typer.Option("--flip/--no-flip", help="Is a mirrored picture a good example?")] = None,
    allow_leak: Annotated[bool, typer.Option("--allow-leak", help="Train although parts share pictures.")] = False,
    allow_skipped: Annotated[bool, typer.Option("--allow-skipped", help="Train although many are unreadable.")] = False,
    allow_errors: Annotated[
        bool, typer.Option("--allow-errors", help="Train although the audit finds errors.")
    ] = False,
    group_by: GroupBy = None,
    time_by: TimeBy = None,
    fold: Fold = None,
    split: Annotated[Path | None, typer.Option(metavar="FILE", help="A split that foveate split wrote.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any other setting.")] = None,
) -> None:
    """Split, score baselines, train, validate and report. The test part stays locked: see foveate test."""
    from foveate import experiment

    watch = Terminal()
    if resume is not None:
        if data is not None:
            raise SettingError("--resume takes a run and no DATA: the run knows its own", where=data)
        _conclude(experiment.resume(resume, watch=watch), "valid")
        return
    if data is None:
        raise SettingError("DATA is missing", remedy="Try: foveate train digits, or foveate train FOLDER.")
    given = {
        "task": task,
        "model": model,
        "epochs": epochs,
        "minutes": minutes,
        "size": size,
        "seed": seed,
        "lr": lr,
        "batch_size": batch_size,
        "weights": "download" if pretrained else str(weights) if weights else None,
        "root": str(root) if root else None,
        "flip": flip,
        "allow_leak": allow_leak,
        "allow_skipped": allow_skipped,
        "allow_errors": allow_errors,
        "data_format": format,
        "group_by": group_by,
        "time_by": time_by,
        "fold": fold,
        "split": str(split) if split else None,
        **_pairs(set_ or []),
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    _conclude(experiment.train(data, out=out, watch=watch, download=download, **chosen), "valid")


@app.command()
def test(run: RunFolder) -> None:
    """Open the locked test part, and write that down."""
    from foveate import experiment
    from foveate.run import Run

    opened = Run.open(run)
    experiment.test(opened, watch=Terminal())
    _conclude(opened, "test")


@app.command()
def predict(
    run: RunFolder,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Pictures, videos, or folders of them.")],
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the answers here too.")
    ] = None,
    coco_file: Annotated[
        Path | None, typer.Option("--coco", metavar="FILE", help="Write boxes here, with scores, as COCO has them.")
    ] = None,
    draw: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Draw each answer into a copy of its picture, here.")
    ] = None,
    masks: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write each answer's masks here, as label pictures.")
    ] = None,
    tile: Annotated[
        int | None, typer.Option(metavar="PX", min=1, help="Cut larger pictures into overlapping squares of this side.")
    ] = None,
) -> None:
    """Say what is in pictures."""
    from foveate.predicting import Outputs, predict_paths
    from foveate.run import Run

    watch = Terminal()
    outputs = Outputs(json_file, coco_file, draw, masks)
    answers = predict_paths(Run.open(run), paths, outputs, tile=tile, watch=watch)
    if answers.skipped and not answers.count:
        raise FoveateError("none of these pictures could be read", where=paths[0])


@app.command()
def report(run: RunFolder) -> None:
    """Write report.html again from a run's record."""
    from foveate import experiment
    from foveate.run import Run

    Terminal().say(str(experiment.report(Run.open(run))))


@app.command()
def compare(runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="Two runs or more.")]) -> None:
    """Put runs side by side, best on the validation part first."""
    from foveate.comparing import compare_runs
    from foveate.run import Run

    compare_runs([Run.open(run) for run in runs], Terminal())


@app.command()
def audit(
    data: Data,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also find labels that are probably wrong: takes minutes.")
    ] = False,
    fix: Annotated[Path | None, typer.Option(metavar="DST", help="Write a repaired copy here.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write every finding here.")] = None,
    page: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="The page.  [default: audit-DATA.html]")
    ] = None,
    format: Format = None,
    root: Root = None,
    seed: Annotated[int, typer.Option(help="Of the nets that --deep trains.")] = 0,
) -> None:
    """Say what is wrong with labelled pictures. Exit code 1 where there are errors."""
    from foveate import auditing, files
    from foveate.data.load import load

    watch = Terminal()
    found = auditing.look(load(data, root=root, format=format), watch, deep=deep, seed=seed)
    auditing.tell(found, watch)
    page = page or Path(f"audit-{found.audit.dataset.name}.html")
    auditing.write_page(found, page)
    watch.say(f"\npage    {page}")
    if json_file is not None:
        files.write_json(json_file, auditing.to_json(found))
    if fix is not None:
        repairs = auditing.fix(found, fix, format)
        watch.say(f"copy    {fix}, {len(repairs):,} repairs, listed in {fix}.repairs.csv")
    if found.audit.errors:
        raise typer.Exit(1)


@app.command()
def split(
    data: Data,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write the split.")],
    seed: Annotated[int, typer.Option(help="Same seed, same split.")] = 0,
    group_by: GroupBy = None,
    time_by: TimeBy = None,
    fold: Fold = None,
    allow_leak: Annotated[bool, typer.Option("--allow-leak", help="Although parts share pictures.")] = False,
    format: Format = None,
    root: Root = None,
) -> None:
    """Write a split into a file, for foveate train --split FILE. It is refused once the data under it changes."""
    from foveate import material
    from foveate.data.load import load
    from foveate.settings import Settings

    watch = Terminal()
    wanted = Settings.of(seed=seed, group_by=group_by, time_by=time_by, fold=fold, allow_leak=allow_leak)
    watch.say(material.write_split(load(data, root=root, format=format), out, watch, wanted))


@app.command()
def convert(
    source: Annotated[str, typer.Argument(metavar="SRC", help="A folder, a file, or a known set's name.")],
    place: Annotated[Path, typer.Argument(metavar="DST", help="A new folder.")],
    format: Annotated[str, typer.Option("--format", help="The format to write. See: foveate formats.")],
    given: Annotated[str | None, typer.Option("--from", help="The format of SRC, where it cannot be told.")] = None,
    leave: Annotated[
        list[str] | None, typer.Option("--without", metavar="WHAT", help="What to leave out, if DST cannot hold it.")
    ] = None,
    root: Root = None,
) -> None:
    """Write labelled pictures in another format. What that cannot hold is told, and nothing is written."""
    from foveate.data import formats, views
    from foveate.data.load import load

    watch = Terminal()
    target = formats.find(format)
    dataset = load(source, root=root, format=given)
    target.write(views.without(dataset, leave or []), place)
    classes = f" of {len(dataset.classes):,} class{'es' * (len(dataset.classes) != 1)}" if dataset.classes else ""
    watch.say(f"{len(dataset):,} pictures{classes}, written to {place} as {format}")
    for note in dataset.notes:
        watch.warn(note)
    for skipped in dataset.skipped:
        watch.warn(f"left out {skipped.id}: {skipped.reason}")


@app.command()
def formats() -> None:
    """List the formats of labelled pictures that are read and written."""
    from foveate.data import formats

    rows = [(name, " ".join(one.TASKS), one.SUMMARY) for name, one in sorted(formats.all().items())]
    Terminal().table(("format", "for", ""), rows)


@app.command()
def models() -> None:
    """List the models."""
    from foveate import models

    Terminal().table(
        ("model", "smallest", "", "paper"), [(m.name, f"{m.smallest} px", m.summary, m.paper) for m in models.all()]
    )


@app.command()
def tasks() -> None:
    """List the tasks."""
    from foveate import tasks

    Terminal().table(("task", "figure", ""), [(t.name, t.primary, t.summary) for t in tasks.all().values()])


@app.command()
def datasets(root: Annotated[Path | None, typer.Option(help="Where to look first.")] = None) -> None:
    """List the data sets known by name, and where they are."""
    from foveate.data.load import catalogue

    rows = [(e.name, e.summary, str(e.where or "not here")) for e in catalogue(root)]
    Terminal().table(("name", "", "found"), rows)


@app.command()
def cache(clear: Annotated[bool, typer.Option("--clear", help="Remove all of them.")] = False) -> None:
    """List the decoded pictures that are kept for later runs."""
    from foveate.data import store

    watch, place = Terminal(), store.root()
    try:
        if clear:
            watch.say(f"{store.in_words(store.clear())} freed in {place}")
            return
        kept = store.entries()
    except OSError as error:
        raise FoveateError(f"the cache cannot be used ({error.strerror})", where=place) from None
    if not kept:
        watch.say(f"no decoded pictures are kept in {place}")
        return
    watch.table(("data", "pictures", "size", "takes", "last used"), [store.row(entry) for entry in kept])
    total, most = sum(entry.size for entry in kept), store.most_bytes()
    watch.say(f"\n{store.in_words(total)} of at most {store.in_words(most)}; FOVEATE_CACHE_GB changes that")
    watch.say(f"in {place}; FOVEATE_CACHE changes that")


def _pairs(given: list[str]) -> dict[str, Any]:
    """KEY=VALUE, the value read as YAML: numbers, true, null and lists mean what they look like."""
    import yaml

    pairs = {}
    for pair in given:
        key, equals, value = pair.partition("=")
        if not equals:
            raise SettingError(f"KEY=VALUE is expected, got {pair!r}", where="--set")
        try:
            pairs[key.strip().replace("-", "_")] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise SettingError(f"the value of {pair!r} cannot be read", where="--set") from None
    return pairs


def _conclude(run: Run, part: Part) -> None:
    """The answer, in a few lines at the end."""
    from foveate.story import conclusion

    watch = Terminal()
    for line in conclusion(run, part):
        watch.say(line)


def main() -> None:
    """The entry point: one clear message and exit code 2 for the user's mistakes, a traceback only for ours."""
    for stream in (sys.stdout, sys.stderr):  # a file's name need not be Unicode, and is told all the same
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except FoveateError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except Interrupted as stop:
        print(str(stop), file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output has gone, e.g. `foveate models | head`
        sys.stderr.close()
        sys.exit(0)
