"""The files below a folder, each folder once."""

from __future__ import annotations

from pathlib import Path

import pytest

from foveate.data.dataset import Skipped
from foveate.formats._shared.files.file_tree import in_folder, list_tree
from helpers.voc_files import lay


def test_files_are_listed_by_folder_and_sorted(tmp_path: Path) -> None:
    lay(tmp_path, {"b.txt": "", "a.txt": "", "x/y/c.txt": "", ".h/d.txt": "", "x/.e": ""})
    skipped: list[Skipped] = []
    assert list_tree(tmp_path, skipped) == {"": ["a.txt", "b.txt"], "x": [], "x/y": ["c.txt"]}
    assert skipped == []
    assert (in_folder("", "a.txt"), in_folder("x/y", "c.txt")) == ("a.txt", "x/y/c.txt")


def test_links_are_followed_once(tmp_path: Path) -> None:
    lay(tmp_path / "set", {"in/a.txt": ""})
    lay(tmp_path / "elsewhere", {"b.txt": ""})
    (tmp_path / "set" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "up").symlink_to(tmp_path)
    (tmp_path / "set" / "again").symlink_to(tmp_path / "set" / "in")
    skipped: list[Skipped] = []
    tree = list_tree(tmp_path / "set", skipped)
    assert sorted(name for names in tree.values() for name in names) == ["a.txt", "b.txt"]
    assert {entry.id for entry in skipped} in ({"up/", "in/"}, {"up/", "again/"})


def test_a_folder_that_is_absent_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        list_tree(tmp_path / "none", [])
