"""What writers share: a folder that appears whole or not at all, safe names, pictures kept to the bit."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import PIL.Image

from foveate.data import task_views
from foveate.data.dataset import Dataset, Image, Sample
from foveate.data.images import PICTURE_SUFFIXES, FileSource
from foveate.errors import DataError
from foveate.formats._shared.layout import CLASSES_FILE, is_hidden


@contextmanager
def new_folder(dataset: Dataset[Any], path: Path) -> Iterator[Path]:
    """A working folder that takes its place at `path` when the block ends well, and is gone otherwise.

    Raises DataError if something stands at `path` already, if `path` lies within the data that is being
    copied, or if the disk does not take it.
    """
    path = path.absolute()
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        if path.is_symlink() or (path.exists() and not (path.is_dir() and not any(path.iterdir()))):
            raise DataError(
                "a new or empty folder is expected, something is there already", where=path
            )
        if isinstance(dataset.origin, Path) and path.resolve().is_relative_to(
            dataset.origin.resolve()
        ):
            raise DataError("a place outside the data itself is expected", where=path)
        partial.mkdir(parents=True)
        yield partial
        partial.replace(path)
    except OSError as error:
        raise DataError(
            f"the data cannot be written ({error.strerror or error})", where=error.filename or path
        ) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def refuse(path: Path, name: str, problems: list[str]) -> None:
    """Raises DataError with all that a format cannot hold, if there is anything."""
    if problems:
        raise DataError(
            f"the format {name!r} cannot hold this data: {'; '.join(problems)}",
            where=path,
            remedy=f"Choose another format (see: foveate formats), or leave it out with --without ({', '.join(task_views.DROPPABLE)}).",
        )


def unlabelled(dataset: Dataset[Any], tasks: tuple[str, ...]) -> list[str]:
    """What keeps data from being written in a format for these tasks: annotations of another kind, or none."""
    if dataset.task not in tasks:
        return [f"annotations for {dataset.task} (it holds those for {' and '.join(tasks)})"]
    return count("without an annotation", [sample for sample in dataset if sample.target is None])


def count(what: str, samples: list[Sample[Any]]) -> list[str]:
    """One line of a refusal, or none if there are no such samples."""
    return [f"{len(samples):,} samples {what} (such as {samples[0].id!r})"] if samples else []


def told_besides(dataset: Dataset[Any], *what: str) -> list[str]:
    """Lines of a refusal for a format without a place for these: "group", "time"."""
    problems = []
    for each in what:
        problems += count(
            f"with a {each}", [sample for sample in dataset if getattr(sample, each) is not None]
        )
    return problems


def part_for_some(dataset: Dataset[Any]) -> list[str]:
    """A line of a refusal for a format in which all samples have a part or none."""
    without = [sample for sample in dataset if sample.split is None]
    return (
        count("without a part beside others with one", without)
        if len(without) < len(dataset)
        else []
    )


def listed(classes: tuple[str, ...]) -> list[str]:
    """What keeps class names from being lines of classes.txt."""
    return [
        f"the class name {name!r}" for name in classes if not name or "\n" in name or "\r" in name
    ]


def write_classes(dataset: Dataset[Any], folder: Path) -> None:
    """Leaves classes.txt: the names in the order of their indices."""
    text = "".join(f"{name}\n" for name in dataset.classes)
    (folder / CLASSES_FILE).write_text(text, encoding="utf-8", newline="\n")


def needs_classes(dataset: Dataset[Any]) -> bool:
    """Whether a reader that sorts the class names it meets would come to other indices."""
    present = {
        dataset.classes[k]
        for sample in dataset
        if sample.target is not None
        for k in sample.target.present()
    }
    return tuple(sorted(present)) != dataset.classes


def safe_names(dataset: Dataset[Any], leave_out: list[tuple[str, ...]]) -> list[str]:
    """A relative file name for each sample, made from its id, unique even where case is ignored.

    leave_out: for each sample the leading folders of its id that need no repeating
    """
    names: list[str] = []
    taken: set[str] = set()
    for sample, leading in zip(dataset, leave_out, strict=True):
        folders = [
            part for part in sample.id.replace("\0", "_").split("/") if part not in ("", ".", "..")
        ]
        for folder in leading:
            if len(folders) > 1 and folders[0] == folder:
                folders.pop(0)
        folders = [f"_{part}" if is_hidden(part) else part for part in folders] or ["_"]
        given = PurePosixPath(*folders)
        stem = str(given.with_suffix("") if given.suffix.lower() in PICTURE_SUFFIXES else given)
        original = _original(sample)
        ending = original.suffix if original else ".png"
        name, number = stem + ending, 1
        where = "/".join(leading)
        while f"{where}/{name}".casefold() in taken:
            number += 1
            name = f"{stem}-{number}{ending}"
        taken.add(f"{where}/{name}".casefold())
        names.append(name)
    return names


def write_picture(sample: Sample[Any], path: Path) -> None:
    """The picture as it is, byte for byte, if it is a file, else as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if original := _original(sample):
        shutil.copyfile(original, path)
    else:
        image: Image = sample.source.read()
        PIL.Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(path, "PNG")


def unpaintable(dataset: Dataset[Any]) -> list[str]:
    """What keeps pictures from being picture files: channels that are neither grey nor colour."""
    others = [s for s in dataset if not _original(s) and s.source.read().shape[2] not in (1, 3)]
    return count("that are neither grey nor colour", others)


def _original(sample: Sample[Any]) -> Path | None:
    """The file that says all there is to say of a picture, or None."""
    source = sample.source
    # A white of its own is not in the file, and an ending that nobody knows would hide the copy from readers.
    if isinstance(source, FileSource) and source == FileSource(source.path):
        return source.path if source.path.suffix.lower() in PICTURE_SUFFIXES else None
    return None
