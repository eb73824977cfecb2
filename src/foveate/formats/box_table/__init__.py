"""A CSV file with one row per object: the path of the image, a box, and its class.

    RetinaNet                   path,left,top,right,bottom,class without a header
    TensorFlow, Roboflow        filename,width,height,class,xmin,ymin,xmax,ymax
    DeepForest                  image_path,xmin,ymin,xmax,ymax,label
    Open Images                 ImageID,LabelName,XMin,XMax,YMin,YMax,IsGroupOf; with names for the
                                classes in class-descriptions.csv
    others                      x,y,w,h or bbox ("[x, y, w, h]") in place of the corners

Columns are found by their headings (`rows`), in any order, and whether the numbers are pixels or
fractions by the numbers themselves (`numbers`). A row without numbers is an image without objects.
Further columns: group, split and time, as in the format `csv`; iscrowd and difficult. There may be
a table for each split (train_labels.csv, val_labels.csv). The TensorFlow columns are written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from foveate.annotations import Boxes
from foveate.data.dataset import Dataset, Sample, Skipped
from foveate.data.images import FileSource, size
from foveate.errors import BadImage, DataError
from foveate.formats._shared.files.image_finder import ImageFinder
from foveate.formats._shared.files.splits import with_splits_of_paths
from foveate.formats._shared.files.walk import note_unlisted
from foveate.formats._shared.layout import ordered_classes
from foveate.formats._shared.tables.box_columns import box_columns
from foveate.formats._shared.tables.csv_table import first_rows, rows_of
from foveate.formats._shared.tables.table_files import (
    OTHER_TABLES,
    find_tables,
    tables_in,
)
from foveate.formats.box_table.numbers import pixel_corners
from foveate.formats.box_table.rows import ImageFacts, Row, read_rows
from foveate.formats.box_table.writing import write
from foveate.wording import count_noun

__all__ = ["NAME", "SUMMARY", "TASKS", "describe", "read", "sniff", "write"]

NAME = "csv-boxes"
SUMMARY = "a CSV file with the columns filename,class,xmin,ymin,xmax,ymax, one row an object"
TASKS = ("detection",)

_IDS = ("/m/", "/g/", "/t/")  # classes of Open Images


def sniff(path: Path) -> bool:
    """Return whether this is a table of boxes, or a folder with such tables."""
    try:
        return bool(find_tables(path, _is_box_table)[0])
    except DataError:  # there are several, and reading says so
        return True
    except OSError:
        return False


def describe(path: Path) -> str:
    """Return what would be read: the columns of the boxes."""
    try:
        tables, _ = find_tables(path, _is_box_table)
        header = first_rows(tables[0][0])[0]
    except (DataError, OSError, IndexError):
        return SUMMARY
    return f"one box a row of {tables[0][0].name} ({', '.join(header)[:200]})"


def read(path: Path) -> Dataset[Boxes]:
    """Read one sample per image, its id being the path of the image.

    Classes are sorted by name, or as in classes.txt. Missing images are skipped and listed.

    Raises:
        DataError: If a row cannot be understood, or if rows of one image differ in group, split or
            time; the error names the line. If it is unclear what the numbers of the boxes are.
    """
    root = path if path.is_dir() else path.parent
    tables, notes = find_tables(path, _is_box_table)
    if not tables:
        raise DataError(
            "a table of boxes is expected, found none",
            where=path,
            remedy=f"Lay the dataset out as {SUMMARY}.",
        )
    finder = ImageFinder(root)
    facts: dict[str, ImageFacts] = {}
    rows: list[Row] = []
    for table, split in tables:
        content, own = read_rows(table, split, finder, facts)
        notes += content.notes
        rows += own
    skipped = [Skipped(id, reason) for id in facts if (reason := finder.problem(id))]
    if not facts or len(skipped) == len(facts):
        raise finder.none_usable(skipped, tables[0][0])
    rows = [row for row in rows if not finder.problem(row.id)]
    samples, classes, sample_notes = _samples(rows, facts, root, skipped, tables[0][0])
    notes += sample_notes
    if described := _name_classes(classes, root, {table for table, _ in tables}):
        notes = [note for note in notes if note != f"{OTHER_TABLES}{described}"]
        notes.append(f"the ids of the classes are named by {described}")
    notes += finder.notes() + note_unlisted(root, facts)
    name = tables[0][0].stem if path.is_file() else path.name
    return Dataset(
        name, TASKS[0], tuple(classes), samples, tuple(skipped), path, notes=tuple(notes)
    )


def _is_box_table(table: Path) -> bool:
    return box_columns(first_rows(table)) is not None


def _samples(
    rows: list[Row],
    facts: dict[str, ImageFacts],
    root: Path,
    skipped: list[Skipped],
    table: Path,
) -> tuple[list[Sample[Boxes]], list[str], list[str]]:
    """Return the samples, the classes and notes; add the images that cannot be used to skipped."""
    sides_of = _side_finder(root)
    boxed, notes = _without_empty(rows)
    corners, usable, number_notes = pixel_corners(boxed, sides_of)
    notes += number_notes
    unusable = {row.id for row, good in zip(boxed, usable, strict=True) if not good}
    skipped += [
        Skipped(id, "its size, by which its boxes are to be multiplied, cannot be read")
        for id in facts
        if id in unusable
    ]
    present = {row.label for row in boxed}
    if not present:
        raise DataError("boxes are expected, found none", where=table)
    classes = list(ordered_classes(present, root))
    indices = {name: index for index, name in enumerate(classes)}
    members: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(boxed):
        members[row.id].append(index)
    sides: dict[str, tuple[int, int]] = {row.id: row.sides for row in rows if row.sides}
    left_out = {one.id for one in skipped}
    ids = [id for id in facts if id not in left_out]
    samples = []
    for id in ids:
        own = members[id]
        target = Boxes(
            corners[own],
            np.array([indices[boxed[index].label] for index in own], np.int64),
            crowd=np.array([boxed[index].crowd for index in own], bool),
            difficult=np.array([boxed[index].difficult for index in own], bool),
            size=sides[id][::-1] if id in sides else None,
        )
        fact = facts[id]
        samples.append(Sample(id, FileSource(root / id), target, fact.group, fact.split, fact.time))
    written = {id: facts[id].written for id in ids}
    samples, split_notes = with_splits_of_paths(samples, written)
    return samples, classes, notes + split_notes


def _without_empty(rows: list[Row]) -> tuple[list[Row], list[str]]:
    """Return the rows with a box, and a note on those that DeepForest writes for none."""
    zeros = [row for row in rows if row.four == (0, 0, 0, 0)]
    notes = []
    if zeros:
        number = count_noun(len(zeros), "row")
        notes.append(
            f"{number} with the box 0, 0, 0, 0 read as images without an object, as DeepForest "
            f"writes them (such as line {zeros[0].line} of {zeros[0].table.path.name})"
        )
    return [row for row in rows if row.four not in (None, (0, 0, 0, 0))], notes


def _side_finder(root: Path) -> Callable[[Row], tuple[int, int] | None]:
    """Return a function that gives the width and height of a row's image."""
    known: dict[str, tuple[int, int] | None] = {}

    def find(row: Row) -> tuple[int, int] | None:
        if row.sides:
            return row.sides
        if row.id not in known:
            try:
                height, width = size(root / row.id)
                known[row.id] = (width, height)
            except (BadImage, OSError):
                known[row.id] = None
        return known[row.id]

    return find


def _name_classes(classes: list[str], root: Path, tables: set[Path]) -> str | None:
    """Replace the ids of Open Images by the names in a table beside; return that table's name."""
    if not root.is_dir() or not all(name.startswith(_IDS) for name in classes):
        return None
    for table, _ in tables_in(root):
        start = first_rows(table) if table not in tables else []
        if not any(len(row) == 2 and row[0].startswith(_IDS) for row in start[:2]):
            continue
        names = {fields[0]: fields[1].strip() for _, fields in rows_of(table) if len(fields) == 2}
        renamed = [names.get(id) or id for id in classes]
        if len(set(renamed)) == len(renamed):
            classes[:] = renamed
            return table.name
    return None
