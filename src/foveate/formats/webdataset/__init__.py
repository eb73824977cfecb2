"""WebDataset: tar archives ("shards") in which the files of a sample share a name.

    .jpg, .png, ...   the image
    .cls              a class, by its number
    .txt              a caption
    .json             several captions {"captions": ["...", "..."]} (or one as "caption" or "text"),
                      or boxes {"boxes": [[left, top, right, bottom], ...], "classes": [0, ...]} and
                      optionally "crowd": [false, ...], "difficult": [...], "size": [height, width]

classes.txt beside the shards names the classes in the order of their numbers. The name of a shard
(train-000000.tar) or of its folder gives the split. Shards are read in place, so they must not be
compressed. Samples are named by their keys; where shards repeat these, by the shard and the key.
"""

from __future__ import annotations

import re
import tarfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from foveate.annotations import Label
from foveate.data.dataset import SPLITS, Dataset, Sample, Skipped
from foveate.errors import DataError
from foveate.formats._shared.files.stems import file_stems
from foveate.formats._shared.layout import (
    CLASSES_FILE,
    printable,
    read_classes,
    require_two_classes,
    split_of,
    visible,
)
from foveate.formats._shared.wording import first_reason
from foveate.formats._shared.writing import (
    new_folder,
    refuse,
    unsupported_task,
    write_classes,
)
from foveate.formats.webdataset.annotations import (
    SUFFIXES,
    read_annotation,
    task_of,
    write_annotation,
)
from foveate.formats.webdataset.listing import Listing, list_shards
from foveate.formats.webdataset.samples import (
    ShardSample,
    is_image_suffix,
    key_and_suffix,
    with_unique_ids,
)
from foveate.formats.webdataset.shards import (
    Member,
    MemberSource,
    ShardSource,
    add_file,
    iter_members,
)
from foveate.formats.webdataset.writing import image_bytes, unsupported_content
from foveate.wording import count_noun

NAME = "webdataset"
SUMMARY = (
    "WebDataset: tar archives such as train-000000.tar with 0001.jpg, 0001.cls (or .txt, .json)"
)
TASKS = tuple(SUFFIXES)

_COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
_NUMBERED = re.compile(r".*[-_]\d{3,}\.(tar|tgz)(\.\w+)?", re.IGNORECASE)
_MAX_SNIFFED_FILES = 64  # of the first shard
_SHARD_SIZE = 1000  # samples


def sniff(path: Path) -> bool:
    """Return whether there are archives with an image and an annotation of one name in the first.

    An unreadable archive counts if it is numbered like a shard: reading it says what is wrong.
    """
    try:
        shards, _ = _shards(path)
        if not shards:
            return False
        try:
            return _has_sample(shards[0])
        except DataError:
            return bool(_NUMBERED.fullmatch(shards[0].name))
    except OSError:
        return False


def read(path: Path) -> Dataset[Any]:
    """Read one sample per key that has an image, in the order of the shards.

    Nothing is decoded or unpacked. The suffixes of the files give the task: .cls comes before .txt,
    and that before .json. Samples without an image or an annotation are skipped and listed.

    Raises:
        DataError: If a shard is compressed, damaged, cut short, or holds links or names that lead
            out of it, or if an annotation cannot be understood; the error names the shard.
    """
    shards, unread = _shards(path)
    if not shards:
        raise DataError(
            "tar archives are expected, found none",
            where=path,
            remedy=f"Lay the dataset out as {SUMMARY}.",
        )
    folder = path if path.is_dir() else path.parent
    dataset = read_shards(shards, folder, path.name if path.is_dir() else path.stem, path)
    notes = [printable(f"not read beside the shards: {', '.join(unread)}")] if unread else []
    return replace(dataset, notes=(*notes, *dataset.notes))


def read_shards(shards: list[Path], folder: Path, name: str, origin: Path | str) -> Dataset[Any]:
    """Read the samples of some shards; see `read`.

    Args:
        shards: The archives.
        folder: The folder that they lie in or below, and that may hold classes.txt.
        name: The name of the dataset.
        origin: The path that the user gave, which is named if the samples do not fit together.
    """
    return dataset_of(list_shards(shards, folder), folder, name, origin, _local_source)


def dataset_of(
    listing: Listing,
    folder: Path,
    name: str,
    origin: Path | str,
    source: Callable[[Path, Member], MemberSource],
) -> Dataset[Any]:
    """Make a dataset of the samples of shards.

    Args:
        listing: The samples.
        folder: The folder that the shards lie in or below, and that may hold classes.txt.
        name: The name of the dataset.
        origin: What the user gave, which is named if the samples do not fit together.
        source: Makes the source of an image in a shard.
    """
    skipped, notes = list(listing.skipped), list[str]()
    entries = with_unique_ids(listing.entries, folder, notes)
    suffixes = Counter(suffix for entry in entries for suffix in entry.files)
    task = _task(entries, suffixes, origin)
    if others := sorted(
        suffix
        for suffix in suffixes
        if suffix not in SUFFIXES[task] and not is_image_suffix(suffix)
    ):
        listed = ", ".join(f".{suffix} ({suffixes[suffix]:,})" for suffix in others[:5])
        notes.append(
            printable(f"files in the shards not read: {listed}{', ...' if len(others) > 5 else ''}")
        )
    samples = [
        sample for entry in entries if (sample := _sample(entry, task, source, skipped)) is not None
    ]
    if not samples:
        raise DataError(
            "images with annotations are expected in the shards, found none"
            + first_reason(skipped),
            where=origin,
        )
    classes, samples = _with_classes(samples, folder)
    if task == Label.task:
        require_two_classes(classes, origin)
    return Dataset(name, task, classes, samples, tuple(skipped), origin, notes=tuple(notes))


def _local_source(shard: Path, member: Member) -> MemberSource:
    return ShardSource(shard, member)


def write(dataset: Dataset[Any], path: Path) -> None:
    """Write shards of 1,000 samples, one series per split, and classes.txt.

    Image files are packed unchanged, images in memory become PNG.

    Raises:
        DataError: If there are groups, times, scores or class colours.
    """
    refuse(path, NAME, unsupported_task(dataset, TASKS))
    refuse(path, NAME, unsupported_content(dataset))
    samples = list(dataset)
    places: list[tuple[str, ...]] = [(sample.split,) if sample.split else () for sample in samples]
    named = list(zip(samples, file_stems(dataset, places), strict=True))
    with new_folder(dataset, path) as folder:
        for split in (*SPLITS, None):
            inside = [(sample, name) for sample, name in named if sample.split == split]
            for number, start in enumerate(range(0, len(inside), _SHARD_SIZE)):
                with tarfile.open(folder / f"{split or 'data'}-{number:06d}.tar", "w") as archive:
                    for sample, (stem, suffix) in inside[start : start + _SHARD_SIZE]:
                        suffix, image = image_bytes(sample, suffix, folder)
                        add_file(archive, stem + suffix, image)
                        assert sample.target is not None
                        annotation_suffix, annotation = write_annotation(sample.target)
                        add_file(archive, f"{stem}.{annotation_suffix}", annotation)
        if dataset.classes:
            write_classes(dataset, folder)


def _shards(path: Path) -> tuple[list[Path], list[str]]:
    """Return the archives at a path, and the names of what is left out.

    Compressed archives are returned only if there are no others, so that reading can say what to
    do.
    """
    if path.is_file():
        return ([path] if path.name.lower().endswith((".tar", *_COMPRESSED)) else []), []
    folders, files = visible(path)
    unread = [f"{folder.name}/" for folder in folders if not split_of(folder.name)]
    for folder in folders:
        if split_of(folder.name):
            below, inside = visible(folder.path)
            unread += [f"{folder.name}/{one.name}/" for one in below]
            files += inside
    plain = [Path(file.path) for file in files if file.name.lower().endswith(".tar")]
    compressed = [Path(file.path) for file in files if file.name.lower().endswith(_COMPRESSED)]
    if not plain:
        return compressed, unread
    return plain, unread + [file.relative_to(path).as_posix() for file in compressed]


def _has_sample(shard: Path) -> bool:
    """Return whether an image and an annotation of one key are among the first files."""
    images: set[str] = set()
    annotations: set[str] = set()
    for member in islice(iter_members(shard), _MAX_SNIFFED_FILES):
        key, suffix = key_and_suffix(member)
        if is_image_suffix(suffix):
            images.add(key)
        elif any(suffix in suffixes for suffixes in SUFFIXES.values()):
            annotations.add(key)
    return bool(images & annotations)


def _task(entries: list[ShardSample], suffixes: Counter[str], origin: Path | str) -> str:
    """Return the task of shards, judging by the suffixes and the first JSON file."""
    first = next((entry for entry in entries if "json" in entry.annotations), None)
    try:
        return task_of(suffixes, None if first is None else first.annotations["json"])
    except ValueError as error:
        if first is None:
            raise DataError(str(error), where=origin) from None
        raise DataError(f"{first.files['json'].name!r}: {error}", where=first.shard) from None


def _sample(
    entry: ShardSample,
    task: str,
    source: Callable[[Path, Member], MemberSource],
    skipped: list[Skipped],
) -> Sample[Any] | None:
    """Return a sample with the class numbers of the shard, or None with a line in `skipped`."""
    images = [member for suffix, member in entry.files.items() if is_image_suffix(suffix)]
    if len(images) != 1:
        skipped.append(Skipped(entry.id, f"one image is expected, found {len(images)}"))
        return None
    if not images[0].size:
        skipped.append(Skipped(entry.id, "the image is empty (0 bytes)"))
        return None
    files = {
        suffix: entry.annotations[suffix]
        for suffix in SUFFIXES[task]
        if suffix in entry.annotations
    }
    try:
        annotation = read_annotation(task, files)
    except ValueError as error:
        raise DataError(
            f"{entry.files[next(iter(files))].name!r}: {error}", where=entry.shard
        ) from None
    if annotation is None:
        expected = " or ".join(f".{suffix}" for suffix in SUFFIXES[task])
        skipped.append(Skipped(entry.id, f"it has no annotation in a {expected} file"))
        return None
    return Sample(entry.id, source(entry.shard, images[0]), annotation, None, entry.split)


def _with_classes(
    samples: list[Sample[Any]], folder: Path
) -> tuple[tuple[str, ...], list[Sample[Any]]]:
    """Return the classes and the samples with their indices, by classes.txt or by number."""
    numbers = sorted(
        {number for sample in samples if sample.target for number in sample.target.present()}
    )
    if names := read_classes(folder):
        if numbers and numbers[-1] >= len(names):
            raise DataError(
                f"a name for each class is expected, got {count_noun(len(names), 'name')} "
                f"and the class number {numbers[-1]}",
                where=folder / CLASSES_FILE,
            )
        return names, samples
    return tuple(map(str, numbers)), [_renumbered(sample, numbers) for sample in samples]


def _renumbered(sample: Sample[Any], numbers: Sequence[int]) -> Sample[Any]:
    assert sample.target is not None
    target = sample.target.map_classes(lambda classes: np.searchsorted(numbers, classes))
    return replace(sample, target=target)
