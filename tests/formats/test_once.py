"""While a dataset is recognised each folder is looked at once, and never afterwards."""

from __future__ import annotations

import gc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from foveate import formats
from foveate.formats._shared import layout
from foveate.formats._shared.garbage import gc_paused
from foveate.formats._shared.once import looking_once, once
from foveate.formats._shared.recognition.recognise import recognise
from helpers.voc_files import lay


def test_within_the_block_a_place_is_looked_at_once() -> None:
    seen = []
    look = once(lambda place: (seen.append(place), len(seen)))
    with looking_once():
        assert look("a") is look("a")
        assert look("b") is not look("a")
        with looking_once():
            look("a")
    assert seen == ["a", "b", "a"]
    look("a")
    look("a")
    assert seen == ["a", "b", "a", "a", "a"]


def test_an_error_is_not_kept() -> None:
    answers = iter([OSError("busy"), "listed"])

    @once
    def look(place: str) -> str:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return f"{answer}: {place}"

    with looking_once():
        with pytest.raises(OSError, match="busy"):
            look("a")
        assert look("a") == "listed: a"


def test_recognition_lists_each_folder_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for split in ("train", "test"):
        lay(tmp_path / split, {f"{name}/{k}.jpg": "x" for name in ("cat", "dog") for k in range(3)})
    listed: list[str] = []
    scandir = layout.os.scandir

    def spy(folder: Any) -> Any:
        listed.append(str(folder))
        return scandir(folder)

    monkeypatch.setattr(layout, "os", SimpleNamespace(scandir=spy, fspath=layout.os.fspath))
    assert recognise(tmp_path, formats.all()).format.NAME == "folder"
    assert len(listed) == len(set(listed)) == 7


def test_a_listing_belongs_to_its_caller(tmp_path: Path) -> None:
    lay(tmp_path, {"a.txt": "", "x/b.txt": ""})
    with looking_once():
        folders, files = layout.visible(tmp_path)
        files += layout.visible(folders.pop())[1]
        folders, files = layout.visible(tmp_path)
    assert [entry.name for entry in (*folders, *files)] == ["x", "a.txt"]


def test_what_has_changed_since_is_seen(tmp_path: Path) -> None:
    lay(tmp_path, {f"{name}/{k}.jpg": "x" for name in ("cat", "dog") for k in range(3)})
    assert recognise(tmp_path, formats.all()).format.NAME == "folder"
    lay(tmp_path, {"labels.csv": "path,label\ncat/1.jpg,cat\ndog/1.jpg,dog\n"})
    assert recognise(tmp_path, formats.all()).format.NAME == "csv"


@pytest.mark.parametrize("on", [True, False])
def test_the_garbage_collector_is_left_as_it_was(on: bool) -> None:
    was_on = gc.isenabled()
    try:
        (gc.enable if on else gc.disable)()
        with gc_paused(), gc_paused():
            assert not gc.isenabled()
        assert gc.isenabled() == on
        with pytest.raises(ZeroDivisionError), gc_paused():
            divmod(1, 0)
        assert gc.isenabled() == on
    finally:
        (gc.enable if was_on else gc.disable)()
