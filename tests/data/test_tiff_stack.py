"""TIFFs with several bands, pages and axes are read whole, or the choice is named."""

from __future__ import annotations

import builtins
import importlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from foveate.data import tiff_stack
from foveate.data.image_reading import ImageReading
from foveate.data.images import decode, examine, size
from foveate.errors import BadImage

tifffile = pytest.importorskip("tifffile")

RNG = np.random.default_rng(0)
STACK = RNG.integers(0, 256, (5, 6, 7), np.uint8)
DEEP = RNG.integers(0, 65536, (2, 3, 4, 6, 7), np.uint16)  # T, Z, C, Y, X
FULL = ImageReading(0, 65535)


def eight(values: np.ndarray) -> np.ndarray:
    """16 bits to 8; values whose 8 bits a tie decides do not occur."""
    return np.rint(values / 257).astype(np.uint8)


# --- pages


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        (None, STACK[0][..., None]),
        ("first", STACK[0][..., None]),
        ("max", STACK.max(0)[..., None]),
        ("bands", STACK.transpose(1, 2, 0)),
    ],
)
def test_pages_are_the_first_the_maximum_or_bands(
    tmp_path: Path, pages: Any, expected: np.ndarray
) -> None:
    first, *others = (PIL.Image.fromarray(page) for page in STACK)
    first.save(tmp_path / "x.tif", save_all=True, append_images=others)
    image, info = examine(tmp_path / "x.tif", ImageReading(pages=pages))
    assert np.array_equal(image, expected)
    assert image.flags.c_contiguous
    assert info.pages == 5
    assert size(tmp_path / "x.tif") == (6, 7)


def test_thumbnails_are_no_pages(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "x.tif") as writer:
        writer.write(np.zeros((32, 32, 3), np.uint8))
        writer.write(np.zeros((8, 8, 3), np.uint8), subfiletype=1)
    for pages in (None, "max"):
        image, info = examine(tmp_path / "x.tif", ImageReading(pages=pages))
        assert image.shape == (32, 32, 3)
        assert info.pages == 1


def test_pages_of_other_sizes_are_counted_and_cannot_be_joined(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "x.tif") as writer:
        writer.write(STACK[0])
        writer.write(STACK[1, :3])
    assert examine(tmp_path / "x.tif")[1].pages == 2
    with pytest.raises(BadImage, match="pages of one size and type") as caught:
        decode(tmp_path / "x.tif", ImageReading(pages="max"))
    assert "--set pages=first" in str(caught.value.remedy)


# --- bands


@pytest.mark.parametrize(
    ("values", "options"),
    [
        (STACK.transpose(1, 2, 0), {"photometric": "minisblack", "planarconfig": "contig"}),
        (STACK.transpose(1, 2, 0), {"photometric": "rgb"}),
        (STACK, {"photometric": "minisblack", "planarconfig": "separate"}),
        (STACK[:2].transpose(1, 2, 0), {"photometric": "minisblack", "planarconfig": "contig"}),
        (STACK[:4].transpose(1, 2, 0), {"photometric": "rgb", "extrasamples": ["unspecified"]}),
        (STACK[:3], {"photometric": "rgb", "planarconfig": "separate"}),
    ],
)
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_no_band_is_dropped(
    tmp_path: Path, values: np.ndarray, options: dict[str, Any], compression: str | None
) -> None:
    tifffile.imwrite(tmp_path / "x.tif", values, compression=compression, **options)
    planar = options.get("planarconfig") == "separate"
    expected = values.transpose(1, 2, 0) if planar else values
    image, info = examine(tmp_path / "x.tif")
    assert np.array_equal(image, expected)
    assert info.pages == 1
    assert size(tmp_path / "x.tif") == (6, 7)


def test_16_bits_in_separate_planes(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x.tif", DEEP[0, :, 0], photometric="rgb", planarconfig="separate")
    assert np.array_equal(decode(tmp_path / "x.tif", FULL), eight(DEEP[0, :, 0].transpose(1, 2, 0)))


def test_transparency_lies_on_white(tmp_path: Path) -> None:
    values = STACK[:4].transpose(1, 2, 0).copy()
    values[..., 3] = 0
    options: dict[str, Any] = {"photometric": "rgb", "extrasamples": ["unassalpha"]}
    tifffile.imwrite(tmp_path / "x.tif", values, **options)
    tifffile.imwrite(tmp_path / "stack.tif", np.stack([values] * 2), **options)
    assert (decode(tmp_path / "x.tif") == 255).all()
    assert (decode(tmp_path / "stack.tif", ImageReading(pages="max")) == 255).all()


# --- the axes of microscopes


@pytest.mark.parametrize("kind", ["ome", "imagej"])
def test_channels_are_bands_and_other_axes_are_pages(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("x.ome.tif" if kind == "ome" else "x.tif")
    tifffile.imwrite(path, DEEP, imagej=kind == "imagej", metadata={"axes": "TZCYX"})
    image, info = examine(path, FULL)
    assert np.array_equal(image, eight(DEEP[0, 0].transpose(1, 2, 0)))
    assert info.pages == 6
    highest = decode(path, ImageReading(0, 65535, "max"))
    assert np.array_equal(highest, eight(DEEP.max((0, 1)).transpose(1, 2, 0)))
    bands = decode(path, ImageReading(0, 65535, "bands"))
    assert np.array_equal(bands, eight(DEEP.reshape(24, 6, 7).transpose(1, 2, 0)))


@pytest.mark.parametrize("kind", ["ome", "imagej"])
def test_a_z_stack_without_channels(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("x.ome.tif" if kind == "ome" else "x.tif")
    tifffile.imwrite(path, DEEP[0, :, 0], imagej=kind == "imagej", metadata={"axes": "ZYX"})
    image, info = examine(path, FULL)
    assert np.array_equal(image[..., 0], eight(DEEP[0, 0, 0]))
    assert info.pages == 3


# --- types


@pytest.mark.parametrize(
    ("values", "reading"),
    [
        (np.linspace(0, 1, 42).reshape(6, 7), ImageReading(0, 1)),
        (np.linspace(0, 1, 42).reshape(6, 7).astype(np.float16), ImageReading(0, 1)),
        (np.arange(-21, 21).reshape(6, 7).astype(np.int8), ImageReading(-21, 20)),
        (np.arange(42).reshape(6, 7).astype(np.int16) - 20, ImageReading(-20, 21)),
        (np.arange(42).reshape(6, 7).astype(np.uint32) * 100_000_000, ImageReading(0, 4.1e9)),
    ],
)
def test_all_types_of_numbers(tmp_path: Path, values: np.ndarray, reading: ImageReading) -> None:
    tifffile.imwrite(tmp_path / "x.tif", values)
    black, white = reading.points or (0, 1)
    expected = (values.astype(np.float64) - black) / (white - black) * 255
    assert np.abs(decode(tmp_path / "x.tif", reading)[..., 0] - expected).max() <= 0.51


def test_complex_numbers_are_no_pixels(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x.tif", np.ones((4, 4), np.complex64))
    with pytest.raises(BadImage, match="got complex64"):
        decode(tmp_path / "x.tif")


# --- limits and damage


def test_a_stack_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x.tif", STACK, photometric="minisblack")
    with pytest.raises(BadImage, match="at most 168 values are expected in all pages and bands"):
        decode(tmp_path / "x.tif", ImageReading(pages="max", max_pixels=42))
    with pytest.raises(BadImage, match=r"at most 41 pixels is expected.*max_pixels=NUMBER"):
        decode(tmp_path / "x.tif", ImageReading(pages="max", max_pixels=41))
    assert decode(tmp_path / "x.tif", ImageReading(max_pixels=42)).shape == (6, 7, 1)


def test_more_pixels_than_pillow_allows_can_be_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 10)
    PIL.Image.fromarray(STACK[0]).save(tmp_path / "x.png")
    with pytest.raises(BadImage, match="more"):
        decode(tmp_path / "x.png")
    assert decode(tmp_path / "x.png", ImageReading(max_pixels=10**9)).shape == (6, 7, 1)
    assert PIL.Image.MAX_IMAGE_PIXELS == 10


def test_damaged_stacks_are_refused_or_read(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x.tif", STACK, photometric="minisblack", planarconfig="separate")
    whole = (tmp_path / "x.tif").read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(60):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), 3):
            data[at] = rng.integers(0, 256)
        (tmp_path / "x.tif").write_bytes(bytes(data[: rng.integers(8, len(data) + 1)]))
        try:
            image = decode(tmp_path / "x.tif")
        except BadImage:
            continue
        assert image.dtype == np.uint8


def test_without_the_library_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tifffile.imwrite(tmp_path / "x.tif", STACK.transpose(1, 2, 0), planarconfig="contig")
    tifffile.imwrite(tmp_path / "pages.tif", STACK, photometric="minisblack")

    def missing(name: str, *arguments: Any) -> Any:
        if name == "tifffile":
            raise builtins.ImportError(name)
        return importlib.import_module(name, *arguments)

    monkeypatch.setattr(tiff_stack, "import_module", missing)
    for path, reading in (("x.tif", ImageReading()), ("pages.tif", ImageReading(pages="max"))):
        with pytest.raises(BadImage, match="tifffile, which is not installed") as caught:
            decode(tmp_path / path, reading)
        assert "pip install 'foveate[microscopy]'" in str(caught.value.remedy)
    assert examine(tmp_path / "pages.tif")[1].pages == 5
