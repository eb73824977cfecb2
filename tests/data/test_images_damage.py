"""What is no image, or a damaged one, is one clear error."""

from __future__ import annotations

import io
import os
import struct
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import ImageFile, TiffImagePlugin

from foveate.data.images import decode
from foveate.errors import BadImage
from helpers.image_files import RGB, png, refused


def test_what_is_no_file(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "x.png")
    assert "folder" in refused(tmp_path)
    (tmp_path / "empty.png").touch()
    assert "0 bytes" in refused(tmp_path / "empty.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    assert "links" in refused(tmp_path / "loop.png")
    assert "too long" in refused(tmp_path / ("x" * 300))
    with pytest.raises(BadImage, match="null byte"):
        decode(tmp_path / "a\0b.png")


def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.png")
    assert "a folder or a device" in refused(tmp_path / "x.png")


def test_permission_denied(tmp_path: Path) -> None:
    PIL.Image.fromarray(RGB).save(tmp_path / "x.png")
    (tmp_path / "x.png").chmod(0)
    me = os.geteuid()
    if me == 0:
        os.seteuid(65534)  # the superuser may read everything, so be nobody for a while
    try:
        assert "permission" in refused(tmp_path / "x.png")
    finally:
        os.seteuid(me)


def test_what_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("<html>404</html>")
    assert "PNG, JPEG" in refused(tmp_path / "x.png")
    (tmp_path / "x.eps").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n showpage\n"
    )
    assert "PNG, JPEG" in refused(tmp_path / "x.eps")  # and no Ghostscript was started


def encoded(kind: str, size: int = 16) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 256, (size, size, 3), np.uint8)
    PIL.Image.fromarray(noise).save(buffer, kind)
    return buffer.getvalue()


KINDS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")


@pytest.mark.parametrize("kind", KINDS)
def test_half_a_file_is_no_image(tmp_path: Path, kind: str) -> None:
    data = encoded(kind, 64)
    (tmp_path / "x").write_bytes(data)
    assert decode(tmp_path / "x").shape == (64, 64, 3)
    for share in (0.3, 0.5, 0.9):
        (tmp_path / "x").write_bytes(data[: int(len(data) * share)])
        refused(tmp_path / "x")
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False  # with it the lower half would silently be grey


@pytest.mark.parametrize("size", [(9460, 9459), (30_000, 30_000), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_refused_by_its_header(tmp_path: Path, size: tuple[int, int]) -> None:
    (tmp_path / "x.png").write_bytes(png(*size, 1, 0, b""))
    assert "at most 89,478,485 pixels" in refused(tmp_path / "x.png")
    assert PIL.Image.MAX_IMAGE_PIXELS == 89_478_485  # Pillow's own guard is still there for others


def test_no_area_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(png(0, 5, 8, 0, b""))
    refused(tmp_path / "x.png")


def check_survives(folder: Path, data: bytes) -> None:
    file = folder / "fuzz"
    file.write_bytes(data)
    try:
        image = decode(file)
    except BadImage:
        return
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] in (1, 3)


FUZZ = settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@FUZZ
@given(
    magic=st.sampled_from([encoded(kind)[:12] for kind in KINDS] + [b""]),
    rest=st.binary(max_size=300),
)
def test_garbage_is_an_error_and_nothing_else(tmp_path: Path, magic: bytes, rest: bytes) -> None:
    check_survives(tmp_path, magic + rest)


@FUZZ
@given(
    kind=st.sampled_from(KINDS),
    cut=st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
)
def test_damage_is_an_error_or_an_image(
    tmp_path: Path, kind: str, cut: float, flips: list[tuple[float, int]]
) -> None:
    data = bytearray(encoded(kind))
    for place, value in flips:
        data[int(place**2 * len(data))] = value  # squared: headers are where parsers break
    check_survives(tmp_path, bytes(data if cut > 0.5 else data[: int(2 * cut * len(data))]))


def noisy_tiff(folder: Path) -> Path:
    """A good TIFF of which Pillow warns."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[700] = b"x" * 200
    PIL.Image.fromarray(RGB).save(folder / "x.tif", tiffinfo=tags)
    data = (folder / "x.tif").read_bytes()
    entry = data.index(struct.pack("<HH", 700, 1))
    (folder / "x.tif").write_bytes(
        data[: entry + 4] + struct.pack("<I", 100_000) + data[entry + 8 :]
    )
    return folder / "x.tif"


def test_no_warning_leaks_and_the_filters_are_put_back(tmp_path: Path) -> None:
    file = noisy_tiff(tmp_path)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with PIL.Image.open(file) as image:
            image.load()
    assert heard  # or this test tests nothing
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        for image in pool.map(decode, [file] * 64):
            assert np.array_equal(image, RGB)
    assert list(warnings.filters) == before
