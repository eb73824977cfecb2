"""Openings of test images in the user's state folder."""

from __future__ import annotations

import subprocess
import sys

import pytest

from foveate.errors import StorageError
from foveate.metrics import known_openings

IMAGES = [f"{number:032x}" for number in range(3000)]


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEATE_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def add(images, run, tmp_path, when="2026-01-01T00:00:00+00:00"):
    known_openings.add(images, opened=when, run=tmp_path / run, weights=f"weights of {run}")


def test_an_opening_is_found_by_any_of_its_images(tmp_path):
    assert known_openings.find(IMAGES) == []
    add(IMAGES[:2000], "first", tmp_path)
    add(IMAGES[1500:], "second", tmp_path)
    add([], "none", tmp_path)
    found = known_openings.find([*IMAGES[1400:1600], *IMAGES[1400:1410]])
    assert [(one.run, one.shared) for one in found] == [
        (str(tmp_path / "first"), 200),
        (str(tmp_path / "second"), 100),
    ]
    assert known_openings.find(["f" * 32]) == []
    assert known_openings.find([]) == []


def test_many_processes_lose_no_opening():
    script = (
        "import sys; from pathlib import Path; from foveate.metrics import known_openings as k\n"
        "for i in range(5): k.add([f'{i:032x}'], opened='t', run=Path(sys.argv[1]), weights='w')"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", script, f"run{number}"]) for number in range(4)
    ]
    assert [process.wait() for process in processes] == [0] * 4
    assert len(known_openings.find([f"{0:032x}"])) == 4
    assert sum(one.shared for one in known_openings.find(IMAGES[:5])) == 20


@pytest.mark.parametrize("content", [b"no database", b"", None])
def test_a_damaged_or_impossible_database_is_one_clear_error(state, tmp_path, content):
    if content is None:
        state.write_bytes(b"a file where a folder is due")
    else:
        state.mkdir()
        (state / "test_openings.sqlite").write_bytes(content)
    if content == b"":  # sqlite begins an empty file anew
        assert known_openings.find(IMAGES) == []
        return
    with pytest.raises(StorageError, match="FOVEATE_STATE"):
        known_openings.find(IMAGES)
    with pytest.raises(StorageError, match="FOVEATE_STATE"):
        add(IMAGES, "run", tmp_path)
