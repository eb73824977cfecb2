"""Files that belong together by their stems, in folders of any name."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.formats._shared.files.partners import best_partners, sample_files, stem_of
from foveate.formats._shared.files.written_names import folded
from helpers.voc_files import lay


@pytest.mark.parametrize(
    ("name", "stem"),
    [("a.txt", "a"), ("x/A.JPG", "a"), ("a.jpg.txt", "a"), ("a.b.txt", "a.b"), ("É.png", "é")],
)
def test_stems_are_what_files_have_in_common(name: str, stem: str) -> None:
    assert stem_of(name) == stem


@given(st.text(st.sampled_from("aB. ü"), min_size=1).filter(lambda name: name not in (".", "..")))
def test_a_stem_is_that_of_a_path(name: str) -> None:
    assert stem_of(f"x/{name}") == folded(Path(name).stem)


@pytest.mark.parametrize(
    ("path", "candidates", "best"),
    [
        ("img/a.jpg", ["txt/a.txt"], ["txt/a.txt"]),
        ("img/a.jpg", [], []),
        ("img/front/a.jpg", ["txt/back/a.txt", "txt/front/a.txt"], ["txt/front/a.txt"]),
        ("train/img/a.jpg", ["txt/test/a.txt"], []),
        ("train/img/a.jpg", ["txt/a.txt", "test/img/a.txt"], ["txt/a.txt"]),
        ("img/a.jpg", ["one/a.txt", "two/a.txt"], ["one/a.txt", "two/a.txt"]),
        ("a.jpg", ["one/a.txt", "a.txt"], ["a.txt", "one/a.txt"]),
    ],
)
def test_the_best_partner_has_the_same_split_and_folders(
    path: str, candidates: list[str], best: list[str]
) -> None:
    assert best_partners(path, candidates) == best


def test_some_files_of_each_folder_are_sampled(tmp_path: Path) -> None:
    lay(tmp_path, {"a.txt": "", "x/b.txt": "", "x/y/c.txt": "", ".hidden/d.txt": "", ".e": ""})
    (tmp_path / "x" / "loop").symlink_to(tmp_path)
    sampled = dict(sample_files(tmp_path))
    assert sampled[""] == ["a.txt"]
    assert sampled["x"] == ["b.txt"]
    assert sampled["x/y"] == ["c.txt"]
    assert ".hidden" not in sampled
    assert list(sample_files(tmp_path / "none")) == []


def test_no_link_leads_back_or_out(tmp_path: Path) -> None:
    """A link to / would have the whole machine searched for annotations."""
    root = tmp_path / "set"
    for folder in (root / "a", tmp_path / "elsewhere"):
        folder.mkdir(parents=True)
        (folder / "1.png").touch()
    for name, target in (
        ("top", Path("/")), ("up", tmp_path), ("self", root), ("twin", root / "a"),
        ("linked", tmp_path / "elsewhere"), ("gone", tmp_path / "gone"),
    ):  # fmt: skip
        (root / name).symlink_to(target)
    assert list(sample_files(root)) == [("", ["gone"]), ("a", ["1.png"]), ("linked", ["1.png"])]
