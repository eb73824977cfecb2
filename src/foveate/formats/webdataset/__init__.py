"""Tar archives ("shards") in which the files of a sample share a name: 0001.jpg and 0001.cls, as WebDataset has them.

    .jpg, .png, ...   the picture
    .cls              a class, by its number
    .txt              a caption
    .json             several captions {"captions": ["...", "..."]} (or one as "caption" or "text"), or boxes
                      {"boxes": [[left, top, right, bottom], ...], "classes": [0, ...]} and optionally
                      "crowd": [false, ...], "difficult": [false, ...], "size": [height, width]

classes.txt beside the shards names the classes in the order of their numbers. A part is told by the shard's name
(train-000000.tar) or the folder that it lies in. Shards are read where they lie, so they must not be compressed.
Samples are known by their keys; where shards repeat these, by the shard and the key.
"""

from __future__ import annotations

import re
import tarfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby, islice
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np

from foveate.annotations import Boxes, Label
from foveate.data.dataset import SPLITS, Dataset, Sample, Skipped
from foveate.errors import DataError
from foveate.formats._shared.beside import LARGEST_NUMBER
from foveate.formats._shared.layout import (
    CLASSES_FILE,
    is_utf8,
    part_of,
    printable,
    read_classes,
    refuse_single,
    visible,
)
from foveate.formats._shared.stems import file_stems
from foveate.formats._shared.writing import (
    count,
    listed,
    new_folder,
    refuse,
    told_besides,
    unlabelled,
    unpaintable,
    write_classes,
    write_picture,
)
from foveate.formats.webdataset.annotations import (
    ENDINGS,
    Annotation,
    read_annotation,
    task_of,
    write_annotation,
)
from foveate.formats.webdataset.packed import Packed, is_picture, key_of, looked_through, unrepeated
from foveate.formats.webdataset.shards import PackedSource, add, bytes_of, members

NAME = "webdataset"
SUMMARY = "tar archives as WebDataset has them: train-000000.tar with 0001.jpg, 0001.cls (or .txt, .json) and so on"
TASKS = tuple(ENDINGS)

_COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
_NUMBERED = re.compile(r".*[-_]\d{3,}\.(tar|tgz)(\.\w+)?", re.IGNORECASE)
_LOOKED_AT = 64  # files of the first shard, in search of a picture with an answer
_LONGEST_ANSWER = 1 << 26  # bytes
_SHARD = 1000  # samples in each shard that is written


def sniff(path: Path) -> bool:
    """Whether there are archives, with a picture and an answer of one name in the first; or, where that cannot be
    looked into, numbered as shards are: then reading says what is wrong with it.
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
    """One sample a key that has a picture, in the order of the shards. Nothing is decoded or unpacked.

    What the shards are for is told by the endings of their files: .cls comes before .txt, and that before .json.
    Skipped and listed: samples without a picture, or without an answer. Raises DataError, with the shard, for one that
    is compressed, damaged, cut short, or holds links or names that lead out of it, and for answers that cannot be
    understood.
    """
    shards, unread = _shards(path)
    if not shards:
        raise DataError(
            "tar archives are expected, found none",
            where=path,
            remedy=f"Lay the data out as {SUMMARY}.",
        )
    folder = path if path.is_dir() else path.parent
    skipped: list[Skipped] = []
    notes = (
        [printable(f"beside the shards, these were not read: {', '.join(unread)}")]
        if unread
        else []
    )
    packed = unrepeated(
        [one for shard in shards for one in looked_through(shard, folder, skipped)], folder, notes
    )
    endings = Counter(ending for one in packed for ending in one.files)
    task = _task(packed, endings, path)
    if others := sorted(
        ending for ending in endings if ending not in ENDINGS[task] and not is_picture(ending)
    ):
        told = ", ".join(f".{ending} ({endings[ending]:,})" for ending in others[:5])
        notes.append(
            printable(
                f"files in the shards that were not read: {told}{', ...' if len(others) > 5 else ''}"
            )
        )
    samples: list[Sample[Any]] = []
    for shard, inside in groupby(packed, key=lambda one: one.shard):
        with shard.open("rb") as file:
            samples += [sample for one in inside if (sample := _sample(one, task, file, skipped))]
    if not samples:
        unfit = "".join(f"; {one.id}: {one.reason}" for one in skipped[:1])
        raise DataError(
            f"pictures with answers are expected in the shards, found none{unfit}", where=path
        )
    classes, samples = _classed(samples, folder)
    if labels := [sample.target for sample in samples if isinstance(sample.target, Label)]:
        refuse_single({classes[label.index] for label in labels}, path)
    name = path.name if path.is_dir() else path.stem
    return Dataset(name, task, classes, samples, tuple(skipped), path, notes=tuple(notes))


def write(dataset: Dataset[Any], path: Path) -> None:
    """Shards of 1,000 samples, those of a part together, and classes.txt.

    Pictures that are files are packed as they are, those in memory become PNG. Cannot hold groups, times or colours
    of classes.
    """
    refuse(path, NAME, unlabelled(dataset, TASKS))
    samples = list(dataset)
    problems = told_besides(dataset, "group", "time")
    problems += count(
        "with text that is no UTF-8", [s for s in samples if not all(map(is_utf8, _texts(s)))]
    )
    problems += count(
        "with scores", [s for s in samples if s.target is not None and _has_scores(s.target)]
    )
    problems += count("with a number beyond 1,000,000,000", [s for s in samples if not _within(s)])
    problems += ["the colours of the classes"] if dataset.colours else []
    problems += [
        f"the class name {name!r}, which is not UTF-8"
        for name in dataset.classes
        if not is_utf8(name)
    ]
    repeated = {name for name in dataset.classes if dataset.classes.count(name) > 1}
    problems += [f"two classes of the name {name!r}" for name in sorted(repeated)]
    unpacked = replace(
        dataset, samples=[s for s in samples if not isinstance(s.source, PackedSource)]
    )
    refuse(path, NAME, problems + listed(dataset.classes) + unpaintable(unpacked))
    places: list[tuple[str, ...]] = [(sample.split,) if sample.split else () for sample in samples]
    named = list(zip(samples, file_stems(dataset, places), strict=True))
    with new_folder(dataset, path) as folder:
        for split in (*SPLITS, None):
            inside = [(sample, name) for sample, name in named if sample.split == split]
            for number, start in enumerate(range(0, len(inside), _SHARD)):
                with tarfile.open(folder / f"{split or 'data'}-{number:06d}.tar", "w") as archive:
                    for sample, (stem, ending) in inside[start : start + _SHARD]:
                        ending, image = _picture(sample, ending, folder)
                        add(archive, stem + ending, image)
                        assert sample.target is not None
                        kind, annotation = write_annotation(sample.target)
                        add(archive, f"{stem}.{kind}", annotation)
        if dataset.classes:
            write_classes(dataset, folder)


def _shards(path: Path) -> tuple[list[Path], list[str]]:
    """The archives at a path, or in a folder and those of the parts in it, and the names of folders and archives that
    are left: compressed ones are archives only if there are no others, so that reading can say what to do.
    Raises OSError.
    """
    if path.is_file():
        return ([path] if path.name.lower().endswith((".tar", *_COMPRESSED)) else []), []
    folders, files = visible(path)
    left = [f"{folder.name}/" for folder in folders if not part_of(folder.name)]
    for folder in folders:
        if part_of(folder.name):
            below, inside = visible(folder.path)
            left += [f"{folder.name}/{one.name}/" for one in below]
            files += inside
    plain = [Path(file.path) for file in files if file.name.lower().endswith(".tar")]
    packed = [Path(file.path) for file in files if file.name.lower().endswith(_COMPRESSED)]
    if not plain:
        return packed, left
    return plain, left + [file.relative_to(path).as_posix() for file in packed]


def _has_sample(shard: Path) -> bool:
    """Whether a picture and an answer of one key are among the first files. Raises DataError and OSError."""
    images: set[str] = set()
    annotations: set[str] = set()
    for member in islice(members(shard), _LOOKED_AT):
        key, ending = key_of(member)
        if is_picture(ending):
            images.add(key)
        elif any(ending in endings for endings in ENDINGS.values()):
            annotations.add(key)
    return bool(images & annotations)


def _task(packed: list[Packed], endings: Counter[str], path: Path) -> str:
    first = next((one for one in packed if "json" in one.files), None)
    data = None
    if first is not None:
        with first.shard.open("rb") as file:
            data = _answer_bytes(first, "json", file)
    try:
        return task_of(endings, data)
    except ValueError as error:
        if first is None:
            raise DataError(str(error), where=path) from None
        raise DataError(f"{first.files['json'].name!r}: {error}", where=first.shard) from None


def _sample(one: Packed, task: str, file: BinaryIO, skipped: list[Skipped]) -> Sample[Any] | None:
    """A sample, its classes being the numbers in the shard; or None, and the reason in `skipped`."""
    images = [member for ending, member in one.files.items() if is_picture(ending)]
    if len(images) != 1:
        skipped.append(Skipped(one.id, f"one picture is expected, found {len(images)}"))
        return None
    if not images[0].size:
        skipped.append(Skipped(one.id, "the picture is empty (0 bytes)"))
        return None
    files = {
        ending: _answer_bytes(one, ending, file) for ending in ENDINGS[task] if ending in one.files
    }
    try:
        annotation = read_annotation(task, files)
    except ValueError as error:
        raise DataError(
            f"{one.files[next(iter(files))].name!r}: {error}", where=one.shard
        ) from None
    if annotation is None:
        wanted = " or ".join(f".{ending}" for ending in ENDINGS[task])
        skipped.append(Skipped(one.id, f"there is no answer for it, in a file of {wanted}"))
        return None
    return Sample(one.id, PackedSource(one.shard, images[0]), annotation, None, one.split)


def _answer_bytes(one: Packed, ending: str, file: BinaryIO) -> bytes:
    member = one.files[ending]
    if member.size > _LONGEST_ANSWER:
        raise DataError(
            f"an answer of at most {_LONGEST_ANSWER:,} bytes is expected, {member.name!r} has {member.size:,}",
            where=one.shard,
        )
    return bytes_of(file, member)


def _classed(samples: list[Sample[Any]], folder: Path) -> tuple[tuple[str, ...], list[Sample[Any]]]:
    """The classes, and the samples with indices of these: as in classes.txt, or else the numbers that occur."""
    numbers = sorted(
        {number for sample in samples if sample.target for number in sample.target.present()}
    )
    if names := read_classes(folder):
        if numbers and numbers[-1] >= len(names):
            raise DataError(
                f"a name for each class is expected, got {len(names)} and the number {numbers[-1]}",
                where=folder / CLASSES_FILE,
            )
        return names, samples
    return tuple(map(str, numbers)), [_renumbered(sample, numbers) for sample in samples]


def _renumbered(sample: Sample[Any], numbers: Sequence[int]) -> Sample[Any]:
    match sample.target:
        case Label(index=number):
            return replace(sample, target=Label(int(np.searchsorted(numbers, number))))
        case Boxes(classes=classes):
            return replace(
                sample, target=replace(sample.target, classes=np.searchsorted(numbers, classes))
            )
    return sample


def _texts(sample: Sample[Any]) -> tuple[str, ...]:
    return getattr(sample.target, "texts", ())


def _within(sample: Sample[Any]) -> bool:
    """Whether all numbers of its answer are such as are read again."""
    match sample.target:
        case Boxes(corners=corners, size=size):
            return bool((np.abs(corners) <= LARGEST_NUMBER).all()) and (
                size is None or 0 < min(size) <= max(size) <= LARGEST_NUMBER
            )
    return True


def _has_scores(target: Annotation) -> bool:
    return getattr(target, "scores", None) is not None


def _picture(sample: Sample[Any], ending: str, folder: Path) -> tuple[str, bytes]:
    """The ending and the bytes of a sample's picture."""
    if isinstance(sample.source, PackedSource):
        return PurePosixPath(sample.source.member.name).suffix, sample.source.data()
    file = folder / f"picture{ending}"
    write_picture(sample, file)
    data = file.read_bytes()
    file.unlink()
    return ending, data
