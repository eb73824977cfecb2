"""Shards at an address, served by a real local server, or by a store that fsspec knows."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foveate import load
from foveate.data.dataset import Dataset
from foveate.datasets import remote
from foveate.errors import BadImage, DataError, StorageError
from helpers.http_folder import serving
from helpers.tars import TWO, ids, png, shards, tar


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder, and records what is asked for and what is sent in full."""

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        server: Any = self.server
        server.asked.append(self.path)
        if server.cut:
            self.send_response(200)
            self.send_header("Content-Length", "5000")
            self.end_headers()
            self.wfile.write(b"x" * 10)
            return
        place = Path(self.translate_path(self.path))
        part = self.headers["Range"]
        if server.ranges and part and place.is_file():
            first, last = map(int, part.removeprefix("bytes=").split("-"))
            content = place.read_bytes()[first : last + 1]
            server.sent_bytes += len(content)
            self.send_response(206)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        elif not server.tags:
            super().do_GET()
        elif not place.is_file():
            self.send_error(404)
        elif self.headers["If-None-Match"] == (tag := f'"{hash(place.read_bytes())}"'):
            self.send_response(304)
            self.end_headers()
        else:
            self.send_response(200)
            self.send_header("ETag", tag)
            self.end_headers()
            self.wfile.write(place.read_bytes())
            server.sent.append(self.path)

    def copyfile(self, source: Any, outputfile: Any) -> None:
        super().copyfile(source, outputfile)
        self.server.sent.append(self.path)  # type: ignore[attr-defined]


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "site").mkdir()
    with serving(tmp_path / "site", Handler) as server:
        server.sent, server.tags, server.cut = [], False, False
        server.ranges, server.sent_bytes = False, 0
        yield server


def sent(server: Any) -> list[str]:
    return [path for path in server.sent if path.endswith(".tar")]


@pytest.mark.parametrize("tags", [False, True])
def test_shards_at_an_address_are_fetched_once(tmp_path: Path, served: Any, tags: bool) -> None:
    served.tags = tags
    shards(tmp_path / "site" / "my set", "train-0.tar", "test-0.tar", "train-1.tar")
    address = f"{served.site}/my set/{{train,test}}-{{0..0}}.tar"
    data = load(address)
    assert sorted(sample.split or "" for sample in data) == ["test", "test", "train", "train"]
    assert (data.format, data.origin, data.notes) == ("webdataset", address, ())
    assert [sample.source.read().shape for sample in data] == [(3, 4, 1)] * 4
    assert len(sent(served)) == 2
    assert ids(load(address)) == ids(data)
    assert len(sent(served)) == 2  # the second time nothing is sent
    tar(tmp_path / "site" / "my set" / "test-0.tar", {"new.png": png(), "new.cls": "1"})
    os.utime(tmp_path / "site" / "my set" / "test-0.tar", (2e9, 2e9))  # dates count in seconds
    assert "new" in ids(load(address))
    assert len(sent(served)) == 3


def test_the_names_of_the_classes_are_fetched_too(tmp_path: Path, served: Any) -> None:
    shards(tmp_path / "site", "x.tar")
    (tmp_path / "site" / "classes.txt").write_text("no\nyes\n")
    data = load(f"{served.site}/x.tar")
    assert (data.classes, data.name) == (("no", "yes"), "x")
    assert load(f"{served.site}/x.tar?version=2").classes == ("no", "yes")


def test_without_a_network_the_files_fetched_before_are_used(tmp_path: Path, served: Any) -> None:
    shards(tmp_path / "site", "x-0.tar", "x-1.tar")
    address = f"{served.site}/x-{{0..1}}.tar"
    data = load(address)
    served.shutdown()
    served.server_close()
    again: Dataset[Any] = load(address)
    assert ids(again) == ids(data)
    assert again.notes == ("the address cannot be reached; the files fetched before are used",)
    other = f"{served.site}/y.tar"
    with pytest.raises(DataError, match=r"could not be fetched .*refused") as error:
        load(other)
    assert error.value.where == other
    assert "Check the address and the network" in str(error.value)


def test_what_is_not_there_or_cut_short_is_refused_and_leaves_nothing(
    tmp_path: Path, served: Any
) -> None:
    with pytest.raises(DataError, match="the server says 404"):
        load(f"{served.site}/gone.tar")
    served.cut = True
    with pytest.raises(DataError, match=r"10 of 5,000 bytes arrived"):
        load(f"{served.site}/cut.tar")
    files = [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]
    assert files == []


@pytest.mark.parametrize("name", ["data.zip", "", "a/{x,y}/same.tar", "x.tar.gz"])
def test_only_shards_are_fetched(served: Any, name: str) -> None:
    with pytest.raises(DataError, match="the address of shards is expected"):
        load(f"{served.site}/{name}")
    assert served.asked == []


def test_other_addresses_are_read_by_fsspec(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec = pytest.importorskip("fsspec")
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / "cache"))
    memory = fsspec.filesystem("memory")
    shards(tmp_path, "x-0.tar")
    memory.pipe_file("/bucket/x-0.tar", (tmp_path / "x-0.tar").read_bytes())
    assert len(load("memory://bucket/x-0.tar")) == 2
    memory.rm("/bucket/x-0.tar")
    data = load("memory://bucket/x-0.tar")
    assert "cannot be reached" in data.notes[0]
    with pytest.raises(DataError, match="could not be fetched"):
        load("memory://bucket/y.tar")
    with pytest.raises(DataError, match=r"could not be fetched .*Protocol not known"):
        load("nosuch://bucket/y.tar")
    monkeypatch.setitem(sys.modules, "s3fs", None)  # as if it were not installed
    with pytest.raises(DataError, match=r"needs a package of its own .*s3fs") as error:
        load("s3://bucket/y.tar")
    assert error.value.where == "s3://bucket/y.tar"
    assert "Install it with pip" in str(error.value)
    monkeypatch.setitem(__import__("sys").modules, "fsspec.core", None)
    with pytest.raises(DataError, match="fsspec, which is not installed") as error:
        load("s3://bucket/z.tar")
    assert "pip install 'foveate[remote]'" in str(error.value)


def test_a_shard_that_was_cut_short_before_it_was_sent_is_named(
    tmp_path: Path, served: Any
) -> None:
    shards(tmp_path / "site", "x-0.tar", "x-1.tar")
    whole = (tmp_path / "site" / "x-1.tar").read_bytes()
    (tmp_path / "site" / "x-1.tar").write_bytes(whole[:1500])
    with pytest.raises(DataError, match="damaged or cut short") as error:
        load(f"{served.site}/x-{{0..1}}.tar")
    assert Path(str(error.value.where)).name == "x-1.tar"


def test_one_missing_shard_of_many_is_named(tmp_path: Path, served: Any) -> None:
    shards(tmp_path / "site", "x-0.tar", "x-2.tar")
    with pytest.raises(DataError, match="the server says 404") as error:
        load(f"{served.site}/x-{{0..2}}.tar")
    assert error.value.where == f"{served.site}/x-1.tar"


def test_a_full_disk_is_an_error_that_leaves_nothing(
    tmp_path: Path, served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards(tmp_path / "site", "x.tar")

    def full(source: Any, file: Any) -> None:
        file.write(source.read(10))
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(remote, "_copy", full)
        with pytest.raises(StorageError, match="No space left"):
            load(f"{served.site}/x.tar")
    assert [file for file in (tmp_path / "cache").rglob("*") if file.is_file()] == []
    assert len(load(f"{served.site}/x.tar")) == 2


def test_a_file_address_is_read_where_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / "cache"))
    shards(tmp_path / "my set", "x-0.tar", "x-1.tar")
    address = (tmp_path / "my set").as_uri()  # the blank is %20
    assert ids(load(f"{address}/x-{{0..1}}.tar")) == ids(load(tmp_path / "my set"))
    assert len(load(f"{address}/x-1.tar")) == 2
    assert len(load(address)) == 4
    assert not (tmp_path / "cache" / "remote").exists()
    with pytest.raises(DataError, match="a file of this machine is expected"):
        load("file://server/x.tar")
    with pytest.raises(DataError, match="no such path"):
        load("file:///gone/x.tar")


def test_a_path_is_no_address() -> None:
    for text in ("C:/x.tar", "C:\\x.tar", "file:///x.tar", "x.tar", "/a//b.tar"):
        assert not remote.is_address(text)
    assert remote.file_name("https://h/a%20b/c%20d.tar?x=/y.tar#z") == "c d.tar"


def remove_fetched(folder: Path) -> None:
    for file in folder.rglob("*.tar"):
        file.unlink()


@pytest.mark.parametrize("ranges", [True, False])
def test_images_of_shards_that_another_machine_fetched_are_read_from_the_address(
    tmp_path: Path, served: Any, ranges: bool
) -> None:
    shards(tmp_path / "site", "x-0.tar", "x-1.tar")
    data = load(f"{served.site}/x-{{0..1}}.tar")
    images = [sample.source.read() for sample in data]
    remove_fetched(tmp_path / "cache")
    served.ranges, before = ranges, served.sent_bytes
    for sample, image in zip(data, images, strict=True):
        assert np.array_equal(sample.source.read(), image)
    if ranges:
        assert served.sent_bytes - before == sum(one.source.member.size for one in data)
    remove_fetched(tmp_path / "site")
    with pytest.raises(BadImage, match="404") as error:
        data[0].source.read()
    assert str(error.value.where).startswith(f"{served.site}/x-0.tar")
    served.shutdown()
    served.server_close()
    with pytest.raises(BadImage, match="the shard cannot be read"):
        data[0].source.read()


def test_images_of_shards_in_a_store_are_read_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec = pytest.importorskip("fsspec")
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / "cache"))
    shards(tmp_path, "x-0.tar")
    fsspec.filesystem("memory").pipe_file("/parts/x-0.tar", (tmp_path / "x-0.tar").read_bytes())
    data = load("memory://parts/x-0.tar")
    images = [sample.source.read() for sample in data]
    remove_fetched(tmp_path / "cache")
    for sample, image in zip(data, images, strict=True):
        assert np.array_equal(sample.source.read(), image)
    fsspec.filesystem("memory").rm("/parts/x-0.tar")
    with pytest.raises(BadImage, match="the shard cannot be read"):
        data[0].source.read()


def test_an_older_archive_of_this_machine_is_not_taken_for_the_one_that_another_fetched(
    tmp_path: Path, served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards(tmp_path / "site", "x.tar")
    load(f"{served.site}/x.tar")  # on this machine
    tar(tmp_path / "site" / "x.tar", {"0-0.png": png(77), "0-0.cls": "1", **TWO})
    os.utime(tmp_path / "site" / "x.tar", (2e9, 2e9))
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / "another machine"))
    data = load(f"{served.site}/x.tar")
    images = {sample.id: sample.source.read() for sample in data}
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / "cache"))
    for sample in data:
        source = replace(sample.source, machine=1)  # this process is of machine 0
        assert np.array_equal(source.read(), images[sample.id])
