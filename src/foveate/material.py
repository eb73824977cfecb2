"""What a run learns from and is judged on: every picture decoded once, checked, split, and written down."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate import files, models, settings, tasks
from foveate.console import Watch
from foveate.data import cache, split
from foveate.data.dataset import PARTS, Dataset, Part, Skipped
from foveate.data.load import load
from foveate.errors import RunError, SettingError
from foveate.run import Run
from foveate.tasks.task import Task


@dataclass(frozen=True)
class Material:
    """All data of a run.

    task: the problem, knowing its classes; pictures: all that could be read; parts: rows of each part
    """

    task: Task[Any]
    pictures: cache.Pictures[Any]
    parts: dict[Part, NDArray[np.int64]]
    notes: tuple[str, ...]
    leaks: tuple[split.Leak, ...]

    def of(self, part: Part) -> tuple[NDArray[np.uint8], list[Any], list[str]]:
        """Pixels (N, S, S, C) uint8, truths and ids of one part."""
        rows, samples = self.parts[part], self.pictures.dataset.samples
        return self.pictures.pixels[rows], [samples[r].truth for r in rows], [samples[r].id for r in rows]


def collect(run: Run, dataset: Dataset[Any], watch: Watch) -> Material:
    """Decode every picture once, find what is wrong, and split; leaves config.yaml, data.json and split.csv."""
    wanted = run.settings
    kind, model = tasks.find(wanted.task), models.find(wanted.model)
    if dataset.task != wanted.task:
        raise SettingError(
            f"these annotations are for the task {dataset.task!r}, not {wanted.task!r}",
            where=wanted.data,
            remedy=f"Use --task {dataset.task}.",
        )
    task = kind(dataset.classes)
    size = wanted.size or (224 if wanted.weights else max(model.smallest, min(cache.natural_size(dataset), 128)))
    model.check(size, weights=wanted.weights is not None)
    dataset = _audited(task, dataset)
    most_skipped = 1.0 if wanted.allow_skipped else 0.05
    with watch.bar("reading pictures", len(dataset)) as bar:
        pictures = cache.decode(dataset, size, most_skipped=most_skipped, tick=lambda done, _: bar(done))
    samples = pictures.dataset.samples
    made = split.split(
        samples,
        [task.strata(sample.truth) for sample in samples],
        pictures.hashes,
        classes=dataset.classes,
        fractions=wanted.fractions,
        seed=wanted.seed,
        allow_leak=wanted.allow_leak,
    )
    run.settings = wanted.model_copy(update={"size": size})
    settings.write(run.path / "config.yaml", run.settings)
    split.write(run.path / "split.csv", samples, made)
    material = _material(task, pictures, made.parts, made.notes, made.leaks)
    files.write_json(run.path / "data.json", _data_record(material))
    watch.say(_counts(material))
    for note in made.notes:
        watch.warn(note)
    for skipped in pictures.dataset.skipped[:5]:
        watch.warn(f"skipped {skipped.id}: {skipped.reason}")
    if len(pictures.dataset.skipped) > 5:
        watch.warn(f"... and {len(pictures.dataset.skipped) - 5:,} more; all are listed in data.json")
    return material


def reopen(run: Run, watch: Watch) -> Material:
    """The same material as when the run began, from its origin. Raises RunError if the data under it has changed."""
    wanted, known = run.settings, run.data
    dataset = run.dataset or load(wanted.data, root=Path(wanted.root) if wanted.root else None)
    task = tasks.find(wanted.task)(dataset.classes)
    assert wanted.size is not None
    with watch.bar("reading pictures", len(dataset)) as bar:
        pictures = cache.decode(_audited(task, dataset), wanted.size, most_skipped=1.0, tick=lambda done, _: bar(done))
    material = _material(task, pictures, split.read(run.path / "split.csv"), tuple(known["notes"]), ())
    if fingerprint(material) != known["fingerprint"]:
        raise RunError(
            "the data has changed since this run began, so its split and figures no longer fit",
            where=wanted.data,
            remedy="Bring the data back as it was, or train again into another --out.",
        )
    return material


def _audited(task: Task[Any], dataset: Dataset[Any]) -> Dataset[Any]:
    """The samples with a usable truth; the others join `skipped` with the reason."""
    wrong = {sample.id: found for sample in dataset if (found := task.audit(sample))}
    skipped = tuple(Skipped(id, "; ".join(found)) for id, found in wrong.items())
    kept = [sample for sample in dataset if sample.id not in wrong]
    return replace(dataset, samples=kept, skipped=dataset.skipped + skipped) if wrong else dataset


def _material(
    task: Task[Any],
    pictures: cache.Pictures[Any],
    parts: dict[str, Part],
    notes: tuple[str, ...],
    leaks: tuple[split.Leak, ...],
) -> Material:
    assigned = split.apply(pictures.dataset, parts)
    rows = {part: np.array([i for i, sample in enumerate(assigned) if sample.part == part], np.int64) for part in PARTS}
    return Material(task, pictures, rows, notes, leaks)


def fingerprint(material: Material) -> str:
    """A hash of every sample's id, pixels and truth: equal fingerprints are the same data."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update("\0".join(material.task.classes).encode("utf-8", "surrogatepass"))
    for sample, content in zip(material.pictures.dataset, material.pictures.hashes, strict=True):
        digest.update(f"{sample.id}\0{content}\0{material.task.words(sample.truth)}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _data_record(material: Material) -> dict[str, Any]:
    dataset, parts = material.pictures.dataset, material.parts
    counts = {
        part: np.bincount(
            [stratum for row in rows for stratum in material.task.strata(dataset[row].truth)],
            minlength=len(dataset.classes),
        ).tolist()
        for part, rows in parts.items()
    }
    return {
        "name": dataset.name,
        "origin": str(dataset.origin) if dataset.origin is not None else None,
        "fingerprint": fingerprint(material),
        "classes": list(dataset.classes),
        "counts": counts,
        "notes": list(material.notes),
        "leaks": [{"ids": list(leak.ids), "parts": list(leak.parts), "reason": leak.reason} for leak in material.leaks],
        "skipped": [{"id": skipped.id, "reason": skipped.reason} for skipped in dataset.skipped],
        "hashes": dict(zip((sample.id for sample in dataset), material.pictures.hashes, strict=True)),
    }


def _counts(material: Material) -> str:
    dataset = material.pictures.dataset
    parts = ", ".join(f"{len(material.parts[part]):,} {part}" for part in PARTS)
    _, side, _, channels = material.pictures.pixels.shape
    return f"{dataset.name}: {len(dataset):,} pictures of {len(dataset.classes)} classes ({parts}), {side} px, {'grey' if channels == 1 else 'colour'}"
