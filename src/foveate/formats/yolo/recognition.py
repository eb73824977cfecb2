"""Recognise a YOLO dataset by its description, or by the content of its text files."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from foveate.formats._shared.layout import has_image_suffix
from foveate.formats._shared.partners import sample_files, split_of_folder, stem_of
from foveate.formats.yolo.description import (
    DARKNET_ENDING,
    YAML_ENDINGS,
    description_files,
    has_names,
    is_darknet,
)
from foveate.formats.yolo.lines import looks_like_lines
from foveate.formats.yolo.names import is_name_file

_MAX_SNIFFED_TEXTS = _MAX_SNIFFED_DESCRIPTIONS = 50  # keep sniffing cheap


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
    return not _holds_datasets(path, sampled) and _has_lines(path, sampled)


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


def _has_lines(root: Path, sampled: list[tuple[str, list[str]]]) -> bool:
    """Return whether one of the first text files of the images holds lines of numbers."""
    stems = {stem_of(name) for _, files in sampled for name in files if has_image_suffix(name)}
    texts = (
        root / folder / name
        for folder, files in sampled
        for name in files
        if name.lower().endswith(".txt")
        and not is_name_file(name)
        and (stem_of(name) in stems or (stems and "labels" in folder.casefold().split("/")))
    )
    return any(looks_like_lines(text) for text in islice(texts, _MAX_SNIFFED_TEXTS))
