"""The small data that attacks are made on: what foveate does not write itself."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

COLOURS = {"blue": (40, 60, 200), "green": (40, 180, 60), "red": (200, 40, 40)}


def _noisy(rng: np.random.Generator, colour: Sequence[int], size: int) -> np.ndarray:
    return np.clip(rng.normal(colour, 40, (size, size, 3)), 0, 255).astype(np.uint8)


def _colours(folder: Path, each: int = 14, size: int = 16) -> None:
    rng = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for number in range(each):
            image = Image.fromarray(_noisy(rng, colour, size))
            image.save(folder / name / f"{number:03}.png")


def _shapes(folder: Path, polygons: bool, count: int = 24, size: int = 32) -> None:
    """Coloured rectangles in COCO's format."""
    rng = np.random.default_rng(1)
    (folder / "images").mkdir(parents=True)
    images: list[dict[str, Any]] = []
    objects: list[dict[str, Any]] = []
    for number in range(count):
        pixels = _noisy(rng, (120, 120, 120), size)
        for _ in range(int(rng.integers(1, 3))):
            left, top = (int(v) for v in rng.integers(0, size - 14, 2))
            width, height = (int(v) for v in rng.integers(8, 14, 2))
            category = int(rng.integers(1, 3))
            pixels[top : top + height, left : left + width] = list(COLOURS.values())[category]
            right, bottom = left + width, top + height
            outline = [left, top, right, top, right, bottom, left, bottom]
            objects.append(
                {
                    "id": len(objects) + 1,
                    "image_id": number + 1,
                    "category_id": category,
                    "bbox": [left, top, width, height],
                    "area": width * height,
                    "iscrowd": 0,
                    **({"segmentation": [outline]} if polygons else {}),
                }
            )
        name = f"{number:03}.png"
        Image.fromarray(pixels).save(folder / "images" / name)
        images.append({"id": number + 1, "file_name": name, "width": size, "height": size})
    categories = [{"id": 1, "name": "green"}, {"id": 2, "name": "red"}]
    record = {"images": images, "annotations": objects, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(record))


def _masks(folder: Path, count: int = 16, size: int = 16) -> None:
    rng = np.random.default_rng(2)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for number in range(count):
        pixels, mask = _noisy(rng, (60, 60, 60), size), np.zeros((size, size), np.uint8)
        left, top = (int(v) for v in rng.integers(0, size // 2, 2))
        mask[top : top + 8, left : left + 8] = 1
        pixels[mask == 1] = (200, 200, 60)
        Image.fromarray(pixels).save(folder / "images" / f"{number:03}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{number:03}.png")
    (folder / "classes.csv").write_text("id,name\n0,ground\n1,square\n")


def _captions(folder: Path, count: int = 12, size: int = 16) -> None:
    rng = np.random.default_rng(3)
    folder.mkdir()
    rows = ["file_name,text"]
    for number in range(count):
        name = list(COLOURS)[number % 3]
        Image.fromarray(_noisy(rng, COLOURS[name], size)).save(folder / f"{number:03}.png")
        rows.append(f"{number:03}.png,a {name} square")
    (folder / "metadata.csv").write_text("\n".join(rows) + "\n")


def _many_kinds(folder: Path, size: int = 16) -> None:
    """The same image in every kind of file, in two classes."""
    rng = np.random.default_rng(4)
    for name in ("one", "two"):
        (folder / name).mkdir(parents=True)
        image = Image.fromarray(_noisy(rng, COLOURS["red"], size))
        exif = Image.Exif()
        exif[0x0112], exif[0x010E] = 6, "a description"
        saved: dict[str, tuple[Image.Image, dict[str, Any]]] = {
            "rgb.png": (image, {}),
            "alpha.png": (image.convert("RGBA"), {}),
            "palette.png": (image.convert("P"), {}),
            "bits.png": (image.convert("1"), {}),
            "deep.png": (Image.fromarray(rng.integers(0, 65536, (16, 16), dtype=np.uint16)), {}),
            "exif.jpg": (image, {"exif": exif}),
            "progressive.jpg": (image, {"progressive": True}),
            "cmyk.jpg": (image.convert("CMYK"), {}),
            "plain.bmp": (image, {}),
            "plain.gif": (image, {}),
            "packed.tiff": (image, {"compression": "tiff_lzw"}),
            "deflated.tif": (image, {"compression": "tiff_adobe_deflate"}),
            "lossy.webp": (image, {}),
            "grey.pgm": (image.convert("L"), {}),
        }
        for file, (pixels, options) in saved.items():
            pixels.save(folder / name / file, **options)


def _idx(folder: Path, size: int = 16) -> None:
    rng = np.random.default_rng(5)
    folder.mkdir()
    for split, count in (("train", 24), ("t10k", 8)):
        pixels = rng.integers(0, 256, (count, size, size), dtype=np.uint8)
        header = struct.pack(">IIII", 0x803, count, size, size)
        (folder / f"{split}-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
        labels = bytes(number % 3 for number in range(count))
        (folder / f"{split}-labels-idx1-ubyte").write_bytes(
            struct.pack(">II", 0x801, count) + labels
        )


def _instance_masks(folder: Path, count: int = 8, size: int = 16) -> None:
    rng = np.random.default_rng(6)
    for number in range(count):
        images, masks = (folder / f"{number:03}" / name for name in ("images", "masks"))
        images.mkdir(parents=True)
        masks.mkdir()
        Image.fromarray(_noisy(rng, (60, 60, 60), size)).save(images / f"{number:03}.png")
        for which in range(2):
            mask = np.zeros((size, size), np.uint8)
            mask[2:7, 8 * which : 8 * which + 5] = 255
            Image.fromarray(mask).save(masks / f"{which}.png")


WRITERS: dict[str, Callable[[Path], None]] = {
    "classification": _colours,
    "detection": partial(_shapes, polygons=False),
    "instance": partial(_shapes, polygons=True),
    "semantic": _masks,
    "captions": _captions,
    "image-kinds": _many_kinds,
    "idx": _idx,
    "instance-masks": _instance_masks,
}
"""What writes the data of each name into a new folder."""
