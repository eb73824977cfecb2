"""Read JSON Lines: one JSON object per line, as in Hugging Face's metadata.jsonl."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from foveate.errors import DataError
from foveate.formats._shared.tables.csv_table import table_text
from foveate.regular_file import open_regular

_MAX_LINE = 1_000_000  # bytes; a longer first line is not a record


def first_keys(table: Path) -> list[str]:
    """Return the keys of the first line, [] if it is no JSON object or cannot be read."""
    try:
        with open_regular(table) as file:
            record = json.loads(file.readline(_MAX_LINE).decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError):  # damaged JSON, or not UTF-8
        return []
    return list(record) if isinstance(record, dict) else []


def json_records(table: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line, object) of each line that is not empty.

    Raises:
        DataError: If a line is no JSON object; the error names it.
    """
    for line, text in enumerate(table_text(table).split("\n"), 1):
        if not text.strip():
            continue
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", None) or str(error)
            raise DataError(
                f"a JSON object is expected, but it has an error ({reason})",
                where=table,
                line=line,
                remedy='A line looks like {"file_name": "1.jpg", "text": "a red bus"}.',
            ) from None
        if not isinstance(record, dict):
            raise DataError(
                f"one JSON object per line is expected, got {ascii(record)[:100]}",
                where=table,
                line=line,
            )
        yield line, record
