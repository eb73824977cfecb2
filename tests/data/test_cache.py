"""Images cached on disk: they equal the decoded ones, and any change is decoded again."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foveate import formats
from foveate.annotations import Label
from foveate.data.cache import decoding
from foveate.data.image_reading import ImageReading
from foveate.data.images import FileSource, examine_bytes
from foveate.errors import DataError
from helpers.cache_files import dataset, files, in_memory, kept, noise, same

pytestmark = pytest.mark.usefixtures("place")


@pytest.mark.parametrize("shape", [(6, 5, 1), (6, 5, 3)])
@pytest.mark.parametrize("count", [1, 2, 150])
def test_what_is_kept_is_what_was_decoded(place, tmp_path, decoded, shape, count):
    whole = files(tmp_path / "data", [noise(*shape, seed=i) for i in range(count)])
    first, ticks = decoding.decode(whole, 4), []
    again = decoding.decode(whole, 4, on_progress=lambda *seen: ticks.append(seen))
    assert decoded == [count]
    assert ticks == [(count, count)]
    same(first, again)
    fresh = in_memory(whole, 4)
    assert np.array_equal(again.pixels, fresh.pixels)
    assert again.hashes == fresh.hashes
    assert again.image_stats["brightness"].tolist() == fresh.image_stats["brightness"].tolist()
    assert again.image_stats["format"].tolist() == ["PNG"] * count
    (name,) = kept(place)
    assert name.endswith("-4x0.images")


def test_what_is_kept_cannot_be_written_to(tmp_path):
    whole = files(tmp_path / "data", [noise(4, 4, 1)] * 2)
    for images in (decoding.decode(whole, 4), decoding.decode(whole, 4)):
        with pytest.raises(TypeError, match="does not support item assignment"):
            images.pixels[0] = 1
        before = np.array(images.pixels)
        images.pixels[0][:] = 1
        assert np.array_equal(images.pixels, before)


def test_another_size_or_other_channels_are_another_file(place, tmp_path, decoded):
    whole = files(tmp_path / "data", [noise(6, 6, 3, seed=i) for i in range(3)])
    assert decoding.decode(whole, 4).pixels.shape == (3, 4, 4, 3)
    assert decoding.decode(whole, 5).pixels.shape == (3, 5, 5, 3)
    assert decoding.decode(whole, 4, channels=1).pixels.shape == (3, 4, 4, 1)
    assert decoding.decode(whole, 4, channels=3).pixels.shape == (3, 4, 4, 3)
    assert [name[33:] for name in kept(place)] == [
        "4x0.images",
        "4x1.images",
        "4x3.images",
        "5x0.images",
    ]
    for size, channels in ((4, None), (5, None), (4, 1), (4, 3)):
        decoding.decode(whole, size, channels=channels)
    assert decoded == [3] * 4


def test_a_survey_takes_what_is_there_at_any_size(place, tmp_path, decoded):
    whole = files(tmp_path / "data", [noise(6, 6, 3, seed=i) for i in range(3)])
    images = decoding.decode(whole, 4)
    seen = decoding.survey(whole)
    assert decoded == [3]
    assert seen.hashes == images.hashes
    assert np.array_equal(seen.image_stats, images.image_stats)
    other = files(tmp_path / "other", [noise(6, 6, 1, seed=i) for i in range(3)])
    seen = decoding.survey(other)
    assert np.array_equal(decoding.survey(other).image_stats, seen.image_stats)
    assert decoded == [3, 3]
    assert [name for name in kept(place) if name.endswith("-0x0.images")]


def changed(path, whole):
    Image.fromarray(noise(4, 4, seed=99)).save(path)
    return whole


def touched(path, whole):
    os.utime(path)
    return whole


def swapped_with_its_times(path, whole):
    """Another file of the same size and mtime: ctime tells."""
    before, data = path.stat(), path.read_bytes()
    other = path.with_name("other")
    other.write_bytes(data[:-1] + b"x")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    return whole


def renamed(path, whole):
    new = path.rename(path.with_name("new.png"))
    return replace(whole, samples=[replace(whole[0], source=FileSource(new)), *whole.samples[1:]])


def known_by_another_id(_, whole):
    return replace(whole, samples=[replace(whole[0], id="new"), *whole.samples[1:]])


def one_less(_, whole):
    return replace(whole, samples=whole.samples[1:])


def in_another_order(_, whole):
    return replace(whole, samples=whole.samples[::-1])


def shown_otherwise(path, whole):
    return replace(
        whole,
        samples=[
            replace(whole[0], source=FileSource(path, ImageReading(white=4095))),
            *whole.samples[1:],
        ],
    )


@pytest.mark.parametrize(
    "change",
    [
        changed, touched, swapped_with_its_times, renamed, known_by_another_id, one_less,
        in_another_order, shown_otherwise,
    ],
)  # fmt: skip
def test_whatever_changes_is_decoded_again(tmp_path, decoded, change):
    whole = files(tmp_path / "data", [noise(4, 4, 1, seed=i) for i in range(3)])
    decoding.decode(whole, 4)
    other = change(whole[0].source.path, whole)
    same(decoding.decode(other, 4), decoding.decode(other, 4))
    assert decoded == [3, len(other)]
    assert np.array_equal(decoding.decode(other, 4).pixels, in_memory(other, 4).pixels)


def test_removed_images_are_skipped_though_they_were_kept(tmp_path):
    whole = files(tmp_path / "data", [noise(4, 4, 1, seed=i) for i in range(3)])
    decoding.decode(whole, 4)
    whole[1].source.path.unlink()
    images = decoding.decode(whole, 4, max_skipped=0.5)
    assert [(s.id, s.reason) for s in images.dataset.skipped] == [
        ("001.png", "an image is expected, but there is no such file")
    ]


def test_names_targets_and_splits_are_the_sets_own_not_the_caches(tmp_path, decoded):
    whole = files(tmp_path / "data", [noise(4, 4, 1, seed=i) for i in range(3)])
    decoding.decode(whole, 4)
    other = replace(
        whole, name="other", samples=[replace(s, target=Label(1), split="test") for s in whole]
    )
    assert [(s.target, s.split) for s in decoding.decode(other, 4).dataset] == [
        (Label(1), "test")
    ] * 3
    assert decoded == [3]


def test_grey_images_before_colour_are_widened_in_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "foveate.data.cache.file._COPY_BYTES", 1000
    )  # so that there are many steps, and a last one that is shorter
    arrays = [noise(9, 9, 1, seed=i) for i in range(150)] + [
        noise(9, 9, 3),
        noise(9, 9, 1, seed=200),
    ]
    whole = files(tmp_path / "data", arrays)
    first = decoding.decode(whole, 9)
    assert first.pixels.shape == (152, 9, 9, 3)
    for array, row in zip(arrays, first.pixels, strict=True):
        assert np.array_equal(row, np.broadcast_to(array, (9, 9, 3)))
    same(first, decoding.decode(whole, 9))


def test_an_unreadable_image_is_remembered_but_tried_again(place, tmp_path, decoded, monkeypatch):
    whole = files(tmp_path / "data", [noise(4, 4, 1, seed=i) for i in range(3)])
    good = whole[0].source.path.read_bytes()
    whole[0].source.path.write_bytes(b"x")
    first = decoding.decode(whole, 4, max_skipped=0.5)
    assert [s.id for s in first.dataset.skipped] == ["000.png"]
    same(first, decoding.decode(whole, 4, max_skipped=0.5))
    assert decoded == [3]
    with pytest.raises(DataError, match="1 of 3 samples cannot be used"):
        decoding.decode(whole, 4)
    assert decoded == [3]
    with (
        monkeypatch.context() as patch
    ):  # the disk is there again; nothing about the file has changed
        patch.setattr(FileSource, "examine", lambda source: examine_bytes(good, source.path))
        assert len(decoding.decode(whole, 4).hashes) == 3
    assert decoded == [3, 3]
    assert len(kept(place)) == 1


def test_a_set_of_which_nothing_can_be_read_is_not_kept(place, tmp_path):
    whole = files(tmp_path / "data", [noise(4, 4, 1)])
    whole[0].source.path.write_bytes(b"x")
    for _ in range(2):
        with pytest.raises(DataError, match="1 of 1"):
            decoding.decode(whole, 4, max_skipped=1.0)
        assert kept(place) == []


def test_bands_that_do_not_agree_leave_no_file(place, tmp_path):
    @dataclass(frozen=True)
    class Bands:
        path: Path
        count: int

        def read(self):
            return np.zeros((4, 4, self.count), np.uint8)

    whole = files(tmp_path / "data", [noise(4, 4, 1)] * 2)
    samples = [replace(s, source=Bands(s.source.path, 3 + i)) for i, s in enumerate(whole)]
    with pytest.raises(DataError, match="more bands"):
        decoding.decode(replace(whole, samples=samples), 4)
    assert kept(place) == []


def test_images_in_memory_stay_there(place):
    decoding.decode(dataset([noise(4, 4, 1)] * 2), 4)
    decoding.survey(dataset([noise(4, 4, 1)] * 2))
    assert not place.exists()


def test_images_within_shards_are_kept(tmp_path, decoded):
    whole = files(tmp_path / "data", [noise(4, 4, 1, seed=i) for i in range(4)])
    formats.find_writer("webdataset").write(whole, tmp_path / "shards")
    shards = formats.read(tmp_path / "shards")
    first = decoding.decode(shards, 4)
    same(first, decoding.decode(shards, 4))
    assert np.array_equal(first.pixels, decoding.decode(whole, 4).pixels)
    assert decoded == [4, 4]
    os.utime(tmp_path / "shards" / "data-000000.tar")
    decoding.decode(formats.read(tmp_path / "shards"), 4)
    assert decoded == [4, 4, 4]
