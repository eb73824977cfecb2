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
from foveate.audit import LEAK, UNUSABLE, Audit, FindingGroup, audit, duplicates
from foveate.progress import Reporter
from foveate.data import task_views
from foveate.data.cache import decoding
from foveate.data.dataset import SPLITS, Dataset, Sample, Skipped, SplitName
from foveate.data.images import inside
from foveate.data.load import load
from foveate.data.rng import keys, shuffled
from foveate.data.split import assign, file, grouping
from foveate.data.subset import Subset
from foveate.errors import DataError, RunError
from foveate.experiment.run import Run
from foveate.settings import Settings
from foveate.tasks.task import Task

_STRIDE = 32  # of most nets' coarsest map


@dataclass(frozen=True)
class PreparedData:
    """All data of a run.

    task: the problem, knowing its classes; pictures: all that could be read; parts: rows of each part
    """

    task: Task[Any]
    images: decoding.Pictures[Any]
    splits: dict[SplitName, NDArray[np.int64]]
    notes: tuple[str, ...]
    leaks: tuple[assign.Leak, ...]

    def for_evaluation(self, split: SplitName) -> PreparedData:
        """The same with only those pictures of a part that are judged. Which ones is drawn from their ids."""
        rows, most = self.splits[split], self.task.max_eval_images
        if most is None or len(rows) <= most:
            return self
        kept = shuffled(keys([self.images.dataset[row].id for row in rows]), 0, 0)[:most]
        return replace(self, splits={**self.splits, split: rows[np.sort(kept)]})

    def of(self, split: SplitName) -> tuple[Subset, list[Any], list[str]]:
        """Pixels (N, S, S, C) uint8, taken as they are asked for, truths in these pixels, and ids of one part."""
        rows, samples = self.splits[split], self.images.dataset.samples
        targets, ids = self.targets(split), [samples[r].id for r in rows]
        if not self.task.letterbox:
            return Subset(self.images.pixels, rows), targets, ids
        sizes, fitted = self._sizes(split)
        targets = [self.task.resized(*given) for given in zip(targets, sizes, fitted, strict=True)]
        return (
            Subset(self.images.pixels, rows, np.array(fitted, np.int64).reshape(-1, 2)),
            targets,
            ids,
        )

    def targets(self, split: SplitName) -> list[Any]:
        """In the pixels of the pictures as they lie on disk."""
        sizes, _ = self._sizes(split)
        targets = [self.images.dataset[row].target for row in self.splits[split]]
        return [self.task.clean_target(*given) for given in zip(targets, sizes, strict=True)]

    def to_original(self, split: SplitName, predictions: Sequence[Any]) -> list[Any]:
        """Answers for what `of` gives, in the pixels of the pictures as they lie on disk."""
        if not self.task.letterbox:
            return list(predictions)
        sizes, fitted = self._sizes(split)
        return [self.task.resized(*given) for given in zip(predictions, fitted, sizes, strict=True)]

    def _sizes(self, split: SplitName) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Height and width of each picture as it lies on disk, and of what of its letterbox it fills."""
        image_stats = self.images.image_stats[self.splits[split]]
        sizes = list(
            zip(image_stats["height"].tolist(), image_stats["width"].tolist(), strict=True)
        )
        return sizes, [inside(*size, self.images.pixels.shape[1]) for size in sizes]


def collect(run: Run, dataset: Dataset[Any], reporter: Reporter) -> PreparedData:
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
    with reporter.bar("reading pictures", len(dataset)) as bar:
        images = decoding.decode(
            dataset,
            size,
            letterbox=task.letterbox,
            most_skipped=most_skipped,
            tick=lambda done, _: bar(done),
            tell=reporter.warning,
        )
    reporter.info("looking for faults and copies")
    found = audit(images.dataset, images.hashes, images.image_stats)
    _refuse_errors(found, wanted)
    samples = grouped(images.dataset, wanted.group_by).samples
    if wanted.split is not None:
        path = Path(wanted.split)
        samples = file.apply(
            replace(images.dataset, samples=samples), images.hashes, file.read(path), path
        ).samples
    made = _split(
        samples, dataset.classes, found.alike, wanted, single_class_ok=task.single_class_ok
    )
    by_id = {sample.id: sample.target for sample in samples}
    for split in SPLITS:
        task.check(split, [by_id[id] for id, own in made.splits.items() if own == split])
    run.settings = wanted.model_copy(update={"size": size})
    settings.write(run.path / "config.yaml", run.settings)
    file.write(run.path / "split.csv", samples, images.hashes, made.splits)
    notes = (*dataset.notes, *made.notes, *([] if wanted.size else _reduced(task, images)))
    prepared = _material(task, images, made.splits, notes, made.leaks)
    atomic_io.write_json(run.path / "data.json", _data_record(prepared, found))
    reporter.info(_counts(prepared))
    for note in notes:
        reporter.warning(note)
    for fault in (
        kind for kind in found.kinds if kind.severity != "note" and kind.check != UNUSABLE
    ):
        reporter.warning(f"{fault.check}: {_told(fault)}")
    for skipped in images.dataset.skipped[:5]:
        reporter.warning(f"skipped {skipped.id}: {skipped.reason}")
    if len(images.dataset.skipped) > 5:
        reporter.warning(
            f"... and {len(images.dataset.skipped) - 5:,} more; all are listed in data.json"
        )
    return prepared


def _size(dataset: Dataset[Any], kind: type[Task[Any]]) -> int:
    """Pixels a side that these pictures are trained at: most of them as they are, up to the task's largest."""
    if not kind.letterbox:
        return min(decoding.natural_size(dataset), kind.largest)
    # Smaller ones lie in a larger canvas for nothing, and whole strides lose no line of it.
    return min(_whole_strides(decoding.natural_size(dataset, 0.95)), kind.largest)


def _whole_strides(pixels: int) -> int:
    return -(-pixels // _STRIDE) * _STRIDE


def _reduced(task: Task[Any], images: decoding.Pictures[Any]) -> Iterator[str]:
    """A note, where things have a place and a size and most pictures lose more than half of theirs."""
    longest = np.maximum(images.image_stats["height"], images.image_stats["width"])
    usual, size = int(np.median(longest)), images.pixels.shape[1]
    if task.letterbox and usual > 2 * size:
        yield (
            f"pictures of about {usual:,} px are reduced to {size}: what is smaller than {usual / size:.0f} px in them is lost; "
            f"--size {min(settings.LARGEST, _whole_strides(usual))} keeps more, and takes longer"
        )


def _told(fault: FindingGroup) -> str:
    """One kind of fault in a line: in how many samples, and one of them."""
    first = fault.findings[0]
    many = f"{fault.samples:,} samples, e.g. " if fault.samples > 1 else ""
    return f"{many}{', '.join(first.ids[:2])}{': ' if first.ids else ''}{first.reason}"


def _refuse_errors(found: Audit, wanted: Settings) -> None:
    """Errors stop a run before it begins. Leaks are the split's to refuse, what cannot be read is the cache's: each has a
    switch of its own.
    """
    errors = [
        kind
        for kind in found.kinds
        if kind.severity == "error" and kind.check not in (LEAK, UNUSABLE)
    ]
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
    return (
        dataset if by is None else replace(dataset, samples=grouping.grouped(dataset.samples, by))
    )


def _split(
    samples: Sequence[Sample[Any]],
    classes: Sequence[str],
    alike: duplicates.Alike,
    wanted: Settings,
    *,
    single_class_ok: bool,
) -> assign.Split:
    return assign.split(
        samples,
        [sample.target.present() if sample.target is not None else () for sample in samples],
        alike.clusters.tolist(),
        classes=classes,
        fractions=wanted.fractions,
        seed=wanted.seed,
        allow_leak=wanted.allow_leak,
        times=grouping.timed(samples, wanted.time_by) if wanted.time_by else None,
        fold=_fold(wanted.fold),
        single_class_ok=single_class_ok,
    )


def _fold(told: str | None) -> tuple[int, int] | None:
    """ "2/5" -> (1, 5): the second of five, counted from 0."""
    if told is None:
        return None
    tested, count = map(int, told.split("/"))
    return tested - 1, count


def write_split(dataset: Dataset[Any], path: Path, reporter: Reporter, wanted: Settings) -> str:
    """Leaves the split that a run with these settings would make; returns what to say of it."""
    if path.exists():
        raise RunError(
            "this file exists already and would be overwritten",
            where=path,
            remedy="Name another --out.",
        )
    with reporter.bar("looking at pictures", len(dataset)) as bar:
        seen = decoding.survey(dataset, tick=lambda done, _: bar(done), tell=reporter.warning)
    samples = grouped(seen.dataset, wanted.group_by).samples
    kind = tasks.all().get(dataset.task)
    single_class_ok = kind is None or kind.single_class_ok
    made = _split(
        samples,
        dataset.classes,
        duplicates.find(seen.hashes, seen.image_stats),
        wanted,
        single_class_ok=single_class_ok,
    )
    file.write(path, samples, seen.hashes, made.splits)
    for note in made.notes:
        reporter.warning(note)
    counts = Counter(made.splits.values())
    return f"{path}: " + ", ".join(f"{counts[split]:,} {split}" for split in SPLITS)


def reopen(run: Run, reporter: Reporter) -> PreparedData:
    """The same material as when the run began, from its origin. Raises RunError if the data under it has changed."""
    wanted, known = run.settings, run.data
    dataset = run.dataset or load(
        wanted.data, root=Path(wanted.root) if wanted.root else None, format=wanted.data_format
    )
    dataset = task_views.for_task(dataset, wanted.task)
    task = tasks.find(wanted.task)(dataset.classes)
    assert wanted.size is not None
    with reporter.bar("reading pictures", len(dataset)) as bar:
        images = decoding.decode(
            _audited(task, dataset),
            wanted.size,
            letterbox=task.letterbox,
            most_skipped=1.0,
            tick=lambda done, _: bar(done),
            tell=reporter.warning,
        )
    rows = file.read(run.path / "split.csv")
    splits = {id: row.split for id, row in rows.items()}
    file.apply(images.dataset, images.hashes, rows, run.path / "split.csv")
    prepared = _material(task, images, splits, tuple(known["notes"]), ())
    if fingerprint(prepared) != known["fingerprint"]:
        raise RunError(
            "the data has changed since this run began, so its split and figures no longer fit",
            where=wanted.data,
            remedy="Bring the data back as it was, or train again into another --out.",
        )
    return prepared


def _audited(task: Task[Any], dataset: Dataset[Any]) -> Dataset[Any]:
    """The samples with a usable truth; the others join `skipped` with the reason."""
    wrong = {sample.id: found for sample in dataset if (found := task.audit(sample))}
    skipped = tuple(Skipped(id, "; ".join(found)) for id, found in wrong.items())
    kept = [sample for sample in dataset if sample.id not in wrong]
    return replace(dataset, samples=kept, skipped=dataset.skipped + skipped) if wrong else dataset


def _material(
    task: Task[Any],
    images: decoding.Pictures[Any],
    splits: dict[str, SplitName],
    notes: tuple[str, ...],
    leaks: tuple[assign.Leak, ...],
) -> PreparedData:
    given = [splits[sample.id] for sample in images.dataset]
    rows = {
        split: np.array([row for row, own in enumerate(given) if own == split], np.int64)
        for split in SPLITS
    }
    return PreparedData(task, images, rows, notes, leaks)


def fingerprint(prepared: PreparedData) -> str:
    """A hash of every sample's id, pixels and truth: equal fingerprints are the same data."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update("\0".join(prepared.task.classes).encode("utf-8", "surrogatepass"))
    for sample, content in zip(prepared.images.dataset, prepared.images.hashes, strict=True):
        digest.update(
            f"{sample.id}\0{content}\0{prepared.task.to_dict(sample.target)}\n".encode(
                "utf-8", "surrogatepass"
            )
        )
    return digest.hexdigest()


def _data_record(prepared: PreparedData, found: Audit) -> dict[str, Any]:
    dataset, splits = prepared.images.dataset, prepared.splits
    counts = {
        split: np.bincount(
            [
                k
                for row in rows
                if (target := dataset[row].target) is not None
                for k in target.present()
            ],
            minlength=len(dataset.classes),
        ).tolist()
        for split, rows in splits.items()
    }
    return {
        "name": dataset.name,
        "origin": str(dataset.origin) if dataset.origin is not None else None,
        "fingerprint": fingerprint(prepared),
        "classes": list(dataset.classes),
        "pictures": {split: len(rows) for split, rows in splits.items()},
        "counts": counts,
        "notes": list(prepared.notes),
        "leaks": [
            {"ids": list(leak.ids), "parts": list(leak.splits), "reason": leak.reason}
            for leak in prepared.leaks
        ],
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


def _counts(prepared: PreparedData) -> str:
    dataset = prepared.images.dataset
    splits = ", ".join(f"{len(prepared.splits[split]):,} {split}" for split in SPLITS)
    _, side, _, channels = prepared.images.pixels.shape
    of = f" of {len(dataset.classes)} classes" if dataset.classes else ""
    return f"{dataset.name}: {len(dataset):,} pictures{of} ({splits}), {side} px, {'grey' if channels == 1 else 'colour'}"
