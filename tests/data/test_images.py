"""Pictures of every kind are read right."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from PIL import ImageOps

from foveate.data.images import IMAGE_SUFFIXES, FileSource, decode
from foveate.errors import BadImage
from helpers.image_files import DEEP, GREY, RGB, RGBA, RNG, png


def over_white(rgba: np.ndarray) -> np.ndarray:
    alpha = rgba[..., -1:] / 255
    return rgba[..., :-1] * alpha + 255 * (1 - alpha)


@pytest.mark.parametrize("ending", ["png", "bmp", "tif", "webp", "ppm"])
def test_colour_is_read_to_the_last_bit(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"x.{ending}"
    PIL.Image.fromarray(RGB).save(file, **({"lossless": True} if ending == "webp" else {}))
    assert np.array_equal(decode(file), RGB)
    assert np.array_equal(FileSource(file).read(), RGB)
    assert file.suffix in IMAGE_SUFFIXES


def test_a_wrong_ending_does_not_matter(tmp_path: Path) -> None:
    PIL.Image.fromarray(RGB).save(tmp_path / "x.jpg", "PNG")
    assert np.array_equal(decode(tmp_path / "x.jpg"), RGB)


def test_grey_has_one_channel_and_can_be_written_to(tmp_path: Path) -> None:
    PIL.Image.fromarray(GREY).save(tmp_path / "x.png")
    image = decode(tmp_path / "x.png")
    assert np.array_equal(image, GREY[..., None])
    assert image.dtype == np.uint8
    assert image.flags.writeable
    assert image.flags.c_contiguous


def test_one_bit_is_black_and_white(tmp_path: Path) -> None:
    PIL.Image.fromarray(GREY > 99).save(tmp_path / "x.png")
    assert np.array_equal(decode(tmp_path / "x.png"), np.where(GREY > 99, 255, 0)[..., None])


def test_a_palette_is_looked_up(tmp_path: Path) -> None:
    palette = PIL.Image.fromarray(RGB).quantize(8)
    palette.save(tmp_path / "x.png")
    assert np.array_equal(decode(tmp_path / "x.png"), np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize("transparency", [3, bytes([0, 128, 255, 30, 60, 90, 120, 150])])
def test_a_transparent_palette_lies_on_white(tmp_path: Path, transparency: int | bytes) -> None:
    palette = PIL.Image.fromarray(RGB).quantize(8)
    palette.save(tmp_path / "x.png", transparency=transparency)
    alphas = (
        [0 if i == transparency else 255 for i in range(8)]
        if transparency == 3
        else list(transparency)
    )
    indices, colours = np.asarray(palette), np.array(palette.getpalette("RGB")).reshape(-1, 3)
    rgba = np.dstack([colours[indices], np.array(alphas)[indices]])
    assert np.abs(decode(tmp_path / "x.png") - over_white(rgba)).max() <= 1


def test_transparent_images_lie_on_white(tmp_path: Path) -> None:
    PIL.Image.fromarray(RGBA).save(tmp_path / "x.png")
    assert np.abs(decode(tmp_path / "x.png") - over_white(RGBA)).max() <= 1
    PIL.Image.fromarray(RGBA[..., :2]).save(tmp_path / "y.png")
    grey = decode(tmp_path / "y.png")
    assert grey.shape == (5, 7, 1)
    assert np.abs(grey - over_white(RGBA[..., :2])).max() <= 1


def test_what_is_hidden_under_full_transparency_stays_hidden(tmp_path: Path) -> None:
    hidden = RGBA.copy()
    hidden[..., 3] = 0
    PIL.Image.fromarray(hidden).save(tmp_path / "x.png")
    assert (decode(tmp_path / "x.png") == 255).all()


def test_a_transparent_grey_level_lies_on_white(tmp_path: Path) -> None:
    PIL.Image.fromarray(GREY).save(tmp_path / "x.png", transparency=int(GREY[0, 0]))
    assert np.array_equal(
        decode(tmp_path / "x.png"), np.where(GREY[0, 0] == GREY, 255, GREY)[..., None]
    )


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr"])
def test_print_colours_become_screen_colours(tmp_path: Path, mode: str) -> None:
    smooth = PIL.Image.fromarray(np.dstack([np.tile(np.arange(0, 256, 4, np.uint8), (64, 1))] * 3))
    smooth.convert(mode).save(tmp_path / "x.jpg", quality=98)
    assert np.abs(decode(tmp_path / "x.jpg").astype(int) - np.asarray(smooth)).max() <= 6


def test_inverted_cmyk_as_photoshop_writes_it(tmp_path: Path) -> None:
    PIL.Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "x.jpg")
    data = (tmp_path / "x.jpg").read_bytes()
    assert b"Adobe" in data  # the marker that says: values are inverted
    assert np.abs(decode(tmp_path / "x.jpg").astype(int) - (255, 0, 0)).max() <= 3


@pytest.mark.parametrize("ending", ["png", "tif", "pgm"])
def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path: Path, ending: str) -> None:
    PIL.Image.fromarray(DEEP).save(tmp_path / f"x.{ending}")
    assert np.array_equal(decode(tmp_path / f"x.{ending}"), np.rint(DEEP / 257)[..., None])


def test_big_endian_and_white_is_zero(tmp_path: Path) -> None:
    def tiff(byte_order: str, photometric: int) -> bytes:
        """The smallest TIFF (6.0, section 2): header, a directory of nine entries, one strip."""
        tags = [
            (256, 7),
            (257, 5),
            (258, 16),
            (259, 1),
            (262, photometric),
            (273, 122),
            (277, 1),
            (278, 5),
        ]
        entries = [*tags, (279, 70)]
        head = (b"II" if byte_order == "<" else b"MM") + struct.pack(f"{byte_order}HI", 42, 8)
        short = [struct.pack(f"{byte_order}HHIHH", tag, 3, 1, value, 0) for tag, value in entries]
        directory = struct.pack(f"{byte_order}H", len(entries)) + b"".join(short) + bytes(4)
        return head + directory + DEEP.astype(f"{byte_order}u2").tobytes()

    for byte_order, photometric, expected in (
        ("<", 1, DEEP),
        (">", 1, DEEP),
        ("<", 0, 65535 - DEEP),
        (">", 0, 65535 - DEEP),  # unknown to Pillow
    ):
        (tmp_path / "x.tif").write_bytes(tiff(byte_order, photometric))
        assert np.array_equal(decode(tmp_path / "x.tif"), np.rint(expected / 257)[..., None])


@pytest.mark.parametrize(("colour", "channels"), [(2, 3), (4, 2), (6, 4)])
def test_sixteen_bit_colour_keeps_its_high_byte(tmp_path: Path, colour: int, channels: int) -> None:
    deep = RNG.integers(0, 65536, (4, 3, channels)).astype(">u2")
    (tmp_path / "x.png").write_bytes(
        png(3, 4, 16, colour, b"".join(b"\0" + row.tobytes() for row in deep))
    )
    expected = deep / 257 if colour == 2 else over_white(deep / 257)
    assert np.abs(decode(tmp_path / "x.png") - expected).max() <= 2


def test_a_float_image_is_from_nought_to_one(tmp_path: Path) -> None:
    ramp = np.linspace(0, 1, 35, dtype=np.float32).reshape(5, 7)
    PIL.Image.fromarray(ramp).save(tmp_path / "x.tif")
    assert np.array_equal(decode(tmp_path / "x.tif"), np.rint(ramp * 255)[..., None])
    for bad in (
        ramp * 255,
        ramp - 0.1,
        np.full((5, 7), np.nan, np.float32),
        ramp + np.float32(np.inf),
    ):
        PIL.Image.fromarray(bad).save(tmp_path / "x.tif")
        with pytest.raises(BadImage, match="from 0 to 1 are expected") as caught:
            decode(tmp_path / "x.tif")
        assert caught.value.remedy


def test_thirty_two_bits_without_a_white_are_refused(tmp_path: Path) -> None:
    PIL.Image.fromarray(np.array([[-5, 70_000]], np.int32)).save(tmp_path / "x.tif")
    with pytest.raises(BadImage, match="got -5 to 70000"):
        decode(tmp_path / "x.tif")


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_stand_upright(tmp_path: Path, ending: str, orientation: int) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    PIL.Image.fromarray(RGB).save(tmp_path / f"x.{ending}", exif=exif)
    with PIL.Image.open(tmp_path / f"x.{ending}") as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(decode(tmp_path / f"x.{ending}"), expected)


def test_an_impossible_orientation_is_no_orientation(tmp_path: Path) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 77
    PIL.Image.fromarray(RGB).save(tmp_path / "x.png", exif=exif)
    assert np.array_equal(decode(tmp_path / "x.png"), RGB)


@pytest.mark.parametrize("ending", ["gif", "png", "webp", "tif"])
def test_the_first_of_many_frames(tmp_path: Path, ending: str) -> None:
    frames = [PIL.Image.new("RGB", (8, 6), colour) for colour in ("red", "blue", "lime")]
    extra = {"lossless": True} if ending == "webp" else {}
    frames[0].save(tmp_path / f"x.{ending}", save_all=True, append_images=frames[1:], **extra)
    with PIL.Image.open(tmp_path / f"x.{ending}") as image:
        assert image.n_frames == 3
    assert np.array_equal(decode(tmp_path / f"x.{ending}"), np.full((6, 8, 3), (255, 0, 0)))


def test_reading_images_needs_no_torch() -> None:
    code = (
        "import sys, foveate.data.images, foveate.datasets.load; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
