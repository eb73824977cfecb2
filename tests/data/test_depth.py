"""All images of more than 8 bits share one black and one white, measured or set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from foveate import formats
from foveate.data import depth
from foveate.data.cache import decoding
from foveate.data.dataset import Dataset, Sample
from foveate.data.image_reading import DEFAULT_READING, ImageReading, to_levels
from foveate.data.images import FileSource, decode, examine
from foveate.errors import BadImage, DataError, SettingError
from helpers.deep_files import at_depth, nuclei, save_classes
from helpers.image_files import png


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path_factory.mktemp("cache")))


def dataset_of(folder: Path, arrays: list[np.ndarray], suffix: str = "tif") -> Dataset:
    folder.mkdir(parents=True, exist_ok=True)
    samples = []
    for index, array in enumerate(arrays):
        path = folder / f"{index}.{suffix}"
        PIL.Image.fromarray(array).save(path)
        samples.append(Sample(path.name, FileSource(path)))
    return Dataset("set", "classification", ("a",), samples, origin=folder)


def decoded(dataset: Dataset, reading: ImageReading = DEFAULT_READING) -> decoding.Survey:
    return depth.decode_measured(dataset, reading, lambda one: decoding.decode(one, 32))


def points(dataset: Dataset) -> tuple[float, float]:
    found = depth.measure(dataset)
    assert found is not None
    return found.black, found.white


# --- the choice


@pytest.mark.parametrize("suffix", ["tif", "png"])
def test_the_same_nuclei_at_8_12_and_16_bits_are_the_same_pixels(
    tmp_path: Path, suffix: str
) -> None:
    pixels = []
    for bits in (8, 12, 16):
        read = decoded(
            formats.read(save_classes(tmp_path / str(bits), bits, suffix=suffix), "folder")
        )
        pixels.append(np.array(read.pixels))
        assert len(read.dataset.notes) == (bits > 8)
    assert np.array_equal(pixels[0], pixels[1])
    assert np.array_equal(pixels[0], pixels[2])


RAMP = np.linspace(0, 1, 1024).reshape(32, 32)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((RAMP * 1000).astype(np.uint16), (0, 1023)),
        ((RAMP * 3900).astype(np.uint16), (0, 4095)),
        ((RAMP * 16000).astype(np.uint16), (0, 16383)),
        ((RAMP * 60000).astype(np.uint16), (0, 65535)),
        ((RAMP * 255).astype(np.uint16), (0, 255)),
        ((RAMP * 255).astype(np.uint16) * 16, (0, 4080)),
        ((RAMP * 60000).astype(np.int32), (0, 65535)),
        (RAMP.astype(np.float32), (0, 1)),
        ((RAMP * 0.7).astype(np.float32), (0, 1)),
        ((RAMP * 4000).round().astype(np.float32), (0, 4095)),
        # Too narrow for any convention: the range of all values.
        ((33069 + RAMP * 3794).astype(np.uint16), (33069, 36863)),
        ((RAMP * 3794 + 1069.25).astype(np.float32), (1069.25, 4863.25)),
        ((RAMP * 2000 - 1000).astype(np.int32), (-1000, 1000)),
        ((RAMP * 9e6).astype(np.int32), (0, 9_000_000)),
        ((RAMP * 0.01).astype(np.float32), (0, np.float32(0.01))),
    ],
)
def test_a_convention_is_preferred_to_the_range(
    tmp_path: Path, values: np.ndarray, expected: tuple[float, float]
) -> None:
    assert points(dataset_of(tmp_path, [values])) == pytest.approx(expected)


def test_a_few_values_far_outside_do_not_flatten_the_others(tmp_path: Path) -> None:
    values = (1000 + RAMP * 400).astype(np.uint16)
    hot = np.stack([values] * 20)
    hot[3, 0, 0], hot[4, 5, 5] = 65535, 64000
    read = decoded(data := dataset_of(tmp_path, list(hot)))
    black, white = points(data)
    assert (black, white) == pytest.approx((1000, 1400), abs=2)
    assert "are clipped" in read.dataset.notes[0]
    assert decode(tmp_path / "3.tif", ImageReading(black, white))[0, 0, 0] == 255


def test_nothing_is_stretched_image_by_image(tmp_path: Path) -> None:
    dark, bright = (RAMP * 500).astype(np.uint16), (RAMP * 4000).astype(np.uint16)
    read = decoded(dataset_of(tmp_path, [dark, bright]))
    expected = [np.rint(one * (255 / 4095)) for one in (dark, bright)]
    assert np.array_equal(np.array(read.pixels)[..., 0], expected)


@pytest.mark.parametrize("value", [0, 7, 3000, 65535])
def test_constant_images_are_constant(tmp_path: Path, value: int) -> None:
    read = decoded(dataset_of(tmp_path, [np.full((8, 8), value, np.uint16)] * 2))
    assert len(np.unique(np.array(read.pixels))) == 1
    assert not read.dataset.skipped


def test_a_few_bright_points_on_black_are_not_clipped(tmp_path: Path) -> None:
    stars = np.zeros((64, 64), np.uint16)
    stars[3, 3], stars[9, 9] = 900, 450
    assert points(dataset_of(tmp_path, [stars] * 3))[1] >= 900


def test_label_like_images_lose_nothing(tmp_path: Path) -> None:
    read = decoded(dataset_of(tmp_path, [np.eye(8, dtype=np.uint16) * 65535] * 2))
    assert set(np.array(read.pixels).ravel()) <= set(range(256))
    assert {0, 255} <= set(np.array(read.pixels)[0, ::4, ::4].ravel())


def test_no_image_and_one_image(tmp_path: Path) -> None:
    assert depth.measure(Dataset("none", "classification", (), [])) is None
    assert points(dataset_of(tmp_path, [(RAMP * 4095).astype(np.uint16)])) == (0, 4095)


def test_floats_and_whole_numbers_have_no_common_black_and_white(tmp_path: Path) -> None:
    data = dataset_of(tmp_path, [RAMP.astype(np.float32), (RAMP * 4000).astype(np.uint16)])
    with pytest.raises(
        DataError, match="1 image has whole numbers and 1 image has floats"
    ) as caught:
        depth.measure(data)
    assert "1.tif: 0 to 4000" in str(caught.value)
    assert caught.value.remedy


# --- what else is there


def test_eight_bits_among_more_stay_as_they_are(tmp_path: Path) -> None:
    image = nuclei(3)
    data = dataset_of(tmp_path, [image, at_depth(image, 12), at_depth(nuclei(4), 12)])
    read = decoded(data)
    assert np.array_equal(np.array(read.pixels)[0], np.array(read.pixels)[1])
    assert "1 image of 8 bits" in read.dataset.notes[0]


def test_eight_bit_datasets_are_neither_measured_nor_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = dataset_of(tmp_path, [nuclei(i) for i in range(5)])
    monkeypatch.setattr(depth, "measure", None)
    assert decoded(data).dataset == replace(data, samples=list(data.samples))


@pytest.mark.parametrize("deep_is_readable", [True, False])
def test_a_deep_image_that_the_first_look_misses_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deep_is_readable: bool
) -> None:
    monkeypatch.setattr(depth, "_PROBES", 2)
    arrays = [nuclei(i) for i in range(40)]
    # Without points the one is readable alone; the other, of 12 bits, is not.
    arrays[7] = at_depth(arrays[7], 16 if deep_is_readable else 12)
    read = depth.decode_measured(
        dataset_of(tmp_path, arrays),
        DEFAULT_READING,
        lambda one: decoding.decode(one, 32, max_skipped=1),
    )
    assert not read.dataset.skipped
    assert np.array_equal(np.array(read.pixels)[7, ..., 0], nuclei(7))
    assert depth.reading_of(read.dataset).points is not None


def test_unreadable_images_do_not_count(tmp_path: Path) -> None:
    data = dataset_of(tmp_path, [(RAMP * 4000).astype(np.uint16)] * 40)
    (tmp_path / "3.tif").write_bytes(b"II*\0nonsense")
    read = depth.decode_measured(
        data, DEFAULT_READING, lambda one: decoding.decode(one, 32, max_skipped=1)
    )
    assert [one.id for one in read.dataset.skipped] == ["3.tif"]
    assert depth.reading_of(read.dataset).points == (0, 4095)


def test_floats_that_are_no_numbers_are_skipped_and_said(tmp_path: Path) -> None:
    holed = (RAMP * 900).astype(np.float32)
    holed[2, 2] = np.nan
    arrays = [(RAMP * 900 + 0.5).astype(np.float32)] * 39
    read = depth.decode_measured(
        dataset_of(tmp_path, [holed, *arrays]),
        DEFAULT_READING,
        lambda one: decoding.decode(one, 32, max_skipped=1),
    )
    assert [one.id for one in read.dataset.skipped] == ["0.tif"]
    assert "1 of 1,024 values are none (NaN or infinite)" in read.dataset.skipped[0].reason


# --- points that are given


def test_points_that_are_given_are_used(tmp_path: Path) -> None:
    values = (1000 + RAMP * 3000).astype(np.uint16)
    read = decoded(dataset_of(tmp_path, [values]), ImageReading(2000, 3000))
    expected = np.rint((values.clip(2000, 3000) - 2000.0) * (255 / 1000))
    assert np.array_equal(np.array(read.pixels)[0, ..., 0], expected)
    assert not read.dataset.notes


def test_one_point_is_given_and_the_other_measured(tmp_path: Path) -> None:
    data = dataset_of(tmp_path, [(RAMP * 3000).astype(np.uint16)])
    read = decoded(data, ImageReading(white=2000))
    assert depth.reading_of(read.dataset).points == (0, 2000)
    with pytest.raises(DataError, match="a black below white is expected, got black=9999"):
        decoded(data, ImageReading(black=9999))
    with pytest.raises(SettingError, match="a black below white"):
        ImageReading(5, 5)


def test_other_points_are_decoded_again(tmp_path: Path) -> None:
    data = dataset_of(tmp_path, [(RAMP * 3000).astype(np.uint16)])
    first, second = (decoded(data, ImageReading(0, white)) for white in (1000, 3000))
    assert not np.array_equal(np.array(first.pixels), np.array(second.pixels))
    assert first.hashes != second.hashes


# --- scaling


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.int32, np.uint32, np.float32, float])
def test_levels_agree_with_plain_arithmetic(dtype: type) -> None:
    rng = np.random.default_rng(0)
    values = rng.uniform(0, 9000, (40, 30)).astype(dtype)
    for black, white in ((0, 9000), (100, 8000), (1234.5, 1300)):
        exact = (values.astype(np.float64) - black) / (white - black) * 255
        levels = to_levels(values, black, white)
        assert levels.dtype == np.uint8
        assert np.abs(levels - exact.clip(0, 255)).max() <= 0.501


def test_big_endian_files_give_the_same_levels(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    values = (RAMP * 4000).astype(np.uint16)
    for order in "<>":
        tifffile.imwrite(tmp_path / f"{ord(order)}.tif", values, byteorder=order)
    reading = ImageReading(0, 4095)
    little, big = (decode(tmp_path / f"{ord(order)}.tif", reading) for order in "<>")
    assert np.array_equal(little, big)
    assert np.array_equal(little[..., 0], np.rint(values * (255 / 4095)))


@pytest.mark.parametrize("container", ["png", "tif", "tif-lzw", "tif-big", "png-alpha"])
def test_colour_of_16_bits_is_read_at_full_depth(tmp_path: Path, container: str) -> None:
    rng = np.random.default_rng(1)
    values = rng.integers(0, 4096, (6, 5, 3)).astype(np.uint16)
    path = tmp_path / f"x.{container[:3]}"
    if container.startswith("png"):
        alpha = np.full((6, 5, 1), 65535, np.uint16)
        stored = np.dstack([values, alpha]) if container == "png-alpha" else values
        rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in stored)
        path.write_bytes(png(5, 6, 16, 6 if container == "png-alpha" else 2, rows))
    else:
        tifffile = pytest.importorskip("tifffile")
        compression = "lzw" if container == "tif-lzw" else None
        order = ">" if container == "tif-big" else "<"
        tifffile.imwrite(path, values, photometric="rgb", compression=compression, byteorder=order)
    with pytest.raises(BadImage, match=r"values up to 65,535 are expected of 16 bits"):
        decode(path)
    image = decode(path, ImageReading(0, 4095))
    assert np.array_equal(image, np.rint(values * (255 / 4095)))
    data = Dataset("set", "classification", ("a",), [Sample("x", FileSource(path))])
    assert points(data) == (0, 4095)


@pytest.mark.parametrize("high", [255, 900, 4095, 16383])
def test_sixteen_bits_that_hold_fewer_are_asked_about(tmp_path: Path, high: int) -> None:
    PIL.Image.fromarray((RAMP * high).astype(np.uint16)).save(tmp_path / "x.png")
    with pytest.raises(BadImage, match=f"got at most {high:,}: the image may hold") as caught:
        decode(tmp_path / "x.png")
    assert "--set black=0 --set white=4095" in str(caught.value.remedy)
    decode(tmp_path / "x.png", ImageReading(0, high))


# --- pixels without a value


@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [
        (np.int16, -9999),
        (np.uint16, 65535),
        (np.float32, np.nan),
        (np.float32, -3.4028234663852886e38),
    ],
)
@pytest.mark.parametrize("bands", [1, 5])
def test_pixels_without_a_value_are_black_and_do_not_count(
    tmp_path: Path, dtype: type, nodata: float, bands: int
) -> None:
    tifffile = pytest.importorskip("tifffile")
    values = (np.arange(64).reshape(8, 8) * 40).astype(dtype)
    values[:2] = nodata
    path = tmp_path / "x.tif"
    options = {"extratags": [(42113, "s", 0, repr(nodata), True)], "photometric": "minisblack"}
    if bands > 1:
        options["planarconfig"] = "contig"
    tifffile.imwrite(path, np.dstack([values] * bands) if bands > 1 else values, **options)
    pixels = FileSource(path).deep_pixels()
    assert pixels is not None
    assert (pixels.known.min(), pixels.known.max()) == (640, 2520)
    expected = np.rint((np.arange(64).reshape(8, 8) * 40 - 640.0) * (255 / 1880))
    expected[:2] = 0
    image, info = examine(path, ImageReading(640, 2520))
    assert (image == expected[..., None]).all()
    assert info.clipped == 0
    data = Dataset("set", "classification", ("a",), [Sample("x", FileSource(path))])
    assert points(data)[1] in (2520, 4095)


def test_an_image_without_any_value_is_black(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    path = tmp_path / "x.tif"
    nothing = np.full((8, 8), np.nan, np.float32)
    tifffile.imwrite(path, nothing, extratags=[(42113, "s", 0, "nan", True)])
    for reading in (DEFAULT_READING, ImageReading(0, 5)):
        assert not decode(path, reading).any()
