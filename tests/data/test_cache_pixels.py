"""Cached pixels are indexed like an array, and damage to their file is found before it is used."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from foveate.data.cache import decoding, store
from foveate.data.cache.pixels import CachedPixels
from foveate.data.subset import ImageOnDisk, Subset, TiledSubset
from foveate.errors import DataError
from helpers.cache_files import files, kept, listed, make_images, noise


def cached(folder, count=5, size=8, channels=3, seed=0):
    """Pixels in a file, and the same in memory; an image beyond 256 kB has several blocks."""
    arrays = np.stack([noise(size, size, channels, seed=seed + i) for i in range(count)])
    whole = files(folder, arrays)
    pixels = decoding.decode(whole, size).pixels
    assert isinstance(pixels, CachedPixels)
    return pixels, arrays


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(("size", "channels"), [(8, 3), (5, 1), (300, 3), (600, 1)])
def test_they_are_indexed_like_an_array(tmp_path, size, channels):
    pixels, arrays = cached(tmp_path / "data", 4, size, channels)
    assert (pixels.shape, pixels.dtype, pixels.nbytes) == (arrays.shape, np.uint8, arrays.nbytes)
    for index in (
        0, 3, -1, -4, np.int64(2), slice(None), slice(1, 3), slice(3, 0, -2), slice(2, 2),
        np.array([2, 0, 2]), np.array([-1, 3]), np.array([], np.int64),
    ):  # fmt: skip
        assert np.array_equal(pixels[index], arrays[index]), index
        assert pixels[index].shape == arrays[index].shape
    assert np.array_equal(np.asarray(pixels), arrays)
    assert np.array_equal(np.stack(list(pixels)), arrays)
    for index in (4, -5, np.array([0, 4]), np.array([-5])):
        with pytest.raises(IndexError):
            pixels[index]


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(("size", "channels"), [(8, 3), (300, 3), (600, 1)])
def test_a_part_of_an_image_is_the_part_of_the_array(tmp_path, size, channels):
    pixels, arrays = cached(tmp_path / "data", 3, size, channels)
    rng = np.random.default_rng(0)
    subset = Subset(pixels, np.array([2, 0]), np.array([[size, size - 3], [size - 2, size]]))
    lazy = ImageOnDisk(subset, 1)
    assert lazy.shape == (size - 2, size, channels)
    assert np.array_equal(subset[1], arrays[0, : size - 2])
    for _ in range(50):
        (top, bottom), (left, right) = np.sort(rng.integers(0, size + 3, (2, 2)), 1).tolist()
        window = arrays[1, top:bottom, left:right]
        assert np.array_equal(pixels.window(1, top, bottom, left, right), window)
        window = subset[1][top:bottom, left:right]
        assert np.array_equal(lazy[top:bottom, left:right], window)
    tiles = TiledSubset(subset, [(1, (2, 1, size, size - 2)), (0, (0, 0, 4, 3))], size - 2)
    assert np.array_equal(tiles[0], arrays[0, 1 : size - 2, 2:size])
    assert np.array_equal(tiles[1], arrays[2, :3, :4])
    assert np.array_equal(tiles[np.array([0])][0], arrays[0, 1 : size - 1, 2:])


# --- damage while the file is in use


def flip(path, offset):
    with path.open("r+b") as file:
        file.seek(offset)
        (byte,) = file.read(1)
        file.seek(offset)
        file.write(bytes([byte ^ 4]))


def pixels_begin(path, arrays):
    begin = path.read_bytes().find(arrays[0].tobytes())
    assert begin > 0
    return begin


DAMAGES = {
    "a bit of the first image": lambda path, begin, image: flip(path, begin),
    "a bit of the last image": lambda path, begin, image: flip(path, begin + 4 * image - 1),
    "a bit in between": lambda path, begin, image: flip(path, begin + 2 * image + image // 2),
    "cut short within the pixels": lambda path, begin, image: os.truncate(path, begin + 9),
    "cut short to nothing": lambda path, begin, image: os.truncate(path, 0),
    "overwritten": lambda path, begin, image: path.write_bytes(bytes(path.stat().st_size)),
}


@pytest.mark.parametrize("before", [True, False], ids=["read before", "not read before"])
@pytest.mark.parametrize("size", [8, 300])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_in_use_is_one_error_and_the_next_time_all_is_decoded_anew(
    place, tmp_path, monkeypatch, damage, size, before
):
    monkeypatch.setattr("foveate.data.cache.file.MAX_CHECKED_BYTES", 0)
    pixels, arrays = cached(tmp_path / "data", 4, size)
    (name,) = kept(place)
    if before:
        assert np.array_equal(pixels[:], arrays)
    begin = pixels_begin(place / name, arrays)
    DAMAGES[damage](place / name, begin, size * size * 3)

    def read():
        for row in range(4):
            assert np.array_equal(pixels[row], arrays[row])  # never other pixels

    with pytest.raises(DataError, match="have been changed or damaged") as caught:
        read()
    assert caught.value.where == place / name
    assert "the same command again" in str(caught.value.remedy)
    assert kept(place) == []
    again = decoding.decode(listed(tmp_path / "data"), size)
    assert np.array_equal(again.pixels, arrays)


@pytest.mark.usefixtures("place")
def test_a_damaged_file_that_cannot_be_removed_is_the_users_to_remove(tmp_path, monkeypatch):
    pixels, _ = cached(tmp_path / "data")
    os.truncate(pixels.path, 0)

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    with pytest.raises(DataError) as caught:
        pixels[0]
    assert str(caught.value.remedy).startswith("Remove the file")


def test_a_window_is_read_without_the_damage_beside_it(place, tmp_path, monkeypatch):
    monkeypatch.setattr("foveate.data.cache.file.MAX_CHECKED_BYTES", 0)
    pixels, arrays = cached(tmp_path / "data", 2, 600)
    (name,) = kept(place)
    flip(place / name, pixels_begin(place / name, arrays))
    assert np.array_equal(pixels.window(0, 400, 500, 0, 9), arrays[0, 400:500, :9])
    with pytest.raises(DataError):
        pixels.window(0, 100, 200, 0, 9)


def test_a_file_that_took_the_place_of_the_damaged_one_is_kept(place, tmp_path):
    pixels, _ = cached(tmp_path / "data")
    (name,) = kept(place)
    data = (place / name).read_bytes()
    flip(place / name, 5000)
    (place / name).rename(tmp_path / "moved")
    (place / name).write_bytes(data)
    os.truncate(tmp_path / "moved", 0)
    with pytest.raises(DataError):
        pixels[0]
    assert (place / name).read_bytes() == data


def test_a_change_of_the_status_alone_is_no_damage(place, tmp_path):
    pixels, arrays = cached(tmp_path / "data")
    (name,) = kept(place)
    for change in (lambda: os.utime(place / name), (place / name).unlink):
        change()
        assert np.array_equal(pixels[:], arrays)


CUT = """
import os, sys
from pathlib import Path
from foveate.annotations import Label
from foveate.data.cache import decoding
from foveate.data.dataset import Dataset, Sample
from foveate.data.images import FileSource
from foveate.errors import FoveateError

paths = sorted(Path(sys.argv[1]).iterdir())
samples = [Sample(path.name, FileSource(path), Label(0)) for path in paths]
pixels = decoding.decode(Dataset("x", "classification", ("a",), samples), 64).pixels
(path,) = Path(os.environ["FOVEATE_CACHE"], "images").iterdir()
os.truncate(path, 4096)
try:
    for row in range(len(paths)):
        pixels[row].sum()
except FoveateError as error:
    sys.exit(str(error))
"""


@pytest.mark.usefixtures("place")
def test_a_process_survives_that_the_file_is_cut_short(tmp_path):
    make_images(tmp_path / "set", 20, 64)
    script = [sys.executable, "-c", CUT, str(tmp_path / "set")]
    done = subprocess.run(script, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done  # -7 was SIGBUS
    assert "have been changed or damaged" in done.stderr
    assert "Traceback" not in done.stderr


# --- links and pipes in the folder


def test_nothing_is_written_through_a_link(place, tmp_path):
    thesis = tmp_path / "thesis.tex"
    thesis.write_text("years of work")
    whole = files(tmp_path / "data", [noise(4, 4, 3, seed=i) for i in range(3)])
    decoding.decode(whole, 4)
    (name,) = kept(place)
    stem = name.removesuffix(".images")
    (place / name).unlink()
    (place / name).symlink_to(thesis)
    (place / f"{stem}.partial").symlink_to(thesis)
    told = []
    decoding.decode(whole, 4, on_message=told.append)
    assert thesis.read_text() == "years of work"
    assert kept(place) == [name]
    assert not (place / name).is_symlink()
    lock = place.parent / "locks" / f"{stem}.lock"
    lock.unlink(missing_ok=True)
    lock.symlink_to(thesis)
    (place / name).unlink()
    told.clear()
    decoding.decode(whole, 4, on_message=told.append)
    assert thesis.read_text() == "years of work"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_in_the_folder_does_not_hang(place, tmp_path):
    whole = files(tmp_path / "data", [noise(4, 4, 3, seed=i) for i in range(3)])
    decoding.decode(whole, 4)
    (name,) = kept(place)
    (place / name).unlink()
    os.mkfifo(place / name)
    told = []
    done = threading.Thread(
        target=lambda: (store.entries(), decoding.decode(whole, 4, on_message=told.append)),
        daemon=True,
    )
    done.start()
    done.join(20)
    assert not done.is_alive()
    assert "a file is expected" in told[0]
