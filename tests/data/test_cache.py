import errno
import os
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from foveate.annotations import Label
from foveate.data import cache, decoding, formats
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.data.pictures import FileSource, decode, examine_bytes
from foveate.data.rows import Rows
from foveate.errors import DataError, SettingError


def dataset(arrays):
    samples = [Sample(f"s{i}", ArraySource(array[None], 0), Label(i % 2)) for i, array in enumerate(arrays)]
    return Dataset("set", "classification", ("a", "b"), samples)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def test_pictures_of_the_right_size_are_taken_as_they_are():
    arrays = [noise(8, 8, 1, seed=i) for i in range(200)]
    pictures = cache.decode(dataset(arrays), 8)
    assert np.array_equal(pictures.pixels, np.stack(arrays))
    assert pictures.pixels.dtype == np.uint8
    assert len(set(pictures.hashes)) == 200


def test_grey_among_colour_is_repeated_and_colour_after_grey_is_kept():
    grey, colour = noise(6, 6, 1), noise(6, 6, 3)
    for arrays in ([grey, colour], [colour, grey]):
        pictures = cache.decode(dataset(arrays), 6)
        assert pictures.pixels.shape == (2, 6, 6, 3)
        for array, row in zip(arrays, pictures.pixels, strict=True):
            assert np.array_equal(row, np.broadcast_to(array, (6, 6, 3)))


def test_bands_that_do_not_agree_are_refused():
    with pytest.raises(DataError, match="more bands"):
        cache.decode(dataset([noise(6, 6, 3), noise(6, 6, 5)]), 6)


def test_equal_pictures_have_equal_hashes_whatever_the_file(tmp_path):
    pixels = noise(9, 7, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels).save(tmp_path / "b.bmp")
    Image.fromarray(pixels[:, ::-1]).save(tmp_path / "c.png")
    samples = [Sample(name, FileSource(tmp_path / name), Label(0)) for name in ("a.png", "b.bmp", "c.png")]
    pictures = cache.decode(Dataset("set", "classification", ("a", "b"), samples), 8)
    assert pictures.hashes[0] == pictures.hashes[1] != pictures.hashes[2]
    assert pictures.looks["height"].tolist() == [9] * 3
    assert pictures.looks["width"].tolist() == [7] * 3
    assert np.array_equal(decode(tmp_path / "a.png"), pixels)


def test_a_turned_picture_is_another_picture_though_its_bytes_are_the_same():
    flat = noise(2, 8, 1)
    pictures = cache.decode(dataset([flat, flat.reshape(8, 2, 1)]), 4)
    assert pictures.hashes[0] != pictures.hashes[1]


def test_the_unreadable_are_skipped_with_a_reason_up_to_a_share(tmp_path):
    for i in range(40):
        Image.fromarray(noise(8, 8, 3, seed=i)).save(tmp_path / f"{i:02}.png")
    (tmp_path / "07.png").write_bytes(b"x")
    samples = [Sample(f"{i:02}.png", FileSource(tmp_path / f"{i:02}.png"), Label(0)) for i in range(40)]
    whole = Dataset("set", "classification", ("a", "b"), samples)
    ticks = []
    pictures = cache.decode(whole, 8, tick=lambda *seen: ticks.append(seen))
    assert [skipped.id for skipped in pictures.dataset.skipped] == ["07.png"]
    assert [sample.id for sample in pictures.dataset] == [f"{i:02}.png" for i in range(40) if i != 7]
    assert np.array_equal(pictures.pixels[7], decode(tmp_path / "08.png"))
    assert ticks[-1] == (40, 40)
    for i in range(3):
        (tmp_path / f"{i:02}.png").write_bytes(b"x")
    with pytest.raises(DataError, match="4 of 40") as refused:
        cache.decode(whole, 8)
    assert "--allow-skipped" in str(refused.value)
    assert len(cache.decode(whole, 8, most_skipped=1.0).hashes) == 36


def test_nothing_readable_is_refused_even_when_skipping_is_allowed(tmp_path):
    samples = [Sample("a", FileSource(tmp_path / "a.png"), Label(0))]
    with pytest.raises(DataError, match="1 of 1"):
        cache.decode(Dataset("set", "classification", ("a",), samples), 8, most_skipped=1.0)


def test_the_natural_size_is_the_median_of_the_longer_sides():
    assert cache.natural_size(dataset([noise(10, 20, 1), noise(30, 5, 1), noise(7, 7, 1)])) == 20
    assert cache.natural_size(dataset([])) == 0


# --- kept on disk -----------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A cache of the test's own."""
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pictures"


@pytest.fixture
def decoded(monkeypatch):
    """How many pictures were decoded in each call for all of a set, in a list that grows."""
    counts, read_all = [], decoding.read_all

    def counting(sources, wanted):
        counts.append(len(sources))
        return read_all(sources, wanted)

    monkeypatch.setattr(decoding, "read_all", counting)
    return counts


def files(root, arrays, name="set"):
    """A set of PNG files."""
    root.mkdir(parents=True, exist_ok=True)
    samples = []
    for i, array in enumerate(arrays):
        path = root / f"{i:03}.png"
        Image.fromarray(array[..., 0] if array.shape[2] == 1 else array).save(path)
        samples.append(Sample(path.name, FileSource(path), Label(i % 2)))
    return Dataset(name, "classification", ("a", "b"), samples, origin=root)


def kept(place):
    return sorted(path.name for path in place.iterdir())


def same(one, other):
    assert np.array_equal(one.pixels, other.pixels)
    assert one.hashes == other.hashes
    assert np.array_equal(one.looks, other.looks)
    assert [s.id for s in one.dataset] == [s.id for s in other.dataset]
    assert one.dataset.skipped == other.dataset.skipped


def in_memory(whole, size):
    """The same set decoded without a cache: its sources are arrays."""
    samples = [replace(s, source=ArraySource(s.source.read()[None], 0)) for s in whole]
    return cache.decode(replace(whole, samples=samples), size)


@pytest.mark.parametrize("shape", [(6, 5, 1), (6, 5, 3)])
@pytest.mark.parametrize("count", [1, 2, 150])
def test_what_is_kept_is_what_was_decoded(place, tmp_path, decoded, shape, count):
    whole = files(tmp_path / "data", [noise(*shape, seed=i) for i in range(count)])
    first, ticks = cache.decode(whole, 4), []
    again = cache.decode(whole, 4, tick=lambda *seen: ticks.append(seen))
    assert decoded == [count]
    assert ticks == [(count, count)]
    same(first, again)
    fresh = in_memory(whole, 4)
    assert np.array_equal(again.pixels, fresh.pixels)
    assert again.hashes == fresh.hashes
    assert again.looks["brightness"].tolist() == fresh.looks["brightness"].tolist()
    assert again.looks["format"].tolist() == ["PNG"] * count
    (name,) = kept(place)
    assert name.endswith("-4x0.pictures")


def test_what_is_kept_cannot_be_written_to(tmp_path):
    whole = files(tmp_path / "data", [noise(4, 4, 1)] * 2)
    for pictures in (cache.decode(whole, 4), cache.decode(whole, 4)):
        with pytest.raises(ValueError, match="read-only"):
            pictures.pixels[0] = 1


def test_another_size_or_other_channels_are_another_file(place, tmp_path, decoded):
    whole = files(tmp_path / "data", [noise(6, 6, 3, seed=i) for i in range(3)])
    assert cache.decode(whole, 4).pixels.shape == (3, 4, 4, 3)
    assert cache.decode(whole, 5).pixels.shape == (3, 5, 5, 3)
    assert cache.decode(whole, 4, channels=1).pixels.shape == (3, 4, 4, 1)
    assert cache.decode(whole, 4, channels=3).pixels.shape == (3, 4, 4, 3)
    assert [name[33:] for name in kept(place)] == ["4x0.pictures", "4x1.pictures", "4x3.pictures", "5x0.pictures"]
    for size, channels in ((4, None), (5, None), (4, 1), (4, 3)):
        cache.decode(whole, size, channels=channels)
    assert decoded == [3] * 4


def test_a_survey_takes_what_is_there_at_any_size(place, tmp_path, decoded):
    whole = files(tmp_path / "data", [noise(6, 6, 3, seed=i) for i in range(3)])
    pictures = cache.decode(whole, 4)
    seen = cache.survey(whole)
    assert decoded == [3]
    assert seen.hashes == pictures.hashes
    assert np.array_equal(seen.looks, pictures.looks)
    other = files(tmp_path / "other", [noise(6, 6, 1, seed=i) for i in range(3)])
    seen = cache.survey(other)
    assert np.array_equal(cache.survey(other).looks, seen.looks)
    assert decoded == [3, 3]
    assert [name for name in kept(place) if name.endswith("-0x0.pictures")]


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
    return replace(whole, samples=[replace(whole[0], source=FileSource(path, white=4095)), *whole.samples[1:]])


@pytest.mark.parametrize(
    "change",
    [changed, touched, swapped_with_its_times, renamed, known_by_another_id, one_less, in_another_order, shown_otherwise],
)  # fmt: skip
def test_whatever_changes_is_decoded_again(tmp_path, decoded, change):
    whole = files(tmp_path / "data", [noise(4, 4, 1, seed=i) for i in range(3)])
    cache.decode(whole, 4)
    other = change(whole[0].source.path, whole)
    same(cache.decode(other, 4), cache.decode(other, 4))
    assert decoded == [3, len(other)]
    assert np.array_equal(cache.decode(other, 4).pixels, in_memory(other, 4).pixels)


def test_removed_pictures_are_skipped_though_they_were_kept(tmp_path):
    whole = files(tmp_path / "data", [noise(4, 4, 1, seed=i) for i in range(3)])
    cache.decode(whole, 4)
    whole[1].source.path.unlink()
    pictures = cache.decode(whole, 4, most_skipped=0.5)
    assert [(s.id, s.reason) for s in pictures.dataset.skipped] == [
        ("001.png", "a picture is expected, but there is no such file")
    ]


def test_names_truths_and_parts_are_the_sets_own_not_the_caches(tmp_path, decoded):
    whole = files(tmp_path / "data", [noise(4, 4, 1, seed=i) for i in range(3)])
    cache.decode(whole, 4)
    other = replace(whole, name="other", samples=[replace(s, truth=Label(1), part="test") for s in whole])
    assert [(s.truth, s.part) for s in cache.decode(other, 4).dataset] == [(Label(1), "test")] * 3
    assert decoded == [3]


def test_grey_pictures_before_colour_are_widened_in_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr("foveate.data.kept._STEP", 1000)  # so that there are many steps, and a last one that is shorter
    arrays = [noise(9, 9, 1, seed=i) for i in range(150)] + [noise(9, 9, 3), noise(9, 9, 1, seed=200)]
    whole = files(tmp_path / "data", arrays)
    first = cache.decode(whole, 9)
    assert first.pixels.shape == (152, 9, 9, 3)
    for array, row in zip(arrays, first.pixels, strict=True):
        assert np.array_equal(row, np.broadcast_to(array, (9, 9, 3)))
    same(first, cache.decode(whole, 9))


def test_an_unreadable_picture_is_remembered_but_tried_again(place, tmp_path, decoded, monkeypatch):
    whole = files(tmp_path / "data", [noise(4, 4, 1, seed=i) for i in range(3)])
    good = whole[0].source.path.read_bytes()
    whole[0].source.path.write_bytes(b"x")
    first = cache.decode(whole, 4, most_skipped=0.5)
    assert [s.id for s in first.dataset.skipped] == ["000.png"]
    same(first, cache.decode(whole, 4, most_skipped=0.5))
    assert decoded == [3]
    with pytest.raises(DataError, match="1 of 3 samples cannot be used"):
        cache.decode(whole, 4)
    assert decoded == [3]
    with monkeypatch.context() as patch:  # the disk is there again; nothing about the file has changed
        patch.setattr(FileSource, "examine", lambda source: examine_bytes(good, source.path))
        assert len(cache.decode(whole, 4).hashes) == 3
    assert decoded == [3, 3]
    assert len(kept(place)) == 1


def test_a_set_of_which_nothing_can_be_read_is_not_kept(place, tmp_path):
    whole = files(tmp_path / "data", [noise(4, 4, 1)])
    whole[0].source.path.write_bytes(b"x")
    for _ in range(2):
        with pytest.raises(DataError, match="1 of 1"):
            cache.decode(whole, 4, most_skipped=1.0)
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
        cache.decode(replace(whole, samples=samples), 4)
    assert kept(place) == []


def test_pictures_in_memory_stay_there(place):
    cache.decode(dataset([noise(4, 4, 1)] * 2), 4)
    cache.survey(dataset([noise(4, 4, 1)] * 2))
    assert not place.exists()


def test_pictures_within_shards_are_kept(tmp_path, decoded):
    whole = files(tmp_path / "data", [noise(4, 4, 1, seed=i) for i in range(4)])
    formats.find("webdataset").write(whole, tmp_path / "shards")
    shards = formats.read(tmp_path / "shards")
    first = cache.decode(shards, 4)
    same(first, cache.decode(shards, 4))
    assert np.array_equal(first.pixels, cache.decode(whole, 4).pixels)
    assert decoded == [4, 4]
    os.utime(tmp_path / "shards" / "data-000000.tar")
    cache.decode(formats.read(tmp_path / "shards"), 4)
    assert decoded == [4, 4, 4]


# --- where it may not be written --------------------------------------------------------------------------------------


@pytest.mark.parametrize("inside", ["", "deep/er", "link"])
def test_a_cache_within_the_data_is_refused(tmp_path, monkeypatch, inside):
    whole = files(tmp_path / "data", [noise(4, 4, 1)])
    if inside == "link":
        (tmp_path / "link").symlink_to(tmp_path / "data")
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / ("link" if inside == "link" else f"data/{inside}")))
    for work in (lambda: cache.decode(whole, 4), lambda: cache.survey(whole)):
        with pytest.raises(DataError, match="a cache outside the data is expected") as caught:
            work()
        assert caught.value.where == tmp_path / "data"
        assert "FOVEATE_CACHE" in str(caught.value.remedy)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["000.png"]


def falls_back(whole, place, *words):
    """The set is decoded all the same, that is told once, and nothing is left in the place."""
    told = []
    pictures = cache.decode(whole, 4, tell=told.append)
    assert np.array_equal(pictures.pixels, in_memory(whole, 4).pixels)
    assert pictures.looks["format"].tolist() == ["PNG"] * len(whole)
    assert len(told) == 1, told
    assert told[0].startswith("decoded pictures stay in memory and are not kept for later: ")
    for word in words:
        assert word in told[0]
    assert not place.is_dir() or kept(place) == []


def test_a_bound_that_is_too_small_is_told(place, tmp_path, monkeypatch):
    whole = files(tmp_path / "data", [noise(4, 4, 3, seed=i) for i in range(3)])
    monkeypatch.setenv("FOVEATE_CACHE_GB", "0.000001")
    falls_back(whole, place, "they take", "the cache may take 1.0 kB")
    monkeypatch.setenv("FOVEATE_CACHE_GB", "0")
    falls_back(whole, place, "the cache may take 0.0 kB")


def test_grey_pictures_need_a_third_of_the_room(place, tmp_path, monkeypatch):
    whole = files(tmp_path / "data", [noise(60, 60, 1, seed=i) for i in range(3)])
    monkeypatch.setenv("FOVEATE_CACHE_GB", "0.00002")
    told = []
    cache.decode(whole, 60, tell=told.append)
    assert told == []
    assert len(kept(place)) == 1
    falls_back_colour = files(tmp_path / "colour", [noise(60, 60, 3, seed=i) for i in range(3)])
    cache.decode(falls_back_colour, 60, tell=told.append)
    assert "the cache may take 20.0 kB" in told[0]


@pytest.mark.parametrize("after", [0, 1, 4])
def test_a_full_disk_leaves_nothing_half_done(place, tmp_path, monkeypatch, after):
    whole = files(tmp_path / "data", [noise(4, 4, 3, seed=i) for i in range(150)])
    pwrite, calls = os.pwrite, []

    def full(*given):
        calls.append(given)
        if len(calls) > after:
            raise OSError(errno.ENOSPC, "No space left on device")
        return pwrite(*given)

    monkeypatch.setattr(os, "pwrite", full)
    falls_back(whole, place, "cannot be used (No space left on device)")
    assert len(calls) == after + 1


def test_a_disk_that_writes_less_than_it_was_given_is_given_the_rest(tmp_path, monkeypatch):
    whole = files(tmp_path / "data", [noise(8, 8, 3, seed=i) for i in range(5)])
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda handle, data, offset: pwrite(handle, data[:100], offset))
    first = cache.decode(whole, 8)
    assert np.array_equal(first.pixels, in_memory(whole, 8).pixels)
    same(first, cache.decode(whole, 8))


def test_a_disk_without_room_is_told_beforehand(place, tmp_path, monkeypatch):
    whole = files(tmp_path / "data", [noise(4, 4, 3, seed=i) for i in range(3)])
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    falls_back(whole, place, "the disk of", "has 1.0 kB free")


def test_a_place_that_cannot_be_made_is_told(place, tmp_path):
    whole = files(tmp_path / "data", [noise(4, 4, 3, seed=i) for i in range(3)])
    (tmp_path / "cache").write_text("a file")
    falls_back(whole, place, "cannot be used (Not a directory)")


def test_a_place_where_nobody_may_write_is_told_and_what_is_there_is_used(place, tmp_path, monkeypatch, decoded):
    whole = files(tmp_path / "data", [noise(4, 4, 3, seed=i) for i in range(3)])
    other = files(tmp_path / "other", [noise(4, 4, 3, seed=i) for i in range(4)])
    first = cache.decode(whole, 4)
    real, utime = os.open, os.utime

    def refusing(path, flags, *rest, **more):
        if str(place) in str(path) and flags & (os.O_RDWR | os.O_CREAT):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, flags, *rest, **more)

    def refused(path, *given, **more):
        raise (
            PermissionError(errno.EACCES, "Permission denied")
            if str(place) in str(path)
            else utime(path, *given, **more)
        )

    monkeypatch.setattr(os, "open", refusing)
    monkeypatch.setattr(os, "utime", refused)
    same(first, cache.decode(whole, 4))
    told = []
    cache.decode(other, 4, tell=told.append)
    assert "cannot be used (Permission denied)" in told[0]
    assert decoded == [3, 4]


def test_pictures_that_fit_neither_disk_nor_memory_are_refused(place, tmp_path, monkeypatch):
    whole = files(tmp_path / "data", [noise(4, 4, 3, seed=i) for i in range(3)])
    monkeypatch.setenv("FOVEATE_CACHE_GB", "0")
    (tmp_path / "meminfo").write_text("MemTotal: 8 kB\nMemAvailable:      6 kB\n")
    monkeypatch.setattr(cache, "_MEMORY", tmp_path / "meminfo")
    with pytest.raises(
        DataError, match=r"the 3 decoded pictures take .*, too much for the 6\.1 kB of free memory"
    ) as caught:
        cache.decode(whole, 4)
    assert "FOVEATE_CACHE_GB" in str(caught.value.remedy)
    for text in ("", "MemAvailable:\n", "MemAvailable: much\n"):
        (tmp_path / "meminfo").write_text(text)
        falls_back(whole, place, "0.0 kB")


@pytest.mark.parametrize("told", ["-1", "nan", "much", "1,5"])
def test_a_bound_that_is_no_number_is_a_wrong_setting(place, tmp_path, monkeypatch, told):
    monkeypatch.setenv("FOVEATE_CACHE_GB", told)
    with pytest.raises(SettingError, match="a number of gigabytes, 0 or more, is expected") as caught:
        cache.decode(files(tmp_path / "data", [noise(4, 4, 3)]), 4)
    assert caught.value.where == "FOVEATE_CACHE_GB"
    assert kept(place) == []


def test_a_home_that_does_not_exist_is_a_wrong_setting(tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEATE_CACHE", "~nobody-of-that-name/cache")
    with pytest.raises(SettingError, match="a folder is expected, got '~nobody-of-that-name/cache'"):
        cache.decode(files(tmp_path / "data", [noise(4, 4, 3)]), 4)


# --- rows -------------------------------------------------------------------------------------------------------------


def test_rows_are_taken_when_they_are_asked_for():
    pixels = noise(9, 4, 4, 3)
    rows = Rows(pixels, np.array([5, 0, 5, 8]))
    assert (len(rows), rows.shape) == (4, (4, 4, 4, 3))
    assert np.array_equal(rows[1], pixels[0])
    assert rows[1].base is not None  # a view, no copy
    assert np.array_equal(rows[1:3], pixels[[0, 5]])
    assert np.array_equal(rows[np.array([3, 3])], pixels[[8, 8]])
    assert np.array_equal(np.stack(list(rows)), pixels[[5, 0, 5, 8]])
    taken = rows[np.array([0])]
    taken[:] = 0
    assert pixels[5].any()
    assert Rows(pixels, np.array([], np.int64)).shape == (0, 4, 4, 3)
    with pytest.raises(IndexError):
        rows[4]
