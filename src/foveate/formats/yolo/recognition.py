"""Recognise a YOLO dataset by its description, or by the content of its text files."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from foveate.formats._shared.layout import has_image_suffix
from foveate.formats._shared.partners import sample_files, split_of_folder, stem_of
from foveate.formats.yolo.description import (
    YAML_ENDINGS,
    description_files,
    has_names,
    is_darknet,
)
from foveate.formats.yolo.lines import looks_like_lines
from foveate.formats.yolo.names import is_name_file

_MAX_SNIFFED_TEXTS = 50  # keeps sniffing cheap


def is_yolo(path: Path) -> bool:
    """Return whether there is a description with `names`, or text files with lines of numbers.

    Raises:
        OSError: If a file or folder cannot be opened.
    """
    if path.is_file():
        return is_darknet(path) or (path.name.lower().endswith(YAML_ENDINGS) and has_names(path))
    if any(is_darknet(file) or has_names(file) for file in description_files(path)):
        return True
    sampled = list(sample_files(path))
    return not _holds_datasets(path, sampled) and _has_lines(path, sampled)


def _holds_datasets(root: Path, sampled: list[tuple[str, list[str]]]) -> bool:
    """Return whether there is a described dataset below a folder, or several with class names."""
    with_names, with_images = set(), set()
    for folder, files in sampled:
        top = folder.split("/")[0]
        if folder and any(
            (name.lower().endswith(YAML_ENDINGS) and has_names(root / folder / name))
            or is_darknet(root / folder / name)
            for name in files
        ):
            return True
        if any(map(is_name_file, files)):
            with_names.add(top)
        if any(map(has_image_suffix, files)):
            with_images.add(top)
    tops = {top for top in with_names & with_images if top and not split_of_folder(top)}
    return len(tops) > 1


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
