"""A image's size from its header alone is that of the decoded image, however it is turned."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from foveate.data import images
from foveate.errors import BadImage

ENDINGS = (".png", ".jpg", ".tif", ".webp", ".gif", ".bmp", ".ppm")


def make(path: Path, orientation: int | None = None) -> Path:
    exif = PIL.Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    pixels = np.arange(6 * 9 * 3, dtype=np.uint8).reshape(6, 9, 3)
    PIL.Image.fromarray(pixels).save(
        path, **({} if path.suffix in (".bmp", ".ppm", ".gif") else {"exif": exif})
    )
    return path


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("orientation", [None, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
def test_size_is_that_of_the_decoded_image(
    tmp_path: Path, ending: str, orientation: int | None
) -> None:
    path = make(tmp_path / f"x{ending}", orientation)
    found = images.size(path)
    assert found == images.decode(path).shape[:2]
    assert all(type(side) is int for side in found)


@pytest.mark.parametrize("kind", ["eXIf", "zTXt", "tEXt"])
def test_a_png_that_says_after_its_pixels_how_it_is_turned(tmp_path: Path, kind: str) -> None:
    path = make(tmp_path / "x.png")
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    profile = f"\nexif\n{len(block) + 6}\n{(b'Exif' + bytes(2) + block).hex()}".encode()
    data = {
        "eXIf": block,
        "zTXt": b"Raw profile type exif\0\0" + zlib.compress(profile),
        "tEXt": b"Raw profile type exif\0" + profile,
    }[kind]
    chunk = kind.encode() + data
    late = struct.pack(">I", len(data)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    whole = path.read_bytes()
    path.write_bytes(whole[:-12] + late + whole[-12:])
    assert images.decode(path).shape[:2] == (9, 6)
    assert images.size(path) == (9, 6)


def test_nothing_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [make(tmp_path / f"x{ending}", 6) for ending in ENDINGS]
    plain = make(tmp_path / "plain.png")
    monkeypatch.setattr(images, "examine", None)
    monkeypatch.setattr(PIL.Image.Image, "load", None)
    assert {images.size(path) for path in paths} == {(9, 6), (6, 9)}
    assert images.size(plain) == (6, 9)


@pytest.mark.parametrize("content", [b"", b"none", b"\x89PNG\r\n\x1a\n", b"P6 99999 99999 255\n"])
def test_what_has_no_size(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(BadImage) as caught:
        images.size(tmp_path / "x.png")
    assert caught.value.where == tmp_path / "x.png"
    with pytest.raises(BadImage, match="no such file"):
        images.size(tmp_path / "y.png")
    with pytest.raises(BadImage, match="folder"):
        images.size(tmp_path)
