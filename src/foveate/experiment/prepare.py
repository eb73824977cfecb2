"""What a run learns from and is judged on: every picture decoded once, checked, split, and written down."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate import atomic_io, models, settings, tasks
from foveate.audit import LEAK, UNUSABLE, Audit, Kind, audit, duplicates
from foveate.cli.console import Watch
from foveate.data import task_views
from foveate.data.cache import decoding
from foveate.data.dataset import PARTS, Dataset, Part, Sample, Skipped
from foveate.data.images import inside
from foveate.data.load import load
from foveate.data.rng import keys, shuffled
from foveate.data.split import assign, file, grouping
from foveate.data.subset import Rows
from foveate.errors import DataError, RunError
from foveate.experiment.run import Run
from foveate.settings import Settings
from foveate.tasks.task import Task

_STRIDE = 32  # of most nets' coarsest map


@dataclass(frozen=True)
class Material:
    """All data of a run.

    task: the problem, knowing its classes; pictures: all that could be read; parts: rows of each part
    """

    task: Task[Any]
    pictures: decoding.Pictures[Any]
    parts: dict[Part, NDArray[np.int64]]
    notes: tuple[str, ...]
    leaks: tuple[assign.Leak, ...]

    def judged(self, part: Part) -> Material:
        """The same with only those pictures of a part that are judged. Which ones is drawn from their ids."""
        rows, most = self.parts[part], self.task.most_judged
        if most is None or len(rows) <= most:
            return self
        kept = shuffled(keys([self.pictures.dataset[row].id for row in rows]), 0, 0)[:most]
        return replace(self, parts={**self.parts, part: rows[np.sort(kept)]})

    def of(self, part: Part) -> tuple[Rows, list[Any], list[str]]:
        """Pixels (N, S, S, C) uint8, taken as they are asked for, truths in these pixels, and ids of one part."""
        rows, samples = self.parts[part], self.pictures.dataset.samples
        truths, ids = self.truths(part), [samples[r].id for r in rows]
        if not self.task.letterbox:
            return Rows(self.pictures.pixels, rows), truths, ids
        sizes, fitted = self._sizes(part)
        truths = [self.task.resized(*given) for given in zip(truths, sizes, fitted, strict=True)]
        return Rows(self.pictures.pixels, rows, np.array(fitted, np.int64).reshape(-1, 2)), truths, ids

    def truths(self, part: Part) -> list[Any]:
        """In the pixels of the pictures as they lie on disk."""
        sizes, _ = self._sizes(part)
        truths = [self.pictures.dataset[row].truth for row in self.parts[part]]
        return [self.task.fitted(*given) for given in zip(truths, sizes, strict=True)]

    def restored(self, part: Part, answers: Sequence[Any]) -> list[Any]:
        """Answers for what `of` gives, in the pixels of the pictures as they lie on disk."""
        if not self.task.letterbox:
            return list(answers)
        sizes, fitted = self._sizes(part)
        return [self.task.resized(*given) for given in zip(answers, fitted, sizes, strict=True)]

    def _sizes(self, part: Part) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Height and width of each picture as it lies on disk, and of what of its letterbox it fills."""
        looks = self.pictures.looks[self.parts[part]]
        sizes = list(zip(looks["height"].tolist(), looks["width"].tolist(), strict=True))
        return sizes, [inside(*size, self.pictures.pixels.shape[1]) for size in sizes]


def collect(run: Run, dataset: Dataset[Any], watch: Watch) -> Material:
    """Decode every picture once, find what is wrong, and split; leaves config.yaml, data.json and split.csv."""
    wanted = run.settings
    kind, model = tasks.find(wanted.task), models.find(wanted.model)
    dataset = task_views.for_task(dataset, wanted.task)
    task = kind(dataset.classes)
    if not len(dataset):
        raise DataError(
            "there is no picture in these data",
            where=str(dataset.origin or dataset.name),
            remedy="Name another folder, or see what was left out: foveate audit DATA.",
        )
    size = wanted.size or max(model.smallest, 224 if wanted.weights else _size(dataset, kind))
    model.check(size, weights=wanted.weights is not None)
    dataset = _audited(task, dataset)
    most_skipped = 1.0 if wanted.allow_skipped else 0.05
    with watch.bar("reading pictures", len(dataset)) as bar:
        pictures = decoding.decode(
            dataset,
            size,
            letterbox=task.letterbox,
            most_skipped=most_skipped,
            tick=lambda done, _: bar(done),
            tell=watch.warn,
        )
    watch.say("looking for faults and copies")
    found = audit(pictures.dataset, pictures.hashes, pictures.looks)
    _refuse_errors(found, wanted)
    samples = grouped(pictures.dataset, wanted.group_by).samples
    if wanted.split is not None:
        path = Path(wanted.split)
        samples = file.apply(replace(pictures.dataset, samples=samples), pictures.hashes, file.read(path), path).samples
    made = _split(samples, dataset.classes, found.alike, wanted, lone_class=task.lone_class)
    by_id = {sample.id: sample.truth for sample in samples}
    for part in PARTS:
        task.check(part, [by_id[id] for id, own in made.parts.items() if own == part])
    run.settings = wanted.model_copy(update={"size": size})
    settings.write(run.path / "config.yaml", run.settings)
    file.write(run.path / "split.csv", samples, pictures.hashes, made.parts)
    notes = (*dataset.notes, *made.notes, *([] if wanted.size else _reduced(task, pictures)))
    material = _material(task, pictures, made.parts, notes, made.leaks)
    atomic_io.write_json(run.path / "data.json", _data_record(material, found))
    watch.say(_counts(material))
    for note in notes:
        watch.warn(note)
    for fault in (kind for kind in found.kinds if kind.severity != "note" and kind.check != UNUSABLE):
        watch.warn(f"{fault.check}: {_told(fault)}")
    for skipped in pictures.dataset.skipped[:5]:
        watch.warn(f"skipped {skipped.id}: {skipped.reason}")
    if len(pictures.dataset.skipped) > 5:
        watch.warn(f"... and {len(pictures.dataset.skipped) - 5:,} more; all are listed in data.json")
    return material


def _size(dataset: Dataset[Any], kind: type[Task[Any]]) -> int:
    """Pixels a side that these pictures are trained at: most of them as they are, up to the task's largest."""
    if not kind.letterbox:
        return min(decoding.natural_size(dataset), kind.largest)
    # Smaller ones lie in a larger canvas for nothing, and whole strides lose no line of it.
    return min(_whole_strides(decoding.natural_size(dataset, 0.95)), kind.largest)


def _whole_strides(pixels: int) -> int:
    return -(-pixels // _STRIDE) * _STRIDE


def _reduced(task: Task[Any], pictures: decoding.Pictures[Any]) -> Iterator[str]:
    """A note, where things have a place and a size and most pictures lose more than half of theirs."""
    longest = np.maximum(pictures.looks["height"], pictures.looks["width"])
    usual, size = int(np.median(longest)), pictures.pixels.shape[1]
    if task.letterbox and usual > 2 * size:
        yield (
            f"pictures of about {usual:,} px are reduced to {size}: what is smaller than {usual / size:.0f} px in them is lost; "
            f"--size {min(settings.LARGEST, _whole_strides(usual))} keeps more, and takes longer"
        )


def _told(fault: Kind) -> str:
    """One kind of fault in a line: in how many samples, and one of them."""
    first = fault.findings[0]
    many = f"{fault.samples:,} samples, e.g. " if fault.samples > 1 else ""
    return f"{many}{', '.join(first.ids[:2])}{': ' if first.ids else ''}{first.reason}"


def _refuse_errors(found: Audit, wanted: Settings) -> None:
    """Errors stop a run before it begins. Leaks are the split's to refuse, what cannot be read is the cache's: each has a
    switch of its own."""
    errors = [kind for kind in found.kinds if kind.severity == "error" and kind.check not in (LEAK, UNUSABLE)]
    if errors and not wanted.allow_errors:
        told = "".join(f"\n    {kind.check}: {_told(kind)}" for kind in errors)
        raise DataError(
            f"the audit finds errors:{told}",
            where=str(found.dataset.origin or found.dataset.name),
            remedy="See them all with: foveate audit DATA. Repair them (--fix writes a repaired copy), or pass --allow-errors "
            "to go on; the record will say so.",
        )


def grouped(dataset: Dataset[Any], by: str | None) -> Dataset[Any]:
    """The data with the groups that its names tell, or as it is."""
    return dataset if by is None else replace(dataset, samples=grouping.grouped(dataset.samples, by))


def _split(
    samples: Sequence[Sample[Any]],
    classes: Sequence[str],
    alike: duplicates.Alike,
    wanted: Settings,
    *,
    lone_class: bool,
) -> assign.Split:
    return assign.split(
        samples,
        [sample.truth.present() if sample.truth is not None else () for sample in samples],
        alike.clusters.tolist(),
        classes=classes,
        fractions=wanted.fractions,
        seed=wanted.seed,
        allow_leak=wanted.allow_leak,
        times=grouping.timed(samples, wanted.time_by) if wanted.time_by else None,
        fold=_fold(wanted.fold),
        lone_class=lone_class,
    )


def _fold(told: str | None) -> tuple[int, int] | None:
    """ "2/5" -> (1, 5): the second of five, counted from 0."""
    if told is None:
        return None
    tested, count = map(int, told.split("/"))
    return tested - 1, count


def write_split(dataset: Dataset[Any], path: Path, watch: Watch, wanted: Settings) -> str:
    """Leaves the split that a run with these settings would make; returns what to say of it."""
    if path.exists():
        raise RunError("this file exists already and would be overwritten", where=path, remedy="Name another --out.")
    with watch.bar("looking at pictures", len(dataset)) as bar:
        seen = decoding.survey(dataset, tick=lambda done, _: bar(done), tell=watch.warn)
    samples = grouped(seen.dataset, wanted.group_by).samples
    kind = tasks.all().get(dataset.task)
    lone_class = kind is None or kind.lone_class
    made = _split(samples, dataset.classes, duplicates.find(seen.hashes, seen.looks), wanted, lone_class=lone_class)
    file.write(path, samples, seen.hashes, made.parts)
    for note in made.notes:
        watch.warn(note)
    counts = Counter(made.parts.values())
    return f"{path}: " + ", ".join(f"{counts[part]:,} {part}" for part in PARTS)


def reopen(run: Run, watch: Watch) -> Material:
    """The same material as when the run began, from its origin. Raises RunError if the data under it has changed."""
    wanted, known = run.settings, run.data
    dataset = run.dataset or load(
        wanted.data, root=Path(wanted.root) if wanted.root else None, format=wanted.data_format
    )
    dataset = task_views.for_task(dataset, wanted.task)
    task = tasks.find(wanted.task)(dataset.classes)
    assert wanted.size is not None
    with watch.bar("reading pictures", len(dataset)) as bar:
        pictures = decoding.decode(
            _audited(task, dataset),
            wanted.size,
            letterbox=task.letterbox,
            most_skipped=1.0,
            tick=lambda done, _: bar(done),
            tell=watch.warn,
        )
    rows = file.read(run.path / "split.csv")
    parts = {id: row.part for id, row in rows.items()}
    file.apply(pictures.dataset, pictures.hashes, rows, run.path / "split.csv")
    material = _material(task, pictures, parts, tuple(known["notes"]), ())
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
    pictures: decoding.Pictures[Any],
    parts: dict[str, Part],
    notes: tuple[str, ...],
    leaks: tuple[assign.Leak, ...],
) -> Material:
    given = [parts[sample.id] for sample in pictures.dataset]
    rows = {part: np.array([row for row, own in enumerate(given) if own == part], np.int64) for part in PARTS}
    return Material(task, pictures, rows, notes, leaks)


def fingerprint(material: Material) -> str:
    """A hash of every sample's id, pixels and truth: equal fingerprints are the same data."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update("\0".join(material.task.classes).encode("utf-8", "surrogatepass"))
    for sample, content in zip(material.pictures.dataset, material.pictures.hashes, strict=True):
        digest.update(f"{sample.id}\0{content}\0{material.task.words(sample.truth)}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _data_record(material: Material, found: Audit) -> dict[str, Any]:
    dataset, parts = material.pictures.dataset, material.parts
    counts = {
        part: np.bincount(
            [k for row in rows if (truth := dataset[row].truth) is not None for k in truth.present()],
            minlength=len(dataset.classes),
        ).tolist()
        for part, rows in parts.items()
    }
    return {
        "name": dataset.name,
        "origin": str(dataset.origin) if dataset.origin is not None else None,
        "fingerprint": fingerprint(material),
        "classes": list(dataset.classes),
        "pictures": {part: len(rows) for part, rows in parts.items()},
        "counts": counts,
        "notes": list(material.notes),
        "leaks": [{"ids": list(leak.ids), "parts": list(leak.parts), "reason": leak.reason} for leak in material.leaks],
        "skipped": [{"id": skipped.id, "reason": skipped.reason} for skipped in dataset.skipped],
        "audit": [
            {
                "severity": k.severity,
                "check": k.check,
                "samples": k.samples,
                "first": _told(k),
                "remedy": k.findings[0].remedy,
            }
            for k in found.kinds
        ],
    }


def _counts(material: Material) -> str:
    dataset = material.pictures.dataset
    parts = ", ".join(f"{len(material.parts[part]):,} {part}" for part in PARTS)
    _, side, _, channels = material.pictures.pixels.shape
    of = f" of {len(dataset.classes)} classes" if dataset.classes else ""
    return (
        f"{dataset.name}: {len(dataset):,} pictures{of} ({parts}), {side} px, {'grey' if channels == 1 else 'colour'}"
    )
