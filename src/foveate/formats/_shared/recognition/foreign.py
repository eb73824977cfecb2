"""Recognise exports of tools that foveate does not read, to name the export that it does."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

from foveate.errors import DataError
from foveate.formats._shared.documents.json_file import has_keys
from foveate.formats._shared.layout import unusable_reason, visible
from foveate.formats._shared.tables.csv_table import first_rows, plain
from foveate.regular_file import open_regular

_MAX_FILES = 20
LABEL_STUDIO = frozenset({"annotationid", "annotator", "leadtime"})
"""The headings, or keys, that only Label Studio writes."""


@dataclass(frozen=True, slots=True)
class _Tool:
    """An export that is not read.

    Attributes:
        name: What it is.
        remedy: The export that is read.
        suffixes: The names of its files, or their suffixes.
        keys: The keys of its JSON.
        opening: What its JSON begins with.
    """

    name: str
    remedy: str
    suffixes: tuple[str, ...]
    keys: tuple[str, ...]
    opening: bytes = b"{"


_COCO = "Export from {} as COCO, and give the folder with the JSON file and the images."
_CVAT_BACKUP = _Tool(
    "a backup of CVAT",
    "Export from CVAT with Actions > Export task dataset, as 'CVAT for images 1.1' or COCO.",
    ("task.json", "project.json"),
    (),
)
_TOOLS = (
    _Tool(
        "a manifest of Amazon SageMaker Ground Truth",
        "Convert it to COCO, or to a CSV file with the columns path,label or "
        "filename,class,xmin,ymin,xmax,ymax.",
        (".manifest", ".jsonl", ".json"),
        ("source-ref",),
    ),
    _Tool(
        "an export of Labelbox (NDJSON)",
        "Convert it to COCO with Labelbox's own converter (labelbox.com, COCO), and give that.",
        (".ndjson", ".jsonl", ".json"),
        ("data_row", "projects"),
    ),
    _Tool(
        "an old JSON export of Labelbox",
        "Convert it to COCO with Labelbox's own converter, and give that.",
        (".json",),
        ("Labeled Data", "Label"),
        b"[",
    ),
    _Tool(
        "Create ML's JSON",
        "Export from the tool that wrote it as COCO or Pascal VOC.",
        (".json",),
        ("image", "annotations", "coordinates"),
        b"[",
    ),
    _Tool(
        "the JSON of V7 Darwin",
        _COCO.format("V7"),
        (".json",),
        ("schema_ref", "item", "annotations"),
    ),
    _Tool(
        "a dataset of FiftyOne", _COCO.format("FiftyOne"), (".json",), ("samples", "_media_type")
    ),
    _Tool("the JSON of Datumaro", _COCO.format("Datumaro"), (".json",), ("categories", "items")),
    _Tool("a project of VoTT", "Export from VoTT as Pascal VOC or CSV.", (".vott",), ()),
    _Tool(
        "the JSON of VoTT",
        "Export from VoTT as Pascal VOC or CSV.",
        (".json",),
        ("asset", "regions"),
    ),
    _Tool(
        "the format of Supervisely (meta.json)",
        _COCO.format("Supervisely"),
        ("meta.json",),
        ("classes", "tags"),
    ),
    _CVAT_BACKUP,
)


def error_for(path: Path) -> DataError | None:
    """Return the error for an export that is not read, None if no tool is recognised.

    Args:
        path: A folder or a file.
    """
    try:
        for file in _files(path):
            if error := _of_file(file):
                return error
    except OSError:
        return None
    return None


def table_of_tool(header: list[str], table: Path) -> DataError | None:
    """Return the error for a table that a tool wrote with a cell for each control.

    Args:
        header: Its headings.
        table: The table.
    """
    if {plain(cell) for cell in header} >= LABEL_STUDIO:
        return _error(
            "Label Studio's CSV or TSV",
            "Export from Label Studio as JSON, and give that file.",
            table,
        )
    return None


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    folders, files = visible(path)
    found = [Path(file.path) for file in files[:_MAX_FILES]]
    for folder in folders[:_MAX_FILES]:
        if folder.name.casefold() in ("annotations", "labels", "ann", "data"):
            found += [Path(file.path) for file in visible(folder.path)[1][:_MAX_FILES]]
    return found


def _of_file(file: Path) -> DataError | None:
    name = file.name.lower()
    if unusable_reason(file):
        return None
    if name.endswith((".csv", ".tsv")):
        return table_of_tool(next(iter(first_rows(file)), []), file)
    if name.endswith(".zip"):
        is_backup = not _names_in(file).isdisjoint(_CVAT_BACKUP.suffixes)
        return _error(_CVAT_BACKUP.name, _CVAT_BACKUP.remedy, file) if is_backup else None
    for tool in _TOOLS:
        suffixes = tuple(one for one in tool.suffixes if one.startswith("."))
        is_named = name in tool.suffixes or name.endswith(suffixes)
        if is_named and has_keys(file, *tool.keys, opening=tool.opening):
            return _error(tool.name, tool.remedy, file)
    return None


def _names_in(archive: Path) -> set[str]:
    """Return the names of the files in a zip archive, which is not unpacked."""
    try:
        with open_regular(archive) as file, zipfile.ZipFile(file) as opened:
            return set(opened.namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return set()


def _error(name: str, remedy: str, where: Path) -> DataError:
    return DataError(f"this is {name}, which foveate does not read", where=where, remedy=remedy)
