"""The seven steps, in order: define, collect, split, baseline, train, evaluate, use. Whoever has read this file has
understood the system."""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

from foveate import atomic_io, models, settings, tasks
from foveate.cli.console import Silent, Watch
from foveate.data import task_views
from foveate.data.dataset import Dataset, Part
from foveate.data.load import load
from foveate.errors import DataError, Interrupted, RunError
from foveate.experiment.prepare import Material, collect, reopen
from foveate.experiment.report import write_report
from foveate.experiment.run import Run
from foveate.experiment.train import learn
from foveate.metrics.intervals import Figure, bootstrap, lift, resampled
from foveate.settings import Settings
from foveate.tasks.task import Tally
from foveate.training import checkpoint, device, fit
from foveate.training.doctor import diagnose


def train(
    data: Any, *, out: str | Path | None = None, watch: Watch | None = None, download: bool = False, **given: Any
) -> Run:
    """From pictures to a trained, scored and reported model, in a new run folder. The test part stays locked.

    data: a path, the name of a known set, or a Dataset
    out: the run folder, which must not exist; by default runs/DATA-MODEL-N
    given: any of `Settings`
    Raises FoveateError for whatever is wrong with data or settings, before training where it can be known before.
    """
    watch, began = watch or Silent(), time.monotonic()
    known = data if isinstance(data, Dataset) else None
    given["data"] = str(data) if known is None else str(known.origin or known.name)
    wanted = Settings.of(**given)
    tasks.find(wanted.task)  # a wrong name is said before any data is read
    given["weights"] = models.start(wanted.model, wanted.weights, frozen=wanted.freeze)
    root = Path(wanted.root) if wanted.root else None
    dataset = load(wanted.data if known is None else known, root=root, download=download, format=wanted.data_format)
    kind = tasks.find(given.get("task") or task_views.suited(dataset, tasks.all()))  # 1. define
    wanted = Settings.of(**{**kind.preferred, **given, "task": kind.name})
    kind.check_settings(wanted)
    run = Run.create(Path(out) if out is not None else None, wanted, dataset.name)
    run.dataset = known
    try:
        material = collect(run, dataset, watch)  # 2. collect, 3. split
        return _learn(run, material, watch, began)
    except BaseException:
        run.discard_if_untrained()
        raise


def resume(run: str | Path | Run, *, watch: Watch | None = None) -> Run:
    """Go on with an interrupted run; it ends with the same weights, bit for bit, as if it had not been interrupted."""
    watch, began = watch or Silent(), time.monotonic()
    run = run if isinstance(run, Run) else Run.open(run)
    if not (run.path / "last.safetensors").is_file():
        raise RunError(
            "there is nothing to go on from: it has no last.safetensors",
            where=run.path,
            remedy="Train again into another --out.",
        )
    return _learn(run, reopen(run, watch), watch, began, again=True)


def test(run: Run, *, watch: Watch | None = None) -> Mapping[str, Any]:
    """Open the locked test part, and write that down. The same weights are tested only once: asked again, the first
    result is told again, so that nobody can draw until a lucky figure comes."""
    watch = watch or Silent()
    run.load()  # damaged weights must not open the test part
    weights = checkpoint.digest(run.weights)
    if entry := run.ledger.find(weights):
        watch.say(f"These weights were tested on {entry.when}; this is that result. A test part is opened once.")
        return entry.result
    if before := run.ledger.entries:
        watch.warn(
            f"This run's test part was opened {len(before)} time(s) before, for other weights. If what you changed since "
            "was chosen by those results, this figure is no longer one on unseen pictures."
        )
    material = reopen(run, watch)
    _study(run, material, watch)
    results = _judge(run, material, "test", _rivals(run, material, "test"))
    run.ledger.record(weights, results["test"])
    atomic_io.write_json(run.path / "results.json", results)
    write_report(run, material)
    return results["test"]


def report(run: Run) -> Path:
    """Write report.html again from the record. Where the data has gone or changed, it has every figure but no picture."""
    try:
        material: Material | None = reopen(run, Silent())
    except (DataError, RunError):
        material = None
    return write_report(run, material)


def _learn(run: Run, material: Material, watch: Watch, began: float, again: bool = False) -> Run:
    """Steps 4 to 7."""
    marks = [began, time.monotonic()]
    _study(run, material, watch)
    theirs = _rivals(run, material, "valid")  # 4. baseline
    primary = material.task.primary
    watch.baselines({name: material.task.figures(tally)[primary] for name, tally in theirs.items()}, primary)
    marks.append(time.monotonic())
    outcome = learn(run, material, watch, began, again)  # 5. train
    if outcome.reason == "interrupted":
        raise Interrupted(run.path, outcome.progress.step)
    marks.append(time.monotonic())
    atomic_io.write_json(run.path / "results.json", _record(run, outcome))
    results = _judge(run, material, "valid", theirs)  # 6. evaluate
    marks.append(time.monotonic())
    took = [round(end - start, 2) for start, end in pairwise(marks)]
    results["seconds"] = dict(zip(("collect", "baseline", "train", "evaluate"), took, strict=True))
    atomic_io.write_json(run.path / "results.json", results)
    write_report(run, material)  # 7. use
    return run


def _study(run: Run, material: Material, watch: Watch) -> None:
    """Let the task learn what scoring needs to know, once; leaves referee.safetensors where there is something."""
    if not run.studied.is_file():
        pixels, truths, _ = material.of("train")
        tensors, record = material.task.study(pixels, truths, run.settings.seed, watch.say)
        if tensors:
            run.keep_studied(tensors, record)
    run.recall(material.task)


def _rivals(run: Run, material: Material, part: Part) -> dict[str, Tally]:
    """What the baselines, fitted on the train part, get right and wrong on another."""
    pixels, truths, _ = material.of("train")
    answers = material.task.baselines(pixels, truths, run.settings.seed)
    material = material.judged(part)
    pixels, fitted, _ = material.of(part)
    truths, given = material.truths(part), answers(material.task.asked(pixels, fitted))
    return {name: material.task.tally(material.restored(part, theirs), truths) for name, theirs in given.items()}


def _judge(run: Run, material: Material, part: Part, theirs: dict[str, Tally]) -> dict[str, Any]:
    """Score model and baselines on a part; writes predictions_PART.csv and returns results.json with the part added.

    The lift is over the baseline that was best on the validation part, so that the test part chooses nothing.
    """
    task, _ = run.load()
    material = material.judged(part)
    pixels, fitted, ids = material.of(part)
    truths, answers = material.truths(part), material.restored(part, run.answer(task.asked(pixels, fitted)))
    tally = task.tally(answers, truths)
    results = run.results
    mine = resampled(len(ids), task.scorer(tally))
    rivals = {name: resampled(len(ids), task.scorer(other)) for name, other in theirs.items()}
    results["baseline"][part] = {name: _figures(bootstrap(rival)) for name, rival in rivals.items()}
    results[part] = _figures(bootstrap(mine))
    if part == "valid":
        sign = -1 if task.primary in task.lower_is_better else 1
        figures = {name: sign * rival.value[task.primary] for name, rival in rivals.items()}
        results["best_baseline"] = max(figures, key=lambda name: figures[name])
        noisy = task.suspects(answers, truths)
        share = None if noisy is None else len(noisy) / len(ids)
        verdicts = diagnose(run.curves, figure=task.followed, floor=task.least_loss(), suspects=share)
        results["verdicts"] = [verdict.to_json() for verdict in verdicts]
    results["lift"][part] = _figures(lift(mine, rivals[results["best_baseline"]]))
    told = [(task.tell(truth), task.tell(answer)) for truth, answer in zip(truths, answers, strict=True)]
    run.write_predictions(part, ids, told, tally)
    return results


def _figures(figures: Mapping[str, Figure]) -> dict[str, Any]:
    return {name: figure.to_json() for name, figure in figures.items()}


def _record(run: Run, outcome: fit.Outcome) -> dict[str, Any]:
    """results.json before anything is scored."""
    task, net = run.load()
    best = next(row for row in outcome.progress.rows if row["step"] == outcome.progress.best_step)
    return {
        "format": settings.FORMAT,
        "task": task.name,
        "model": run.settings.model,
        "primary": task.primary,
        "weights": sum(parameter.numel() for parameter in net.parameters()),
        "ended": outcome.reason,
        "best_epoch": best["epoch"],
        "epochs": outcome.progress.rows[-1]["epoch"],
        "steps": outcome.progress.step,
        "baseline": {},
        "lift": {},
        "valid": None,
        "test": None,
        "verdicts": [],
        "seconds": {},
        "hardware": device.hardware(),
        "versions": {name: version(name) for name in ("foveate", "torch", "torchvision", "numpy", "scikit-learn")},
    }
