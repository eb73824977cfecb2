"""The cache folder stays within its limit, and no dataset lies in memory as a whole."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from foveate.data.cache import decoding, store
from foveate.data.image_stats import IMAGE_STATS
from helpers.cache_files import kept, listed, make_images

pytestmark = pytest.mark.usefixtures("place")


def test_the_least_recently_used_make_room(place, tmp_path, monkeypatch):
    sets = [listed(make_images(tmp_path / f"set{i}", size=64)) for i in range(4)]
    for age, whole in enumerate(sets[:3]):
        decoding.decode(whole, 64)
        newest = max(store.entries(), key=lambda entry: entry.used)
        os.utime(newest.path, (1000 + age, 1000 + age))
    each = store.entries()[0].size
    decoding.decode(sets[0], 64)  # used again: now the second is the oldest
    monkeypatch.setenv("FOVEATE_CACHE_GB", str(3.5 * each / 1e9))
    decoding.decode(sets[3], 64)
    assert [entry.data for entry in store.entries()] == ["set2", "set0", "set3"]
    monkeypatch.setenv("FOVEATE_CACHE_GB", str(1.5 * each / 1e9))
    decoding.decode(sets[1], 64)
    assert [entry.data for entry in store.entries()] == ["set1"]
    assert len(kept(place)) == 1


def test_what_is_in_use_survives_its_removal(place, tmp_path):
    whole = listed(make_images(tmp_path / "set", size=64))
    made = decoding.decode(whole, 64)
    before = np.array(made.pixels)
    store.clear()
    assert kept(place) == []
    assert np.array_equal(made.pixels, before)


def test_a_set_that_never_fits_removes_nothing(tmp_path, monkeypatch):
    decoding.decode(listed(make_images(tmp_path / "set")), 8)
    (before,) = store.entries()
    monkeypatch.setenv("FOVEATE_CACHE_GB", str(2 * before.size / 1e9))
    decoding.decode(listed(make_images(tmp_path / "large", size=64)), 64)
    assert [entry.path for entry in store.entries()] == [before.path]


def test_a_disk_that_is_nearly_full_is_made_room_on(tmp_path, monkeypatch):
    decoding.decode(listed(make_images(tmp_path / "one")), 8)
    decoding.decode(listed(make_images(tmp_path / "two")), 16)
    needed = 3 * (16 + IMAGE_STATS.itemsize + 3 * 8 * 8)
    usage = type("Usage", (), {"free": needed - 1})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    decoding.decode(listed(make_images(tmp_path / "three")), 8)
    assert [entry.data for entry in store.entries()] == ["two", "three"]


def test_files_of_others_are_never_touched(place, tmp_path):
    decoding.decode(listed(make_images(tmp_path / "set")), 8)
    others = [
        "notes.txt",
        "x.images",
        "x.partial",
        f"{'0' * 31}-1x0.images",
        f"{'g' * 32}-1x0.images",
    ]
    for name in others:
        (place / name).write_text("mine")
    (place / f"{'0' * 32}-1x0.partial").write_text("left by someone who was killed")
    assert len(store.entries()) == 1
    assert store.clear() > 30
    assert kept(place) == sorted(others)


def test_where_the_folder_is(tmp_path, monkeypatch):
    assert store.root() == tmp_path / "cache" / "images"
    monkeypatch.setenv("FOVEATE_CACHE", "some/where")
    monkeypatch.chdir(tmp_path)
    assert store.root() == tmp_path / "some" / "where" / "images"
    monkeypatch.setenv("FOVEATE_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert store.root() == tmp_path / "xdg" / "foveate" / "images"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert store.root() == tmp_path / "home" / ".cache" / "foveate" / "images"
    assert store.entries() == []
    assert store.clear() == 0
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0.0 kB"),
        (1234, "1.2 kB"),
        (1.25e6, "1.2 MB"),
        (2e10, "20.0 GB"),
        (float("inf"), "inf GB"),
    ],
)
def test_bytes_in_words(count, words):
    assert store.format_bytes(count) == words


# --- memory

EPOCHS = """
import gc, json, sys
from pathlib import Path
import numpy as np
from foveate.annotations import Label
from foveate.data.cache import decoding
from foveate.data.dataset import Dataset, Sample
from foveate.data.images import FileSource
from foveate.data.subset import Subset

def anonymous():
    gc.collect()
    lines = open("/proc/self/status")
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024

paths = sorted(Path(sys.argv[1]).iterdir())
count, size = int(sys.argv[2]), int(sys.argv[3])
samples = [Sample(str(i), FileSource(paths[i % len(paths)]), Label(0)) for i in range(count)]
whole = Dataset("large", "classification", ("a",), samples)
seen = [anonymous()]
made = decoding.decode(whole, size)
seen.append(anonymous())
rng = np.random.default_rng(0)
for epoch in range(3):
    order = rng.permutation(len(made.pixels))
    subset = Subset(made.pixels, order)
    starts = range(0, len(order), 128)
    assert sum(int(subset[start : start + 128].shape[0]) for start in starts) == count
    seen.append(anonymous())
print(json.dumps({"bytes": made.pixels.nbytes, "seen": seen}))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc to ask")
def test_memory_holds_no_set_whether_decoded_or_read(tmp_path):
    make_images(tmp_path / "set", 4, 32)
    script = [sys.executable, "-c", EPOCHS, str(tmp_path / "set"), "8300", "128"]
    for run in ("decoded", "recalled"):
        done = subprocess.run(script, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["bytes"] > 400_000_000
        grown = [seen - told["seen"][0] for seen in told["seen"][1:]]
        assert max(grown) < 60_000_000, (run, grown)
        assert max(grown[1:]) - min(grown[1:]) < 10_000_000, (run, grown)
