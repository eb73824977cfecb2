"""A set decoded: pixels of one shape, hashes, what is skipped and why, and some rows of it."""

import numpy as np
import pytest
from PIL import Image

from foveate.annotations import Label
from foveate.data.cache import decoding
from foveate.data.dataset import Dataset, Sample
from foveate.data.images import FileSource, decode
from foveate.data.natural_size import natural_size
from foveate.data.subset import Subset
from foveate.errors import DataError
from helpers.cache_files import dataset, noise

pytestmark = pytest.mark.usefixtures("place")


def test_images_of_the_right_size_are_taken_as_they_are():
    arrays = [noise(8, 8, 1, seed=i) for i in range(200)]
    images = decoding.decode(dataset(arrays), 8)
    assert np.array_equal(images.pixels, np.stack(arrays))
    assert images.pixels.dtype == np.uint8
    assert len(set(images.hashes)) == 200


def test_grey_among_colour_is_repeated_and_colour_after_grey_is_kept():
    grey, colour = noise(6, 6, 1), noise(6, 6, 3)
    for arrays in ([grey, colour], [colour, grey]):
        images = decoding.decode(dataset(arrays), 6)
        assert images.pixels.shape == (2, 6, 6, 3)
        for array, row in zip(arrays, images.pixels, strict=True):
            assert np.array_equal(row, np.broadcast_to(array, (6, 6, 3)))


def test_bands_that_do_not_agree_are_refused():
    with pytest.raises(DataError, match="more bands"):
        decoding.decode(dataset([noise(6, 6, 3), noise(6, 6, 5)]), 6)


def test_equal_images_have_equal_hashes_whatever_the_file(tmp_path):
    pixels = noise(9, 7, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels).save(tmp_path / "b.bmp")
    Image.fromarray(pixels[:, ::-1]).save(tmp_path / "c.png")
    samples = [
        Sample(name, FileSource(tmp_path / name), Label(0)) for name in ("a.png", "b.bmp", "c.png")
    ]
    images = decoding.decode(Dataset("set", "classification", ("a", "b"), samples), 8)
    assert images.hashes[0] == images.hashes[1] != images.hashes[2]
    assert images.image_stats["height"].tolist() == [9] * 3
    assert images.image_stats["width"].tolist() == [7] * 3
    assert np.array_equal(decode(tmp_path / "a.png"), pixels)


def test_a_turned_image_is_another_image_though_its_bytes_are_the_same():
    flat = noise(2, 8, 1)
    images = decoding.decode(dataset([flat, flat.reshape(8, 2, 1)]), 4)
    assert images.hashes[0] != images.hashes[1]


def test_the_unreadable_are_skipped_with_a_reason_up_to_a_share(tmp_path):
    for i in range(40):
        Image.fromarray(noise(8, 8, 3, seed=i)).save(tmp_path / f"{i:02}.png")
    (tmp_path / "07.png").write_bytes(b"x")
    samples = [
        Sample(f"{i:02}.png", FileSource(tmp_path / f"{i:02}.png"), Label(0)) for i in range(40)
    ]
    whole = Dataset("set", "classification", ("a", "b"), samples)
    ticks = []
    images = decoding.decode(whole, 8, on_progress=lambda *seen: ticks.append(seen))
    assert [skipped.id for skipped in images.dataset.skipped] == ["07.png"]
    assert [sample.id for sample in images.dataset] == [f"{i:02}.png" for i in range(40) if i != 7]
    assert np.array_equal(images.pixels[7], decode(tmp_path / "08.png"))
    assert ticks[-1] == (40, 40)
    for i in range(3):
        (tmp_path / f"{i:02}.png").write_bytes(b"x")
    with pytest.raises(DataError, match="4 of 40") as refused:
        decoding.decode(whole, 8)
    assert "--allow-skipped" in str(refused.value)
    assert len(decoding.decode(whole, 8, max_skipped=1.0).hashes) == 36


def test_nothing_readable_is_refused_even_when_skipping_is_allowed(tmp_path):
    samples = [Sample("a", FileSource(tmp_path / "a.png"), Label(0))]
    with pytest.raises(DataError, match="1 of 1"):
        decoding.decode(Dataset("set", "classification", ("a",), samples), 8, max_skipped=1.0)


def test_the_natural_size_is_the_median_of_the_longer_sides():
    assert natural_size(dataset([noise(10, 20, 1), noise(30, 5, 1), noise(7, 7, 1)])) == 20
    assert natural_size(dataset([])) == 0


# --- rows


def test_rows_are_taken_when_they_are_asked_for():
    pixels = noise(9, 4, 4, 3)
    rows = Subset(pixels, np.array([5, 0, 5, 8]))
    assert (len(rows), rows.shape) == (4, (4, 4, 4, 3))
    assert np.array_equal(rows[1], pixels[0])
    assert rows[1].base is not None  # a view, no copy
    assert np.array_equal(rows[1:3], pixels[[0, 5]])
    assert np.array_equal(rows[np.array([3, 3])], pixels[[8, 8]])
    assert np.array_equal(np.stack(list(rows)), pixels[[5, 0, 5, 8]])
    taken = rows[np.array([0])]
    taken[:] = 0
    assert pixels[5].any()
    assert Subset(pixels, np.array([], np.int64)).shape == (0, 4, 4, 3)
    with pytest.raises(IndexError):
        rows[4]
