"""Commands that make a run, and those on runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foveate.cli.console import ConsoleReporter
from foveate.cli.options import Fold, Format, GroupBy, Root, TimeBy
from foveate.errors import FoveateError, SettingError

if TYPE_CHECKING:
    from foveate.data.dataset import SplitName
    from foveate.experiment.run import Run
    from foveate.inference.predict import Prompt
    from foveate.inference.predictor import Predictor

RunFolder = Annotated[
    Path, typer.Argument(metavar="RUN", help="A folder that foveate train wrote.")
]
ANSWERS = "A folder that foveate train wrote, or clip:DIR, sam:DIR, sam2:DIR."
Classes = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,...", help="What clip is to tell apart, in words with commas between them."
    ),
]
Fetch = Annotated[
    bool, typer.Option("--download", help="Fetch a foundation model that is not here.")
]


def demo(
    out: Annotated[
        Path | None, typer.Option(help="The run folder.  [default: runs/digits-quick-N]")
    ] = None,
) -> None:
    """Train on the built-in handwritten digits, test once, and write a report: the whole path in a minute."""
    from foveate.experiment.pipeline import test, train

    reporter = ConsoleReporter()
    run = train(
        "digits", out=out, reporter=reporter, size=24, epochs=30
    )  # chosen on the validation part
    test(run, reporter=reporter)
    _conclude(run, "test")


def train(
    data: Annotated[
        str | None, typer.Argument(metavar="DATA", help="A folder, a CSV, or a known set's name.")
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="See: foveate tasks.  [default: what DATA is for]")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="See: foveate models.  [default: quick, or what the task prefers]"),
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
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Go on with an interrupted run.")
    ] = None,
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="Download published weights to start from.")
    ] = False,
    weights: Annotated[
        Path | None, typer.Option(help="Published weights in a local file to start from.")
    ] = None,
    root: Root = None,
    format: Format = None,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch a known set that is not here.")
    ] = False,
    flip: Annotated[
        bool | None, typer.Option("--flip/--no-flip", help="Is a mirrored picture a good example?")
    ] = None,
    allow_leak: Annotated[
        bool, typer.Option("--allow-leak", help="Train although parts share pictures.")
    ] = False,
    allow_skipped: Annotated[
        bool, typer.Option("--allow-skipped", help="Train although many are unreadable.")
    ] = False,
    allow_errors: Annotated[
        bool, typer.Option("--allow-errors", help="Train although the audit finds errors.")
    ] = False,
    group_by: GroupBy = None,
    time_by: TimeBy = None,
    fold: Fold = None,
    split: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A split that foveate split wrote.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any other setting.")
    ] = None,
) -> None:
    """Split, score baselines, train, validate and report. The test part stays locked: see foveate test."""
    from foveate.experiment import pipeline

    reporter = ConsoleReporter()
    if resume is not None:
        if data is not None:
            raise SettingError(
                "--resume takes a run and no DATA: the run knows its own", where=data
            )
        _conclude(pipeline.resume(resume, reporter=reporter), "valid")
        return
    if data is None:
        raise SettingError(
            "DATA is missing", remedy="Try: foveate train digits, or foveate train FOLDER."
        )
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
    _conclude(
        pipeline.train(data, out=out, reporter=reporter, download=download, **chosen), "valid"
    )


def test(run: RunFolder) -> None:
    """Open the locked test part, and write that down."""
    from foveate.experiment import pipeline
    from foveate.experiment.run import Run

    opened = Run.open(run)
    pipeline.test(opened, reporter=ConsoleReporter())
    _conclude(opened, "test")


def predict(
    run: Annotated[str, typer.Argument(metavar="RUN", help=ANSWERS)],
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Pictures, videos, or folders of them.")
    ],
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the answers here too.")
    ] = None,
    coco_file: Annotated[
        Path | None,
        typer.Option(
            "--coco", metavar="FILE", help="Write boxes here, with scores, as COCO has them."
        ),
    ] = None,
    draw: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Draw each answer into a copy of its picture, here."),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write each answer's masks here, as label pictures."),
    ] = None,
    tile: Annotated[
        int | None,
        typer.Option(
            metavar="PX", min=1, help="Cut larger pictures into overlapping squares of this side."
        ),
    ] = None,
    point: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X,Y",
            help="A pixel of what is meant, for promptable runs and sam; again for more.",
        ),
    ] = None,
    outside: Annotated[
        list[str] | None, typer.Option(metavar="X,Y", help="A pixel that is not of it.")
    ] = None,
    box: Annotated[
        str | None, typer.Option(metavar="L,T,R,B", help="A box around what is meant.")
    ] = None,
    classes: Classes = None,
    download: Fetch = False,
) -> None:
    """Say what is in pictures."""
    from foveate.inference.predict import Outputs, predict_paths

    reporter = ConsoleReporter()
    outputs = Outputs(json_file, coco_file, draw, masks)
    prompt = _prompt(point or [], outside or [], box)
    predictions = predict_paths(
        _opened(run, classes, download), paths, outputs, tile=tile, prompt=prompt, reporter=reporter
    )
    if predictions.skipped and not predictions.count:
        raise FoveateError("none of these pictures could be read", where=paths[0])


def generate(
    run: Annotated[
        str,
        typer.Argument(metavar="RUN", help="A folder that foveate train wrote, or diffusion:DIR."),
    ],
    prompts: Annotated[
        list[str], typer.Argument(metavar="WORDS...", help="What to show; in quotes.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder.")],
    n: Annotated[int, typer.Option("-n", min=1, max=10_000, help="Pictures of each.")] = 4,
    seed: Annotated[int, typer.Option(help="Same seed, same words, same pictures.")] = 0,
    guidance: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=20,
            help="How much words count; 1: as learnt.  [default: best on the validation part; 7.5 for diffusion]",
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1, max=1000, help="From noise to picture.  [default: 20; 50 for diffusion]"
        ),
    ] = None,
    download: Fetch = False,
) -> None:
    """Make pictures from words."""
    from foveate.inference import foundation
    from foveate.inference.generate import generate

    open_generator = (
        foundation.open_generator(run, download=download)
        if foundation.is_reference(run)
        else _run(run, {"--download": download})
    )
    generate(
        open_generator,
        prompts,
        out,
        n=n,
        seed=seed,
        guidance=guidance,
        steps=steps,
        reporter=ConsoleReporter(),
    )


def label(
    images: Annotated[Path, typer.Argument(metavar="PICTURES", help="A folder of pictures.")],
    run: Annotated[str, typer.Option("--with", metavar="RUN", help=ANSWERS)],
    out: Annotated[Path, typer.Option(metavar="DST", help="A new folder.")],
    format: Annotated[
        str | None,
        typer.Option(
            "--format", help="What to write. See: foveate formats.  [default: what suits the task]"
        ),
    ] = None,
    classes: Classes = None,
    download: Fetch = False,
) -> None:
    """Let a run or a foundation model propose labels, for a person to correct and foveate train to take."""
    from foveate.inference.label import label

    reporter = ConsoleReporter()
    proposals = label(
        _opened(run, classes, download), images, out, format=format, reporter=reporter
    )
    for one in proposals[:5]:
        reporter.info(
            f"{one.id}  {one.told}"
            + ("" if math.isnan(one.sure) else f"  (sure by {one.sure:.0%})")
        )
    reporter.info(
        f"\n{len(proposals):,} pictures labelled in {out}; all of them, least sure first, in {out}.proposals.csv"
    )


def report(run: RunFolder) -> None:
    """Write report.html again from a run's record."""
    from foveate.experiment import pipeline
    from foveate.experiment.run import Run

    ConsoleReporter().info(str(pipeline.report(Run.open(run))))


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="Two runs or more.")],
) -> None:
    """Put runs side by side, best on the validation part first."""
    from foveate.experiment.compare import compare_runs
    from foveate.experiment.run import Run

    compare_runs([Run.open(run) for run in runs], ConsoleReporter())


def _opened(told: str, classes: str | None, download: bool) -> Predictor:
    """A run, or the foundation model that is told."""
    from foveate.inference import foundation

    if foundation.is_reference(told):
        return foundation.open(
            told, classes=None if classes is None else classes.split(","), download=download
        )
    return _run(told, {"--classes": classes, "--download": download})


def _run(told: str, others: Mapping[str, Any]) -> Run:
    """A run; others: options that are for foundation models alone."""
    from foveate.experiment.run import Run

    for option, given in others.items():
        if given:
            raise SettingError(
                "this is for foundation models: a run knows its own classes and words", where=option
            )
    return Run.open(told)


def _prompt(points: list[str], outside: list[str], box: str | None) -> Prompt | None:
    from foveate.inference.predict import Prompt

    clicks = [
        (*_numbers(told, 2, option), inside)
        for option, inside, all_told in (("--point", True, points), ("--outside", False, outside))
        for told in all_told
    ]
    around = None if box is None else _numbers(box, 4, "--box")
    return Prompt(clicks, around) if clicks or around else None  # type: ignore[arg-type]


def _numbers(told: str, count: int, option: str) -> tuple[float, ...]:
    try:
        numbers = tuple(map(float, told.split(",")))
    except ValueError:
        numbers = ()
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise SettingError(
            f"{count} numbers with commas between them are expected, got {told!r}", where=option
        )
    return numbers


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


def _conclude(run: Run, split: SplitName) -> None:
    """The answer, in a few lines at the end."""
    from foveate.experiment.report import conclusion

    reporter = ConsoleReporter()
    for line in conclusion(run, split):
        reporter.info(line)
