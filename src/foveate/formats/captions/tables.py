"""Find the tables of captions at a path: one for all images, or one for each split."""

from __future__ import annotations

import re
from pathlib import Path

from foveate.formats._shared.documents.json_file import has_keys
from foveate.formats._shared.files.splits import split_in_name, split_of_folder
from foveate.formats._shared.files.walk import files_with
from foveate.formats._shared.layout import visible
from foveate.formats._shared.tables.table_files import Tables, one_or_splits, several_tables
from foveate.formats.captions.rows import JSON, LINES, SUFFIXES, TABLES, has_caption_columns

_NAMED = re.compile(r"(metadata|captions)\.(csv|tsv|jsonl)|captions\.txt|.*\.token\.txt", re.I)
_COCO_KEYS = ("images", "annotations", "caption")
_MAX_JSON_FILES = 20  # a folder with more has one file per image


def find_caption_tables(path: Path) -> Tables:
    """Return the table at a path, or one per split, each with its split.

    The tables of the folder itself count before those in the folders of splits, and these before
    one in any other folder.

    Raises:
        DataError: If it is unclear which table is meant.
        OSError: If the folder cannot be opened.
    """
    if path.is_file():
        suffix = path.suffix.lower()
        fits = has_caption_columns(path) or is_coco_captions(path) if suffix in JSON else True
        return [(path, None)] if suffix in SUFFIXES and fits else []
    folders = [Path(folder.path) for folder in visible(path)[0]]
    below: Tables = [
        (table, split)
        for folder in folders
        if (split := split_of_folder(folder.name))
        for table, _ in _one_or_splits(_named(folder) or _coco(folder), folder)
    ]
    here = _named(path)
    if here and below:
        raise several_tables([*here, *(table for table, _ in below)], path)
    if below and not here:
        return below
    here = here or _with_columns(path) or _coco(path)
    if not here:
        others = [folder for folder in folders if not split_of_folder(folder.name)]
        found = [tables for folder in others if (tables := _named(folder) or _coco(folder))]
        here = [table for tables in found for table in tables]
    return _one_or_splits(here, path)


def is_coco_captions(file: Path) -> bool:
    """Return whether a JSON file has the keys of COCO's captions, and not those of its objects."""
    try:
        return has_keys(file, *_COCO_KEYS) and not has_keys(file, "categories")
    except OSError:
        return False


def _one_or_splits(tables: list[Path], folder: Path) -> Tables:
    return one_or_splits([(table, split_in_name(table.stem)) for table in tables], folder)


def _named(folder: Path) -> list[Path]:
    """Return the tables with the usual names, of several only those with the columns."""
    tables = [file for file in _files(folder) if _NAMED.fullmatch(file.name)]
    return [t for t in tables if has_caption_columns(t)] if len(tables) > 1 else tables


def _with_columns(folder: Path) -> list[Path]:
    files = [file for file in _files(folder) if file.suffix.lower() in (*TABLES, *LINES, *JSON)]
    if sum(file.suffix.lower() in JSON for file in files) > _MAX_JSON_FILES:
        return []
    return [file for file in files if has_caption_columns(file)]


def _coco(folder: Path) -> list[Path]:
    """Return COCO's caption files, unless there are files of objects too, which `coco` reads."""
    files = [file for file in _files(folder) if file.suffix.lower() == ".json"]
    if len(files) > _MAX_JSON_FILES or any(has_keys(file, "categories") for file in files):
        return []
    return [file for file in files if is_coco_captions(file)]


def _files(folder: Path) -> list[Path]:
    return [file for file in files_with(folder, SUFFIXES) if file.is_file()]
