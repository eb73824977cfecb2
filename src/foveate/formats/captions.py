"""A table with a row per picture and wording: metadata.csv or metadata.jsonl beside the pictures, or any such table.

Columns of the CSV, or keys of each line's object in JSON Lines; capitals, spaces and underscores do not matter:

    path:  path, file, filename, image                        from the table's folder
    text:  text, caption, captions, prompt, description       in JSON Lines also a list of several
    group: group, patient, subject                            one group never straddles parts; empty means none
    part:  split, part, set                                   train, valid (or val) or test; empty means not assigned
    time:  time, date, datetime, timestamp                    when it was taken, for --time-by data; empty means not known

Several rows of one picture are several wordings. The table may also lie in each of the folders train, valid and test.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foveate.annotations import Captions
from foveate.data.dataset import Dataset, Sample, Skipped, SplitName
from foveate.data.images import FileSource
from foveate.errors import DataError
from foveate.formats._shared.csv_table import (
    GROUP,
    PART,
    PATH,
    TIME,
    cells,
    columns,
    has_columns,
    part_in,
    plain,
    rows_of,
    text_of,
)
from foveate.formats._shared.layout import is_utf8, part_of, unusable, visible
from foveate.formats._shared.paths import inside_id
from foveate.formats._shared.writing import (
    count,
    new_folder,
    refuse,
    safe_names,
    unlabelled,
    unpaintable,
    write_picture,
)

NAME = "captions"
SUMMARY = "metadata.csv or metadata.jsonl of file_name,text beside the pictures, or another table of path,text"
TASKS = ("text_to_image",)

_NAMES = ("metadata.csv", "metadata.jsonl", "captions.csv", "captions.jsonl")
_TABLES, _LINES = (".csv", ".tsv"), ".jsonl"
_WORDS = {
    "path": PATH,
    "text": ("text", "caption", "captions", "prompt", "description"),
    "group": GROUP,
    "part": PART,
    "time": TIME,
}
_NEEDED = ("path", "text")
_LONGEST_LINE = 1_000_000  # characters; a first line beyond that is no record


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of a table. id: the picture's path from the data's folder; where: the table"""

    id: str
    texts: tuple[str, ...]
    group: str | None
    split: SplitName | None
    time: str | None
    where: Path
    line: int


def sniff(path: Path) -> bool:
    """Whether there is a table with the columns, or one called captions: then reading says what it lacks."""
    try:
        tables = _tables(path)
        return any(
            _has_columns(table) or table.name.lower().startswith("captions.") for _, table in tables
        )
    except DataError:  # there are more than one, which reading says
        return True
    except OSError:
        return False


def read(path: Path) -> Dataset[Captions]:
    """One sample a picture, its id being its path from here, with all its wordings in the order of the rows.

    A picture that is not there is skipped and listed. Raises DataError, with the line, for a row that cannot be
    understood, and where rows of one picture differ in group, part or time.
    """
    tables = _tables(path)
    if not tables:
        raise DataError(
            "a table of captions is expected, found none",
            where=path,
            remedy=f"Lay the data out as {SUMMARY}.",
        )
    root = path.parent if path.is_file() else path
    first: dict[str, _Row] = {}
    texts: dict[str, list[str]] = {}
    for split, table in tables:
        for row in _rows(root, table, split):
            before = first.setdefault(row.id, row)
            if (before.group, before.split, before.time) != (row.group, row.split, row.time):
                raise _conflict(before, row)
            texts.setdefault(row.id, []).extend(row.texts)
    samples: list[Sample[Captions]] = []
    skipped: list[Skipped] = []
    for id, row in first.items():
        if reason := unusable(root / id):
            skipped.append(Skipped(id, reason))
        else:
            target = Captions(tuple(texts[id]))
            samples.append(
                Sample(id, FileSource(root / id), target, row.group, row.split, row.time)
            )
    if not samples:
        unfit = "".join(f"; {one.id}: {one.reason}" for one in skipped[:1])
        raise DataError(
            f"pictures with captions are expected, found none that can be used ({len(skipped):,} skipped{unfit})",
            where=tables[0][1],
        )
    name = path.stem if path.is_file() else path.name
    return Dataset(name, TASKS[0], (), samples, tuple(skipped), path)


def write(dataset: Dataset[Captions], path: Path) -> None:
    """A folder with metadata.jsonl and images/. Files are copied as they are, pictures in memory become PNG."""
    refuse(path, NAME, unlabelled(dataset, TASKS))
    odd = [
        s
        for s in dataset
        if s.target is not None
        and not all(map(is_utf8, (*s.target.texts, s.group or "", s.time or "")))
    ]
    problems = count("with text that is no UTF-8", odd)
    problems += (
        [f"{len(dataset.classes):,} classes, which words have not"] if dataset.classes else []
    )
    refuse(path, NAME, problems + unpaintable(dataset))
    names = safe_names(dataset, [("images",)] * len(dataset))
    with (
        new_folder(dataset, path) as place,
        (place / "metadata.jsonl").open("w", encoding="utf-8", newline="\n") as file,
    ):
        for sample, name in zip(dataset, names, strict=True):
            assert sample.target is not None
            texts = sample.target.texts
            record: dict[str, Any] = {
                "file_name": f"images/{name}",
                "text": texts[0] if len(texts) == 1 else texts,
            }
            record |= {"group": sample.group} if sample.group else {}
            record |= {"split": sample.split} if sample.split else {}
            record |= {"time": sample.time} if sample.time else {}
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
            write_picture(sample, place / "images" / name)


def _tables(path: Path) -> list[tuple[SplitName | None, Path]]:
    """The table, or one a part. Raises OSError, and DataError where it can't be told which is meant."""
    if path.is_file():
        return [(None, path)] if path.suffix.lower() in (*_TABLES, _LINES) else []
    folders, files = visible(path)
    named = _named(path)
    below: list[tuple[SplitName | None, Path]] = [
        (split, table)
        for folder in folders
        if (split := part_of(folder.name))
        for table in _named(Path(folder.path))
    ]
    if not named and not below:
        others = [
            Path(file.path)
            for file in files
            if file.name.lower().endswith((*_TABLES, _LINES)) and file.is_file()
        ]
        named = [table for table in others if _has_columns(table)]
    if len(named) > 1 or (named and below):
        found = [
            table.relative_to(path).as_posix() for table in (*named, *(table for _, table in below))
        ]
        raise DataError(
            f"one table of captions is expected, found {', '.join(found)}",
            where=path,
            remedy="Give the file itself.",
        )
    return [(None, table) for table in named] or below


def _named(folder: Path) -> list[Path]:
    """The tables in a folder that are called so. Raises DataError if there are several."""
    found = [
        Path(file.path)
        for file in visible(folder)[1]
        if file.name.lower() in _NAMES and file.is_file()
    ]
    found = found if len(found) < 2 else [table for table in found if _has_columns(table)]
    if len(found) > 1:
        raise DataError(
            f"one table of captions is expected, found {', '.join(table.name for table in found)}",
            where=folder,
            remedy="Give the file itself.",
        )
    return found


def _has_columns(table: Path) -> bool:
    if table.suffix.lower() in _TABLES:
        return has_columns(table, _WORDS, _NEEDED)
    try:
        with table.open(encoding="utf-8-sig") as file:
            record = json.loads(file.readline(_LONGEST_LINE))
    except (ValueError, RecursionError):  # damaged JSON, or bytes that are no UTF-8
        return False
    names = {plain(key) for key in record} if isinstance(record, dict) else set()
    return all(names & set(_WORDS[column]) for column in _NEEDED)


def _rows(root: Path, table: Path, split: SplitName | None) -> Iterator[_Row]:
    """The rows of a table that lies in a part's folder, or in none."""
    for line, record in _records(table) if table.suffix.lower() == _LINES else _csv_records(table):
        told = part_in(_text(record, "part", table, line), "part", table, line)
        if split and told and split != told:
            raise DataError(
                f"{split} is expected, as the folder says, got {told}", where=table, line=line
            )
        id = inside_id(
            table.parent, _text(record, "path", table, line), where=table, line=line, root=root
        )
        id = os.path.normpath(
            table.parent.relative_to(root) / id
        )  # `..` may lead to a folder beside a part's
        texts = record["text"] if isinstance(record["text"], list) else [record["text"]]
        if not all(isinstance(text, str) and is_utf8(text) for text in texts):
            raise DataError(
                f"a text or a list of texts is expected, got {_shown(record['text'])}",
                where=table,
                line=line,
            )
        group, time = (_text(record, what, table, line) or None for what in ("group", "time"))
        yield _Row(id, tuple(texts), group, split or told, time, table, line)


def _csv_records(table: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    lines = rows_of(table)
    _, header = next(lines)
    places = columns(header, _WORDS, _NEEDED, table)
    for line, fields in lines:
        yield line, dict(cells(fields, header, places, table, line))


def _records(table: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line, what is told by column) of each line of JSON."""
    for line, text in enumerate(text_of(table).split("\n"), 1):
        if not text.strip():
            continue
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", None) or str(error)
            raise DataError(
                f"a JSON object is expected, this is damaged ({reason})",
                where=table,
                line=line,
                remedy='A line looks like {"file_name": "1.jpg", "text": "a red bus"}.',
            ) from None
        if not isinstance(record, dict):
            raise DataError(
                f"a JSON object a line is expected, got {_shown(record)}", where=table, line=line
            )
        yield line, _told(record, table, line)


def _told(record: dict[str, Any], table: Path, line: int) -> dict[str, Any]:
    """A record's values by column. Raises DataError if one that is needed is missing, or told twice."""
    told: dict[str, Any] = {}
    for column, words in _WORDS.items():
        keys = [key for key in record if plain(key) in words]
        if len(keys) > 1:
            raise DataError(
                f"one key is expected for the {column}, found {', '.join(keys)}",
                where=table,
                line=line,
                remedy="Remove the one that is not meant.",
            )
        if keys:
            told[column] = record[keys[0]]
        elif column in _NEEDED:
            raise DataError(
                f"a key for the {column} is expected, found {', '.join(record)[:300] or 'none'}",
                where=table,
                line=line,
                remedy=f"Name it one of {', '.join(words)}.",
            )
    return told


def _text(record: dict[str, Any], column: str, table: Path, line: int) -> str:
    """What is told in a column; nothing is told by null, or by no such column."""
    value = record.get(column)
    if value is None and column not in _NEEDED:
        return ""
    if not isinstance(value, str) or not is_utf8(value):
        raise DataError(
            f"text is expected as the {column}, got {_shown(value)}", where=table, line=line
        )
    return value


def _conflict(first: _Row, second: _Row) -> DataError:
    what = next(
        what for what in ("group", "split", "time") if getattr(first, what) != getattr(second, what)
    )
    place = f"line {first.line}" + (
        "" if first.where == second.where else f" of {first.where.name}"
    )
    return DataError(
        f"one {what} is expected for {first.id!r}, got {getattr(first, what)!r} on {place} and "
        f"{getattr(second, what)!r} here",
        where=second.where,
        line=second.line,
        remedy="Decide which is right and change the other row.",
    )


def _shown(value: object) -> str:
    return ascii(value)[:100]
