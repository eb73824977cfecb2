"""The folder of decoded pictures under kills, several processes, damage and a bound; and what memory it takes."""

import hashlib
import json
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from foveate.annotations import Label
from foveate.data import cache, kept, store
from foveate.data.dataset import Dataset, Sample
from foveate.data.looks import LOOK
from foveate.data.pictures import FileSource


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A cache of the test's own, for processes that it starts as well."""
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pictures"


def pictures(folder, count=3, size=8):
    """A folder of picture files."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(count)
    for number in range(count):
        pixels = rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:04}.png")
    return folder


def listed(folder, times=1):
    """The set of these files, each as so many samples."""
    samples = [
        Sample(f"{i}/{path.name}", FileSource(path), Label(0))
        for i in range(times)
        for path in sorted(folder.iterdir())
    ]
    return Dataset(folder.name, "classification", ("a",), samples)


def names(place):
    return sorted(path.name for path in place.iterdir())


# --- several processes ------------------------------------------------------------------------------------------------

SLOW = """
import hashlib, os, sys, time
from pathlib import Path
from foveate.annotations import Label
from foveate.data import cache
from foveate.data.dataset import Dataset, Sample
from foveate.data.pictures import FileSource

folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
samples = [Sample(f"0/{path.name}", FileSource(path), Label(0)) for path in sorted(folder.iterdir())]
pwrite = os.pwrite
os.pwrite = lambda *given: (time.sleep(seconds), pwrite(*given))[1]  # so that there is time to disturb it
made = cache.decode(Dataset(folder.name, "classification", ("a",), samples), 8, tell=lambda words: print(words, flush=True))
print(hashlib.sha256(made.pixels).hexdigest(), flush=True)
"""


def decoding_slowly(folder, seconds):
    command = [sys.executable, "-c", SLOW, str(folder), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until(happened, child):
    """Wait for it while the child lives."""
    end = time.monotonic() + 20
    while not happened():
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < end
        time.sleep(0.005)


def growing(place):
    return place.is_dir() and any(path.suffix == ".partial" and path.stat().st_size > 5000 for path in place.iterdir())


def test_a_kill_in_the_middle_leaves_nothing_that_is_used(place, tmp_path):
    whole = listed(pictures(tmp_path / "set", 300))
    child = decoding_slowly(tmp_path / "set", 0.05)
    until(lambda: growing(place), child)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    (left,) = names(place)
    assert left.endswith(".partial")
    assert store.entries() == []
    told = []
    made = cache.decode(whole, 8, tell=told.append)
    assert told == []
    assert np.array_equal(made.pixels, np.stack([sample.source.read() for sample in whole]))
    assert names(place) == [left.replace(".partial", ".pictures")]


def test_what_the_killed_left_is_swept_by_whoever_makes_another(place, tmp_path):
    pictures(tmp_path / "set", 300)
    child = decoding_slowly(tmp_path / "set", 0.05)
    until(lambda: growing(place), child)
    cache.decode(listed(pictures(tmp_path / "other", 2)), 8)  # while it lives, it is left alone
    assert [name.partition(".")[2] for name in names(place)].count("partial") == 1
    child.send_signal(signal.SIGKILL)
    child.communicate()
    cache.decode(listed(pictures(tmp_path / "third", 2)), 8)
    assert [name.partition(".")[2] for name in names(place)] == ["pictures"] * 2


def test_of_two_at_once_one_makes_and_the_other_waits(place, tmp_path, monkeypatch):
    whole = listed(pictures(tmp_path / "set", 300))
    first = decoding_slowly(tmp_path / "set", 0.1)
    until(lambda: growing(place), first)
    told = []
    monkeypatch.setattr("foveate.data.decoding.read_all", None)  # nothing is left for us to decode
    begun = time.monotonic()
    mine = cache.decode(whole, 8, tell=told.append)
    waited = time.monotonic() - begun
    out, err = first.communicate(timeout=20)
    assert err == ""
    assert told == ["another process is decoding these pictures; waiting for it"]
    assert waited > 0.3
    assert np.array_equal(mine.pixels, np.stack([sample.source.read() for sample in whole]))
    second, _ = decoding_slowly(tmp_path / "set", 0).communicate(timeout=20)
    assert out == second
    assert len(names(place)) == 1


def test_whoever_waits_makes_it_where_the_first_is_killed(place, tmp_path):
    pictures(tmp_path / "set", 300)
    first = decoding_slowly(tmp_path / "set", 0.1)
    until(lambda: growing(place), first)
    second = decoding_slowly(tmp_path / "set", 0)
    assert second.stdout.readline() == "another process is decoding these pictures; waiting for it\n"
    first.send_signal(signal.SIGKILL)
    first.communicate()
    out, err = second.communicate(timeout=20)
    assert err == ""
    assert len(out.strip()) == 64
    (name,) = names(place)
    assert name.endswith(".pictures")


def test_an_interrupt_leaves_nothing(place, tmp_path):
    pictures(tmp_path / "set", 300)
    child = decoding_slowly(tmp_path / "set", 0.05)
    until(lambda: growing(place), child)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=20)
    assert "KeyboardInterrupt" in err
    assert names(place) == []


# --- files that are damaged -------------------------------------------------------------------------------------------


def damaged(path, damage):
    data = path.read_bytes()
    record = data.rindex(b'{"name"')
    path.write_bytes(
        {
            "empty": b"",
            "one byte": data[:1],
            "half": data[: len(data) // 2],
            "last byte": data[:-1],
            "first page": data[4096:],
            "more": data + b"x",
            "zeros": bytes(len(data)),
            "a hash": bytes([data[0] ^ 1]) + data[1:],
            "the record": data[:record] + data[record:].replace(b'"samples": 3', b'"samples": 9'),
            "the name": data[:record] + data[record:].replace(b'"name": "', b'"name": "x'),
            "a page of pixels": data[: record - 4096] + data[record:],
        }[damage]
    )


@pytest.mark.parametrize(
    "damage",
    ["empty", "one byte", "half", "last byte", "first page", "more", "zeros", "a hash", "the record", "the name", "a page of pixels"],
)  # fmt: skip
def test_a_damaged_file_is_removed_and_made_anew(place, tmp_path, damage):
    whole = listed(pictures(tmp_path / "set", size=64))
    first = cache.decode(whole, 64)
    pixels = np.array(first.pixels)
    (name,) = names(place)
    damaged(place / name, damage)
    spoilt = (place / name).stat().st_ino, (place / name).read_bytes()
    assert np.array_equal(cache.decode(whole, 64).pixels, pixels)
    assert names(place) == [name]
    assert ((place / name).stat().st_ino, (place / name).read_bytes()) != spoilt
    assert len(store.entries()) == 1


def test_a_file_of_other_pictures_is_not_taken_for_these(place, tmp_path):
    one, other = listed(pictures(tmp_path / "one")), listed(pictures(tmp_path / "other", 4))
    cache.decode(one, 8)
    (first,) = names(place)
    cache.decode(other, 8)
    (second,) = set(names(place)) - {first}
    (place / first).replace(place / second)
    assert len(cache.decode(other, 8).hashes) == 4


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=st.lists(
        st.tuples(
            st.integers(0, 700),
            st.integers(0, 12),
            st.binary(max_size=4)
            | st.sampled_from([b"[" * 5000, b"Infinity", b"null", b"-1", b"{}", b"\xff" * 8, b"1e999"]),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_any_damage_to_the_end_of_a_file_is_a_value_error_or_no_damage(place, tmp_path, edits):
    good = tmp_path / "good"
    if not good.exists():
        cache.decode(listed(pictures(tmp_path / "set")), 8)
        next(place.iterdir()).replace(good)
    data = good.read_bytes()
    path = place / f"{'0' * 32}-8x0.pictures"
    begin = data.rindex(b'{"name"') - 20
    end = data[begin:]
    for start, length, piece in edits:
        end = end[:start] + piece + end[start + length :]
    path.write_bytes(data[:begin] + end)
    assert store.recall(path) is None  # its name is another, if nothing else
    assert not path.exists()
    path.write_bytes(data[:begin] + end)
    (entry,) = store.entries()
    assert entry.shape is None or len(entry.shape) == 4
    assert all(isinstance(word, str) for word in store.row(entry))


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"[]",
        b"null",
        b"[" * 100_000,
        b"\xff",
        b'{"name": "x"}',
        b'{"name": "x", "data": "", "samples": 1, "shape": [1, 1, 1], "skipped": []}',
        b'{"name": "x", "data": "", "samples": 1, "shape": [Infinity, 1, 1, 1], "skipped": []}',
        b'{"name": "x", "data": "", "samples": 1e999, "shape": [1, 1, 1, 1], "skipped": []}',
        b'{"name": "x", "data": "", "samples": 1, "shape": [-1, 1, 1, 1], "skipped": []}',
        b'{"name": "x", "data": "", "samples": 1, "shape": [99999999999, 1, 1, 1], "skipped": []}',
        b'{"name": "x", "data": "", "samples": 1, "shape": [1, 1, 1, 1], "skipped": [1]}',
    ],
)
def test_a_record_that_is_none_is_a_value_error_though_its_sum_is_right(tmp_path, record):
    path = tmp_path / "x.pictures"
    digest = hashlib.blake2b(record, digest_size=16).digest()
    path.write_bytes(record + struct.pack("<Q16s8s", len(record), digest, b"foveate1"))
    with pytest.raises(ValueError):  # noqa: PT011 - of whatever words
        kept.read(path)


def test_the_file_holds_what_was_added(tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (5, 4, 4, 3), dtype=np.uint8)
    looks = np.zeros(5, LOOK)
    looks["height"] = range(5)
    hashes = rng.bytes(16 * 5)
    with (tmp_path / "x.pictures").open("w+b") as file:
        writer = kept.Writer(file.fileno(), 9, 4, 3)
        writer.add(pixels[:2], hashes[:32], looks[:2])
        writer.add(pixels[2:], hashes[32:], looks[2:])
        made = writer.close("x", "the set", {1: "gone", 8: "ü"})
    for found in (made, kept.read(tmp_path / "x.pictures")):
        assert np.array_equal(found.pixels, pixels)
        assert (found.hashes, found.skipped) == (hashes, {1: "gone", 8: "ü"})
        assert np.array_equal(found.looks, looks)
    record = kept.read_record(tmp_path / "x.pictures")
    assert (record.name, record.data, record.samples, record.shape) == ("x", "the set", 9, (5, 4, 4, 3))


# --- the bound --------------------------------------------------------------------------------------------------------


def test_the_least_recently_used_make_room(place, tmp_path, monkeypatch):
    sets = [listed(pictures(tmp_path / f"set{i}", size=64)) for i in range(4)]
    for age, whole in enumerate(sets[:3]):
        cache.decode(whole, 64)
        newest = max(store.entries(), key=lambda entry: entry.used)
        os.utime(newest.path, (1000 + age, 1000 + age))
    each = store.entries()[0].size
    cache.decode(sets[0], 64)  # used again: now the second is the oldest
    monkeypatch.setenv("FOVEATE_CACHE_GB", str(3.5 * each / 1e9))
    cache.decode(sets[3], 64)
    assert [entry.data for entry in store.entries()] == ["set2", "set0", "set3"]
    monkeypatch.setenv("FOVEATE_CACHE_GB", str(1.5 * each / 1e9))
    cache.decode(sets[1], 64)
    assert [entry.data for entry in store.entries()] == ["set1"]
    assert len(names(place)) == 1


def test_what_is_in_use_survives_its_removal(place, tmp_path):
    whole = listed(pictures(tmp_path / "set", size=64))
    made = cache.decode(whole, 64)
    before = np.array(made.pixels)
    store.clear()
    assert names(place) == []
    assert np.array_equal(made.pixels, before)


def test_a_set_that_never_fits_removes_nothing(tmp_path, monkeypatch):
    cache.decode(listed(pictures(tmp_path / "set")), 8)
    (before,) = store.entries()
    monkeypatch.setenv("FOVEATE_CACHE_GB", str(2 * before.size / 1e9))
    cache.decode(listed(pictures(tmp_path / "large", size=64)), 64)
    assert [entry.path for entry in store.entries()] == [before.path]


def test_a_disk_that_is_nearly_full_is_made_room_on(tmp_path, monkeypatch):
    cache.decode(listed(pictures(tmp_path / "one")), 8)
    cache.decode(listed(pictures(tmp_path / "two")), 16)
    needed = 3 * (16 + LOOK.itemsize + 3 * 8 * 8)
    usage = type("Usage", (), {"free": needed - 1})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    cache.decode(listed(pictures(tmp_path / "three")), 8)
    assert [entry.data for entry in store.entries()] == ["two", "three"]


def test_files_of_others_are_never_touched(place, tmp_path):
    cache.decode(listed(pictures(tmp_path / "set")), 8)
    others = ["notes.txt", "x.pictures", "x.partial", f"{'0' * 31}-1x0.pictures", f"{'g' * 32}-1x0.pictures"]
    for name in others:
        (place / name).write_text("mine")
    (place / f"{'0' * 32}-1x0.partial").write_text("left by someone who was killed")
    assert len(store.entries()) == 1
    assert store.clear() > 30
    assert names(place) == sorted(others)


def test_where_the_folder_is(tmp_path, monkeypatch):
    assert store.root() == tmp_path / "cache" / "pictures"
    monkeypatch.setenv("FOVEATE_CACHE", "some/where")
    monkeypatch.chdir(tmp_path)
    assert store.root() == tmp_path / "some" / "where" / "pictures"
    monkeypatch.setenv("FOVEATE_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert store.root() == tmp_path / "xdg" / "foveate" / "pictures"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert store.root() == tmp_path / "home" / ".cache" / "foveate" / "pictures"
    assert store.entries() == []
    assert store.clear() == 0
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0.0 kB"), (1234, "1.2 kB"), (1.25e6, "1.2 MB"), (2e10, "20.0 GB"), (float("inf"), "inf GB")],
)
def test_bytes_in_words(count, words):
    assert store.in_words(count) == words


# --- memory -----------------------------------------------------------------------------------------------------------

EPOCHS = """
import gc, json, sys
from pathlib import Path
import numpy as np
from foveate.annotations import Label
from foveate.data import cache
from foveate.data.dataset import Dataset, Sample
from foveate.data.pictures import FileSource
from foveate.data.rows import Rows

def anonymous():
    gc.collect()
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon")) * 1024

paths = sorted(Path(sys.argv[1]).iterdir())
count, size = int(sys.argv[2]), int(sys.argv[3])
samples = [Sample(str(i), FileSource(paths[i % len(paths)]), Label(0)) for i in range(count)]
whole = Dataset("large", "classification", ("a",), samples)
seen = [anonymous()]
made = cache.decode(whole, size)
seen.append(anonymous())
rng = np.random.default_rng(0)
for epoch in range(3):
    order = rng.permutation(len(made.pixels))
    part = Rows(made.pixels, order)
    assert sum(int(part[start : start + 128].shape[0]) for start in range(0, len(order), 128)) == count
    seen.append(anonymous())
print(json.dumps({"bytes": made.pixels.nbytes, "seen": seen}))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc to ask")
def test_memory_holds_no_set_whether_decoded_or_read(tmp_path):
    pictures(tmp_path / "set", 4, 32)
    script = [sys.executable, "-c", EPOCHS, str(tmp_path / "set"), "8300", "128"]
    for run in ("decoded", "recalled"):
        done = subprocess.run(script, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["bytes"] > 400_000_000
        grown = [seen - told["seen"][0] for seen in told["seen"][1:]]
        assert max(grown) < 60_000_000, (run, grown)
        assert max(grown[1:]) - min(grown[1:]) < 10_000_000, (run, grown)
