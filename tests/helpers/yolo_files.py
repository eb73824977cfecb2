"""YOLO datasets that tests share, written by hand."""

from __future__ import annotations

import io
from pathlib import Path

import PIL.Image

from helpers.format_reading import refusing


def make_image(ending: str = "png", orientation: int = 1) -> bytes:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    PIL.Image.new("L", (40, 20)).save(buffer, ending, exif=exif)
    return buffer.getvalue()


IMAGE = make_image()
NAMES = "names: [cat, dog]\n"
LINE = "1 0.5 0.5 0.25 0.5\n"
LINE_BOX = (15.0, 5.0, 25.0, 15.0)


def lay(root: Path, files: dict[str, str | bytes]) -> Path:
    for file, content in files.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def usual(root: Path, text: str | bytes = LINE, description: str | bytes = NAMES) -> Path:
    """Write one image with this text file and description."""
    return lay(root, {"images/a.png": IMAGE, "labels/a.txt": text, "data.yaml": description})


refused = refusing("yolo")
