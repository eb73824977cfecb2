"""Turn JSON-MIN, in which each annotation is one flat object, into tasks as in the export JSON."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from foveate.errors import DataError
from foveate.formats._shared.files.written_names import readings
from foveate.formats._shared.layout import has_image_suffix

_OF_TASK = frozenset(
    {"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement"}
)
_CHOICES = ("choice", "choices", "label", "labels", "class", "classification", "category")
_TEXTS = ("caption", "captions", "text", "description", "transcription", "answer")


def as_tasks(records: list[dict[str, Any]], file: Path) -> Iterable[dict[str, Any]]:
    """Return the tasks of an export, with the annotations of each.

    Args:
        records: The entries of the file, JSON or JSON-MIN.
        file: The file, for messages.

    Raises:
        DataError: If it is unclear what an entry of JSON-MIN holds.
    """
    if any("annotations" in one or "completions" in one for one in records):
        return records
    tasks: dict[str, dict[str, Any]] = {}
    text_keys = _text_keys(records)
    for number, record in enumerate(records, 1):
        key = str(record.get("id", f"number {number}"))
        data = {name: value for name, value in record.items() if isinstance(value, str)}
        task = tasks.setdefault(key, {"id": key, "data": data, "annotations": []})
        task["annotations"].append({"result": list(_results(record, text_keys, key, file))})
    return list(tasks.values())


def _text_keys(records: list[dict[str, Any]]) -> list[str]:
    """Return the keys of texts that are neither about the task nor the image."""
    keys: dict[str, None] = {}
    for record in records:
        for key, value in record.items():
            if (
                key not in _OF_TASK
                and isinstance(value, str)
                and not value.startswith("data:")
                and not any(map(has_image_suffix, readings(value)))
                and "/" not in value
            ):
                keys[key] = None
    return list(keys)


def _results(
    record: dict[str, Any], text_keys: list[str], task: str, file: Path
) -> Iterable[dict[str, Any]]:
    for key, value in record.items():
        if key in _OF_TASK:
            continue
        if isinstance(value, list) and all(isinstance(one, dict) for one in value):
            for one in value:
                yield {"value": one, **{k: one[k] for k in _SIZE if k in one}}
        elif isinstance(value, dict) and ("choices" in value or "text" in value):
            yield {"value": value}
        elif isinstance(value, str) and key in text_keys:
            yield {"value": {_kind(key, text_keys, task, file): [value]}}


def _kind(key: str, text_keys: list[str], task: str, file: Path) -> str:
    """Return whether a text was chosen or written, which JSON-MIN tells by the key alone."""
    if key.casefold() in _CHOICES:
        return "choices"
    if key.casefold() in _TEXTS:
        return "text"
    raise DataError(
        f"choices or texts are expected in task {task}, but what {key!r} is, JSON-MIN does not say",
        where=file,
        remedy="Export from Label Studio as JSON, which says it; or call the key 'choice' or "
        f"'caption' (keys with texts: {', '.join(text_keys)[:200]}).",
    )


_SIZE = ("original_width", "original_height", "image_rotation")
