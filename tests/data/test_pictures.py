"""Pictures of every kind are read right, and anything else is one clear error."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import ImageFile, ImageOps, TiffImagePlugin

from foveate.data.pictures import PICTURE_SUFFIXES, FileSource, decode, fit
from foveate.errors import BadPicture

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (5, 7), np.uint8)
RGB = RNG.integers(0, 256, (5, 7, 3), np.uint8)
RGBA = RNG.integers(0, 256, (5, 7, 4), np.uint8)
DEEP = RNG.integers(0, 65536, (5, 7), np.uint16)
DEEP[0, :4] = 0, 65535, 128, 129  # the ends, and both sides of the first rounding


def over_white(rgba: np.ndarray) -> np.ndarray:
    alpha = rgba[..., -1:] / 255
    return rgba[..., :-1] * alpha + 255 * (1 - alpha)


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    """A PNG made by hand, of the kinds that Pillow cannot write (W3C, PNG specification, section 11.2)."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("ending", ["png", "bmp", "tif", "webp", "ppm"])
def test_colour_is_read_to_the_last_bit(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"x.{ending}"
    PIL.Image.fromarray(RGB).save(file, **({"lossless": True} if ending == "webp" else {}))
    assert np.array_equal(decode(file), RGB)
    assert np.array_equal(FileSource(file).read(), RGB)
    assert file.suffix in PICTURE_SUFFIXES


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
    alphas = [0 if i == transparency else 255 for i in range(8)] if transparency == 3 else list(transparency)
    indices, colours = np.asarray(palette), np.array(palette.getpalette("RGB")).reshape(-1, 3)
    rgba = np.dstack([colours[indices], np.array(alphas)[indices]])
    assert np.abs(decode(tmp_path / "x.png") - over_white(rgba)).max() <= 1


def test_transparent_pictures_lie_on_white(tmp_path: Path) -> None:
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
    assert np.array_equal(decode(tmp_path / "x.png"), np.where(GREY[0, 0] == GREY, 255, GREY)[..., None])


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
        """The smallest TIFF (revision 6.0, section 2): header, one directory of nine entries, one strip."""
        tags = [(256, 7), (257, 5), (258, 16), (259, 1), (262, photometric), (273, 122), (277, 1), (278, 5)]
        entries = [*tags, (279, 70)]
        head = (b"II" if byte_order == "<" else b"MM") + struct.pack(f"{byte_order}HI", 42, 8)
        short = [struct.pack(f"{byte_order}HHIHH", tag, 3, 1, value, 0) for tag, value in entries]
        directory = struct.pack(f"{byte_order}H", len(entries)) + b"".join(short) + bytes(4)
        return head + directory + DEEP.astype(f"{byte_order}u2").tobytes()

    for byte_order, photometric, expected in (("<", 1, DEEP), (">", 1, DEEP), ("<", 0, 65535 - DEEP)):
        (tmp_path / "x.tif").write_bytes(tiff(byte_order, photometric))
        assert np.array_equal(decode(tmp_path / "x.tif"), np.rint(expected / 257)[..., None])
    (tmp_path / "x.tif").write_bytes(tiff(">", 0))  # unknown to Pillow: refused rather than read upside down
    refused(tmp_path / "x.tif")


def test_twelve_bits_need_their_own_white(tmp_path: Path) -> None:
    PIL.Image.fromarray(DEEP // 16).save(tmp_path / "x.png")
    expected = np.rint((DEEP // 16) * (255 / 4095))[..., None]
    assert np.array_equal(FileSource(tmp_path / "x.png", white=4095).read(), expected)
    PIL.Image.fromarray(DEEP).save(tmp_path / "x.png")
    with pytest.raises(BadPicture, match="from 0 to 4095 are expected, got 0 to 65535"):
        FileSource(tmp_path / "x.png", white=4095).read()


@pytest.mark.parametrize(("colour", "channels"), [(2, 3), (4, 2), (6, 4)])
def test_sixteen_bit_colour_keeps_its_high_byte(tmp_path: Path, colour: int, channels: int) -> None:
    deep = RNG.integers(0, 65536, (4, 3, channels)).astype(">u2")
    (tmp_path / "x.png").write_bytes(png(3, 4, 16, colour, b"".join(b"\0" + row.tobytes() for row in deep)))
    expected = deep / 257 if colour == 2 else over_white(deep / 257)
    assert np.abs(decode(tmp_path / "x.png") - expected).max() <= 2


def test_a_float_picture_is_from_nought_to_one(tmp_path: Path) -> None:
    ramp = np.linspace(0, 1, 35, dtype=np.float32).reshape(5, 7)
    PIL.Image.fromarray(ramp).save(tmp_path / "x.tif")
    assert np.array_equal(decode(tmp_path / "x.tif"), np.rint(ramp * 255)[..., None])
    for bad in (ramp * 255, ramp - 0.1, np.full((5, 7), np.nan, np.float32), ramp + np.float32(np.inf)):
        PIL.Image.fromarray(bad).save(tmp_path / "x.tif")
        with pytest.raises(BadPicture, match="from 0 to 1 are expected") as caught:
            decode(tmp_path / "x.tif")
        assert caught.value.remedy


def test_thirty_two_bits_without_a_white_are_refused(tmp_path: Path) -> None:
    PIL.Image.fromarray(np.array([[-5, 70_000]], np.int32)).save(tmp_path / "x.tif")
    with pytest.raises(BadPicture, match="got -5 to 70000"):
        decode(tmp_path / "x.tif")


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_upright(tmp_path: Path, ending: str, orientation: int) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    PIL.Image.fromarray(RGB).save(tmp_path / f"x.{ending}", exif=exif)
    with PIL.Image.open(tmp_path / f"x.{ending}") as picture:
        expected = np.asarray(ImageOps.exif_transpose(picture))
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
    with PIL.Image.open(tmp_path / f"x.{ending}") as picture:
        assert picture.n_frames == 3
    assert np.array_equal(decode(tmp_path / f"x.{ending}"), np.full((6, 8, 3), (255, 0, 0)))


# --- what is no picture ---------------------------------------------------------------------------


def refused(path: Path) -> str:
    with pytest.raises(BadPicture) as caught:
        decode(path)
    assert str(path) in str(caught.value)
    assert str(path) not in caught.value.message  # the message alone is the reason in a list of skipped files
    return caught.value.message


def test_what_is_no_file(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "x.png")
    assert "folder" in refused(tmp_path)
    (tmp_path / "empty.png").touch()
    assert "0 bytes" in refused(tmp_path / "empty.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    assert "links" in refused(tmp_path / "loop.png")
    assert "too long" in refused(tmp_path / ("x" * 300))
    with pytest.raises(BadPicture, match="null byte"):
        decode(tmp_path / "a\0b.png")


def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.png")
    assert "not a regular file" in refused(tmp_path / "x.png")


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


def test_what_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("<html>404</html>")
    assert "PNG, JPEG" in refused(tmp_path / "x.png")
    (tmp_path / "x.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n showpage\n")
    assert "PNG, JPEG" in refused(tmp_path / "x.eps")  # and no Ghostscript was started


def encoded(kind: str, size: int = 16) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 256, (size, size, 3), np.uint8)
    PIL.Image.fromarray(noise).save(buffer, kind)
    return buffer.getvalue()


KINDS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")


@pytest.mark.parametrize("kind", KINDS)
def test_half_a_file_is_no_picture(tmp_path: Path, kind: str) -> None:
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


def test_no_area_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(png(0, 5, 8, 0, b""))
    refused(tmp_path / "x.png")


def check_survives(folder: Path, data: bytes) -> None:
    file = folder / "fuzz"
    file.write_bytes(data)
    try:
        image = decode(file)
    except BadPicture:
        return
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] in (1, 3)


FUZZ = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(magic=st.sampled_from([encoded(kind)[:12] for kind in KINDS] + [b""]), rest=st.binary(max_size=300))
def test_garbage_is_an_error_and_nothing_else(tmp_path: Path, magic: bytes, rest: bytes) -> None:
    check_survives(tmp_path, magic + rest)


@FUZZ
@given(
    kind=st.sampled_from(KINDS),
    cut=st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
)
def test_damage_is_an_error_or_a_picture(tmp_path: Path, kind: str, cut: float, flips: list[tuple[float, int]]) -> None:
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
    (folder / "x.tif").write_bytes(data[: entry + 4] + struct.pack("<I", 100_000) + data[entry + 8 :])
    return folder / "x.tif"


def test_no_warning_leaks_and_the_filters_are_put_back(tmp_path: Path) -> None:
    file = noisy_tiff(tmp_path)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with PIL.Image.open(file) as picture:
            picture.load()
    assert heard  # or this test tests nothing
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        for image in pool.map(decode, [file] * 64):
            assert np.array_equal(image, RGB)
    assert list(warnings.filters) == before


# --- fit ------------------------------------------------------------------------------------------


def test_what_fits_is_not_copied() -> None:
    image = RGB[:5, :5]
    assert fit(image, 5, 3) is image


@pytest.mark.parametrize("size", [1, 3, 28, 224])
def test_fit_is_pillows_antialiased_bilinear(size: int) -> None:
    expected = PIL.Image.fromarray(RGB).resize((size, size), PIL.Image.Resampling.BILINEAR)
    assert np.array_equal(fit(RGB, size, 3), np.asarray(expected))
    grey = PIL.Image.fromarray(GREY).resize((size, size), PIL.Image.Resampling.BILINEAR)
    assert np.array_equal(fit(GREY[..., None], size, 1)[..., 0], np.asarray(grey))


def test_shrinking_averages() -> None:
    """A checkerboard becomes grey; without antialiasing it would become black, white or stripes."""
    checker = np.indices((64, 64)).sum(0)[..., None] % 2 * np.uint8(255)
    assert np.abs(fit(checker.astype(np.uint8), 8, 1).astype(int) - 128).max() <= 4


def test_grey_is_repeated_and_colour_weighed() -> None:
    colour = fit(GREY[..., None], 9, 3)
    assert colour.shape == (9, 9, 3)
    assert (colour == colour[..., :1]).all()
    luma = RGB[:5, :5] @ np.array([0.299, 0.587, 0.114])
    assert np.abs(fit(RGB[:5, :5], 5, 1)[..., 0] - luma).max() <= 1


def test_many_bands_are_resized_one_by_one() -> None:
    bands = RNG.integers(0, 256, (5, 7, 6), np.uint8)
    fitted = fit(bands, 11, 6)
    assert fitted.shape == (11, 11, 6)
    for band in range(6):
        assert np.array_equal(fitted[..., band : band + 1], fit(bands[..., band : band + 1], 11, 1))


def test_other_changes_of_channels_are_refused() -> None:
    with pytest.raises(BadPicture, match="3 channels is expected, got 6"):
        fit(np.zeros((4, 4, 6), np.uint8), 8, 3)
    with pytest.raises(BadPicture, match="with pixels"):
        fit(np.zeros((0, 4, 1), np.uint8), 8, 1)


def test_reading_pictures_needs_no_torch() -> None:
    code = "import sys, foveate.data.pictures, foveate.data.load; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
