"""Without a usable cache, images stay in memory and the user is told, or decoding fails."""

import errno
import os
from types import SimpleNamespace

import numpy as np
import pytest

from foveate.data.cache import decoding, room
from foveate.errors import DataError, SettingError
from helpers.cache_files import files, fill_disk, in_memory, kept, noise, same

pytestmark = pytest.mark.usefixtures("place")


@pytest.mark.parametrize("inside", ["", "deep/er", "link"])
def test_a_cache_within_the_data_is_refused(tmp_path, monkeypatch, inside):
    whole = files(tmp_path / "data", [noise(4, 4, 1)])
    if inside == "link":
        (tmp_path / "link").symlink_to(tmp_path / "data")
    monkeypatch.setenv(
        "FOVEATE_CACHE", str(tmp_path / ("link" if inside == "link" else f"data/{inside}"))
    )
    for work in (lambda: decoding.decode(whole, 4), lambda: decoding.survey(whole)):
        with pytest.raises(DataError, match="a cache outside the data is expected") as caught:
            work()
        assert caught.value.where == tmp_path / "data"
        assert "FOVEATE_CACHE" in str(caught.value.remedy)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["000.png"]


def falls_back(whole, place, *words):
    """The set is decoded all the same, that is told once, and nothing is left in the place."""
    told = []
    images = decoding.decode(whole, 4, on_message=told.append)
    assert np.array_equal(images.pixels, in_memory(whole, 4).pixels)
    assert images.image_stats["format"].tolist() == ["PNG"] * len(whole)
    assert len(told) == 1, told
    assert told[0].startswith("decoded images stay in memory and are not cached for later: ")
    for word in words:
        assert word in told[0]
    assert not place.is_dir() or kept(place) == []


def test_a_bound_that_is_too_small_is_told(place, tmp_path, monkeypatch):
    whole = files(tmp_path / "data", [noise(4, 4, 3, seed=i) for i in range(3)])
    monkeypatch.setenv("FOVEATE_CACHE_GB", "0.000001")
    falls_back(whole, place, "they take", "the cache may take 1.0 kB")
    monkeypatch.setenv("FOVEATE_CACHE_GB", "0")
    falls_back(whole, place, "the cache may take 0.0 kB")


def test_grey_images_need_a_third_of_the_room(place, tmp_path, monkeypatch):
    whole = files(tmp_path / "data", [noise(60, 60, 1, seed=i) for i in range(3)])
    monkeypatch.setenv("FOVEATE_CACHE_GB", "0.00002")
    told = []
    decoding.decode(whole, 60, on_message=told.append)
    assert told == []
    assert len(kept(place)) == 1
    falls_back_colour = files(tmp_path / "colour", [noise(60, 60, 3, seed=i) for i in range(3)])
    decoding.decode(falls_back_colour, 60, on_message=told.append)
    assert "the cache may take 20.0 kB" in told[0]


@pytest.mark.parametrize("after", [0, 1, 4])
def test_a_full_disk_leaves_nothing_half_done(place, tmp_path, monkeypatch, after):
    whole = files(tmp_path / "data", [noise(4, 4, 3, seed=i) for i in range(150)])
    calls = fill_disk(monkeypatch, after)
    falls_back(whole, place, "cannot be used (No space left on device)")
    assert len(calls) == after + 1


def test_a_disk_that_writes_less_than_it_was_given_is_given_the_rest(tmp_path, monkeypatch):
    whole = files(tmp_path / "data", [noise(8, 8, 3, seed=i) for i in range(5)])
    pwrite = os.pwrite
    monkeypatch.setattr(
        os, "pwrite", lambda handle, data, offset: pwrite(handle, data[:100], offset)
    )
    first = decoding.decode(whole, 8)
    assert np.array_equal(first.pixels, in_memory(whole, 8).pixels)
    same(first, decoding.decode(whole, 8))


def test_a_disk_without_room_is_told_beforehand(place, tmp_path, monkeypatch):
    whole = files(tmp_path / "data", [noise(4, 4, 3, seed=i) for i in range(3)])
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    falls_back(whole, place, "the disk of", "has 1.0 kB free")


def test_a_place_that_cannot_be_made_is_told(place, tmp_path):
    whole = files(tmp_path / "data", [noise(4, 4, 3, seed=i) for i in range(3)])
    (tmp_path / "cache").write_text("a file")
    falls_back(whole, place, "cannot be used (Not a directory)")


def test_a_place_where_nobody_may_write_is_told_and_what_is_there_is_used(
    place, tmp_path, monkeypatch, decoded
):
    whole = files(tmp_path / "data", [noise(4, 4, 3, seed=i) for i in range(3)])
    other = files(tmp_path / "other", [noise(4, 4, 3, seed=i) for i in range(4)])
    first = decoding.decode(whole, 4)
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
    same(first, decoding.decode(whole, 4))
    told = []
    decoding.decode(other, 4, on_message=told.append)
    assert "cannot be used (Permission denied)" in told[0]
    assert decoded == [3, 4]


def test_images_that_fit_neither_disk_nor_memory_are_refused(place, tmp_path, monkeypatch):
    whole = files(tmp_path / "data", [noise(4, 4, 3, seed=i) for i in range(3)])
    monkeypatch.setenv("FOVEATE_CACHE_GB", "0")
    (tmp_path / "meminfo").write_text("MemTotal: 8 kB\nMemAvailable:      6 kB\n")
    monkeypatch.setattr(room, "_MEMINFO", tmp_path / "meminfo")
    with pytest.raises(
        DataError, match=r"the 3 decoded images take .*, too much for the 6\.1 kB of free memory"
    ) as caught:
        decoding.decode(whole, 4)
    assert "FOVEATE_CACHE_GB" in str(caught.value.remedy)
    for text in ("", "MemAvailable:\n", "MemAvailable: much\n"):
        (tmp_path / "meminfo").write_text(text)
        falls_back(whole, place, "0.0 kB")


@pytest.mark.parametrize("told", ["-1", "nan", "much", "1,5"])
def test_a_bound_that_is_no_number_is_a_wrong_setting(place, tmp_path, monkeypatch, told):
    monkeypatch.setenv("FOVEATE_CACHE_GB", told)
    with pytest.raises(
        SettingError, match="a number of gigabytes, 0 or more, is expected"
    ) as caught:
        decoding.decode(files(tmp_path / "data", [noise(4, 4, 3)]), 4)
    assert caught.value.where == "FOVEATE_CACHE_GB"
    assert not place.exists()


def test_a_home_that_does_not_exist_is_a_wrong_setting(tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEATE_CACHE", "~nobody-of-that-name/cache")
    with pytest.raises(
        SettingError, match="a folder is expected, got '~nobody-of-that-name/cache'"
    ):
        decoding.decode(files(tmp_path / "data", [noise(4, 4, 3)]), 4)
