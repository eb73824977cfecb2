"""Images of which each machine keeps a share are one array, whoever has them."""

from __future__ import annotations

import contextlib
import socket
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from foveate import processes
from foveate.data.cache import decoding, room, spread_pixels
from foveate.data.cache.pixels import CachedPixels, RawPixels
from foveate.data.cache.spread_pixels import PixelServer, Share, SpreadPixels
from foveate.data.cache.workers import DecodeSpec
from foveate.data.subset import Subset
from foveate.errors import DataError, RunError
from helpers.cache_files import files, noise

SIZE = 12
SECRET = b"of this run"


def decoded(folder, count, channels=3, encoding="raw", seed=0):
    images = [noise(SIZE, SIZE, channels, seed=seed + one) for one in range(count)]
    return decoding.decode(files(folder, images), SIZE, encoding=encoding).pixels


@pytest.fixture
def stored(tmp_path):
    """What four machines keep: a file, nothing, grey images in memory, and JPEG."""
    return [
        decoded(tmp_path / "a", 5),
        np.empty((0, SIZE, SIZE, 1), np.uint8),
        np.random.default_rng(1).integers(0, 256, (3, SIZE, SIZE, 1), np.uint8),
        decoded(tmp_path / "d", 4, encoding="jpeg", seed=50),
    ]


@pytest.fixture
def machines(stored):
    """A server for each machine, and their shares."""
    servers = [PixelServer(pixels, SECRET, "127.0.0.1") for pixels in stored]
    shares = [
        Share(pixels.shape, "127.0.0.1", server.port, getattr(pixels, "path", None))
        for pixels, server in zip(stored, servers, strict=True)
    ]
    yield servers, shares
    for server in servers:
        server.close()


@pytest.fixture
def every(stored):
    """All images as one array in memory."""
    return np.concatenate([np.repeat(one[:], 3 // one.shape[3], 3) for one in stored])


@pytest.mark.parametrize("own", range(4))
@pytest.mark.parametrize("opened", [True, False], ids=["open", "by path"])
def test_every_machine_reads_all_images_as_one_array(own, opened, stored, machines, every):
    pixels = SpreadPixels(machines[1], SECRET, own, stored[own] if opened else None)
    assert isinstance(pixels, CachedPixels)
    assert pixels.shape == every.shape == (12, SIZE, SIZE, 3)
    assert np.array_equal(pixels[:], every)
    for rows in ([11, 0, 6, 6, 2], [7], [], [-1, -12]):
        rows = np.array(rows, np.int64)
        assert np.array_equal(pixels[rows], every[rows])
    for row in (0, 5, 11, -1):
        assert np.array_equal(pixels[row], every[row])
        window = pixels.window(row, 2, 9, 3, 99)
        assert np.array_equal(window, every[row, 2:9, 3:])
    assert np.array_equal(pixels[3:9:2], every[3:9:2])
    assert np.array_equal(np.asarray(pixels), every)
    with pytest.raises(IndexError):
        pixels[np.array([12])]
    with pytest.raises(IndexError):
        pixels[12]


def test_a_split_of_them_gives_images_without_padding_and_padded_ones(machines, every):
    pixels = SpreadPixels(machines[1], SECRET, 0)
    sizes = np.array([[7, 12], [12, 3]])
    subset = Subset(pixels, np.array([9, 1]), sizes)
    assert np.array_equal(subset[0], every[9, :7])
    assert np.array_equal(subset[1], every[1, :, :3])
    assert np.array_equal(subset[np.array([1, 0])], every[[1, 9]])


def test_large_answers_come_in_parts(machines, every, monkeypatch):
    monkeypatch.setattr(spread_pixels, "_MAX_BYTES", 2 * every[0].nbytes)
    assert np.array_equal(SpreadPixels(machines[1], SECRET, 0)[:], every)


def test_threads_may_share_them(machines, every):
    pixels = SpreadPixels(machines[1], SECRET, 0)
    orders = [np.random.default_rng(seed).permutation(len(every)) for seed in range(60)]
    with ThreadPoolExecutor(8) as pool:
        for order, found in zip(orders, pool.map(pixels.__getitem__, orders), strict=True):
            assert np.array_equal(found, every[order])


def test_a_damaged_file_of_another_machine_is_an_error_that_names_it(stored, machines, every):
    pixels = SpreadPixels(machines[1], SECRET, 2)
    assert isinstance(stored[0], RawPixels)
    path = stored[0].path
    content = bytearray(path.read_bytes())
    content[content.index(stored[0][3].tobytes())] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"changed or damaged \(image 4\)") as caught:
        pixels[np.arange(12)]
    assert str(path) in str(caught.value)
    later = np.arange(8, 12)
    assert np.array_equal(pixels[later], every[later])  # no answer is taken for another


def test_a_machine_that_is_gone_is_a_lost_connection(machines):
    servers, shares = machines
    pixels = SpreadPixels(shares, SECRET, 0)
    servers[3].close()
    with pytest.raises(RunError, match=f"cannot be read from 127.0.0.1:{servers[3].port}"):
        pixels[11]


def test_a_machine_that_goes_away_is_a_lost_connection_like_those_of_torch():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        shares = [Share((1, SIZE, SIZE, 3), "127.0.0.1", port, None)]

        def answer_once():
            connection, _ = server.accept()
            spread_pixels._accept(connection, SECRET)
            connection.close()

        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(answer_once)
            with pytest.raises(RuntimeError, match=f"127.0.0.1:{port}") as caught:
                SpreadPixels(shares, SECRET, 0)[0]
            done.result()
    assert processes.is_lost_connection(caught.value)


def test_a_file_that_was_removed_is_read_by_the_process_that_has_it_open(stored, machines, every):
    stored[0].path.unlink()
    assert np.array_equal(SpreadPixels(machines[1], SECRET, 0)[:], every)


def test_whoever_lacks_the_secret_is_given_nothing(machines):
    with pytest.raises(RunError, match="cannot be read from"):
        SpreadPixels(machines[1], b"another", 0)[11]
    with socket.create_connection(("127.0.0.1", machines[1][3].port)) as stranger:
        stranger.sendall(b"hello" * 20)
        stranger.settimeout(10)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while some := stranger.recv(1000):
                answer += some
    assert len(answer) == 32  # random bytes


def test_the_other_end_must_know_the_secret_too():
    with socket.create_server(("127.0.0.1", 0)) as server:
        shares = [Share((1, SIZE, SIZE, 3), "127.0.0.1", server.getsockname()[1], None)]

        def pretend():
            connection, _ = server.accept()
            with connection:
                connection.sendall(bytes(32))
                connection.recv(100)
                connection.sendall(bytes(32))

        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(pretend)
            with pytest.raises(RunError, match="another program is there"):
                SpreadPixels(shares, SECRET, 0)[0]
            done.result()


def test_who_stays_silent_is_left(machines, monkeypatch):
    monkeypatch.setattr(spread_pixels, "_PATIENCE", 0.2)
    with socket.create_connection(("127.0.0.1", machines[1][3].port)) as stranger:
        stranger.settimeout(10)
        assert len(stranger.recv(100)) == 32
        assert stranger.recv(100) == b""


GB = 1e-9
RAW = 10 * (16 + 1140 + SIZE * SIZE * 3)
"""Bytes of ten images and what is stored beside them."""


@pytest.mark.parametrize(
    ("gigabytes", "given", "encoding"),
    [
        (RAW * GB, None, None),  # one machine can keep them
        (0.9 * RAW * GB, None, "raw"),
        (0.5 * RAW * GB, None, "raw"),
        (0.4 * RAW * GB, None, "jpeg"),
        (0.4 * RAW * GB, "raw", "raw"),  # a run goes on as it began, where that can be
        (RAW * GB, "raw", None),
        (0.4 * RAW * GB, "jpeg", "jpeg"),
        (99 * RAW * GB, "jpeg", None),
    ],
)
def test_images_are_spread_where_one_machine_cannot_keep_them(
    gigabytes, given, encoding, tmp_path, monkeypatch
):
    monkeypatch.setenv("FOVEATE_CACHE_GB", str(gigabytes))
    monkeypatch.setattr(room, "_encoded_bytes", lambda dataset, spec: 0.6 * RAW)
    dataset = files(tmp_path / "data", [noise(SIZE, SIZE, 3, seed=seed) for seed in range(10)])
    assert room.encoding_of_shares(dataset, DecodeSpec(SIZE, encoding=given), 5) == encoding


def test_the_largest_share_must_fit(tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEATE_CACHE_GB", str(0.6 * RAW * GB))
    monkeypatch.setattr(room, "_encoded_bytes", lambda dataset, spec: 0.8 * RAW)
    dataset = files(tmp_path / "data", [noise(SIZE, SIZE, 3, seed=seed) for seed in range(10)])
    assert room.encoding_of_shares(dataset, DecodeSpec(SIZE), 6) == "raw"
    assert room.encoding_of_shares(dataset, DecodeSpec(SIZE), 7) == "jpeg"


def test_grey_images_before_coloured_ones_are_not_taken_for_grey_ones(tmp_path, monkeypatch):
    images = [noise(SIZE, SIZE, 1 if seed < 8 else 3, seed=seed) for seed in range(16)]
    dataset = files(tmp_path / "data", images)
    grey = 8 * (16 + 1140 + SIZE * SIZE)
    monkeypatch.setenv("FOVEATE_CACHE_GB", str(1.01 * grey * GB))
    assert room.encoding_of_shares(dataset, DecodeSpec(SIZE), 8) != "raw"


def test_what_fits_in_no_way_is_not_spread(tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEATE_CACHE_GB", "0")
    dataset = files(tmp_path / "data", [noise(SIZE, SIZE, 3, seed=seed) for seed in range(10)])
    assert room.encoding_of_shares(dataset, DecodeSpec(SIZE), 5) is None
