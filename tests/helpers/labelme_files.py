"""LabelMe files that tests share, made shape by shape."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import PIL.Image

from foveate import formats
from foveate.data.dataset import Dataset
from helpers.format_reading import refusing

Record = dict[str, Any]
HEIGHT, WIDTH = SIZE = (30, 40)
TRIANGLE = [[2.0, 3.0], [20.5, 3.0], [8.0, 25.0]]
SQUARE = [[25.0, 5.0], [35.0, 5.0], [35.0, 15.0], [25.0, 15.0]]


def png(grey: int = 0) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.new("L", (WIDTH, HEIGHT), grey).save(buffer, "PNG")
    return buffer.getvalue()


IMAGE = png()


def shape(
    shape_type: str | None = "polygon",
    points: object = TRIANGLE,
    label: object = "cat",
    **more: object,
) -> Record:
    """Return a shape; keys with the value `...` are left out."""
    record = {
        "label": label,
        "points": points,
        "group_id": None,
        "shape_type": shape_type,
        "flags": {},
        **more,
    }
    return {key: value for key, value in record.items() if value is not ...}


def box(*corners: float, label: str = "cat", **more: object) -> Record:
    left, top, right, bottom = corners or (1, 2, 11, 22)
    return shape("rectangle", [[left, top], [right, bottom]], label, **more)


def page(*shapes: Record, path: object = "a.png", **more: object) -> Record:
    """Return a file as LabelMe 5 writes it."""
    about = {
        "version": "5.0.1",
        "flags": {},
        "shapes": list(shapes),
        "imagePath": path,
        "imageData": None,
    }
    record = {**about, "imageHeight": HEIGHT, "imageWidth": WIDTH, **more}
    return {key: value for key, value in record.items() if value is not ...}


def lay(root: Path, files: dict[str, Record | str | bytes]) -> Path:
    for file, content in files.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, dict):
            content = json.dumps(content, indent=2)
        (root / file).write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def usual(root: Path, content: Record | str | bytes) -> Path:
    """Write a dataset of one image."""
    return lay(root, {"a.json": content, "a.png": IMAGE})


def read(path: Path) -> Dataset[Any]:
    data = formats.read(path)
    assert data.format == "labelme"
    return data


refused = refusing("labelme")


def packed(data: bytes) -> str:
    return base64.b64encode(data).decode()
