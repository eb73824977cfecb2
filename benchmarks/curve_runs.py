"""The runs of `curves.py`: how each is made, and what its held-out images say of it."""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

HELD_OUT, VALID = 600, 300
NOISE = 0.25


@dataclass(frozen=True)
class Plan:
    """How a run is made."""

    data: str
    seed: int
    condition: str
    meant: str
    train: int
    settings: dict[str, Any] = field(default_factory=dict)
    noise: float = 0.0
    valid: int = VALID

    @property
    def name(self) -> str:
        return f"{self.data} {self.condition} {self.seed}"


@dataclass(frozen=True)
class Source:
    """A dataset of the bench: side of its images, net of the first seed, train images, seeds."""

    size: int
    model: str
    few: int
    many: int
    seeds: int = 2


CLASSIFIED = {
    "digits": Source(8, "mlp", 80, 800, seeds=3),
    "mnist": Source(14, "cnn", 80, 1000, seeds=3),
    "cifar10": Source(16, "tiny_cnn", 200, 800),
    "flowers": Source(14, "cnn", 120, 700),
    "sign_digits": Source(14, "cnn", 100, 700),
}
PLAIN = {"augment": "none", "label_smoothing": 0.0, "schedule": "constant"}


def plans() -> Iterator[Plan]:
    """All runs, those of the first seed first."""
    for seed in range(3):
        for data, source in CLASSIFIED.items():
            if seed < source.seeds:
                yield from classified(data, source, seed)
        if seed == 0:
            yield from scenes("semantic", seed)


def classified(data: str, source: Source, seed: int) -> Iterator[Plan]:
    """The conditions of a classification dataset; seeds vary how a condition is brought about."""
    few, many = source.few, source.many
    model = {"model": "cnn" if seed and data != "digits" else source.model}
    valid = (VALID, 150, 80)[seed]
    sgd = {**PLAIN, **model, "optimizer": "sgd"}

    def plan(condition: str, meant: str, train: int, **more: Any) -> Plan:
        noise = more.pop("noise", 0.0)
        return Plan(data, seed, condition, meant, train, more, noise, valid)

    yield plan("recipe", "healthy", many, **model, epochs=20)
    yield plan("few", "overfitting", few, **model, epochs=40)
    yield plan("few-plain", "overfitting", few, **PLAIN, **model, epochs=30)
    yield plan("short", "still improving", many, **model, epochs=4 if seed != 1 else 6)
    high = ({**sgd, "lr": 1.0}, {**PLAIN, **model, "lr": 0.1}, {**sgd, "lr": 0.5})[seed]
    yield plan("high", "learning rate too high", many, **high, epochs=12)
    yield plan("low", "learning rate too low", many, **sgd, lr=(2e-4, 5e-4, 1e-4)[seed], epochs=12)
    tiny = (
        {**model, "model": "mlp:2", "epochs": 25},
        {**model, "weight_decay": 30.0, "epochs": 15},
        {**model, "model": "mlp:1", "epochs": 25},
    )[seed]
    yield plan("tiny", "underfitting", many, **tiny)
    yield plan("noise", "label noise likely", many, **model, noise=NOISE, epochs=15)
    yield plan("noise-plain", "label noise likely", many, **PLAIN, **model, noise=NOISE, epochs=25)
    if data in ("flowers", "sign_digits", "cifar10") and seed == 0:
        yield plan(
            "pretrained",
            "healthy",
            200,
            model="efficientnet_lite0",
            size=64,
            epochs=4,
            batch_size=32,
        )
    yield plan("strong", "healthy", many, **model, augment="strong", epochs=20)


def scenes(task: str, seed: int) -> Iterator[Plan]:
    """The conditions of the built-in scenes, for a task beyond classification."""

    def plan(condition: str, meant: str, train: int, **settings: Any) -> Plan:
        settings = {"size": 64, "ema": None, **settings}
        return Plan(f"scenes-{task}", seed, condition, meant, train, settings, valid=50)

    rate = {"optimizer": "sgd", "schedule": "constant"}
    yield plan("few", "overfitting", 40, augment="none", epochs=30)
    yield plan("short", "still improving", 100, epochs=4)
    yield plan("high", "learning rate too high", 60, **rate, lr=0.3, epochs=6)
    yield plan("low", "learning rate too low", 60, **rate, lr=1e-6, epochs=6)
    yield plan("recipe", "healthy", 200, epochs=10)


# --- data


@cache
def pool(data: str, folder: Path) -> Any:
    """Up to 3,000 samples of a dataset at 64 px or less, in memory, drawn once."""
    from dataclasses import replace

    import foveate as fv
    from foveate.data.dataset import ArraySource
    from foveate.data.resizing import fit

    name, _, task = data.partition("-")
    if name in ("digits", "scenes"):
        loaded = fv.load(name)
        if task:
            from foveate.data import task_views

            loaded = task_views.for_task(loaded, task)
    else:
        loaded = fv.load(folder / name / ("train" if name == "cifar10" else ""))
    order = np.random.default_rng(0).permutation(len(loaded))[:3000]
    if name == "scenes":  # its splits share no digit
        return loaded
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
    counts = {"test": HELD_OUT, "valid": plan.valid, "train": plan.train}
    samples: list[Any] = []
    if plan.data.startswith("scenes"):
        counts["test"] = 80
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
    if task == "classification":
        asked = {"size": CLASSIFIED[plan.data].size, **asked}
    allowed = {"allow_leak": True, "allow_errors": True, "allow_skipped": True}
    with tempfile.TemporaryDirectory() as place:
        defined, settings = define(dataset(plan, folder), {**asked, **allowed}, download=False)
        with RunFolder.taken(Path(place) / "run", settings, defined.name) as run:
            yield run, collect(run, defined, NullReporter())


def make(plan: Plan, folder: Path) -> dict[str, Any]:
    """Train a run; its curves, and what its held-out images say."""
    from foveate.errors import Diverged
    from foveate.experiment.train import learn
    from foveate.progress import NullReporter

    began, diverged = time.perf_counter(), False
    with prepared_run(plan, folder) as (run, prepared):
        try:
            result = learn(run, prepared, NullReporter(), time.monotonic(), resume=False)
            if result.reason == "interrupted":
                raise SystemExit("interrupted; the same command goes on")
        except Diverged:
            diverged = True
        found = None if diverged else evidence(run, prepared)
        settings, rows = run.settings, run.curves
        targets = prepared.of("train")[1]
        task = type(prepared.task).from_settings(
            prepared.images.dataset, settings, targets, hflip=False
        )
    return {
        "name": plan.name,
        "data": plan.data,
        "condition": plan.condition,
        "meant": plan.meant,
        "seed": plan.seed,
        "images": {"train": plan.train, "valid": plan.valid},
        "noise": plan.noise,
        "settings": {**plan.settings, "lr": settings.lr, "optimizer": settings.optimizer},
        "floor": float(task.loss_floor),
        "diverged": diverged,
        "held_out": found,
        "rows": [
            {name: rounded(value) for name, value in row.items() if name != "seconds"}
            for row in rows
        ],
        "seconds": round(time.perf_counter() - began, 1),
    }


def checked_labels(plan: Plan, folder: Path) -> dict[str, int] | None:
    """What out-of-fold predictions say of the labels of a run, as `foveate train` asks for it."""
    from foveate.experiment.probing import check_labels

    with prepared_run(plan, folder) as (_, prepared):
        found = check_labels(prepared.task, prepared, plan.seed)
    return None if found is None else asdict(found)


def rounded(value: float) -> float | None:
    return float(f"{value:.4g}") if math.isfinite(value) else None


def evidence(run: Any, prepared: Any) -> dict[str, float | None]:
    """The primary metric on train and held-out images, and the held-out loss, old and last."""
    from foveate.data.batches import validation_batches
    from foveate.training import checkpoint
    from foveate.training.validation import validate

    task, net = run.load()
    found: dict[str, float | None] = {}

    def score(split: str) -> tuple[float, float]:
        return validate(net, task, validation_batches(task, *prepared.of(split)))

    _, found["train"] = score("train")
    found["loss"], found["held_out"] = score("test")
    tensors, _ = checkpoint.read(run.checkpoint)
    last = {name[4:]: value for name, value in tensors.items() if name.startswith("net.")}
    net.load_state_dict(last)
    found["last_loss"], found["last_held_out"] = score("test")
    _, found["last_train"] = score("train")
    return {name: rounded(value) for name, value in found.items()}


def make_all(folder: Path, out: Path, only: str) -> None:
    """Make all runs that are not in the file yet, saving after each."""
    known = {run["name"]: run for run in load(out)} if out.exists() else {}
    for plan in plans():
        if plan.name in known or only not in plan.name:
            continue
        run = make(plan, folder)
        known[plan.name] = run
        save(out, list(known.values()))
        print(f"{plan.name}: {plan.meant}; {run['held_out']} {run['seconds']} s", flush=True)


def check_all(folder: Path, runs: Path, out: Path) -> None:
    """Check the labels of all data that runs were trained on, saving after each."""
    known = json.loads(out.read_text()) if out.exists() else {}
    made = {run["name"] for run in load(runs)}
    for plan in plans():
        key = label_key(plan.data, plan.seed, plan.train, plan.noise)
        if plan.name not in made or key in known or plan.data.startswith("scenes"):
            continue
        known[key] = checked_labels(plan, folder)
        out.write_text(json.dumps(known, indent=1))
        print(key, known[key], flush=True)


def label_key(data: str, seed: int, train: int, noise: float) -> str:
    return f"{data} {seed} {train} {noise}"


def load(path: Path) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = json.loads(path.read_text())
    return runs


def save(path: Path, runs: Sequence[Mapping[str, Any]]) -> None:
    path.write_text("[\n" + ",\n".join(json.dumps(run) for run in runs) + "\n]\n")
