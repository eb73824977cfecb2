"""Read JSON Lines: one JSON object per line, as in Hugging Face's metadata.jsonl."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from foveate.formats._shared.documents.json_file import json_object
from foveate.formats._shared.tables.csv_table import table_text
from foveate.regular_file import open_regular

_MAX_LINE = 1_000_000  # bytes; a longer first line is not a record
_REMEDY = 'A line looks like {"file_name": "1.jpg", "text": "a red bus"}.'


def first_keys(table: Path) -> list[str]:
    """Return the keys of the first line, [] if it is no JSON object or cannot be read."""
    try:
        with open_regular(table) as file:
            record = json.loads(file.readline(_MAX_LINE).decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError):  # damaged JSON, or not UTF-8
        return []
    return list(record) if isinstance(record, dict) else []


def read_lines(table: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line, object) of each line that is not empty.

    Raises:
        DataError: If a line is no JSON object, or has a key twice; the error names it.
    """
    for line, text in enumerate(table_text(table).split("\n"), 1):
        if text.strip():
            yield line, json_object(text, "each line", table, line, _REMEDY)
