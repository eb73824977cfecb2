"""Answers for pictures and folders of pictures, told and written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foveate import files
from foveate.data.dataset import Image, Skipped
from foveate.data.pictures import PICTURE_SUFFIXES, decode
from foveate.errors import BadPicture, FoveateError
from foveate.run import Run

_AT_ONCE = 64


@dataclass(frozen=True)
class Answers:
    """told: a line each picture; skipped: what could not be read."""

    told: list[str]
    skipped: list[Skipped]


def predict_paths(run: Run, paths: Sequence[Path], json_file: Path | None = None) -> Answers:
    """Answer for each picture; a folder means all pictures in it. Unreadable ones are skipped, and said."""
    task, _ = run.load()
    told: list[str] = []
    records: list[dict[str, Any]] = []
    skipped: list[Skipped] = []
    waiting: list[tuple[Path, Image]] = []

    def flush() -> None:
        for (path, _), answer in zip(waiting, run.answer([image for _, image in waiting]), strict=True):
            words = task.words(answer)
            records.append({"path": str(path), **words})
            told.append(f"{path}  {task.tell(answer)}")
        waiting.clear()

    for path in _pictures(paths):
        try:
            waiting.append((path, decode(path)))
        except BadPicture as error:
            skipped.append(Skipped(str(path), error.message))
        if len(waiting) == _AT_ONCE:
            flush()
    if waiting:
        flush()
    if json_file is not None:
        files.write_json(
            json_file,
            {
                "run": str(run.path),
                "answers": records,
                "skipped": [{"path": s.id, "reason": s.reason} for s in skipped],
            },
        )
    return Answers(told, skipped)


def _pictures(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path  # a path that does not exist is told by decode
            continue
        found = [
            Path(folder) / name
            for folder, _, names in os.walk(path)
            for name in names
            if Path(name).suffix.lower() in PICTURE_SUFFIXES and not name.startswith(".")
        ]
        if not found:
            raise FoveateError("there are no pictures in this folder", where=path)
        yield from sorted(found)
