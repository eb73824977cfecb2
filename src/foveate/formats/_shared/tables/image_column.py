"""Find the column of a table that names the images: by its heading, or by the images themselves."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path, PurePosixPath

from foveate.errors import DataError
from foveate.formats._shared.files.written_names import path_parts
from foveate.formats._shared.layout import has_image_suffix, is_hidden, printable
from foveate.formats._shared.tables.csv_table import PATH, plain

IMAGE = (
    *PATH,
    *("imagepath", "imagepaths", "imagename", "imagefile", "imagefilename", "imageid"),
    *("imageindex", "images", "filepath", "filepaths", "filenames", "files", "fileid", "img"),
    *("imgname", "imgpath", "imgid", "imgfile", "relativepath", "id", "idcode", "name", "key"),
    *("uuid", "photo", "picture", "scan", "slide", "patch", "tile", "url", "imageurl"),
)
"""Headings that the column may have; those at the end also mean something else."""

_GENERIC = frozenset({"id", "key", "name", "uuid", "url"})  # a heading that names images goes first
_MAX_ENTRIES = 20_000  # keeps recognising a table cheap
_FOUND = 0.5  # the images that a column has to name, as a fraction of its fields


class NearImages:
    """What lies below a folder, to tell a column of images from others. A rough and cheap look."""

    def __init__(self, folder: Path):
        """Prepare to look.

        Args:
            folder: The folder; a folder of a split or of annotations may lie in it.
        """
        self._folder = folder

    def has(self, field: str) -> bool:
        """Return whether an image has the name in a field, with or without its suffix."""
        parts = path_parts(field.strip())
        return bool(parts) and (parts[-1] in self._names or parts[-1] in self._stems)

    def fraction(self, fields: list[str]) -> float:
        """Return the fraction of the fields that name an image, 0 without any field."""
        return sum(map(self.has, fields)) / len(fields) if fields else 0.0

    @cached_property
    def _names(self) -> set[str]:
        names: set[str] = set()
        entries = 0
        for _, folders, files in os.walk(self._folder):
            folders[:] = sorted(folder for folder in folders if not is_hidden(folder))
            names.update(file for file in files if has_image_suffix(file))
            entries += len(files) + len(folders)
            if entries > _MAX_ENTRIES:
                break
        return names

    @cached_property
    def _stems(self) -> set[str]:
        return {name.rpartition(".")[0] for name in self._names}


def is_header(fields: list[str], near: NearImages) -> bool:
    """Return whether a first line is a header, not the first row of a table without one."""
    return not any(has_image_suffix(field.strip()) for field in fields) and not (
        any(near.has(field) for field in fields)
        and not any(plain(field) in IMAGE for field in fields)
    )


def image_column(
    header: list[str],
    rows: list[list[str]],
    near: NearImages,
    *,
    where: Path,
    line: int = 1,
    others: frozenset[int] = frozenset(),
    once: bool = False,
) -> tuple[int, list[str]]:
    """Return the index of the column that names the images, and a note if its heading does not.

    Args:
        header: The headings.
        rows: The first rows.
        near: The images.
        where: The table, for messages.
        line: The line of the header, for messages.
        others: The columns that are known to hold something else.
        once: Whether each image has one row.

    Raises:
        DataError: If no column does, or if it is unclear which one.
    """
    columns = [index for index in range(len(header)) if index not in others]
    fields = {
        index: [row[index] for row in rows if index < len(row) and row[index].strip()]
        for index in columns
    }
    named = [index for index in columns if plain(header[index]) in IMAGE]
    found = _with_names_of_images(fields, near, once=once)
    sure = [index for index in named if index in found] or [
        index for index in named if plain(header[index]) in PATH
    ]
    sure = [index for index in sure if plain(header[index]) not in _GENERIC] or sure
    if len(named) == 1 or len(sure) == 1:
        return (sure or named)[0], []
    if len(sure) > 1 and _agree([fields[index] for index in sure]):
        return sure[0], []
    if not named and len(found) == 1:
        heading = header[found[0]].strip()
        return found[0], [
            f"{printable(where.name)}: the column {heading!r} is read as the path of the image, "
            f"since its fields name images (such as {fields[found[0]][0]!r})"
        ]
    raise _unclear(header, sure or named or found, where, line)


def _with_names_of_images(
    fields: dict[int, list[str]], near: NearImages, *, once: bool
) -> list[int]:
    """Return the columns whose fields are names of images."""
    found = [
        index
        for index, column in fields.items()
        if near.fraction(column) >= _FOUND and not (once and len(set(column)) < len(column))
    ]
    # Numbers may be the names of images by chance; with a suffix they are.
    return [
        index for index in found if all(has_image_suffix(field.strip()) for field in fields[index])
    ] or found


def _unclear(header: list[str], candidates: list[int], where: Path, line: int) -> DataError:
    """Return the error for a table with no column for the path of the image, or with several."""
    if candidates:
        return DataError(
            "one column is expected for the path of the image, "
            f"found {', '.join(header[index] for index in candidates)}",
            where=where,
            line=line,
            remedy="Name one of them 'path', and give the other ones other names.",
        )
    return DataError(
        "a column for the path of the image is expected, "
        f"the header has {', '.join(header)[:300] or 'nothing'}",
        where=where,
        line=line,
        remedy=f"Name it one of {', '.join(PATH)} in the first line.",
    )


def _agree(columns: list[list[str]]) -> bool:
    """Return whether columns name the same images, with or without folders and suffixes."""
    stems = [[PurePosixPath("/".join(path_parts(field))).stem for field in one] for one in columns]
    return bool(stems[0]) and all(other == stems[0] for other in stems)
