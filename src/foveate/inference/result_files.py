"""The files that predictions end up in: JSON, JSON lines, COCO and CSV, made of their records.

Records are read one by one, so the memory does not grow with the number of images.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from foveate import atomic_io, csv_file, outputs
from foveate.csv_file import Cell
from foveate.tasks.presenters.presenter import Presenter
from foveate.tasks.presenters.tables import micrometre_cells, micrometre_columns

LINES_SUFFIX = ".jsonl"
"""The suffix of a file with one JSON object a line."""
PREDICTIONS = outputs.json_kind("predictions")
"""The file of `write_json` or `write_lines`."""
CHOSEN = {"conf": "--conf", "only": "--classes"}
"""What such a file says if only some objects were asked for, and the options that ask for it."""
COCO_PREDICTIONS = outputs.FileKind(
    "COCO predictions",
    re.compile(rb'\s*\{\s*"info":\s*\{\s*"contributor":\s*"foveate predict"'),
)
"""The file of `write_coco`."""

_NAME_COLUMNS = ("path", "frame")
PREDICTIONS_CSV = outputs.FileKind(
    "predictions",
    re.compile(
        rb"path,frame,(object,class,score,left_px|class,probability|"
        rb"class,share,area_px|prediction)[,\r\n]"
    ),
)
"""The file of `write_csv`."""

Record = Mapping[str, Any]
ReadRecords = Callable[[], Iterator[dict[str, Any]]]
"""Reads all records from the first one on."""


def write_predictions(
    file: IO[bytes],
    path: Path,
    task: Presenter[Any],
    model: str,
    records: ReadRecords,
    skipped: Sequence[Record],
    chosen: Record,
) -> None:
    """Write the values of all predictions as JSON, or as JSON lines if the name ends in .jsonl.

    Args:
        file: The file, open for writing.
        path: Its name.
        task: The task.
        model: Name of the model.
        records: The records of the images.
        skipped: Each image that was left out, with its path and the reason.
        chosen: What was asked of the objects: "conf" and "only", see `CHOSEN`; empty for nothing.
    """
    write = write_lines if path.suffix.lower() == LINES_SUFFIX else write_json
    write(file, task, model, records, skipped, chosen)


def write_json(
    file: IO[bytes],
    task: Presenter[Any],
    model: str,
    records: ReadRecords,
    skipped: Sequence[Record],
    chosen: Record,
) -> None:
    """Write one JSON object; arguments as for `write_predictions`."""
    head = {"foveate": PREDICTIONS.name, "run": model, "classes": task.classes, **chosen}
    predictions = map(_prediction, records())
    _write_object(file, head, "predictions", predictions, {"skipped": list(skipped)})


def write_lines(
    file: IO[bytes],
    task: Presenter[Any],
    model: str,
    records: ReadRecords,
    skipped: Sequence[Record],
    chosen: Record,
) -> None:
    """Write a JSON object for each image on a line; arguments as for `write_predictions`."""
    del task
    head = {"foveate": PREDICTIONS.name, "run": model, **chosen}
    for record in records():
        file.write(atomic_io.json_line({**head, **_prediction(record)}))
    for one in skipped:
        file.write(atomic_io.json_line({**head, **one}))


def write_coco(file: IO[bytes], task: Presenter[Any], model: str, records: ReadRecords) -> None:
    """Write boxes and masks with scores in COCO's format.

    Args:
        file: The file, open for writing.
        task: The task.
        model: Name of the model.
        records: The records of the images.
    """
    categories = [{"id": index + 1, "name": name} for index, name in enumerate(task.classes)]
    info = {"contributor": "foveate predict", "description": f"Predictions of {model}"}
    head = {"info": info, "categories": categories}
    _write_list(file, head, "annotations", _coco_annotations(records()))
    file.write(b",")
    _write_list(file, {}, "images", _coco_images(records()))
    file.write(b"\n}\n")


def write_csv(
    file: IO[bytes], task: Presenter[Any], records: ReadRecords, pixel_size: float | None
) -> None:
    """Write a table: a row for each object, class of pixels, or image.

    Args:
        file: The file, open for writing.
        task: The task.
        records: The records of the images.
        pixel_size: Side of a pixel in micrometres, for columns in micrometres; None for none.
    """
    columns = task.table_columns
    scaled = [] if pixel_size is None else micrometre_columns(columns)

    def rows() -> Iterator[list[Cell]]:
        for record in records():
            for row in record["rows"]:
                scales = [] if pixel_size is None else micrometre_cells(columns, row, pixel_size)
                yield [record["path"], record.get("frame"), *row, *scales]

    csv_file.write_to(file, [*_NAME_COLUMNS, *columns, *scaled], rows())


def _prediction(record: Record) -> dict[str, Any]:
    name, files = (
        {key: record[key] for key in keys if key in record}
        for keys in (("path", "frame"), ("drawing", "masks", "numbers"))
    )
    return {**name, **record["values"], **files}


def _coco_annotations(records: Iterable[Record]) -> Iterator[Record]:
    count = 0
    for image_id, record in enumerate(records, 1):
        for annotation in record["annotations"]:
            count += 1
            yield {"id": count, "image_id": image_id, **annotation}


def _coco_images(records: Iterable[Record]) -> Iterator[Record]:
    for image_id, record in enumerate(records, 1):
        height, width = record["size"]
        frame = {"frame": record["frame"]} if "frame" in record else {}
        names = {"file_name": record["path"], **frame}
        yield {"id": image_id, **names, "width": width, "height": height}


def _write_object(
    file: IO[bytes], head: Record, key: str, items: Iterable[Record], tail: Record
) -> None:
    """Write a JSON object with a list whose items come one by one.

    The layout is that of `atomic_io.write_json`.
    """
    _write_list(file, head, key, items)
    file.write(b"," + atomic_io.json_bytes(tail).removeprefix(b"{") + b"\n")


def _write_list(file: IO[bytes], head: Record, key: str, items: Iterable[Record]) -> None:
    """Begin a JSON object with `head` and a list, or go on with a list if there is no head."""
    if head:
        file.write(atomic_io.json_bytes(head).removesuffix(b"\n}") + b",")
    file.write(b'\n "%b": [' % key.encode())
    comma = b""
    for item in items:
        file.write(comma + b"\n  " + atomic_io.json_bytes(item, depth=2))
        comma = b","
    file.write(b"\n ]" if comma else b"]")
