"""The runs of `curves.py`: how each is made, and what its held-out images say of it."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from curve_plans import Plan

# --- data


@cache
def pool(data: str, folder: Path) -> Any:
    """Up to 3,000 samples of a dataset at 64 px or less, in memory, drawn once."""
    from dataclasses import replace

    import foveate as fv
    from foveate.data import task_views
    from foveate.data.dataset import ArraySource
    from foveate.data.resizing import fit

    name, _, task = data.partition("-")
    if name in ("digits", "scenes", "duos"):
        loaded = fv.load(name)
    else:
        loaded = fv.load(folder / name / ("train" if name == "cifar10" else ""))
    if task:
        return task_views.for_task(loaded, task)
    order = np.random.default_rng(0).permutation(len(loaded))[:3000]
    samples = []
    for row in order:
        sample = loaded.samples[row]
        pixels = sample.source.read()
        side = min(64, max(pixels.shape[:2]))
        small = fit(pixels, side, pixels.shape[2], letterbox=False)
        samples.append(
            replace(sample, id=f"{row:05}", source=ArraySource(small[None], 0), split=None)
        )
    return replace(loaded, samples=samples)


def dataset(plan: Plan, folder: Path) -> Any:
    """The images of a run, split, with its wrong labels."""
    from dataclasses import replace

    from foveate.annotations import Label

    whole, rng = pool(plan.data, folder), np.random.default_rng(plan.seed)
    counts = {"test": plan.test, "valid": plan.valid, "train": plan.train}
    samples: list[Any] = []
    if plan.data.startswith("scenes"):  # its splits share no digit
        for split, count in counts.items():
            own = [sample for sample in whole.samples if sample.split == split]
            samples += [own[row] for row in rng.permutation(len(own))[:count]]
        return replace(whole, samples=samples)
    order = list(rng.permutation(len(whole)))
    wrong, classes = np.random.default_rng(plan.seed), len(whole.classes)
    for split, count in counts.items():
        for row in order[:count]:
            sample = replace(whole.samples[row], split=split)
            if split != "test" and wrong.random() < plan.noise:
                label = (sample.target.index + int(wrong.integers(1, classes))) % classes
                sample = replace(sample, target=Label(label))
            samples.append(sample)
        order = order[count:]
    return replace(whole, samples=samples)


# --- runs


@contextmanager
def prepared_run(plan: Plan, folder: Path) -> Iterator[tuple[Any, Any]]:
    """A new run with its data: steps 1 to 3 of foveate's pipeline."""
    from foveate.experiment.pipeline import define
    from foveate.experiment.prepare import collect
    from foveate.experiment.run_folder import RunFolder
    from foveate.progress import NullReporter

    task = plan.data.partition("-")[2] or "classification"
    asked = {"seed": plan.seed, "task": task, "precision": "float32", **plan.settings}
    allowed = {"allow_leak": True, "allow_errors": True, "allow_skipped": True}
    with tempfile.TemporaryDirectory() as place:
        defined, settings = define(dataset(plan, folder), {**asked, **allowed}, download=False)
        with RunFolder.taken(Path(place) / "run", settings, defined.name) as run:
            yield run, collect(run, defined, NullReporter())


def make(plan: Plan, folder: Path) -> dict[str, Any] | None:
    """Train a run; its curves, and what its held-out images say. None if it had no validation."""
    from foveate.errors import Diverged
    from foveate.experiment.evaluate import fit_evaluator
    from foveate.experiment.probing import check_labels
    from foveate.experiment.train import learn
    from foveate.progress import NullReporter
    from foveate.tasks.classification import Classification

    began, diverged = time.perf_counter(), False
    with prepared_run(plan, folder) as (run, prepared):
        fit_evaluator(run, prepared, NullReporter())
        try:
            result = learn(run, prepared, NullReporter(), time.monotonic(), resume=False)
            if result.reason == "interrupted":
                raise SystemExit("interrupted; the same command goes on")
        except Diverged:
            diverged = True
        found = None if diverged else evidence(run, prepared)
        settings, rows = run.settings, run.curves
        labels = None
        if isinstance(prepared.task, Classification):
            labels = check_labels(prepared.task, prepared, plan.seed)
        targets = prepared.of("train")[1]
        task = type(prepared.task).from_settings(
            prepared.images.dataset, settings, targets, hflip=False
        )
    if not rows:
        return None
    rows = [{name: value for name, value in row.items() if name != "seconds"} for row in rows]
    return {
        "name": plan.name,
        "half": plan.half,
        "meant": plan.meant,
        "how": {
            **plan.settings,
            "lr": settings.lr,
            "optimizer": settings.optimizer,
            "images": {"train": plan.train, "valid": plan.valid},
            "noise": plan.noise,
        },
        "floor": rounded(max(float(task.loss_floor), 0.0)),
        "perfect": task.curve_reaches_one,
        "pretrained": settings.weights is not None,
        "kept_by": task.kept_by,
        "fitted": found and found["train"],
        "held_out": found,
        "label_evidence": labels and asdict(labels),
        "curves": {name: [rounded(row[name]) for row in rows] for name in rows[0]},
        "seconds": round(time.perf_counter() - began, 1),
    }


def rounded(value: float) -> float | None:
    return float(f"{value:.4g}") if math.isfinite(value) else None


def evidence(run: Any, prepared: Any) -> dict[str, float | None]:
    """The primary metric on train and held-out images, and the held-out loss, old and last."""
    from foveate.data.batches import validation_batches
    from foveate.tasks.tiling import Tiled
    from foveate.training import checkpoint
    from foveate.training.validation import validate

    task, net = run.load()
    found: dict[str, float | None] = {}

    def score(split: str) -> tuple[float, float]:
        images = prepared.of(split)
        if isinstance(task, Tiled):
            images = task.tile_targets(*images)
        return validate(net, task, validation_batches(task, *images))

    _, found["train"] = score("train")
    found["loss"], found["held_out"] = score("test")
    tensors, _ = checkpoint.read(run.checkpoint)
    last = {name[4:]: value for name, value in tensors.items() if name.startswith("net.")}
    net.load_state_dict(last)
    found["last_loss"], found["last_held_out"] = score("test")
    _, found["last_train"] = score("train")
    return {name: rounded(value) for name, value in found.items()}
