"""Windows of a TIFF have the pixels of the whole image, and need little memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foveate.data import resizing, windows
from foveate.data.image_reading import ImageReading
from foveate.data.images import decode
from foveate.data.windows import open_windows
from foveate.errors import BadImage

tifffile = pytest.importorskip("tifffile")
PLAIN, DEEP = ImageReading(), ImageReading(0, 4095)
HEIGHT, WIDTH = 260, 340


@pytest.fixture(autouse=True)
def _small_images_count(monkeypatch):
    monkeypatch.setattr(windows, "MIN_PIXELS", 1)


def pixels() -> np.ndarray:
    rng = np.random.default_rng(0)
    blocks = np.kron(rng.integers(0, 255, (13, 17, 3)), np.ones((20, 20, 1), int))
    return np.clip(blocks + rng.integers(-9, 9, blocks.shape), 0, 255).astype(np.uint8)


RGB = pixels()
GREY = np.ascontiguousarray(RGB[..., 1])


def assert_equal(path: Path, reading: ImageReading = PLAIN) -> windows.TiffWindows:
    """Windows that lie within a part, across parts, at the edges; the whole; and resized."""
    image, whole = open_windows(path, reading), decode(path, reading)
    assert image is not None
    assert image.shape == whole.shape
    for top, left, height, width in (
        (0, 0, HEIGHT, WIDTH), (0, 0, 1, 1), (70, 65, 9, 7), (30, 100, 200, 111),
        (HEIGHT - 9, WIDTH - 3, 9, 3), (63, 64, 65, 64),
    ):  # fmt: skip
        rows, columns = slice(top, top + height), slice(left, left + width)
        assert np.array_equal(image[rows, columns], whole[rows, columns])
    for size in (32, 100, 339, 1000):
        for channels in {whole.shape[2], 1}:
            small = resizing.fit_within(whole, size, channels)
            assert np.array_equal(resizing.fit_within(image, size, channels), small)
    return image


@pytest.mark.parametrize("compression", [None, "deflate", "packbits", "lzw", "jpeg", "zstd"])
@pytest.mark.parametrize("tile", [None, (64, 64), (128, 80)])
@pytest.mark.parametrize("big", [False, True])
def test_tiles_and_strips_of_every_compression(compression, tile, big, tmp_path):
    for values in (RGB, GREY):
        try:
            tifffile.imwrite(
                tmp_path / "x.tif", values, tile=tile, compression=compression, bigtiff=big,
                photometric="rgb" if values.ndim == 3 else "minisblack",
                rowsperstrip=None if tile else 48,
            )  # fmt: skip
        except (ImportError, ValueError) as error:
            pytest.skip(f"tifffile cannot write it here: {error}")
        assert_equal(tmp_path / "x.tif")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
@pytest.mark.parametrize("compression", [None, "tiff_deflate", "tiff_lzw", "jpeg", "group4"])
def test_every_mode_that_pillow_writes(mode, compression, tmp_path):
    try:
        Image.fromarray(RGB).convert(mode).save(tmp_path / "x.tif", compression=compression)
    except (OSError, RuntimeError):
        pytest.skip("Pillow does not write it")
    assert_equal(tmp_path / "x.tif")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("tile", [None, (64, 64)])
def test_more_than_8_bits_with_black_and_white(order, tile, tmp_path):
    for values in (GREY.astype(np.uint16) * 16, RGB.astype(np.uint16) * 16):
        tifffile.imwrite(
            tmp_path / "x.tif", values, tile=tile, byteorder=order, compression="deflate",
            predictor=True, photometric="rgb" if values.ndim == 3 else "minisblack",
        )  # fmt: skip
        assert_equal(tmp_path / "x.tif", DEEP)
        assert (
            open_windows(tmp_path / "x.tif", PLAIN) is None
        )  # all values decide how they are read


def test_inverted_grey_and_subsampled_colour(tmp_path):
    tifffile.imwrite(tmp_path / "x.tif", GREY, photometric="miniswhite", tile=(64, 64))
    assert_equal(tmp_path / "x.tif")
    pytest.importorskip("imagecodecs")
    tifffile.imwrite(
        tmp_path / "x.tif", RGB, tile=(64, 64), compression="jpeg", photometric="ycbcr",
        subsampling=(2, 2),
    )  # fmt: skip
    assert_equal(tmp_path / "x.tif")


def test_the_largest_image_of_a_pyramid_is_read(tmp_path):
    with tifffile.TiffWriter(tmp_path / "x.tif") as writer:
        options = {"tile": (64, 64), "photometric": "rgb", "compression": "deflate"}
        writer.write(RGB, subifds=1, **options)
        writer.write(np.ascontiguousarray(RGB[::2, ::2]), subfiletype=1, **options)
    assert_equal(tmp_path / "x.tif")


def test_one_uncompressed_strip_is_read_in_parts(tmp_path):
    tifffile.imwrite(tmp_path / "x.tif", RGB, rowsperstrip=HEIGHT, photometric="rgb")
    image = assert_equal(tmp_path / "x.tif")
    assert len(image._parts.offsets) == 1  # of a mebibyte
    large = np.broadcast_to(RGB[:1, :1], (3000, 1000, 3))
    tifffile.imwrite(tmp_path / "y.tif", large, rowsperstrip=3000, photometric="rgb")
    assert len(open_windows(tmp_path / "y.tif", PLAIN)._parts.offsets) == 9


def test_what_cannot_be_read_by_windows_is_left_to_be_read_whole(tmp_path, monkeypatch):
    path = tmp_path / "x.tif"
    Image.fromarray(RGB).save(tmp_path / "x.png")
    assert open_windows(tmp_path / "x.png", PLAIN) is None
    tifffile.imwrite(path, RGB, photometric="rgb", tile=(64, 64), extratags=[(274, 3, 1, 6, True)])
    assert open_windows(path, PLAIN) is None
    tifffile.imwrite(
        path, RGB.transpose(2, 0, 1).copy(), photometric="rgb", planarconfig="separate"
    )
    assert open_windows(path, PLAIN) is None
    tifffile.imwrite(path, np.stack([GREY] * 5), photometric="minisblack", tile=(64, 64))
    assert open_windows(path, ImageReading(pages="max")) is None
    assert_equal(path)  # the first page
    tifffile.imwrite(path, RGB, photometric="rgb", compression="deflate", rowsperstrip=HEIGHT)
    assert_equal(path)
    monkeypatch.setattr(windows, "_MAX_PART_BYTES", HEIGHT * WIDTH)
    assert open_windows(path, PLAIN) is None
    monkeypatch.setattr(windows, "MIN_PIXELS", HEIGHT * WIDTH + 1)
    tifffile.imwrite(path, RGB, photometric="rgb", tile=(64, 64))
    assert open_windows(path, PLAIN) is None


def test_damage_and_too_many_pixels_are_told(tmp_path):
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, RGB, photometric="rgb", tile=(64, 64), compression="deflate")
    whole = path.read_bytes()
    with pytest.raises(BadImage, match=r"x\.tif: an image of at most 16,000 pixels"):
        open_windows(path, ImageReading(max_pixels=1000))
    assert open_windows(path, ImageReading(max_pixels=HEIGHT * WIDTH // 16 + 1)) is not None
    image = open_windows(path, PLAIN)
    offset = image._parts.offsets[-1]
    path.write_bytes(whole[:offset] + bytes(20) + whole[offset + 20 :])
    image[0:50, 0:50]
    with pytest.raises(BadImage, match=r"x\.tif: "):
        image[HEIGHT - 5 : HEIGHT, WIDTH - 5 : WIDTH]
    path.unlink()
    with pytest.raises(BadImage, match="no such file"):
        image[100:105, 100:105]


@pytest.mark.slow
def test_an_image_of_99_megapixels_is_read_in_little_memory(tmp_path):
    """300 MB as an array; its row of windows and the parts in the cache are a third of that."""
    path = tmp_path / "slide.tif"
    height, width = 9000, 11_000

    def tiles():
        for number in range(-(-height // 256) * -(-width // 256)):
            yield np.full((256, 256, 3), number % 251, np.uint8)

    tifffile.imwrite(
        path, tiles(), shape=(height, width, 3), dtype=np.uint8, tile=(256, 256),
        photometric="rgb", compression="deflate",
    )  # fmt: skip
    script = f"""
import resource
from pathlib import Path
from foveate.data.windows import open_windows
from foveate.data.image_reading import ImageReading
from foveate.ops.tiles import tiles
image = open_windows(Path({str(path)!r}), ImageReading())
image[0:9, 0:9]
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak()
total = 0
for left, top, right, bottom in tiles({height}, {width}, 512):
    total += int(image[top:bottom, left:right].shape[0])
assert image.fit_within(512, 3).shape == (419, 512, 3)
print(peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 180
