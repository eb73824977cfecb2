"""COCO files that tests share, made record by record."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from pycocotools import mask as oracle

from foveate import formats
from foveate.data.dataset import Dataset
from foveate.ops import rle
from helpers.format_reading import refusing

Record = dict[str, Any]
HEIGHT, WIDTH = SIZE = (30, 40)
TRIANGLE = [2.0, 3.0, 20.5, 3.0, 8.0, 25.0]
SQUARE = [25.0, 5.0, 35.0, 5.0, 35.0, 15.0, 25.0, 15.0]


def png() -> bytes:
    buffer = io.BytesIO()
    PIL.Image.new("L", (WIDTH, HEIGHT)).save(buffer, "PNG")
    return buffer.getvalue()


IMAGE = png()


def image(id: object = 1, name: str = "a.png", **more: object) -> Record:
    return {"id": id, "file_name": name, "width": WIDTH, "height": HEIGHT, **more}


def make_object(
    id: object = 1, image_id: object = 1, category_id: object = 1, **more: object
) -> Record:
    """Return an annotation; keys with the value `...` are left out."""
    record = {
        "id": id,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": [1, 2, 10, 20],
        **more,
    }
    return {key: value for key, value in record.items() if value is not ...}


def category(id: object = 1, name: object = "cat") -> Record:
    return {"id": id, "name": name, "supercategory": "animal"}


def document(
    *annotations: Record, images: list[Record] | None = None, categories: list[Record] | None = None
) -> Record:
    return {
        "info": {"year": 2017},
        "images": [image()] if images is None else images,
        "annotations": list(annotations),
        "categories": [category()] if categories is None else categories,
    }


def lay(root: Path, files: dict[str, Record | str | bytes]) -> Path:
    """Write files; JSON gets one record per line, so that tests can check lines."""
    for file, content in files.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, dict):
            content = json.dumps(content).replace('{"id"', '\n{"id"')
        (root / file).write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def usual(root: Path, content: Record | str | bytes, *images: str) -> Path:
    """Write a dataset of one file and its images."""
    lay(root, {f"images/{name}": IMAGE for name in images or ("a.png",)})
    return lay(root, {"instances.json": content})


def read(path: Path, format: str | None = None) -> Dataset[Any]:
    """Read a dataset, which is recognised unless the format is given."""
    data = formats.read(path, format)
    assert data.format == "coco"
    return data


refused = refusing("coco")


def runs(mask: np.ndarray, packed: bool) -> Record:
    if packed:
        theirs = oracle.encode(np.asfortranarray(mask.astype(np.uint8)))
        return {"size": theirs["size"], "counts": theirs["counts"].decode()}
    return {"size": list(mask.shape), "counts": rle.encode(mask).tolist()}


def blobs(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    centres = rng.uniform(0, 1, (3, 2)) * SIZE
    return np.any([np.hypot(y - cy, x - cx) < rng.uniform(1, 15) for cy, cx in centres], axis=0)
