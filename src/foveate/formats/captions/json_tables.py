"""Read captions from one JSON file: a list of records, or a text for each image name.

[{"image": "1.jpg", "caption": "a red bus"}, ...]
{"1.jpg": "a red bus", "2.jpg": ["a cat", "it sleeps"]}
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from foveate.errors import DataError
from foveate.formats._shared.documents.json_file import read_json
from foveate.formats._shared.layout import has_image_suffix
from foveate.formats._shared.recognition.foreign import LABEL_STUDIO
from foveate.formats._shared.tables.csv_table import plain
from foveate.regular_file import open_regular

_MAX_START = 1_000_000  # bytes that are read to recognise a file
_NAME_AND_TEXT = re.compile(r'\{\s*("(?:[^"\\]|\\.)*")\s*:\s*\[?\s*"')


def keys_of_first_record(file: Path) -> list[str]:
    """Return the keys of the first record of a list; [] if the file is no such list."""
    start = _start(file)
    if not start.startswith("["):
        return []
    try:
        record, _ = json.JSONDecoder().raw_decode(start[1:].lstrip())
    except (ValueError, RecursionError):
        return []
    keys = list(record) if isinstance(record, dict) else []
    # JSON-MIN has a reader of its own.
    return [] if LABEL_STUDIO.intersection(map(plain, keys)) else keys


def maps_names_to_texts(file: Path) -> bool:
    """Return whether a file is an object of which the first key is the name of an image."""
    match = _NAME_AND_TEXT.match(_start(file))
    return match is not None and has_image_suffix(json.loads(match[1], strict=False))


def json_table_records(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the records; those of an object have the keys `file_name` and `text`.

    Raises:
        DataError: If the file is not JSON, or neither a list of objects nor an object of texts.
    """
    content = read_json(file)
    if isinstance(content, dict):
        yield from ({"file_name": name, "text": text} for name, text in content.items())
    elif isinstance(content, list):
        for number, record in enumerate(content, 1):
            if not isinstance(record, dict):
                raise DataError(
                    f"a list of objects is expected, entry {number:,} is {ascii(record)[:100]}",
                    where=file,
                )
            yield record
    else:
        raise DataError("a list of objects, or an object of texts, is expected", where=file)


def _start(file: Path) -> str:
    try:
        with open_regular(file) as opened:
            return opened.read(_MAX_START).decode("utf-8-sig", errors="ignore").lstrip()
    except OSError:
        return ""
