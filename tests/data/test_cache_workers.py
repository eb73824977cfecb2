"""Parallel decoding by threads or processes: same result and order, a clear error on a kill."""

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foveate.annotations import Label
from foveate.data.cache import decoding, workers
from foveate.data.cache.workers import DecodeSpec
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.data.images import FileSource
from foveate.errors import DataError


@pytest.fixture(autouse=True)
def two_cores(monkeypatch, tmp_path):
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(workers, "cores", lambda: 2)


@pytest.fixture
def processes(monkeypatch):
    """Processes from the first image on; the list tells those that were started."""
    started = []
    begin = workers._Worker.__init__

    def noting(worker):
        begin(worker)
        started.append(worker.process)

    monkeypatch.setattr(workers._Worker, "__init__", noting)
    monkeypatch.setattr(workers, "_MIN_FOR_PROCESSES", 1)
    return started


def files(folder, count):
    """Pictures of many sizes and kinds, some of them unreadable."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        shape = tuple(rng.integers(1, 90, 2)) + ((3,) if number % 3 else ())
        path = folder / f"{number:03}.png"
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(path)
        if number % 40 == 7:
            path.write_bytes(b"x")
    return [FileSource(path) for path in sorted(folder.iterdir())]


def listed(sources):
    samples = [Sample(f"{i:03}", source, Label(0)) for i, source in enumerate(sources)]
    return Dataset("set", "classification", ("a",), samples)


def test_processes_and_threads_come_to_the_same(processes, tmp_path, monkeypatch):
    sources = files(tmp_path / "set", 200)
    made = []
    for many, started in ((10_000, 0), (1, 2)):
        monkeypatch.setattr(workers, "_MIN_FOR_PROCESSES", many)
        monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / str(many)))
        made.append(decoding.decode(listed(sources), 24))
        assert len(processes) == started
    threads, forked = made
    assert np.array_equal(threads.pixels, forked.pixels)
    assert threads.hashes == forked.hashes
    assert threads.image_stats.tobytes() == forked.image_stats.tobytes()
    assert [(s.id, s.reason) for s in threads.dataset.skipped] == [
        (s.id, s.reason) for s in forked.dataset.skipped
    ]
    assert len(forked.dataset.skipped) == 5
    assert [process.poll() for process in processes] == [0, 0]  # they are gone, in peace


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 1000])
def test_chunks_come_in_order_and_hold_all(count):
    rows = np.arange(count, dtype=np.uint16).view(np.uint8).reshape(count, 1, 2, 1)
    sources = [ArraySource(rows, i) for i in range(count)]
    chunks = list(workers.read_all(sources, DecodeSpec(0)))
    assert sum(chunk.count for chunk in chunks) == count
    assert len(b"".join(chunk.hashes for chunk in chunks)) == 16 * count
    assert [width for chunk in chunks for width in chunk.image_stats["width"]] == [2] * count
    images = [
        image
        for chunk in workers.read_all(sources, DecodeSpec(1, image_stats=False))
        for image in chunk.images
    ]
    assert len(images) == count
    levels = [int(rows[i].mean()) for i in range(count)]
    assert [
        abs(int(image[0, 0, 0]) - level) <= 1 for image, level in zip(images, levels, strict=True)
    ] == [True] * count


@dataclass(frozen=True)
class Counted:
    """A image that tells when it was read."""

    path: Path
    read_ones: list[Path]

    seconds: float = 0

    def read(self):
        time.sleep(self.seconds)
        self.read_ones.append(self.path)
        return np.zeros((2, 2, 1), np.uint8)


def test_only_a_few_chunks_are_ahead_of_who_takes_them():
    done = []
    chunks = workers.read_all([Counted(Path(str(i)), done) for i in range(64 * 50)], DecodeSpec(2))
    next(chunks)
    seen = -1
    while len(done) > seen:
        seen = len(done)
        time.sleep(0.1)
    assert seen == 64 * 5  # two for each of two workers, and the one that was taken
    chunks.close()
    assert len(done) == seen


def test_what_nobody_waits_for_is_not_begun():
    done = []
    chunks = workers.read_all(
        [Counted(Path(str(i)), done, 0.004) for i in range(64 * 50)], DecodeSpec(2)
    )
    next(chunks)
    chunks.close()
    assert len(done) <= 64 * 4  # those that two workers had at hand


def test_sources_of_the_users_own_stay_in_the_users_process(processes):
    done = []
    list(workers.read_all([Counted(Path(str(i)), done) for i in range(200)], DecodeSpec(2)))
    list(workers.read_all([ArraySource(np.zeros((1, 2, 2, 1), np.uint8), 0)] * 200, DecodeSpec(2)))
    assert len(done) == 200
    assert processes == []


def test_a_process_that_is_killed_is_one_clear_error(processes, tmp_path, monkeypatch):
    sources = files(tmp_path / "set", 200)
    read = workers._Worker.read

    def killed(worker, sources_read, spec):
        if sources_read[0] == sources[64]:
            os.kill(worker.process.pid, signal.SIGKILL)
        return read(worker, sources_read, spec)

    monkeypatch.setattr(workers._Worker, "read", killed)
    with pytest.raises(
        DataError, match=r"was killed \(signal 9\) between this image and .*127\.png"
    ) as caught:
        decoding.decode(listed(sources), 8)
    assert caught.value.where == str(sources[64].path)
    assert "memory" in str(caught.value.remedy)
    assert all(process.poll() is not None for process in processes)
    assert list((tmp_path / "cache" / "images").iterdir()) == []
    monkeypatch.setattr(workers._Worker, "read", read)
    assert len(decoding.decode(listed(sources), 8).hashes) == 195


def test_a_process_that_ends_by_a_mistake_of_ours_is_no_mistake_of_the_users(
    processes, tmp_path, monkeypatch
):
    monkeypatch.setattr(workers, "_START", "raise SystemExit(3)")
    with pytest.raises(RuntimeError, match="ended with code 3"):
        decoding.decode(listed(files(tmp_path / "set", 70)), 8)
    assert [process.poll() for process in processes] == [3, 3]
    assert list((tmp_path / "cache" / "images").iterdir()) == []


def test_processes_import_nothing_of_the_users(processes, tmp_path, monkeypatch):
    """Neither the main module nor what lies where the command was given."""
    monkeypatch.chdir(tmp_path)
    for name in ("__main__.py", "json.py", "numpy.py", "foveate.py"):
        (tmp_path / name).write_text("raise SystemExit(9)")
    monkeypatch.setattr("sys.path", [*sys.path, tmp_path])  # no text: Python passes over it
    sources = files(tmp_path / "set", 130)
    assert sum(chunk.count for chunk in workers.read_all(sources, DecodeSpec(4))) == 130
    assert len(processes) == 2


def test_one_chunk_needs_no_processes(processes, tmp_path):
    sources = files(tmp_path / "set", 64)
    (chunk,) = workers.read_all(sources, DecodeSpec(4))
    assert chunk.bad[0] == (
        7,
        "an image (PNG, JPEG, GIF, BMP, TIFF, WebP, PPM or DICOM) is expected, "
        "this is none or is damaged",
    )
    assert processes == []


def test_a_chunk_of_large_images_holds_fewer(monkeypatch):
    monkeypatch.setattr(workers, "_CHUNK_BYTES", 3 * 10 * 10 * 5)
    sources = [ArraySource(np.zeros((1, 10, 10, 3), np.uint8), 0)] * 12
    assert [chunk.count for chunk in workers.read_all(sources, DecodeSpec(10))] == [5, 5, 2]
    assert [chunk.count for chunk in workers.read_all(sources, DecodeSpec(1000))] == [1] * 12


def test_a_mistake_of_ours_in_a_source_is_not_swallowed():
    class Broken:
        def read(self):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(workers.read_all([Broken()] * 3, DecodeSpec(2)))
    chunk = workers.read_chunk([ArraySource(np.zeros((1, 2, 2, 5), np.uint8), 0)], DecodeSpec(2, 3))
    assert chunk.bad == [(0, "an image of 3 channels is expected, got 5")]
