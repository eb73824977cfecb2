"""Pascal VOC datasets that tests share, written by hand."""

from __future__ import annotations

import io
from pathlib import Path

import PIL.Image

from helpers.format_reading import refusing


def png() -> bytes:
    buffer = io.BytesIO()
    PIL.Image.new("L", (40, 30)).save(buffer, "PNG")
    return buffer.getvalue()


IMAGE = png()


def make_object(name: str = "cat", box: tuple[object, ...] = (1, 1, 10, 20), more: str = "") -> str:
    sides = "".join(
        f"<{k}>{v}</{k}>" for k, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    return f"  <object>\n    <name>{name}</name>{more}\n    <bndbox>{sides}</bndbox>\n  </object>\n"


def xml(
    *instances: str, filename: str | None = None, size: str = "<width>40</width><height>30</height>"
) -> str:
    named = f"<filename>{filename}</filename>" if filename is not None else ""
    return f"<annotation>{named}<size>{size}</size>\n{''.join(instances)}</annotation>\n"


def lay(root: Path, files: dict[str, str | bytes]) -> Path:
    for file, content in files.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def usual(root: Path, **pages: str | bytes) -> Path:
    """Write a dataset of these XML files with an image for each."""
    for stem, page in pages.items():
        lay(root, {f"Annotations/{stem}.xml": page, f"JPEGImages/{stem}.png": IMAGE})
    return root


refused = refusing("voc")
