"""A pipe, a socket or a device among the files of a dataset neither blocks nor fills the memory."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from foveate import formats
from foveate.data.cache import decoding
from foveate.data.natural_size import natural_size
from foveate.datasets.load import load
from foveate.errors import DataError
from helpers import hostile
from helpers.format_examples import ALL_FORMATS

pytestmark = pytest.mark.skipif(
    not hasattr(os, "mkfifo") or not Path("/dev/zero").exists(), reason="no special files here"
)


def _socket(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY)
    try:  # the name of a socket may have 100 characters
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)


SPECIAL: dict[str, Callable[[Path], None]] = {
    "pipe": os.mkfifo,
    "socket": _socket,
    "zeros without end": lambda path: path.symlink_to("/dev/zero"),
    "noise without end": lambda path: path.symlink_to("/dev/urandom"),
    "terminal": lambda path: path.symlink_to("/dev/tty"),
    "link to itself": lambda path: path.symlink_to(path),
    "link to its folder": lambda path: path.symlink_to(path.parent),
    "folder": Path.mkdir,
}


@contextmanager
def bounded(seconds: int = 5, gigabytes: float = 1.0) -> Iterator[None]:
    """Fail instead of waiting forever or filling the memory."""
    with hostile.within(seconds), hostile.memory_limit(int(gigabytes * 1e9)):
        yield


def is_survived(path: Path, name: str | None) -> None:
    try:
        dataset = load(path, format=name)
        decoding.survey(dataset)
        natural_size(dataset)
    except DataError:
        return


@ALL_FORMATS
@pytest.mark.parametrize("kind", SPECIAL)
def test_no_file_of_a_dataset_blocks(
    format: formats.Format,
    example: Path,
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / "cache"))
    files = [file for file in sorted(example.rglob("*")) if file.is_file()]
    for file in files:
        shutil.copytree(example, tmp_path / "odd")
        odd = tmp_path / "odd" / file.relative_to(example)
        odd.unlink()
        SPECIAL[kind](odd)
        with bounded():
            for path in (tmp_path / "odd", odd):
                assert format.sniff(path) in (True, False)
                is_survived(path, format.NAME)
                is_survived(path, None)
        shutil.rmtree(tmp_path / "odd")


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("suffix", [".csv", ".json", ".jsonl", ".yaml", ".xml", ".tar", ".gz", ""])
def test_what_is_no_file_is_no_dataset(kind: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"data{suffix}"
    SPECIAL[kind](path)
    with bounded(), pytest.raises(DataError) as caught:
        load(path)
    assert "folder" in kind or "a pipe or a device" in str(caught.value) or "link" in kind
