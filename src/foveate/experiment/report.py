"""A run told as a page, and in a few lines at the end of a command."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from foveate import tasks
from foveate.data.dataset import Image, SplitName
from foveate.data.images import reduced, resize
from foveate.data.rng import SampleRNG, keys
from foveate.experiment.prepare import PreparedData
from foveate.experiment.run import Run
from foveate.experiment.train import augmentation
from foveate.metrics.names import headed, written
from foveate.report import charts
from foveate.report.page import write_html
from foveate.report.panels import (
    Bar,
    Bars,
    Card,
    Chart,
    Code,
    Gallery,
    GalleryItem,
    Note,
    Notes,
    Page,
    Panel,
    Table,
    Tone,
)
from foveate.settings import Settings
from foveate.tasks.task import Task

_SHOWN = 50
"""Rows of skipped samples on the page; all are in data.json."""
_LARGEST = 1000
"""Pixels a side that what is drawn into pictures is drawn at, at most: a page shows fewer."""


def write_report(run: Run, prepared: PreparedData | None) -> Path:
    """Write report.html. Without material (the data has gone or changed) it has every figure but no picture."""
    results = run.results
    split: SplitName = "test" if results["test"] else "valid"
    task, _ = run.load()
    sentence, verdict, tone = judgement(run, results, split, task)
    data = run.data
    page = Page(
        title=f"{data['name']} · {results['model']} · foveate",
        subtitle=f"{data['name']} · {_classes(task)}{results['model']} · {results['weights']:,} weights",
        headline=sentence,
        verdict=verdict,
        tone=tone,
        cards=[_card(name, metric, task) for name, metric in results[split].items()],
        panels=[
            _against_baselines(results, split, task),
            Chart(
                "How it learnt",
                _curve_words(results, task.curve_metric),
                charts.learning_curves(run.curves, task.curve_metric),
            ),
            Notes(
                "What the curves say",
                "",
                [Note(v["name"], v["words"], v["next"], v["tone"]) for v in results["verdicts"]],
            ),
            *_answers(run, prepared, split, task),
            *_augmented(run, prepared),
            *_data(data),
            _ledger(run),
            _again(run, results),
        ],
    )
    write_html(page, run.report_path)
    return run.report_path


def _classes(task: Task[Any]) -> str:
    return f"{len(task.classes)} classes · " if task.classes else ""


def judgement(
    run: Run, results: Mapping[str, Any], split: SplitName, task: Task[Any]
) -> tuple[str, str, Tone]:
    """The answer in a sentence, the verdict in a few words, and its tone."""
    name = results["best_baseline"]
    baseline = results["baseline"][split][name][task.primary_metric]
    lift = results["lift"][split][task.primary_metric]
    less = task.primary_metric in task.lower_is_better
    gain_low, gain_high = (-lift["high"], -lift["low"]) if less else (lift["low"], lift["high"])
    sentence = f"This model is {task.headline(results[split], split)}. The best simple baseline, {name}, reaches {baseline['value']:.1%}."
    leak = f"{_shared(run, split, task)}." if run.data["leaks"] else ""
    if gain_high < 0:
        return (
            sentence,
            f"Don't believe in it: the baseline {name} is better. {leak}".strip(),
            "bad",
        )
    if gain_low <= 0:
        return sentence, f"Careful: it is not clearly better than {name}. {leak}".strip(), "careful"
    if leak:
        return sentence, f"Careful. {leak}", "careful"
    if split != "test":
        return sentence, "Better than every baseline. The test part is still locked.", "plain"
    if len(run.ledger.entries) > 1:
        return (
            sentence,
            f"Careful: the test part was opened {len(run.ledger.entries)} times.",
            "careful",
        )
    return (
        sentence,
        "Believe it: clearly better than every baseline, on pictures it had never seen.",
        "good",
    )


def _shared(run: Run, split: SplitName, task: Task[Any]) -> str:
    """How many pictures of a part lie in another part too, and the figure without them."""
    leaked = {id for leak in run.data["leaks"] if split in leak["parts"] for id in leak["ids"]}
    ids, stats = run.read_predictions(split)
    alone = np.array([id not in leaked for id in ids], bool)
    share = f"{len(ids) - alone.sum():,} of {len(ids):,} {'test' if split == 'test' else 'validation'} pictures"
    if alone.all():
        return f"Other parts share pictures; none of the {share.split(' of ')[1]} is among them"
    told = f"{share} belong with pictures of another part, so the figure is partly memory"
    if not alone.any():
        return told
    metric = task.metrics({name: rows[alone] for name, rows in stats.items()})[task.primary_metric]
    return f"{told}. Without them: {written(task.primary_metric)} {metric:.1%}"


def conclusion(run: Run, split: SplitName) -> list[str]:
    """What a command says at its end."""
    results = run.results
    task = tasks.find(results["task"])(run.data["classes"])
    sentence, verdict, _ = judgement(run, results, split, task)
    lines = ["", sentence, verdict]
    if split == "valid":
        lines += [
            f"{verdict['name']}: {verdict['words']} {verdict['next']}"
            for verdict in results["verdicts"]
        ]
    lines += ["", f"report  {run.report_path}"]
    if results["test"] is None:
        lines += [
            "The test part is still locked. To open it, once:",
            f"        foveate test {run.path}",
        ]
    return lines


# --- panels


def _told(metric: Mapping[str, Any], digits: int = 1) -> str:
    return "–" if metric["value"] is None else f"{metric['value']:.{digits}%}"


def _card(name: str, metric: Mapping[str, Any], task: Task[Any]) -> Card:
    title = headed(name) + (" (less is better)" if name in task.lower_is_better else "")
    if metric["value"] is None:
        return Card(title, "–")
    form = ".3f" if name in task.raw_metrics else ".1%"
    return Card(
        title, f"{metric['value']:{form}}", f"{metric['low']:{form}} to {metric['high']:{form}}"
    )


def _against_baselines(results: Mapping[str, Any], split: SplitName, task: Task[Any]) -> Bars:
    baselines = [
        (name, metrics[task.primary_metric], False)
        for name, metrics in results["baseline"][split].items()
    ]
    rows = [
        *sorted(baselines, key=lambda row: row[1]["value"]),
        (results["model"], results[split][task.primary_metric], True),
    ]
    lift = results["lift"][split][task.primary_metric]
    return Bars(
        "Against the simplest things that could work",
        f"{headed(task.primary_metric)} on the {'test' if split == 'test' else 'validation'} part, with 95% "
        f"intervals. The lift over {results['best_baseline']} is {100 * lift['value']:+.1f} points "
        f"({100 * lift['low']:+.1f} to {100 * lift['high']:+.1f}).",
        [
            Bar(name, metric["value"], metric["low"], metric["high"], _told(metric), model)
            for name, metric, model in rows
        ],
    )


def _curve_words(results: Mapping[str, Any], curve_metric: str) -> str:
    return (
        f"Loss and {written(curve_metric)} after each epoch. The weights with the lowest validation loss, "
        f"from epoch {results['best_epoch']:g} of {results['epochs']:g}, were kept. The training figures are of augmented "
        "pictures, so they can lie below."
    )


def _answers(
    run: Run, prepared: PreparedData | None, split: SplitName, task: Task[Any]
) -> list[Panel]:
    ids, stats = run.read_predictions(split)
    samples = {} if prepared is None else {sample.id: sample for sample in prepared.images.dataset}

    def read_image(row: int) -> Image | None:
        return _for_page(task, samples[ids[row]].source.read())[0] if samples else None

    def read_pair(row: int) -> tuple[Any, Any]:
        sample = samples[ids[row]]
        image = sample.source.read()
        target = task.clean_target(sample.target, (image.shape[0], image.shape[1]))
        (prediction,) = run.predict_images(task.make_prompts([image], [target]))
        _, prediction, target = _for_page(task, image, prediction, target)
        return prediction, target

    return task.report_panels(stats, ids, read_image, read_pair)


def _for_page(task: Task[Any], image: Image, *annotations: Any) -> tuple[Any, ...]:
    """A picture and annotations of it, no larger than a page shows."""
    if not task.letterbox or max(image.shape) <= _LARGEST:
        return image, *annotations
    small = reduced(image, _LARGEST, image.shape[2])
    before, after = (image.shape[0], image.shape[1]), (small.shape[0], small.shape[1])
    return small, *(task.resized(annotation, before, after) for annotation in annotations)


def _augmented(run: Run, prepared: PreparedData | None) -> list[Panel]:
    """Some train pictures, as they are and as training saw them in three epochs."""
    if prepared is None:
        return []
    pixels, targets, ids = prepared.of("train")
    policy, task = augmentation(run.settings, prepared), prepared.task
    rows = np.unique(np.linspace(0, len(ids) - 1, 4 if task.letterbox else 8).astype(int))
    known = [targets[row] for row in rows]
    shown = [pixels[int(row)] for row in rows] if policy.repeats > 1 else pixels[rows]
    epochs = [([*shown], known)]
    for epoch in range(3):
        rng = SampleRNG(keys([ids[row] for row in rows]), run.settings.seed, epoch)
        seen, moved = policy.batch(shown, known, rng, 0.0)
        epochs.append(([*seen.numpy()], list(moved)))
    items = []
    for place, row in enumerate(rows):
        pairs = [_for_page(task, images[place], own[place]) for images, own in epochs]
        views = [task.draw(image, own) if task.letterbox else image for image, own in pairs]
        views = [resize(view, views[0].shape[:2]) for view in views]  # a policy may show pieces
        quarters = [np.pad(view, ((0, 1), (0, 1), (0, 0)), constant_values=128) for view in views]
        grid = np.concatenate([np.concatenate(quarters[:2], 1), np.concatenate(quarters[2:], 1)])
        items.append(GalleryItem(grid[:-1, :-1], task.summary(targets[row])))
    done = [
        f"{name} {value:g}" if value is not True else name
        for name, value in policy.to_json().items()
        if value
    ]
    words = (
        f"Each time a train picture is seen it is changed a little ({', '.join(done)}), in ways that keep its truth. In each square: the picture as it is at the top left, then as three epochs saw it."
        if done
        else "Pictures were not augmented."
    )
    return [Gallery("What training saw", words, items, large=task.letterbox)]


def _data(data: Mapping[str, Any]) -> list[Panel]:
    classes, counts = data["classes"], data["counts"]
    rows = [
        [name, *(f"{counts[split][k]:,}" for split in ("train", "valid", "test"))]
        for k, name in enumerate(classes)
    ]
    rows.append(["all", *(f"{data['pictures'][split]:,}" for split in ("train", "valid", "test"))])
    notes = [Note("note", note, tone="careful") for note in data["notes"]]
    notes += [
        Note(
            "leak, allowed by --allow-leak",
            f"{leak['reason']}: {', '.join(leak['ids'][:4])}",
            tone="bad",
        )
        for leak in data["leaks"][:_SHOWN]
    ]
    panels: list[Panel] = [
        Table(
            "The data",
            "Pictures of each class in each part.",
            ["class", "train", "valid", "test"],
            rows,
        )
    ]
    if found := data["audit"]:
        told = [
            [f["check"], f["severity"], f["first"], f"{f['samples']:,}" if f["samples"] else "–"]
            for f in found
        ]
        words = f"Before anything was learnt. See each with: foveate audit {shlex.quote(str(data['origin'] or data['name']))}"
        panels.append(
            Table(
                "What the audit found",
                words,
                ["what", "severity", "for example", "samples"],
                told,
                3,
            )
        )
    if notes:
        panels.append(Notes("What to know about the data", "", notes))
    if skipped := data["skipped"]:
        words = f"{len(skipped):,} samples could not be used." + (
            f" The first {_SHOWN} are shown; all are in data.json." if len(skipped) > _SHOWN else ""
        )
        panels.append(
            Table(
                "Skipped",
                words,
                ["sample", "reason"],
                [[s["id"], s["reason"]] for s in skipped[:_SHOWN]],
                2,
            )
        )
    return panels


def _ledger(run: Run) -> Panel:
    entries = run.ledger.entries
    title = "The test part"
    if not entries:
        return Notes(title, f"It is still locked. To open it, once: foveate test {run.path}", [])
    primary_metric = run.results["primary"]
    rows = [[e.when, e.weights[:12], _told(e.result[primary_metric])] for e in entries]
    words = (
        "Opened once, as it should be."
        if len(entries) == 1
        else "Opened more than once: later figures flatter."
    )
    return Table(title, words, ["opened", "weights (sha256)", written(primary_metric)], rows, 2)


def _again(run: Run, results: Mapping[str, Any]) -> Panel:
    seconds = " · ".join(f"{step} {value:.1f} s" for step, value in results["seconds"].items())
    versions = " · ".join(f"{name} {version}" for name, version in results["versions"].items())
    return Code(
        "How to run it again",
        f"{results['hardware']}. {seconds}. {versions}. The same seed on the same machine gives the same numbers.",
        f"{command(run)}\n\n{run.settings.to_yaml()}",
    )


def command(run: Run) -> str:
    """The command line that gives this run again."""
    usual = Settings.of(**tasks.find(run.settings.task).default_settings).model_dump(mode="json")
    told = {
        name: value
        for name, value in run.settings.model_dump(mode="json").items()
        if value != usual[name]
    }
    words = ["foveate", "train", told.pop("data")]
    options = (
        "task",
        "model",
        "size",
        "epochs",
        "lr",
        "seed",
        "batch_size",
        "root",
        "group_by",
        "time_by",
        "fold",
        "split",
    )
    if "data_format" in told:
        words += ["--format", told.pop("data_format")]
    for name in options:
        if name in told:
            words += [f"--{name.replace('_', '-')}", f"{told.pop(name)}"]
    for name in ("allow_leak", "allow_skipped", "allow_errors"):
        if told.pop(name, False):
            words.append(f"--{name.replace('_', '-')}")
    if (weights := told.pop("weights", None)) is not None:
        words += ["--pretrained"] if weights == "download" else ["--weights", weights]
    if (flip := told.pop("flip", None)) is not None:
        words.append("--flip" if flip else "--no-flip")
    for name, value in told.items():
        words += ["--set", f"{name}={value}"]
    return shlex.join(words)
