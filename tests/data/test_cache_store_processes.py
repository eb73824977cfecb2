"""The cache when processes are killed, or several decode the same dataset."""

import signal
import subprocess
import sys
import time

import numpy as np

from foveate.data.cache import decoding, store
from helpers.cache_files import kept, listed, make_images

SLOW = """
import hashlib, os, sys, time
from pathlib import Path
from foveate.annotations import Label
from foveate.data.cache import decoding
from foveate.data.dataset import Dataset, Sample
from foveate.data.images import FileSource

folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
samples = [Sample(path.name, FileSource(path), Label(0)) for path in sorted(folder.iterdir())]
pwrite = os.pwrite
os.pwrite = lambda *given: (time.sleep(seconds), pwrite(*given))[1]  # time to interfere
dataset = Dataset(folder.name, "classification", ("a",), samples)
made = decoding.decode(dataset, 8, on_message=lambda message: print(message, flush=True))
print(hashlib.sha256(made.pixels[:]).hexdigest(), flush=True)
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
    return place.is_dir() and any(
        path.suffix == ".partial" and path.stat().st_size > 5000 for path in place.iterdir()
    )


def test_a_kill_in_the_middle_leaves_nothing_that_is_used(place, tmp_path):
    whole = listed(make_images(tmp_path / "set", 300))
    child = decoding_slowly(tmp_path / "set", 0.05)
    until(lambda: growing(place), child)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    (left,) = kept(place)
    assert left.endswith(".partial")
    assert store.entries() == []
    told = []
    made = decoding.decode(whole, 8, on_message=told.append)
    assert told == []
    assert np.array_equal(made.pixels, np.stack([sample.source.read() for sample in whole]))
    assert kept(place) == [left.replace(".partial", ".images")]


def test_what_the_killed_left_is_swept_by_whoever_makes_another(place, tmp_path):
    make_images(tmp_path / "set", 300)
    child = decoding_slowly(tmp_path / "set", 0.05)
    until(lambda: growing(place), child)
    decoding.decode(
        listed(make_images(tmp_path / "other", 2)), 8
    )  # while it lives, it is left alone
    assert [name.partition(".")[2] for name in kept(place)].count("partial") == 1
    child.send_signal(signal.SIGKILL)
    child.communicate()
    decoding.decode(listed(make_images(tmp_path / "third", 2)), 8)
    assert [name.partition(".")[2] for name in kept(place)] == ["images"] * 2


def test_of_two_at_once_one_makes_and_the_other_waits(place, tmp_path, monkeypatch):
    whole = listed(make_images(tmp_path / "set", 300))
    first = decoding_slowly(tmp_path / "set", 0.1)
    until(lambda: growing(place), first)
    told = []
    monkeypatch.setattr(
        "foveate.data.cache.workers.read_all", None
    )  # nothing is left for us to decode
    begun = time.monotonic()
    mine = decoding.decode(whole, 8, on_message=told.append)
    waited = time.monotonic() - begun
    out, err = first.communicate(timeout=20)
    assert err == ""
    assert told == ["another process is decoding these images; waiting for it"]
    assert waited > 0.3
    assert np.array_equal(mine.pixels, np.stack([sample.source.read() for sample in whole]))
    second, _ = decoding_slowly(tmp_path / "set", 0).communicate(timeout=20)
    assert out == second
    assert len(kept(place)) == 1


def test_whoever_waits_makes_it_where_the_first_is_killed(place, tmp_path):
    make_images(tmp_path / "set", 300)
    first = decoding_slowly(tmp_path / "set", 0.1)
    until(lambda: growing(place), first)
    second = decoding_slowly(tmp_path / "set", 0)
    assert second.stdout.readline() == "another process is decoding these images; waiting for it\n"
    first.send_signal(signal.SIGKILL)
    first.communicate()
    out, err = second.communicate(timeout=20)
    assert err == ""
    assert len(out.strip()) == 64
    (name,) = kept(place)
    assert name.endswith(".images")


def test_an_interrupt_leaves_nothing(place, tmp_path):
    make_images(tmp_path / "set", 300)
    child = decoding_slowly(tmp_path / "set", 0.05)
    until(lambda: growing(place), child)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=20)
    assert "KeyboardInterrupt" in err
    assert kept(place) == []
