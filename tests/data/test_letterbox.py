"""Letterboxing: the size of the image, the padding, and the way back to its pixels."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from foveate.annotations import Boxes
from foveate.data.cache import decoding
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.data.images import FileSource
from foveate.data.resizing import PADDING, fit, letterbox_size, pad, resize
from foveate.data.subset import Subset
from foveate.errors import BadImage
from foveate.experiment.prepare import PreparedData
from foveate.tasks.detection import Detection

SHAPES = [
    (1, 1),
    (1, 2),
    (50, 8000),
    (8000, 50),
    (64, 64),
    (63, 64),
    (65, 64),
    (100, 37),
    (3, 5),
    (200, 201),
]
SIDES = st.integers(1, 10_000)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def pillows(image, height, width):
    image = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image)


@given(SIDES, SIDES, st.integers(1, 2000))
def test_the_longer_side_is_the_size_and_the_other_in_proportion(height, width, size):
    fitted = letterbox_size(height, width, size)
    if max(height, width) <= size:  # never enlarged
        assert fitted == (height, width)
        return
    assert max(fitted) == size
    assert min(fitted) >= 1
    exact = Fraction(min(height, width) * size, max(height, width))
    assert abs(min(fitted) - exact) <= Fraction(1, 2) or (exact < 1 and min(fitted) == 1)
    assert letterbox_size(width, height, size) == fitted[::-1]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bands", [1, 3])
def test_a_letterboxed_image_is_pillows_at_the_top_left_and_grey_beside_it(shape, bands):
    image = noise(*shape, bands)
    boxed = fit(image, 64, bands, letterbox=True)
    height, width = letterbox_size(*shape, 64)
    assert boxed.shape == (64, 64, bands)
    expected = pillows(image[..., 0] if bands == 1 else image, height, width).reshape(
        height, width, bands
    )
    assert np.array_equal(boxed[:height, :width], expected)
    assert (boxed[height:] == PADDING).all()
    assert (boxed[:, width:] == PADDING).all()


def test_grey_becomes_colour_and_colour_grey():
    grey, colour = noise(20, 10, 1), noise(20, 10, 3)
    widened = fit(grey, 16, 3, letterbox=True)
    assert np.array_equal(widened, np.repeat(fit(grey, 16, 1, letterbox=True), 3, 2))
    luma = np.array(Image.fromarray(colour).convert("L"))[..., None]
    assert np.array_equal(fit(colour, 16, 1, letterbox=True), fit(luma, 16, 1, letterbox=True))


def test_a_square_is_the_same_stretched_or_letterboxed():
    image = noise(30, 30, 3)
    assert np.array_equal(fit(image, 16, 3, letterbox=True), fit(image, 16, 3))


def test_no_pixel_is_refused():
    with pytest.raises(BadImage, match="an image with pixels"):
        fit(np.zeros((0, 4, 3), np.uint8), 8, 3, letterbox=True)


@pytest.mark.parametrize("bands", [1, 2, 3, 5])
def test_each_band_is_resized_as_pillow_does(bands):
    image = noise(13, 29, bands)
    made = resize(image, (7, 40))
    assert made.shape == (7, 40, bands)
    for band in range(bands):
        assert np.array_equal(made[..., band], pillows(image[..., band], 7, 40))
    assert resize(image, (13, 29)) is image


def test_a_padded_image_keeps_its_pixels_and_is_not_copied_where_it_fits():
    image = noise(4, 6, 3)
    assert pad(image, 4, 6) is image
    made = pad(image, 5, 9)
    assert np.array_equal(made[:4, :6], image)
    assert (made[4:] == PADDING).all()
    assert (made[:, 6:] == PADDING).all()


# --- kept on disk


def make_target(height, width, seed=0):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 1, (5, 2, 2)) * [width, height]
    corners = np.concatenate([corners.min(1), corners.max(1)], 1)
    return Boxes(
        corners,
        np.zeros(5, int),
        crowd=np.arange(5) == 1,
        difficult=np.arange(5) == 2,
        size=(height, width),
    )


def files(root, shapes):
    root.mkdir()
    samples = []
    for row, shape in enumerate(shapes):
        Image.fromarray(noise(*shape, 3, seed=row)).save(root / f"{row}.png")
        samples.append(
            Sample(f"{row}.png", FileSource(root / f"{row}.png"), make_target(*shape, row))
        )
    return Dataset("set", "detection", ("thing",), samples, origin=root)


@pytest.mark.parametrize("first", [False, True])
def test_letterboxed_and_stretched_images_of_the_same_files_do_not_mix(place, tmp_path, first):
    whole = files(tmp_path / "data", [(10, 20), (20, 10), (16, 16)])
    for _ in range(2):  # decoded, then from the cache
        for letterbox in (first, not first):
            made = decoding.decode(whole, 16, letterbox=letterbox)
            for sample, pixels in zip(whole, made.pixels, strict=True):
                assert np.array_equal(pixels, fit(sample.source.read(), 16, 3, letterbox=letterbox))
    assert [path.name[32:] for path in sorted(place.iterdir())] == [
        "-16letterboxx0.images",
        "-16x0.images",
    ]
    assert len({path.name[:32] for path in place.iterdir()}) == 1


def test_a_survey_is_content_with_letterboxed_images(place, tmp_path):
    whole = files(tmp_path / "data", [(10, 20), (8, 8)])
    made = decoding.decode(whole, 16, letterbox=True)
    seen = decoding.survey(whole)
    assert seen.hashes == made.hashes
    assert list(zip(seen.image_stats["height"], seen.image_stats["width"], strict=True)) == [
        (10, 20),
        (8, 8),
    ]
    assert len(list(place.iterdir())) == 1


# --- a part's rows, and the way back


def test_one_image_and_a_slice_come_without_padding_and_an_array_of_rows_whole():
    pixels = noise(5, 8, 8, 3)
    sizes = np.array([[8, 3], [2, 8], [8, 8]])
    rows = Subset(pixels, np.array([4, 0, 2]), sizes)
    expected = [pixels[4, :8, :3], pixels[0, :2, :8], pixels[2]]
    assert [np.array_equal(rows[row], image) for row, image in enumerate(expected)] == [True] * 3
    assert np.array_equal(rows[-3], expected[0])
    for which in (slice(None), slice(1, None), slice(0, 2), slice(None, None, -1), slice(5, 9)):
        some = rows[which]
        assert len(some) == len(expected[which])
        assert all(
            np.array_equal(one, other) for one, other in zip(some, expected[which], strict=True)
        )
    assert np.array_equal(rows[np.array([2, 0])], pixels[[2, 4]])
    assert rows.shape == (3, 8, 8, 3)
    assert [image.shape for image in rows] == [(8, 3, 3), (2, 8, 3), (8, 8, 3)]


def test_without_sizes_every_way_gives_whole_images():
    pixels = noise(5, 8, 8, 1)
    rows = Subset(pixels, np.array([4, 0]))
    assert np.array_equal(rows[0], pixels[4])
    assert np.array_equal(rows[:], pixels[[4, 0]])
    assert np.array_equal(rows[np.array([1])], pixels[[0]])


def prepare_data(whole, size):
    made = decoding.decode(whole, size, letterbox=True)
    splits = {
        "train": np.arange(len(whole)),
        "valid": np.zeros(0, np.int64),
        "test": np.array([len(whole) - 1, 0]),
    }
    return PreparedData(Detection(whole.classes), made, splits, np.arange(len(whole)), (), ())


@pytest.mark.parametrize("size", [7, 64, 320])
def test_targets_are_brought_to_the_letterbox_and_back(size):
    samples = [
        Sample(f"{row}", ArraySource(noise(*s, 1)[None], 0), make_target(*s, row))
        for row, s in enumerate(SHAPES)
    ]
    ours = prepare_data(Dataset("set", "detection", ("thing",), samples), size)
    for split, rows in (
        ("train", range(len(SHAPES))),
        ("valid", []),
        ("test", [len(SHAPES) - 1, 0]),
    ):
        pixels, targets, ids = ours.of(split)
        assert ids == [f"{row}" for row in rows]
        for image, own, row in zip(pixels, targets, rows, strict=True):
            assert image.shape[:2] == own.size == letterbox_size(*SHAPES[row], size)
            assert (own.corners <= np.array(own.size * 2)[[1, 0, 3, 2]] + 1e-6).all()
        for back, row in zip(ours.to_original(split, targets), rows, strict=True):
            before = samples[row].target
            assert np.abs(back.corners - before.corners).max() <= 1e-6
            assert back.size == SHAPES[row]
            for flag in ("classes", "crowd", "difficult"):
                assert np.array_equal(getattr(back, flag), getattr(before, flag))


@settings(deadline=None)
@given(SIDES, SIDES, st.integers(1, 640))
def test_resizing_a_target_there_and_back_changes_nothing(height, width, size):
    before = make_target(height, width)
    scored = replace(before, scores=np.linspace(0, 1, 5))
    fitted = letterbox_size(height, width, size)
    back = scored.resize((height, width), fitted).resize(fitted, (height, width))
    assert np.abs(back.corners - before.corners).max() <= 1e-6
    assert np.array_equal(back.scores, scored.scores)


def test_a_box_around_something_is_around_it_in_the_letterbox_too():
    image = np.zeros((50, 120, 1), np.uint8)
    image[20:40, 30:90] = 255
    samples = [
        Sample(
            "0",
            ArraySource(image[None], 0),
            Boxes(np.array([[30, 20, 90, 40]]), np.array([0]), size=(50, 120)),
        )
    ]
    pixels, (own,), _ = prepare_data(Dataset("set", "detection", ("thing",), samples), 60).of(
        "train"
    )
    rows, columns = (
        np.flatnonzero((pixels[0] >= 128).any((1, 2))),
        np.flatnonzero((pixels[0] >= 128).any((0, 2))),
    )
    seen = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    assert own.corners.tolist() == [[15, 10, 45, 20]] == [seen]
