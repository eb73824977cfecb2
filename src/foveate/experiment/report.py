"""A run told as a page, and in a few lines at the end of a command."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from foveate import tasks
from foveate.data.dataset import Image, Part
from foveate.data.images import reduced, resize
from foveate.data.rng import Draws, keys
from foveate.experiment.prepare import Material
from foveate.experiment.run import Run
from foveate.experiment.train import augmentation
from foveate.metrics.names import headed, written
from foveate.report import charts
from foveate.report.page import write
from foveate.report.panels import Bar, Bars, Card, Chart, Code, Gallery, Item, Note, Notes, Page, Panel, Table, Tone
from foveate.settings import Settings
from foveate.tasks.task import Task

_SHOWN = 50
"""Rows of skipped samples on the page; all are in data.json."""
_LARGEST = 1000
"""Pixels a side that what is drawn into pictures is drawn at, at most: a page shows fewer."""


def write_report(run: Run, material: Material | None) -> Path:
    """Write report.html. Without material (the data has gone or changed) it has every figure but no picture."""
    results = run.results
    part: Part = "test" if results["test"] else "valid"
    task, _ = run.load()
    sentence, verdict, tone = judgement(run, results, part, task)
    data = run.data
    page = Page(
        title=f"{data['name']} · {results['model']} · foveate",
        subtitle=f"{data['name']} · {_classes(task)}{results['model']} · {results['weights']:,} weights",
        answer=sentence,
        verdict=verdict,
        tone=tone,
        cards=[_card(name, figure, task) for name, figure in results[part].items()],
        panels=[
            _against_baselines(results, part, task),
            Chart(
                "How it learnt", _curve_words(results, task.followed), charts.learning_curves(run.curves, task.followed)
            ),
            Notes(
                "What the curves say",
                "",
                [Note(v["name"], v["words"], v["next"], v["tone"]) for v in results["verdicts"]],
            ),
            *_answers(run, material, part, task),
            *_augmented(run, material),
            *_data(data),
            _ledger(run),
            _again(run, results),
        ],
    )
    write(page, run.report_path)
    return run.report_path


def _classes(task: Task[Any]) -> str:
    return f"{len(task.classes)} classes · " if task.classes else ""


def judgement(run: Run, results: Mapping[str, Any], part: Part, task: Task[Any]) -> tuple[str, str, Tone]:
    """The answer in a sentence, the verdict in a few words, and its tone."""
    name = results["best_baseline"]
    rival = results["baseline"][part][name][task.primary]
    lift = results["lift"][part][task.primary]
    less = task.primary in task.lower_is_better
    gain_low, gain_high = (-lift["high"], -lift["low"]) if less else (lift["low"], lift["high"])
    sentence = f"This model is {task.claim(results[part], part)}. The best simple baseline, {name}, reaches {rival['value']:.1%}."
    leak = f"{_shared(run, part, task)}." if run.data["leaks"] else ""
    if gain_high < 0:
        return sentence, f"Don't believe in it: the baseline {name} is better. {leak}".strip(), "bad"
    if gain_low <= 0:
        return sentence, f"Careful: it is not clearly better than {name}. {leak}".strip(), "careful"
    if leak:
        return sentence, f"Careful. {leak}", "careful"
    if part != "test":
        return sentence, "Better than every baseline. The test part is still locked.", "plain"
    if len(run.ledger.entries) > 1:
        return sentence, f"Careful: the test part was opened {len(run.ledger.entries)} times.", "careful"
    return sentence, "Believe it: clearly better than every baseline, on pictures it had never seen.", "good"


def _shared(run: Run, part: Part, task: Task[Any]) -> str:
    """How many pictures of a part lie in another part too, and the figure without them."""
    leaked = {id for leak in run.data["leaks"] if part in leak["parts"] for id in leak["ids"]}
    ids, tally = run.read_predictions(part)
    alone = np.array([id not in leaked for id in ids], bool)
    share = f"{len(ids) - alone.sum():,} of {len(ids):,} {'test' if part == 'test' else 'validation'} pictures"
    if alone.all():
        return f"Other parts share pictures; none of the {share.split(' of ')[1]} is among them"
    told = f"{share} belong with pictures of another part, so the figure is partly memory"
    if not alone.any():
        return told
    figure = task.figures({name: rows[alone] for name, rows in tally.items()})[task.primary]
    return f"{told}. Without them: {written(task.primary)} {figure:.1%}"


def conclusion(run: Run, part: Part) -> list[str]:
    """What a command says at its end."""
    results = run.results
    task = tasks.find(results["task"])(run.data["classes"])
    sentence, verdict, _ = judgement(run, results, part, task)
    lines = ["", sentence, verdict]
    if part == "valid":
        lines += [f"{verdict['name']}: {verdict['words']} {verdict['next']}" for verdict in results["verdicts"]]
    lines += ["", f"report  {run.report_path}"]
    if results["test"] is None:
        lines += ["The test part is still locked. To open it, once:", f"        foveate test {run.path}"]
    return lines


# --- panels -----------------------------------------------------------------------------------------------------------


def _told(figure: Mapping[str, Any], digits: int = 1) -> str:
    return "–" if figure["value"] is None else f"{figure['value']:.{digits}%}"


def _card(name: str, figure: Mapping[str, Any], task: Task[Any]) -> Card:
    title = headed(name) + (" (less is better)" if name in task.lower_is_better else "")
    if figure["value"] is None:
        return Card(title, "–")
    form = ".3f" if name in task.not_shares else ".1%"
    return Card(title, f"{figure['value']:{form}}", f"{figure['low']:{form}} to {figure['high']:{form}}")


def _against_baselines(results: Mapping[str, Any], part: Part, task: Task[Any]) -> Bars:
    rivals = [(name, figures[task.primary], False) for name, figures in results["baseline"][part].items()]
    rows = [*sorted(rivals, key=lambda row: row[1]["value"]), (results["model"], results[part][task.primary], True)]
    lift = results["lift"][part][task.primary]
    return Bars(
        "Against the simplest things that could work",
        f"{headed(task.primary)} on the {'test' if part == 'test' else 'validation'} part, with 95% "
        f"intervals. The lift over {results['best_baseline']} is {100 * lift['value']:+.1f} points "
        f"({100 * lift['low']:+.1f} to {100 * lift['high']:+.1f}).",
        [
            Bar(name, figure["value"], figure["low"], figure["high"], _told(figure), model)
            for name, figure, model in rows
        ],
    )


def _curve_words(results: Mapping[str, Any], followed: str) -> str:
    return (
        f"Loss and {written(followed)} after each epoch. The weights with the lowest validation loss, "
        f"from epoch {results['best_epoch']:g} of {results['epochs']:g}, were kept. The training figures are of augmented "
        "pictures, so they can lie below."
    )


def _answers(run: Run, material: Material | None, part: Part, task: Task[Any]) -> list[Panel]:
    ids, tally = run.read_predictions(part)
    samples = {} if material is None else {sample.id: sample for sample in material.pictures.dataset}

    def picture(row: int) -> Image | None:
        return _for_page(task, samples[ids[row]].source.read())[0] if samples else None

    def pair(row: int) -> tuple[Any, Any]:
        sample = samples[ids[row]]
        image = sample.source.read()
        truth = task.fitted(sample.truth, (image.shape[0], image.shape[1]))
        (answer,) = run.answer(task.asked([image], [truth]))
        _, answer, truth = _for_page(task, image, answer, truth)
        return answer, truth

    return task.panels(tally, ids, picture, pair)


def _for_page(task: Task[Any], image: Image, *annotations: Any) -> tuple[Any, ...]:
    """A picture and annotations of it, no larger than a page shows."""
    if not task.letterbox or max(image.shape) <= _LARGEST:
        return image, *annotations
    small = reduced(image, _LARGEST, image.shape[2])
    before, after = (image.shape[0], image.shape[1]), (small.shape[0], small.shape[1])
    return small, *(task.resized(annotation, before, after) for annotation in annotations)


def _augmented(run: Run, material: Material | None) -> list[Panel]:
    """Some train pictures, as they are and as training saw them in three epochs."""
    if material is None:
        return []
    pixels, truths, ids = material.of("train")
    policy, task = augmentation(run.settings, material), material.task
    rows = np.unique(np.linspace(0, len(ids) - 1, 4 if task.letterbox else 8).astype(int))
    known = [truths[row] for row in rows]
    shown = [pixels[int(row)] for row in rows] if policy.repeats > 1 else pixels[rows]
    epochs = [([*shown], known)]
    for epoch in range(3):
        draws = Draws(keys([ids[row] for row in rows]), run.settings.seed, epoch)
        seen, moved = policy.batch(shown, known, draws, 0.0)
        epochs.append(([*seen.numpy()], list(moved)))
    items = []
    for place, row in enumerate(rows):
        pairs = [_for_page(task, images[place], own[place]) for images, own in epochs]
        views = [task.draw(image, own) if task.letterbox else image for image, own in pairs]
        views = [resize(view, views[0].shape[:2]) for view in views]  # a policy may show pieces
        quarters = [np.pad(view, ((0, 1), (0, 1), (0, 0)), constant_values=128) for view in views]
        grid = np.concatenate([np.concatenate(quarters[:2], 1), np.concatenate(quarters[2:], 1)])
        items.append(Item(grid[:-1, :-1], task.tell(truths[row])))
    done = [f"{name} {value:g}" if value is not True else name for name, value in policy.to_json().items() if value]
    words = (
        f"Each time a train picture is seen it is changed a little ({', '.join(done)}), in ways that keep its truth. In each square: the picture as it is at the top left, then as three epochs saw it."
        if done
        else "Pictures were not augmented."
    )
    return [Gallery("What training saw", words, items, large=task.letterbox)]


def _data(data: Mapping[str, Any]) -> list[Panel]:
    classes, counts = data["classes"], data["counts"]
    rows = [[name, *(f"{counts[part][k]:,}" for part in ("train", "valid", "test"))] for k, name in enumerate(classes)]
    rows.append(["all", *(f"{data['pictures'][part]:,}" for part in ("train", "valid", "test"))])
    notes = [Note("note", note, tone="careful") for note in data["notes"]]
    notes += [
        Note("leak, allowed by --allow-leak", f"{leak['reason']}: {', '.join(leak['ids'][:4])}", tone="bad")
        for leak in data["leaks"][:_SHOWN]
    ]
    panels: list[Panel] = [
        Table("The data", "Pictures of each class in each part.", ["class", "train", "valid", "test"], rows)
    ]
    if found := data["audit"]:
        told = [[f["check"], f["severity"], f["first"], f"{f['samples']:,}" if f["samples"] else "–"] for f in found]
        words = f"Before anything was learnt. See each with: foveate audit {shlex.quote(str(data['origin'] or data['name']))}"
        panels.append(Table("What the audit found", words, ["what", "severity", "for example", "samples"], told, 3))
    if notes:
        panels.append(Notes("What to know about the data", "", notes))
    if skipped := data["skipped"]:
        words = f"{len(skipped):,} samples could not be used." + (
            f" The first {_SHOWN} are shown; all are in data.json." if len(skipped) > _SHOWN else ""
        )
        panels.append(
            Table("Skipped", words, ["sample", "reason"], [[s["id"], s["reason"]] for s in skipped[:_SHOWN]], 2)
        )
    return panels


def _ledger(run: Run) -> Panel:
    entries = run.ledger.entries
    title = "The test part"
    if not entries:
        return Notes(title, f"It is still locked. To open it, once: foveate test {run.path}", [])
    primary = run.results["primary"]
    rows = [[e.when, e.weights[:12], _told(e.result[primary])] for e in entries]
    words = "Opened once, as it should be." if len(entries) == 1 else "Opened more than once: later figures flatter."
    return Table(title, words, ["opened", "weights (sha256)", written(primary)], rows, 2)


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
    usual = Settings.of(**tasks.find(run.settings.task).preferred).model_dump(mode="json")
    told = {name: value for name, value in run.settings.model_dump(mode="json").items() if value != usual[name]}
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
