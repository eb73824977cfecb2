"""IDX files as MNIST is published: train-images-idx3-ubyte, train-labels-idx1-ubyte, also gzipped.

Y. LeCun, C. Cortes, C. Burges: The MNIST database of handwritten digits. An IDX file consists of
two zero bytes, the type of its values (8: unsigned byte), the number of its dimensions, each
dimension as a big-endian 32-bit number, and the values with the last dimension running fastest.
Images in colour have a fourth dimension, as idx4: (N, H, W, 3).
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
from foveate.formats._shared.layout import CLASSES_FILE, read_classes, require_two_classes, visible
from foveate.formats._shared.writing import (
    count_problem,
    deep_images,
    new_folder,
    refuse,
    unlistable_names,
    unsupported_fields,
    unsupported_task,
    write_classes,
)
from foveate.regular_file import open_regular
from foveate.wording import count_noun

NAME = "idx"
SUMMARY = "a folder with train-images-idx3-ubyte, train-labels-idx1-ubyte and so on, as in MNIST"
TASKS = ("classification",)

_FILE = re.compile(r"(train|valid|t10k|test)-(images|labels)[.-]idx([134])-ubyte(\.gz)?")
_NAMES: dict[SplitName, str] = {"train": "train", "valid": "valid", "test": "t10k"}
_MAX_GZIP_RATIO = 1040  # zlib documents 1032; the rest is for headers


def sniff(path: Path) -> bool:
    """Return whether the folder holds a file named like one of MNIST."""
    try:
        return any(_FILE.fullmatch(entry.name) for entry in visible(path)[1])
    except OSError:
        return False


def read(path: Path) -> Dataset[Label]:
    """Read the images as one array per split, with ids like "train/00042".

    Classes are numbers, or as in classes.txt.

    Raises:
        DataError: If a file is cut short, too long, of another type, or without its partner.
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
            "IDX files are expected, found none",
            where=path,
            remedy=f"Lay the dataset out as {SUMMARY}.",
        )
    present = {int(value) for _, labels in splits.values() for value in np.unique(labels)}
    if not present:
        raise DataError("images are expected, the files hold none", where=path)
    listed = read_classes(path)
    classes = listed or tuple(str(value) for value in range(max(present) + 1))
    if max(present) >= len(classes):
        raise DataError(
            f"a name for each class is expected, got {count_noun(len(classes), 'name')} "
            f"and the label {max(present)}",
            where=path / CLASSES_FILE,
        )
    require_two_classes(listed or {classes[value] for value in present}, path)
    labels_by_index = [Label(index) for index in range(len(classes))]
    samples = [
        Sample(
            f"{split}/{index:05d}", ArraySource(images, index), labels_by_index[label], None, split
        )
        for split, (images, labels) in splits.items()
        for index, label in enumerate(labels.tolist())
    ]
    return Dataset(path.name, "classification", classes, samples, origin=path)


def write(dataset: Dataset[Label], path: Path) -> None:
    """Write the splits as IDX files, not gzipped, and the class names as classes.txt.

    The ids of the samples become numbers.

    Raises:
        DataError: If there are groups or times, samples without a split, more than 256 classes, or
            images of several shapes.
    """
    refuse(path, NAME, unsupported_task(dataset, TASKS))
    samples = list(dataset)
    problems = unsupported_fields(dataset, "group", "time")
    problems += count_problem(
        "without a split, which its files are named after",
        [sample for sample in samples if sample.split is None],
    )
    problems += (
        [f"{len(dataset.classes)} classes (it stores up to 256)"]
        if len(dataset.classes) > 256
        else []
    )
    problems += deep_images(samples)
    refuse(path, NAME, problems)
    shapes = {sample.source.read().shape for sample in samples}
    if len(shapes) > 1:
        few = ", ".join("x".join(map(str, shape)) for shape in sorted(shapes)[:5])
        problems.append(f"images of {len(shapes)} shapes ({few}; it stores one)")
    refuse(path, NAME, problems + unlistable_names(dataset.classes))
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
    """Return the files by split and content; raise DataError if there are two of one."""
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
            # torchvision leaves the gzipped file beside the unpacked one, which sorts first.
            if entry.name not in (first.name, f"{first.name}.gz"):
                raise DataError(
                    f"one file is expected, found {first.name} and {entry.name}", where=folder
                )
    return files


def _pair(
    folder: Path, split: SplitName, files: dict[tuple[SplitName, str], Path]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return (N, H, W, C) images and their (N,) labels."""
    for content, other in (("images", "labels"), ("labels", "images")):
        if (split, content) not in files:
            missing = f"{_NAMES[split]}-{content}-idx{3 if content == 'images' else 1}-ubyte"
            raise DataError(
                f"{missing} is expected beside {files[split, other].name}", where=folder
            )
    images, labels = (
        _read_file(files[split, "images"], (3, 4)),
        _read_file(files[split, "labels"], (1,)),
    )
    if len(images) != len(labels):
        raise DataError(
            f"one label per image is expected, got {count_noun(len(labels), 'label')} "
            f"and {count_noun(len(images), 'image')}",
            where=files[split, "labels"],
        )
    if 0 in images.shape[1:]:
        raise DataError(
            f"images with pixels are expected, got the shape {images.shape}",
            where=files[split, "images"],
        )
    return (images[..., None] if images.ndim == 3 else images), labels


def _read_file(path: Path, dimensions: tuple[int, ...]) -> NDArray[np.uint8]:
    try:
        with open_regular(path) as file:
            if path.suffix != ".gz":
                return _parse(file, path, dimensions)
            with gzip.open(file) as unpacked:
                return _parse(unpacked, path, dimensions)
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"a gzip file is expected, this is damaged ({error})", where=path) from None
    except EOFError:
        raise DataError(
            "a whole gzip file is expected, this one is cut short", where=path
        ) from None
    except MemoryError:
        raise DataError("the file does not fit into memory", where=path) from None


def _parse(file: BufferedIOBase, path: Path, dimensions: tuple[int, ...]) -> NDArray[np.uint8]:
    magic = file.read(4)
    allowed = [bytes((0, 0, 8, count)) for count in dimensions]
    if magic not in allowed:
        raise DataError(
            "an IDX file of bytes is expected, beginning with "
            f"{' or '.join(value.hex() for value in allowed)}, got {magic.hex() or 'nothing'}",
            where=path,
        )
    header = file.read(4 * magic[3])
    if len(header) < 4 * magic[3]:
        raise DataError("a whole file is expected, this one ends within its header", where=path)
    shape: tuple[int, ...] = struct.unpack(f">{magic[3]}I", header)
    expected = math.prod(shape)
    # Checked before memory is allocated, since a forged header may announce any size.
    if expected > path.stat().st_size * (_MAX_GZIP_RATIO if path.suffix == ".gz" else 1):
        raise DataError(
            f"{expected:,} values are expected from the header, the file is too short",
            where=path,
        )
    values = np.empty(expected, np.uint8)
    got = file.readinto(values.data)
    if got < expected or file.read(1):
        found = f"{got:,}" if got < expected else "more"
        raise DataError(
            f"{expected:,} values are expected from the header, got {found}", where=path
        )
    return values.reshape(shape)


def _write_file(folder: Path, name: str, values: NDArray[np.uint8]) -> None:
    with (folder / f"{name}-idx{values.ndim}-ubyte").open("wb") as file:
        file.write(struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape))
        file.write(np.ascontiguousarray(values).data)
