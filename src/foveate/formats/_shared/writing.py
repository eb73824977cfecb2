"""Helpers for writers: a folder that appears whole or not at all, safe names, lossless images."""

from __future__ import annotations

import errno
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import PIL.Image

from foveate import atomic_io, outputs
from foveate.annotations import CONVERSIONS
from foveate.data.dataset import Dataset, Image, Sample
from foveate.data.images import IMAGE_SUFFIXES, FileSource
from foveate.data.task_views import DROPPABLE
from foveate.errors import DataError, StorageError
from foveate.formats._shared.layout import CLASSES_FILE, is_hidden
from foveate.wording import count_noun

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})  # never met in reading
_LEFT_OUT_BY = {
    "groups": ("with a group",),
    "times": ("with a time",),
    "splits": ("while others have one",),
    "crowds": ("with a crowd", "with crowds"),
    "difficult": ("with a difficult box", "with difficult"),
    "polygons": ("with polygons or boxes where masks are expected",),
    "boxes": ("that is not the bounds of", "that are not the bounds of"),
    "colours": ("the colours of the classes",),
}
"""The names of what `convert` can leave out, each with the words of the problems that it solves."""


@contextmanager
def new_folder(dataset: Dataset[Any], path: Path) -> Iterator[Path]:
    """Provide a working folder that is moved to `path` when the block succeeds.

    The working folder has a random name and is made exclusively, so that no link is followed. If
    the block fails, it is removed and `path` is left as it was.

    Args:
        dataset: The dataset that is written.
        path: Where the folder is to appear.

    Raises:
        RunError: If something exists at `path`, or if it lies within the dataset's own folder.
        StorageError: If the folder cannot be written.
        DataError: If a file of the dataset cannot be read.
    """
    path = path.absolute()
    outputs.check_folder(path, option="DST", data=dataset.origin_paths)
    partial = path.with_name(f".foveate-{secrets.token_hex(8)}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir()
        yield partial
        partial.replace(path)
    except OSError as error:
        raise _explained(error, partial, path) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _explained(error: OSError, partial: Path, path: Path) -> StorageError | DataError:
    """Tell a failure to write the copy from one to read the original."""
    name = None if error.filename is None else Path(str(error.filename))
    written = name is None or partial in (name, *name.parents) or name in path.parents
    if error.errno in _FULL or (written and error.errno is not None):
        return StorageError(
            f"this dataset cannot be written ({error.strerror})",
            where=path,
            cure=atomic_io.storage_cure(error),
            advice="Then give the same command again: nothing was written, and the data is as it "
            "was.",
        )
    return DataError(f"this file cannot be read ({error.strerror or error})", where=name)


def refuse(path: Path, name: str, problems: list[str]) -> None:
    """Raise DataError with everything that a format cannot store, if there is anything.

    Args:
        path: Where the dataset was to be written.
        name: The name of the format.
        problems: What it cannot store.
    """
    if problems:
        raise DataError(
            f"the format {name!r} cannot store this data: {'; '.join(problems)}",
            where=path,
            remedy=f"Choose another format (see: foveate formats){_or_without(problems)}.",
        )


def _or_without(problems: list[str]) -> str:
    """Return what `convert` can leave out so that there is less that a format cannot store."""
    names = [
        name
        for name, words in _LEFT_OUT_BY.items()
        if any(word in problem for word in words for problem in problems)
    ]
    options = " ".join(f"--without {name}" for name in names)
    return f", or leave out what it cannot store: foveate convert ... {options}" if names else ""


def unsupported_task(dataset: Dataset[Any], tasks: tuple[str, ...]) -> list[str]:
    """List the annotations that a format for these tasks cannot store: other types, or none."""
    if dataset.task not in tasks:
        names = [
            one.drops
            for one in CONVERSIONS
            if one.source == dataset.task and one.target in tasks and one.drops in DROPPABLE
        ]
        instead = f", which --without {names[0]} makes of them" if names else ""
        return [
            f"annotations for {dataset.task} (it stores those for {' and '.join(tasks)}{instead})"
        ]
    missing = [sample for sample in dataset if sample.target is None]
    return count_problem("without an annotation", missing)


def count_problem(problem: str, samples: list[Sample[Any]]) -> list[str]:
    """Write one line of a refusal: how many samples have a problem; [] if none has."""
    if not samples:
        return []
    return [f"{count_noun(len(samples), 'sample')} {problem} (such as {samples[0].id!r})"]


def unsupported_fields(dataset: Dataset[Any], *fields: str) -> list[str]:
    """List the samples with fields that a format has no place for: "group", "time"."""
    problems = []
    for field in fields:
        problems += count_problem(
            f"with a {field}", [sample for sample in dataset if getattr(sample, field) is not None]
        )
    return problems


def partial_splits(dataset: Dataset[Any]) -> list[str]:
    """List the samples without a split, for a format in which all samples have one or none has."""
    without = [sample for sample in dataset if sample.split is None]
    if len(without) == len(dataset):
        return []
    return count_problem("without a split, while others have one", without)


def unlistable_names(classes: tuple[str, ...]) -> list[str]:
    """List the class names that cannot be a line of classes.txt."""
    return [
        f"the class name {name!r}" for name in classes if not name or "\n" in name or "\r" in name
    ]


def write_classes(dataset: Dataset[Any], folder: Path) -> None:
    """Write classes.txt: the class names in the order of their indices."""
    text = "".join(f"{name}\n" for name in dataset.classes)
    (folder / CLASSES_FILE).write_text(text, encoding="utf-8", newline="\n")


def needs_classes(dataset: Dataset[Any]) -> bool:
    """Return whether sorting the class names that occur would give other class indices."""
    present = {
        dataset.classes[k]
        for sample in dataset
        if sample.target is not None
        for k in sample.target.present()
    }
    return tuple(sorted(present)) != dataset.classes


def safe_names(dataset: Dataset[Any], prefixes: list[tuple[str, ...]]) -> list[str]:
    """Return a relative file name for each sample, made from its id.

    The names are unique even where case is ignored, and none leaves its folder.

    Args:
        dataset: The samples.
        prefixes: For each sample the leading folders of its id that are left out.
    """
    names: list[str] = []
    taken: set[str] = set()
    for sample, prefix in zip(dataset, prefixes, strict=True):
        stem = _safe_stem(sample.id, prefix)
        suffix = _file_suffix(sample) or ".png"
        name, number = stem + suffix, 1
        where = "/".join(prefix)
        while f"{where}/{name}".casefold() in taken:
            number += 1
            name = f"{stem}-{number}{suffix}"
        taken.add(f"{where}/{name}".casefold())
        names.append(name)
    return names


def write_image(sample: Sample[Any], path: Path) -> None:
    """Copy an image file byte for byte, also out of an archive, or save other images as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    source: Any = sample.source
    if _file_suffix(sample) is None:
        image: Image = source.read()
        PIL.Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(path, "PNG")
    elif isinstance(source, FileSource):
        shutil.copyfile(source.path, path)
    else:
        path.write_bytes(source.data())


def unsavable_images(dataset: Dataset[Any]) -> list[str]:
    """List the images that are no files to copy, and that a PNG of 8 bits cannot hold."""
    others = [sample for sample in dataset if _file_suffix(sample) is None]
    if problems := deep_images(others):
        return problems
    bands = [sample for sample in others if sample.source.read().shape[2] not in (1, 3)]
    return count_problem("with an image that is neither grey nor RGB", bands)


def deep_images(samples: list[Sample[Any]]) -> list[str]:
    """List the images with more than 8 bits, for a format that stores 8."""
    sources: list[tuple[Sample[Any], Any]] = [(sample, sample.source) for sample in samples]
    deep = [
        sample
        for sample, source in sources
        if hasattr(source, "deep_pixels") and source.deep_pixels() is not None
    ]
    return count_problem("with more than 8 bits a channel (it stores 8)", deep)


def _safe_stem(id: str, prefix: tuple[str, ...]) -> str:
    """Return a sample's id without prefix, hidden folders, `..` and an image's suffix."""
    folders = [name for name in id.replace("\0", "_").split("/") if name not in ("", ".", "..")]
    for folder in prefix:
        if len(folders) > 1 and folders[0] == folder:
            folders.pop(0)
    folders = [f"_{name}" if is_hidden(name) else name for name in folders] or ["_"]
    path = PurePosixPath(*folders)
    return str(path.with_suffix("") if path.suffix.lower() in IMAGE_SUFFIXES else path)


def _file_suffix(sample: Sample[Any]) -> str | None:
    """Return the suffix of the image file that can be copied, None if there is no such file."""
    source: Any = sample.source
    suffix = source.path.suffix if isinstance(source, FileSource) else getattr(source, "suffix", "")
    # Readers would not find a copy with an unknown suffix.
    return suffix if suffix.lower() in IMAGE_SUFFIXES else None
