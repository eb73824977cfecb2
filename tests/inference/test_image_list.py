"""Which files of a folder are predicted, and that each other one is reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from foveate.errors import FoveateError
from foveate.inference.image_list import image_files
from foveate.progress import NullReporter


class Notes(NullReporter):
    """Keeps what is reported, as text, and what is skipped, by its path."""

    def __init__(self) -> None:
        self.infos: list[str] = []
        self.skipped: dict[str, str] = {}

    def info(self, message: str) -> None:
        self.infos.append(message)

    def skip(self, path: str, reason: str) -> None:
        self.skipped[path] = reason


def lay(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def listed(root: Path, notes: Notes) -> list[str]:
    files = image_files([root], notes.skip, notes)
    return [file.relative_to(root).as_posix() for file in files]


def test_images_and_videos_at_any_depth_but_not_hidden_ones(tmp_path: Path) -> None:
    lay(tmp_path, "b.PNG", "a/c.jpg", "film.mp4", ".x.png", ".git/y.png", "__MACOSX/z.png")
    notes = Notes()
    assert listed(tmp_path, notes) == ["a/c.jpg", "b.PNG", "film.mp4"]
    assert (notes.infos, notes.skipped) == ([], {})


@pytest.mark.parametrize("name", ["x.png ", "x.jpg\t", "x.tif\u00a0"])
def test_a_name_that_ends_with_a_blank_is_told(tmp_path: Path, name: str) -> None:
    lay(tmp_path, "1.png", f"a/{name}")
    notes = Notes()
    assert listed(tmp_path, notes) == ["1.png"]
    assert list(notes.skipped) == [str(tmp_path / "a" / name)]
    assert "ends with a blank" in notes.skipped[str(tmp_path / "a" / name)]
    assert notes.infos == []
    only = lay(tmp_path / "only", name)
    with pytest.raises(FoveateError, match="there are no images in this folder"):
        listed(only, notes)
    assert str(only / name) in notes.skipped


def test_other_files_are_counted(tmp_path: Path) -> None:
    lay(tmp_path, "1.png", "1.txt", "a/scan.heic", "README")
    notes = Notes()
    assert listed(tmp_path, notes) == ["1.png"]
    assert notes.infos == [
        "3 files without the suffix of an image or a video left out (such as 1.txt)"
    ]
    assert notes.skipped == {}


def test_a_file_that_is_named_itself_is_listed_whatever_its_name(tmp_path: Path) -> None:
    file = lay(tmp_path, "x.png ") / "x.png "
    assert image_files([file], Notes().skip, Notes()) == [file]
