"""Shards that tests share, made by the standard library."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import PIL.Image

from foveate import formats
from foveate.annotations import Label
from foveate.data.dataset import Dataset
from helpers.format_reading import refusing

Files = dict[str, str | bytes]


def png(shade: int = 0) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.new("L", (4, 3), shade).save(buffer, "PNG")
    return buffer.getvalue()


IMAGE = png()
TWO: Files = {"a.png": IMAGE, "a.cls": "0", "b.png": png(9), "b.cls": "1"}
LONG = "ordner/" * 30 + "ü" * 120


def tar(path: Path, files: Files, format: int = tarfile.PAX_FORMAT) -> Path:
    """Write an archive of these files with the standard library."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=format) as archive:
        for name, content in files.items():
            put(
                archive,
                tarfile.TarInfo(name),
                content.encode() if isinstance(content, str) else content,
            )
    return path


def shards(folder: Path, *names: str) -> Path:
    """Write archives of these names, each with an image of either class."""
    for number, name in enumerate(names):
        files: Files = {}
        for label in (0, 1):
            key = f"{number}-{label}"
            files |= {f"{key}.png": png(label), f"{key}.cls": str(label)}
        tar(folder / name, files)
    return folder


def put(archive: tarfile.TarFile, info: tarfile.TarInfo, data: bytes = b"") -> None:
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def boxes(rows: object, classes: object, **more: object) -> str:
    return json.dumps({"boxes": rows, "classes": classes, **more})


def read(path: Path) -> Dataset[Any]:
    data = formats.read(path)
    assert data.format == "webdataset"
    return data


def ids(data: Dataset[Any]) -> list[str]:
    return [sample.id for sample in data]


def names(data: Dataset[Label]) -> list[str]:
    return [data.classes[sample.target.index] for sample in data]


def shades(data: Dataset[Any]) -> list[int]:
    return [int(sample.source.read()[0, 0, 0]) for sample in data]


refused = refusing("webdataset")
