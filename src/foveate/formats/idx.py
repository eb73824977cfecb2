"""IDX files as MNIST is published: train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-..., also gzipped.

Y. LeCun, C. Cortes, C. Burges: The MNIST database of handwritten digits. An IDX file is two zero bytes, the
kind of its values (8: unsigned byte), the number of its dimensions, each dimension as a big-endian 32-bit
number, and the values, the last dimension running fastest. Pictures in colour have a fourth dimension, as
idx4: (N, H, W, 3).
"""

from __future__ import annotations

import gzip
import math
import re
import struct
import zlib
from io import BufferedIOBase
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foveate.annotations import Label
from foveate.data.dataset import SPLITS, ArraySource, Dataset, Sample, SplitName
from foveate.errors import DataError
from foveate.formats._shared.layout import CLASSES_FILE, read_classes, refuse_single, visible
from foveate.formats._shared.writing import (
    count,
    listed,
    new_folder,
    refuse,
    told_besides,
    unlabelled,
    write_classes,
)

NAME = "idx"
SUMMARY = "a folder with train-images-idx3-ubyte, train-labels-idx1-ubyte and so on, as MNIST is published"
TASKS = ("classification",)

_FILE = re.compile(r"(train|valid|t10k|test)-(images|labels)[.-]idx([134])-ubyte(\.gz)?")
_NAMES: dict[SplitName, str] = {"train": "train", "valid": "valid", "test": "t10k"}
_BEST_DEFLATE = (
    1040  # bytes that one byte can unpack to: 1032 (zlib's documentation) and some for headers
)


def sniff(path: Path) -> bool:
    """Whether the folder holds a file named like one of MNIST's."""
    try:
        return any(_FILE.fullmatch(entry.name) for entry in visible(path)[1])
    except OSError:
        return False


def read(path: Path) -> Dataset[Label]:
    """The pictures, one array a part, with ids like "train/00042". Classes are numbers, or as in classes.txt.

    Raises DataError, naming the file, if one is cut short, too long, of another kind, or without its partner.
    """
    if not path.is_dir():
        raise DataError(
            "a folder with IDX files is expected, this is a file",
            where=path,
            remedy="Give its folder.",
        )
    files = _files(path)
    splits: dict[SplitName, tuple[NDArray[np.uint8], NDArray[np.uint8]]] = {}
    for split in SPLITS:
        if (split, "images") in files or (split, "labels") in files:
            splits[split] = _pair(path, split, files)
    if not splits:
        raise DataError(
            "IDX files are expected, found none", where=path, remedy=f"Lay it out as {SUMMARY}."
        )
    present = {int(value) for _, labels in splits.values() for value in np.unique(labels)}
    if not present:
        raise DataError("pictures are expected, the files hold none", where=path)
    classes = read_classes(path) or tuple(str(value) for value in range(max(present) + 1))
    if max(present) >= len(classes):
        raise DataError(
            f"a name for each class is expected, got {len(classes)} and the label {max(present)}",
            where=path / CLASSES_FILE,
        )
    refuse_single({classes[value] for value in present}, path)
    known = [Label(index) for index in range(len(classes))]
    samples = [
        Sample(f"{split}/{index:05d}", ArraySource(images, index), known[label], None, split)
        for split, (images, labels) in splits.items()
        for index, label in enumerate(labels.tolist())
    ]
    return Dataset(path.name, "classification", classes, samples, origin=path)


def write(dataset: Dataset[Label], path: Path) -> None:
    """The parts as IDX files, not gzipped, and the class names in classes.txt.

    Cannot hold groups, samples without a part, more than 256 classes, nor pictures of unequal shapes. The
    samples' ids become their numbers.
    """
    refuse(path, NAME, unlabelled(dataset, TASKS))
    samples = list(dataset)
    problems = told_besides(dataset, "group", "time")
    problems += count("without a part", [sample for sample in samples if sample.split is None])
    problems += (
        [f"{len(dataset.classes)} classes (256 at most)"] if len(dataset.classes) > 256 else []
    )
    shapes = {sample.source.read().shape for sample in samples}
    if len(shapes) > 1:
        few = ", ".join("x".join(map(str, shape)) for shape in sorted(shapes)[:5])
        problems.append(f"pictures of {len(shapes)} shapes ({few}), one is expected")
    refuse(path, NAME, problems + listed(dataset.classes))
    with new_folder(dataset, path) as folder:
        for split in SPLITS:
            inside = [sample for sample in samples if sample.split == split]
            if inside:
                images = np.stack([sample.source.read() for sample in inside])
                labels = np.array(
                    [sample.target.index for sample in inside if sample.target], np.uint8
                )
                images = images[..., 0] if images.shape[3] == 1 else images
                _write_file(folder, f"{_NAMES[split]}-images", images)
                _write_file(folder, f"{_NAMES[split]}-labels", labels)
        write_classes(dataset, folder)


def _files(folder: Path) -> dict[tuple[SplitName, str], Path]:
    """The files by part and kind. Raises DataError if there are two for one."""
    files: dict[tuple[SplitName, str], Path] = {}
    words: dict[str, SplitName] = {
        "train": "train",
        "valid": "valid",
        "t10k": "test",
        "test": "test",
    }
    for entry in visible(folder)[1]:
        if match := _FILE.fullmatch(entry.name):
            first = files.setdefault((words[match[1]], match[2]), Path(entry.path))
            # torchvision leaves the packed file beside the unpacked one, which sorts before it.
            if entry.name not in (first.name, f"{first.name}.gz"):
                raise DataError(
                    f"one file is expected, found {first.name} and {entry.name}", where=folder
                )
    return files


def _pair(
    folder: Path, split: SplitName, files: dict[tuple[SplitName, str], Path]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(N, H, W, C) pictures and their (N,) labels."""
    for kind, other in (("images", "labels"), ("labels", "images")):
        if (split, kind) not in files:
            absent = f"{_NAMES[split]}-{kind}-idx{3 if kind == 'images' else 1}-ubyte"
            raise DataError(f"{absent} is expected beside {files[split, other].name}", where=folder)
    images, labels = (
        _read_file(files[split, "images"], (3, 4)),
        _read_file(files[split, "labels"], (1,)),
    )
    if len(images) != len(labels):
        raise DataError(
            f"a label for each picture is expected, got {len(labels):,} labels and {len(images):,} pictures",
            where=files[split, "labels"],
        )
    if 0 in images.shape[1:]:
        raise DataError(
            f"pictures with an area are expected, got {images.shape}", where=files[split, "images"]
        )
    return (images[..., None] if images.ndim == 3 else images), labels


def _read_file(path: Path, dimensions: tuple[int, ...]) -> NDArray[np.uint8]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return _parse(file, path, dimensions)
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"a gzip file is expected, this is damaged ({error})", where=path) from None
    except EOFError:
        raise DataError(
            "a whole gzip file is expected, this one is cut short", where=path
        ) from None
    except MemoryError:
        raise DataError("the file announces more than fits into memory", where=path) from None


def _parse(file: BufferedIOBase, path: Path, dimensions: tuple[int, ...]) -> NDArray[np.uint8]:
    magic = file.read(4)
    allowed = [bytes((0, 0, 8, count)) for count in dimensions]
    if magic not in allowed:
        raise DataError(
            f"an IDX file of bytes is expected, beginning with {' or '.join(one.hex() for one in allowed)}, "
            f"got {magic.hex() or 'nothing'}",
            where=path,
        )
    header = file.read(4 * magic[3])
    if len(header) < 4 * magic[3]:
        raise DataError("a whole file is expected, this one ends within its header", where=path)
    shape: tuple[int, ...] = struct.unpack(f">{magic[3]}I", header)
    expected = math.prod(shape)
    # Before any memory is set aside: can the file hold what its header announces?
    if expected > path.stat().st_size * (_BEST_DEFLATE if path.suffix == ".gz" else 1):
        raise DataError(
            f"{expected:,} values are expected as its header says, the file is too short for that",
            where=path,
        )
    values = np.empty(expected, np.uint8)
    got = file.readinto(values.data)
    if got < expected or file.read(1):
        found = f"{got:,}" if got < expected else "more"
        raise DataError(
            f"{expected:,} values are expected as its header says, got {found}", where=path
        )
    return values.reshape(shape)


def _write_file(folder: Path, name: str, values: NDArray[np.uint8]) -> None:
    with (folder / f"{name}-idx{values.ndim}-ubyte").open("wb") as file:
        file.write(struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape))
        file.write(np.ascontiguousarray(values).data)
