"""Images that exceed the cache are kept encoded, with the interface and the safety of raw ones."""

import os
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from foveate.cli.lists import cache_row
from foveate.data.cache import decoding, encoded, room, store
from foveate.data.cache.encoded import EncodedPixels, decode_into, encode, encode_all
from foveate.data.cache.pixels import RawPixels
from foveate.data.images import FileSource
from foveate.data.subset import ImageOnDisk, Subset
from foveate.errors import DataError
from helpers.cache_files import files, fill_disk, kept, noise, same


def smooth(size, channels, seed=0):
    """An image of low frequencies, which JPEG keeps well."""
    small = Image.fromarray(noise(4, 4, 3, seed=seed))
    return np.asarray(small.resize((size, size), Image.Resampling.BICUBIC))[..., :channels]


def round_trip(image, lossless=False):
    out = np.empty_like(image)
    decode_into([encode(image, lossless=lossless)], out[None])
    return out


@pytest.fixture
def few_bytes(monkeypatch):
    """A cache that holds 12 encoded images of 64 px, and less than 12 raw ones."""
    monkeypatch.setenv("FOVEATE_CACHE_GB", str(80_000 / 1e9))


def colour(folder, count=12, size=64):
    return files(folder, [smooth(size, 3, seed=i) for i in range(count)])


@pytest.mark.parametrize("size", [1, 2, 8, 17, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_what_pillow_writes_and_reads(size, channels):
    image = smooth(size, channels)
    file = BytesIO()
    Image.fromarray(image.squeeze(2) if channels == 1 else image).save(
        file, "JPEG", quality=95, subsampling=0
    )
    wanted = np.asarray(Image.open(file)).reshape(image.shape)
    assert np.array_equal(round_trip(image), wanted)
    assert size < 17 or np.abs(round_trip(image).astype(int) - image).mean() < 2


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 12])
def test_other_bands_and_deep_images_lose_nothing(channels):
    image = noise(9, 9, channels)
    assert np.array_equal(round_trip(image, lossless=True), image)
    if channels not in (1, 3):
        assert np.array_equal(round_trip(image), image)


def test_grey_is_the_same_before_and_after_the_first_image_in_colour():
    grey = noise(16, 16, 1)
    wide = np.repeat(grey, 3, 2)
    out = np.empty_like(wide)
    decode_into([encode(grey, lossless=False)], out[None])
    assert np.array_equal(out, round_trip(wide))


@pytest.mark.parametrize("count", [0, 1, 15, 16, 40])
def test_many_at_once_are_each_alone(count):
    pixels = np.stack([smooth(8, 3, seed=i) for i in range(count)] or [np.empty((8, 8, 3))])[:count]
    pixels = pixels.astype(np.uint8)
    lossless = np.arange(count) % 3 == 0
    blobs = encode_all(pixels, lossless)
    each = [encode(one, lossless=bool(keep)) for one, keep in zip(pixels, lossless, strict=True)]
    assert blobs == each
    out = np.empty_like(pixels)
    decode_into(blobs, out)
    assert all(
        np.array_equal(one, round_trip(pixel, bool(keep)))
        for one, pixel, keep in zip(out, pixels, lossless, strict=True)
    )


@pytest.mark.usefixtures("place", "few_bytes")
def test_what_exceeds_the_cache_is_kept_as_jpeg_which_is_told(tmp_path, decoded, monkeypatch):
    whole, messages = colour(tmp_path / "data"), []
    first = decoding.decode(whole, 64, on_message=messages.append)
    assert isinstance(first.pixels, EncodedPixels)
    assert first.encoding == "jpeg"
    assert len(messages) == 1
    for words in (
        "the 12 images are stored as JPEG of quality 95 at 64 px, about ",
        "as they are, they take",
        "the cache may take 80.0 kB",
        "FOVEATE_CACHE_GB",
    ):
        assert words in messages[0]
    (entry,) = store.entries()
    assert entry.size < 80_000
    assert "64 px, JPEG" in cache_row(entry)
    again = decoding.decode(whole, 64, on_message=messages.append)
    same(first, again)
    assert decoded == [12]
    with monkeypatch.context() as patch:
        patch.setattr(store, "locked_write", pytest.fail)  # as for a cache that is read-only
        same(first, decoding.decode(whole, 64))
    assert np.array_equal(first.pixels, [round_trip(one.source.read()) for one in whole])


@pytest.mark.usefixtures("place", "few_bytes")
def test_encoded_pixels_are_indexed_like_an_array(tmp_path):
    pixels = decoding.decode(colour(tmp_path / "data"), 64).pixels
    arrays = np.asarray(pixels)
    assert (pixels.shape, pixels.dtype, pixels.nbytes) == (arrays.shape, np.uint8, arrays.nbytes)
    for index in (
        0, -1, np.int64(2), slice(None), slice(3, 0, -2), slice(2, 2),
        np.array([2, 0, 2]), np.array([-1, 3]), np.array([], np.int64), np.arange(40) % 12,
    ):  # fmt: skip
        assert np.array_equal(pixels[index], arrays[index]), index
        assert pixels[index].shape == arrays[index].shape
    for index in (12, -13, np.array([0, 12])):
        with pytest.raises(IndexError):
            pixels[index]
    assert np.array_equal(pixels.window(1, 3, 70, 5, 9), arrays[1, 3:70, 5:9])
    subset = Subset(pixels, np.array([5, 0]))
    assert np.array_equal(ImageOnDisk(subset, 0)[2:5, 1:4], arrays[5, 2:5, 1:4])


@pytest.mark.usefixtures("place")
def test_a_recorded_encoding_holds_whatever_the_cache_may_take(tmp_path, monkeypatch):
    whole = colour(tmp_path / "data")
    raw = decoding.decode(whole, 64)
    jpeg = decoding.decode(whole, 64, encoding="jpeg")  # both fit
    assert (raw.encoding, jpeg.encoding) == ("raw", "jpeg")
    assert isinstance(raw.pixels, RawPixels)
    assert not np.array_equal(raw.pixels, jpeg.pixels)
    same(raw, decoding.decode(whole, 64))
    store.clear()
    monkeypatch.setenv("FOVEATE_CACHE_GB", "0")  # nothing fits: the same pixels from memory
    messages = []
    in_memory = decoding.decode(whole, 64, encoding="jpeg", on_message=messages.append)
    assert isinstance(in_memory.pixels, np.ndarray)
    same(jpeg, in_memory)
    same(raw, decoding.decode(whole, 64, encoding="raw", on_message=messages.append))
    assert all(words.startswith("decoded images stay in memory") for words in messages)


@pytest.mark.usefixtures("place", "few_bytes")
def test_grey_and_colour_may_be_mixed_and_the_order_changes_no_pixel(tmp_path):
    arrays = [smooth(64, 1 if i < 8 else 3, seed=i) for i in range(16)]
    one = decoding.decode(files(tmp_path / "one", arrays), 64, encoding="jpeg").pixels
    two = decoding.decode(files(tmp_path / "two", arrays[::-1]), 64, encoding="jpeg").pixels
    assert one.shape == (16, 64, 64, 3)
    assert np.array_equal(one, two[::-1])


@pytest.mark.usefixtures("place", "few_bytes")
def test_a_survey_uses_the_encoded_images_too(tmp_path, decoded):
    whole = colour(tmp_path / "data")
    images = decoding.decode(whole, 64)
    survey = decoding.survey(whole)
    assert survey.hashes == images.hashes
    assert np.array_equal(survey.image_stats, images.image_stats)
    assert decoded == [12]


@pytest.mark.usefixtures("place")
def test_deep_images_lose_nothing(tmp_path):
    rng = np.random.default_rng(0)
    whole = files(tmp_path / "data", [noise(8, 8, 1)] * 3)
    for sample in whole:
        values = rng.integers(0, 2**16, (8, 8), dtype=np.uint16)
        Image.fromarray(values).save(sample.source.path)
        assert isinstance(sample.source, FileSource)
    raw = decoding.decode(whole, 8, encoding="raw").pixels
    assert np.array_equal(decoding.decode(whole, 8, encoding="jpeg").pixels, raw)


@pytest.mark.usefixtures("place")
def test_the_estimate_is_above_what_is_taken_and_not_far(tmp_path):
    whole = colour(tmp_path / "data", 40)
    spec = decoding.DecodeSpec(64, encoding="jpeg")
    _, needed = room.plan(whole, spec, pytest.fail, pytest.fail)
    decoding.decode(whole, 64, encoding="jpeg")
    (entry,) = store.entries()
    assert entry.size * 0.9 < needed < entry.size * 1.3


@pytest.mark.usefixtures("place")
def test_what_a_large_cache_will_take_is_said_before(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "_REPORTED_BYTES", 1000)
    whole, messages = colour(tmp_path / "data"), []
    for _ in range(2):
        decoding.decode(whole, 64, on_plan=messages.append)
    assert len(messages) == 1  # the second time nothing is decoded
    assert messages[0].startswith("the 12 images at 64 px will take 1")
    assert messages[0].endswith(" kB of the 20.0 GB that the cache may take")


DAMAGES = {
    "a bit": lambda path, begin: flip(path, begin + 5),
    "cut short": lambda path, begin: os.truncate(path, begin + 5),
    "overwritten": lambda path, begin: path.write_bytes(bytes(path.stat().st_size)),
}


def flip(path, offset):
    data = bytearray(path.read_bytes())
    data[offset] ^= 4
    path.write_bytes(data)


@pytest.mark.usefixtures("few_bytes")
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_in_use_is_one_error_and_the_next_time_all_is_decoded_anew(place, tmp_path, damage):
    whole = colour(tmp_path / "data")
    images = decoding.decode(whole, 64)
    arrays = np.asarray(images.pixels)
    (name,) = kept(place)
    begin = (place / name).read_bytes().find(encode(whole[0].source.read(), lossless=False))
    DAMAGES[damage](place / name, begin)
    with pytest.raises(DataError, match="changed or damaged"):
        images.pixels[0]
    assert kept(place) == []
    assert np.array_equal(decoding.decode(whole, 64).pixels, arrays)


@pytest.mark.usefixtures("few_bytes")
def test_damage_before_use_is_found_when_the_file_is_opened(place, tmp_path):
    whole, messages = colour(tmp_path / "data"), []
    arrays = np.asarray(decoding.decode(whole, 64).pixels)
    (name,) = kept(place)
    begin = (place / name).read_bytes().find(encode(whole[3].source.read(), lossless=False))
    flip(place / name, begin + 5)
    again = decoding.decode(whole, 64, on_message=messages.append)
    assert np.array_equal(again.pixels, arrays)
    assert any("a damaged cache file was removed" in words for words in messages)


def test_threads_are_bounded(monkeypatch):
    monkeypatch.setattr(encoded, "cores", lambda: 1000)
    pixels = np.stack([smooth(8, 3, seed=i) for i in range(20)])
    assert len(encode_all(pixels, np.zeros(20, bool))) == 20


@pytest.mark.usefixtures("few_bytes")
@pytest.mark.parametrize("after", [0, 2, 3])
def test_a_full_disk_leaves_the_same_pixels_in_memory(place, tmp_path, monkeypatch, after):
    whole, messages = colour(tmp_path / "data"), []
    with monkeypatch.context() as patch:
        calls = fill_disk(patch, after)
        images = decoding.decode(whole, 64, on_message=messages.append)
    assert len(calls) == after + 1
    assert "cannot be used (No space left on device)" in messages[-1]
    assert kept(place) == []
    same(images, decoding.decode(whole, 64))
    assert images.encoding == "jpeg"
