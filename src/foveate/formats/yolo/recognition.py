"""Recognise a YOLO dataset by its description, or by the content of its text files."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from foveate.formats._shared.files.file_tree import in_folder
from foveate.formats._shared.files.partners import sample_files, stem_of
from foveate.formats._shared.files.splits import split_of_folder
from foveate.formats._shared.layout import has_image_suffix, printable
from foveate.formats.yolo.description import (
    DARKNET_ENDING,
    YAML_ENDINGS,
    description_files,
    has_names,
    is_darknet,
)
from foveate.formats.yolo.lines import looks_like_lines
from foveate.formats.yolo.names import is_name_file
from foveate.regular_file import open_regular

_MAX_SNIFFED_TEXTS = _MAX_SNIFFED_DESCRIPTIONS = 50  # keep sniffing cheap
_MAX_SHOWN_BYTES = 400


def is_yolo(path: Path) -> bool:
    """Return whether there is a description with `names`, or text files with lines of numbers.

    Raises:
        OSError: If a file or folder cannot be opened.
    """
    if path.is_file():
        return _describes(path)
    if any(is_darknet(file) or has_names(file) for file in description_files(path)):
        return True
    sampled = list(sample_files(path))
    return _has_lines(path, sampled) and not _holds_datasets(path, sampled)


def _holds_datasets(root: Path, sampled: list[tuple[str, list[str]]]) -> bool:
    """Return whether there is a described dataset below a folder, or several with class names."""
    inner = [(folder, name) for folder, files in sampled if folder for name in files]
    descriptions = (
        root / folder / name
        for folder, name in inner
        if name.lower().endswith((*YAML_ENDINGS, DARKNET_ENDING))
    )
    if any(map(_describes, islice(descriptions, _MAX_SNIFFED_DESCRIPTIONS))):
        return True
    with_names = {folder.split("/")[0] for folder, name in inner if is_name_file(name)}
    with_images = {folder.split("/")[0] for folder, name in inner if has_image_suffix(name)}
    return sum(not split_of_folder(top) for top in with_names & with_images) > 1


def _describes(file: Path) -> bool:
    """Return whether a file is the description of a dataset."""
    return is_darknet(file) or (file.name.lower().endswith(YAML_ENDINGS) and has_names(file))


def missing(path: Path) -> str | None:
    """Return why the text files of images are none of YOLO's, None if there are no such files."""
    if not path.is_dir():
        return None
    for text in islice(_texts(list(sample_files(path))), 1):
        try:
            with open_regular(path / text) as file:
                line = file.read(_MAX_SHOWN_BYTES).partition(b"\n")[0].decode(errors="replace")
        except OSError:
            continue
        return printable(
            f"{text} has the name of an image, but begins with {line.strip()[:60]!r}; "
            "`class cx cy w h` in numbers is expected"
        )
    return None


def _has_lines(root: Path, sampled: list[tuple[str, list[str]]]) -> bool:
    """Return whether one of the first text files of the images holds lines of numbers."""
    texts = islice(_texts(sampled), _MAX_SNIFFED_TEXTS)
    return any(looks_like_lines(root / text) for text in texts)


def _texts(sampled: list[tuple[str, list[str]]]) -> Iterator[str]:
    """Yield the text files that may hold objects: in labels/, or with the stem of an image."""
    texts = [
        (folder, name)
        for folder, files in sampled
        for name in files
        if name.lower().endswith(".txt") and not is_name_file(name)
    ]
    if not texts:
        return
    stems = {stem_of(name) for _, files in sampled for name in files if has_image_suffix(name)}
    for folder, name in texts:
        if stem_of(name) in stems or (stems and "labels" in folder.casefold().split("/")):
            yield in_folder(folder, name)
