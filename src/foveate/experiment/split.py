"""The split of a dataset into train, valid and test, as the settings ask for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from foveate import tasks
from foveate.atomic_io import storage_advice
from foveate.audit import duplicates
from foveate.data import depth
from foveate.data.cache import decoding
from foveate.data.dataset import SPLITS, Dataset, Sample
from foveate.data.image_reading import ImageReading
from foveate.data.split import assign, file, grouping, rare_classes
from foveate.data.unique_ids import check_unique_ids
from foveate.outputs import check_output
from foveate.progress import Reporter
from foveate.settings import Settings


def with_groups(dataset: Dataset[Any], group_by: str | None) -> Dataset[Any]:
    """The dataset with the groups that the ids of its samples name, or unchanged."""
    if group_by is None:
        return dataset
    return replace(dataset, samples=grouping.with_groups(dataset.samples, group_by))


def with_rare_classes(dataset: Dataset[Any], settings: Settings) -> rare_classes.Handled:
    """Merge or drop the classes that are too rare for every split, if the settings say so."""
    handle = {"merge": rare_classes.merge, "drop": rare_classes.drop}.get(settings.rare_classes)
    if handle is None or settings.time_by is not None:
        return rare_classes.Handled(dataset)
    if settings.fold is not None:
        return handle(dataset, int(settings.fold.split("/")[1]))
    own = {sample.split for sample in dataset}
    return handle(dataset, 1 + len({"valid", "test"} - own))


def make_split(
    samples: Sequence[Sample[Any]],
    classes: Sequence[str],
    alike: duplicates.DuplicateClusters,
    settings: Settings,
    *,
    single_class_ok: bool,
    left_out: Collection[str] = (),
) -> assign.SplitAssignment:
    """Assign every sample to a split. Copies of an image stay together.

    Args:
        samples: The samples; those with a split of their own keep it.
        classes: Names of the classes, which are spread evenly.
        alike: Which images are copies of one another.
        settings: Says how to split.
        single_class_ok: Whether a dataset with a single class can be learnt.
        left_out: Ids of samples that are in no split.

    Raises:
        DataError: No split is possible, or the data's own split leaks.
    """
    fold = None
    if settings.fold is not None:
        tested, folds = map(int, settings.fold.split("/"))
        fold = tested - 1, folds
    return assign.assign_splits(
        samples,
        [sample.target.present() if sample.target is not None else () for sample in samples],
        alike.clusters.tolist(),
        classes=classes,
        fractions=settings.fractions,
        seed=settings.seed if settings.split_seed is None else settings.split_seed,
        allow_leak=settings.allow_leak,
        drop_leaks=settings.drop_leaks,
        rare_in_train=settings.rare_classes == "train",
        left_out=left_out,
        times=grouping.sample_times(samples, settings.time_by) if settings.time_by else None,
        fold=fold,
        single_class_ok=single_class_ok,
    )


def write_split(
    dataset: Dataset[Any],
    path: Path,
    reporter: Reporter,
    settings: Settings,
    *,
    overwrite: bool = False,
) -> dict[str, int]:
    """Write the split that a run with these settings would make into a file.

    Returns:
        The number of samples in each split.

    Raises:
        RunError: The file exists and is no split file or may not be overwritten, or lies in the
            data.
        StorageError: The file cannot be written.
        DataError: No split is possible.
    """
    check_output(path, file.KIND, option="--out", overwrite=overwrite, data=dataset.origin_paths)
    check_unique_ids(dataset)
    handled = with_rare_classes(dataset, settings)
    dataset = handled.dataset
    with reporter.bar("reading images", len(dataset)) as bar:
        survey = depth.decode_measured(
            dataset,
            ImageReading.of(settings),
            lambda dataset: decoding.survey(
                dataset, on_progress=lambda done, _: bar(done), on_message=reporter.warning
            ),
            reporter.info,
        )
    samples = with_groups(survey.dataset, settings.group_by).samples
    task = tasks.all().get(dataset.task)
    made = make_split(
        samples,
        dataset.classes,
        duplicates.find(
            survey.hashes,
            survey.image_stats,
            directed=duplicates.directed_classes(survey.dataset),
        ),
        settings,
        single_class_ok=task is None or task.single_class_ok,
    )
    with storage_advice("Then give the same command again: the data is as it was."):
        file.write(path, file.rows_of(samples, survey.hashes, made))
    for note in (*handled.notes, *made.notes):
        reporter.warning(note)
    counts = Counter(made.splits.values())
    return {split: counts[split] for split in SPLITS}
