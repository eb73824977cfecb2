"""Example files of the formats that foveate reads but does not write, for the contract tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import PIL.Image


def _images(folder: Path) -> None:
    (folder / "images").mkdir()
    for name in ("a.png", "b.png"):
        PIL.Image.new("RGB", (24, 16)).save(folder / "images" / name)


def _cvat(folder: Path) -> None:
    _images(folder)
    (folder / "annotations.xml").write_text(
        """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <image id="0" name="a.png" width="24" height="16">
    <box label="cat" occluded="0" xtl="1.5" ytl="2.0" xbr="9.0" ybr="8.25" z_order="0"></box>
    <polygon label="dog" points="12.0,3.0;20.0,3.0;16.0,9.0" z_order="0"></polygon>
  </image>
  <image id="1" name="b.png" width="24" height="16"></image>
</annotations>
"""
    )


def _label_studio(folder: Path) -> None:
    _images(folder)
    region = {
        "original_width": 24,
        "original_height": 16,
        "image_rotation": 0,
        "id": "r",
        "type": "rectanglelabels",
        "value": {"x": 10, "y": 20, "width": 30, "height": 40, "rectanglelabels": ["cat"]},
    }
    tasks = [
        {"id": 1, "annotations": [{"result": [region]}], "data": {"image": "/data/upload/1/a.png"}},
        {"id": 2, "annotations": [{"result": []}], "data": {"image": "/data/upload/1/b.png"}},
    ]
    (folder / "project-1.json").write_text(json.dumps(tasks))


def _via(folder: Path) -> None:
    _images(folder)
    region = {
        "shape_attributes": {"name": "rect", "x": 1, "y": 2, "width": 8, "height": 9},
        "region_attributes": {"class": "cat"},
    }
    files = {
        f"{name}1": {"filename": name, "size": 1, "regions": regions, "file_attributes": {}}
        for name, regions in (("a.png", [region]), ("b.png", []))
    }
    (folder / "via_export.json").write_text(json.dumps(files))


def _imagefolder(folder: Path) -> None:
    _images(folder)
    rows = [
        {"file_name": "images/a.png", "objects": {"bbox": [[1, 2, 8, 9]], "categories": ["cat"]}},
        {"file_name": "images/b.png", "objects": {"bbox": [[3, 4, 5, 6]], "categories": ["dog"]}},
    ]
    (folder / "metadata.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))


READ_ONLY: dict[str, Callable[[Path], None]] = {
    "cvat": _cvat,
    "imagefolder": _imagefolder,
    "label-studio": _label_studio,
    "via": _via,
}
"""By the name of the format: lays a small dataset out in a folder that exists and is empty."""
